/* forge-inject: runs a program and lets something happen at its n-th system call that changes a file system.
 *
 *     forge-inject [--kill N | --full N] [--count FILE] PROGRAM ARGUMENT...
 *
 * --kill N   before the N-th such call, kill the program and everything that it has started, with SIGKILL
 * --full N   from the N-th such call on, whatever needs room on a disk fails with ENOSPC
 * --count F  write to F how many such calls there were, those of children included
 *
 * Calls are stopped by a seccomp filter and looked at through ptrace, so the program needs no preparation and its
 * libraries (SQLite above all) are seen too. Exit code: the program's, or 137 if it was killed. Only for x86-64. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if !defined(__x86_64__)
int main(void) {
    fputs("forge-inject knows x86-64 only\n", stderr);
    return 70;
}
#else

static const int calls[] = {
    SYS_open, SYS_openat, SYS_creat, SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev, SYS_pwritev2, SYS_rename,
    SYS_renameat, SYS_renameat2, SYS_unlink, SYS_unlinkat, SYS_rmdir, SYS_mkdir, SYS_mkdirat, SYS_link, SYS_linkat,
    SYS_symlink, SYS_symlinkat, SYS_mknod, SYS_mknodat, SYS_chmod, SYS_fchmod, SYS_fchmodat, SYS_chown, SYS_fchown,
    SYS_lchown, SYS_fchownat, SYS_truncate, SYS_ftruncate, SYS_fallocate, SYS_fsync, SYS_fdatasync, SYS_syncfs,
    SYS_sync_file_range, SYS_copy_file_range, SYS_sendfile, SYS_utimensat, SYS_setxattr, SYS_fsetxattr, SYS_lsetxattr,
};

static void fail(const char *what) {
    perror(what);
    exit(70);
}

static void install_filter(void) {
    enum { count = sizeof calls / sizeof *calls };
    struct sock_filter code[count * 2 + 4];
    int n = 0;
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < count; i++) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = n, .filter = code};
    /* Root may do without, which lets set-user-id programs work. */
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0) return;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("prctl");
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) fail("seccomp");
}

/* Whether a descriptor of a process is a file on a disk, not a pipe, terminal or device. */
static int is_file(pid_t pid, unsigned long long fd) {
    char path[64];
    struct stat info;
    snprintf(path, sizeof path, "/proc/%d/fd/%llu", pid, fd);
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* Whether the call would change something. */
static int changes(pid_t pid, const struct user_regs_struct *regs) {
    switch (regs->orig_rax) {
    case SYS_open: return (regs->rsi & (O_CREAT | O_TRUNC)) != 0;
    case SYS_openat: return (regs->rdx & (O_CREAT | O_TRUNC)) != 0;
    case SYS_write:
    case SYS_pwrite64:
    case SYS_writev:
    case SYS_pwritev:
    case SYS_pwritev2:
    case SYS_sendfile: return is_file(pid, regs->rdi);
    default: return 1;
    }
}

/* Whether a full disk makes the call fail. */
static int needs_room(const struct user_regs_struct *regs) {
    switch (regs->orig_rax) {
    case SYS_unlink:
    case SYS_unlinkat:
    case SYS_rmdir:
    case SYS_chmod:
    case SYS_fchmod:
    case SYS_fchmodat:
    case SYS_chown:
    case SYS_fchown:
    case SYS_lchown:
    case SYS_fchownat:
    case SYS_utimensat: return 0;
    case SYS_truncate:
    case SYS_ftruncate: return regs->rsi != 0;
    default: return 1;
    }
}

enum { most = 4096 };
static pid_t tracees[most];
static int tracee_count;

static void remember(pid_t pid) {
    for (int i = 0; i < tracee_count; i++)
        if (tracees[i] == pid) return;
    if (tracee_count < most) tracees[tracee_count++] = pid;
}

static void kill_all(void) {
    for (int i = 0; i < tracee_count; i++) kill(tracees[i], SIGKILL);
    int status;
    while (waitpid(-1, &status, __WALL) > 0 || errno == EINTR) {}
}

int main(int argc, char **argv) {
    long kill_at = 0, full_at = 0, seen = 0;
    const char *count_file = NULL;
    int i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (strcmp(argv[i], "--kill") == 0) kill_at = atol(argv[i + 1]);
        else if (strcmp(argv[i], "--full") == 0) full_at = atol(argv[i + 1]);
        else if (strcmp(argv[i], "--count") == 0) count_file = argv[i + 1];
        else break;
    }
    if (i >= argc) {
        fputs("usage: forge-inject [--kill N | --full N] [--count FILE] PROGRAM ARGUMENT...\n", stderr);
        return 2;
    }
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) fail("ptrace");
        raise(SIGSTOP);
        install_filter();
        execvp(argv[i], argv + i);
        fail(argv[i]);
    }
    int status, code = 70, killed = 0;
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) fail("wait");
    const long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                         PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, child, NULL, options) != 0) fail("PTRACE_SETOPTIONS");
    remember(child);
    ptrace(PTRACE_CONT, child, NULL, NULL);
    while (!killed) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0) {
            if (errno == EINTR) continue;
            break;
        }
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (pid == child) code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        if (!WIFSTOPPED(status)) continue;
        remember(pid);
        int signal = WSTOPSIG(status), event = status >> 16;
        if (event == PTRACE_EVENT_SECCOMP) {
            struct user_regs_struct regs;
            if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0 && changes(pid, &regs)) {
                seen++;
                if (kill_at > 0 && seen == kill_at) {
                    kill_all();
                    killed = 1;
                    code = 137;
                    continue;
                }
                if (full_at > 0 && seen >= full_at && needs_room(&regs)) {
                    regs.orig_rax = (unsigned long long)-1;
                    regs.rax = (unsigned long long)-ENOSPC;
                    ptrace(PTRACE_SETREGS, pid, NULL, &regs);
                }
            }
            signal = 0;
        } else if (event != 0 || signal == SIGTRAP || signal == SIGSTOP) {
            /* A new thread or process, or a new program. */
            signal = 0;
        }
        ptrace(PTRACE_CONT, pid, NULL, (void *)(intptr_t)signal);
    }
    if (count_file != NULL) {
        FILE *file = fopen(count_file, "w");
        if (file == NULL) fail(count_file);
        fprintf(file, "%ld\n", seen);
        fclose(file);
    }
    return code;
}
#endif
