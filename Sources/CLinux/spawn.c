/* Starting children. Between clone and exec a child may share its parent's memory (the parent is stopped then) or have
   a copy of a process with several threads; either way only async-signal-safe code may run: no malloc, no stdio, and
   none of glibc's set*id wrappers, which would signal threads that don't exist in the copy. */
#define _GNU_SOURCE
#include "clinux.h"
#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
/* The sanitizer takes clone(2) for fork(2) and prepares the child for its own use of the memory, which here is still the
   parent's. The C library's other name for the same function is left alone. */
extern int __clone(int (*)(void *), void *, int, void *, ...);
#define clone __clone
/* And before it lets a process end, it reports what it thinks of it: into the child's own standard error, which is a pipe
   that nobody reads before the child has started. */
#define _exit(status) (syscall(SYS_exit_group, status), __builtin_unreachable())
#endif
#endif

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum { STACK_SIZE = 4 << 20, FIRST_SPARE = 10, OPEN_FILES = 65536 };

struct start { /* what the child needs, on the parent's stack */
    struct forge_spawn_request *request;
    int reports[2];
    int gate[2];
    char *program_stack; /* for the reaper's child */
};

static void report(int fd, int kind, int phase, int index, int value) {
    struct forge_record record = {kind, phase, index, value};
    ssize_t done;
    do done = write(fd, &record, sizeof record);
    while (done < 0 && errno == EINTR);
}

static _Noreturn void fail(int fd, int phase, int index) {
    report(fd, FORGE_FAILED, phase, index, errno);
    _exit(127);
}

/* By the kernel's own call: glibc's sigaction refuses the two signals that its threads use, which a parent may have
   left ignored. */
static void reset_signals(void) {
    const char defaults[64] = {0}; /* struct kernel_sigaction: SIG_DFL, no flags */
    for (int signal = 1; signal <= 64; signal++) syscall(SYS_rt_sigaction, signal, defaults, NULL, (size_t)8);
}

static void unblock_signals(void) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Dies with the parent. A parent that died before the prctl can't be seen any more, but its end of the pipe is shut. */
static void follow_parent(int reports) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) fail(reports, FORGE_AT_PARENT, 0);
    struct pollfd entry = {reports, 0, 0};
    if (poll(&entry, 1, 0) == 1 && (entry.revents & POLLERR)) _exit(127);
}

static void set_limits(void) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max < OPEN_FILES ? files.rlim_max : OPEN_FILES;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    umask(022);
}

/* Descriptors 0 to 3 as asked; all others close at exec. */
static void arrange_descriptors(struct forge_spawn_request *request, int *reports) {
    int wanted[4];
    int moved = fcntl(*reports, F_DUPFD_CLOEXEC, FIRST_SPARE);
    if (moved < 0) fail(*reports, FORGE_AT_DESCRIPTORS, 0);
    *reports = moved;
    for (int i = 0; i < 4; i++) {
        wanted[i] = -1;
        if (request->descriptors[i] < 0) continue;
        wanted[i] = fcntl(request->descriptors[i], F_DUPFD_CLOEXEC, FIRST_SPARE);
        if (wanted[i] < 0) fail(*reports, FORGE_AT_DESCRIPTORS, i);
    }
    for (int i = 0; i < 4; i++) {
        if (wanted[i] < 0)
            close(i);
        else if (dup2(wanted[i], i) < 0)
            fail(*reports, FORGE_AT_DESCRIPTORS, i);
    }
    if (syscall(SYS_close_range, 4U, ~0U, CLOSE_RANGE_CLOEXEC) != 0) fail(*reports, FORGE_AT_DESCRIPTORS, 4);
}

static int run_program(void *argument) {
    struct start *start = argument;
    struct forge_spawn_request *request = start->request;
    int reports = start->reports[1];
    reset_signals();
    arrange_descriptors(request, &reports);
    if (chdir(request->directory) != 0) fail(reports, FORGE_AT_DIRECTORY, 0);
    set_limits();
    unblock_signals();
    /* A program that this process has just written may still be open for writing in a child that another thread is
       starting, until that child's exec. */
    for (int attempt = 0; attempt < 50; attempt++) {
        execve(request->path, request->arguments, request->environment);
        if (errno != ETXTBSY) break;
        struct timespec pause = {0, 2000000};
        nanosleep(&pause, NULL);
        errno = ETXTBSY;
    }
    fail(reports, FORGE_AT_EXEC, 0);
}

/* Process 1 of a pid namespace: starts the program, buries orphans, says how the program ended. When it exits the
   kernel kills what is left in the namespace. */
static _Noreturn void reap_for_program(struct start *start) {
    int reports = start->reports[1];
    prctl(PR_SET_NAME, "forge-reaper", 0, 0, 0);
    /* An ordinary user's change of ids has hidden this process from its own user, who may want to join its namespaces. */
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    int program = clone(run_program, start->program_stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | SIGCHLD, start);
    if (program < 0) fail(reports, FORGE_AT_FORK, 0);
    /* A program that could not be started has said so before this. */
    report(reports, FORGE_STARTED, 0, 0, 0);
    int kept = 3;
    if (dup2(reports, kept) < 0) _exit(127);
    close(0), close(1), close(2);
    syscall(SYS_close_range, 4U, ~0U, 0U);
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        if (pid == program) {
            report(kept, FORGE_EXITED, 0, 0, status);
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        }
        if (pid < 0 && errno != EINTR) _exit(127);
    }
}

static int child(void *argument) {
    struct start *start = argument;
    struct forge_spawn_request *request = start->request;
    int reports = start->reports[1];
    close(start->reports[0]);
    reset_signals();
    if (request->namespaces & CLONE_NEWUSER) {
        close(start->gate[1]);
        follow_parent(reports);
        char byte;
        ssize_t got;
        do got = read(start->gate[0], &byte, 1);
        while (got < 0 && errno == EINTR);
        if (got != 1) _exit(127); /* the parent gave up */
        close(start->gate[0]);
        if (syscall(SYS_setgroups, 0, NULL) != 0 || syscall(SYS_setresgid, 0, 0, 0) != 0
            || syscall(SYS_setresuid, 0, 0, 0) != 0)
            fail(reports, FORGE_AT_IDS, 0);
    }
    follow_parent(reports); /* again: a change of ids takes it back */
    if (request->own_session && setsid() < 0) fail(reports, FORGE_AT_SESSION, 0);
    umask(022);
    for (size_t i = 0; i < request->step_count; i++)
        if (forge_run_step(request->steps, i) != 0) fail(reports, FORGE_AT_STEP, (int)i);
    follow_parent(reports); /* once more: so does entering a user namespace */
    if (!request->path) _exit(0);
    if (request->namespaces & CLONE_NEWPID) reap_for_program(start);
    return run_program(start);
}

int forge_spawn(struct forge_spawn_request *request, struct forge_spawned *spawned) {
    struct start start = {.request = request, .reports = {-1, -1}, .gate = {-1, -1}};
    memset(spawned, 0, sizeof *spawned);
    spawned->pid = spawned->pidfd = spawned->reports = spawned->gate = -1;
    spawned->failure.kind = FORGE_FAILED;
    spawned->failure.phase = FORGE_AT_PIPE;
    int mapped = (request->namespaces & CLONE_NEWUSER) != 0;
    char *stacks = MAP_FAILED;
    if (pipe2(start.reports, O_CLOEXEC) != 0 || (mapped && pipe2(start.gate, O_CLOEXEC) != 0)) goto failed;
    stacks = mmap(NULL, 2 * STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stacks == MAP_FAILED) goto failed;
    start.program_stack = stacks + STACK_SIZE;

    /* No handler of the parent may run in the child, on memory that both share. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    /* A plain child borrows the parent's memory until exec; one with steps to run gets a copy. */
    int sharing = request->namespaces == 0 && request->step_count == 0 ? CLONE_VM | CLONE_VFORK : 0;
    int flags = (int)request->namespaces | sharing | CLONE_PIDFD | SIGCHLD;
    spawned->pid = clone(child, stacks + STACK_SIZE, flags, &start, &spawned->pidfd);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    munmap(stacks, 2 * STACK_SIZE);
    if (spawned->pid < 0) {
        errno = error;
        spawned->failure.phase = FORGE_AT_CLONE;
        stacks = MAP_FAILED;
        goto failed;
    }
    close(start.reports[1]);
    if (mapped) close(start.gate[0]);
    spawned->reports = start.reports[0];
    spawned->gate = start.gate[1];
    return 0;

failed:
    spawned->failure.value = errno;
    if (stacks != MAP_FAILED) munmap(stacks, 2 * STACK_SIZE);
    for (int i = 0; i < 2; i++) {
        if (start.reports[i] >= 0) close(start.reports[i]);
        if (start.gate[i] >= 0) close(start.gate[i]);
    }
    spawned->pid = spawned->pidfd = -1;
    return -1;
}

int forge_spawn_open_gate(struct forge_spawned *spawned) {
    char go = 1;
    ssize_t done;
    do done = write(spawned->gate, &go, 1);
    while (done < 0 && errno == EINTR);
    close(spawned->gate);
    spawned->gate = -1;
    return done == 1 ? 0 : -1;
}

int forge_spawn_read(int reports, struct forge_record *record) {
    ssize_t got;
    do got = read(reports, record, sizeof *record);
    while (got < 0 && errno == EINTR);
    if (got == 0) return 0;
    return got == sizeof *record ? 1 : -1;
}

int forge_ended(int pidfd) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    int result;
    do result = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -1 : info.si_pid != 0;
}

int forge_reap(int pid, struct forge_usage *usage) {
    struct rusage used;
    int status;
    pid_t got;
    do got = wait4(pid, &status, 0, &used);
    while (got < 0 && errno == EINTR);
    if (got < 0) return -1;
    usage->status = status;
    usage->user_microseconds = (int64_t)used.ru_utime.tv_sec * 1000000 + used.ru_utime.tv_usec;
    usage->system_microseconds = (int64_t)used.ru_stime.tv_sec * 1000000 + used.ru_stime.tv_usec;
    usage->max_resident_bytes = (int64_t)used.ru_maxrss * 1024;
    return 1;
}

int forge_pidfd_signal(int pidfd, int signal) { return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0U); }

int forge_exited(int status) { return WIFEXITED(status); }
int forge_exit_code(int status) { return WEXITSTATUS(status); }
int forge_term_signal(int status) { return WTERMSIG(status); }
