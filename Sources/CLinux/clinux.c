#define _GNU_SOURCE
#include "clinux.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

uint32_t forge_major(uint64_t device) { return gnu_dev_major(device); }
uint32_t forge_minor(uint64_t device) { return gnu_dev_minor(device); }

int forge_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

uint64_t forge_file_system_type(const char *path) {
    struct statfs info;
    return statfs(path, &info) == 0 ? (uint64_t)(unsigned long)info.f_type : 0;
}

int forge_terminal_columns(int fd) {
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

int forge_pipe(int *read_end, int *write_end, int waits) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    if (!waits) fcntl(ends[0], F_SETFL, O_NONBLOCK);
    *read_end = ends[0];
    *write_end = ends[1];
    return 0;
}

/* The pipe between the handler and the event loop; a handler can reach nothing but globals. */
static int signal_pipe[2] = {-1, -1};

static void note_signal(int signal) {
    int saved = errno;
    unsigned char byte = (unsigned char)signal;
    /* A full pipe loses nothing: what is in it already wakes the loop. */
    ssize_t ignored = write(signal_pipe[1], &byte, 1);
    (void)ignored;
    errno = saved;
}

int forge_catch_signal(int signal) {
    if (signal_pipe[0] < 0 && pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0) return -1;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = note_signal;
    action.sa_flags = SA_RESTART;
    return sigaction(signal, &action, NULL) == 0 ? signal_pipe[0] : -1;
}

void forge_ignore_broken_pipes(void) { signal(SIGPIPE, SIG_IGN); }

int forge_usable_cpus(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? count : 1;
}
