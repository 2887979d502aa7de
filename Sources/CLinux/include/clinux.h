/* What Swift can't see of the kernel's and glibc's interfaces: macros, variadics, and code that must run between
   clone and exec, where no Swift may run. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "clinux_store.h"

uint32_t forge_major(uint64_t device);
uint32_t forge_minor(uint64_t device);

/* ---- Steps: what a child does to its namespaces before its program starts -------------------------------------- */

enum forge_operation {
    FORGE_MOUNT,          /* mount(source, target, type, flags, data); makes the directory `target` */
    FORGE_OPEN_TREE,      /* a detached copy of the mounts at `source`, kept for FORGE_PLACE; flags 1: read-only */
    FORGE_PLACE,          /* puts what step number `flags` opened at `target`, which is made if it is not there */
    FORGE_DIRECTORY,      /* mkdir -p target, mode `flags` for the last component if it is made */
    FORGE_SYMLINK,        /* symlink(source, target) */
    FORGE_PIVOT,          /* `target`, a mount point, becomes the root; the old root stays mounted but has no path */
    FORGE_DETACH_ROOT,    /* the old root goes away for good */
    FORGE_HOST_NAME,      /* sethostname(source), no domain */
    FORGE_LOOPBACK,       /* brings `lo` up */
    FORGE_NEW_KEYRING,    /* an empty session keyring */
    FORGE_NO_NEW_PRIVILEGES,
    FORGE_FIXED_ADDRESSES, /* no address space randomisation; ignored where a filter forbids it */
    FORGE_REMOVE,         /* removes the tree at `target` */
    FORGE_JOIN,           /* enters the user and network namespaces of the process of the pidfd `flags` */
    FORGE_BRIDGE,         /* makes the bridge `target` with the IPv4 address `source`, of `flags` bits of network */
    FORGE_TAP,            /* makes the tap `target`, a port of the bridge `source` */
};

struct forge_step {
    int operation;
    int descriptor; /* set by FORGE_OPEN_TREE */
    unsigned long flags;
    char *source;
    char *target;
    char *type;
    char *data;
};

/* ---- Spawning -------------------------------------------------------------------------------------------------- */

enum forge_phase { /* where a child was when something failed */
    FORGE_AT_CLONE,
    FORGE_AT_PIPE,
    FORGE_AT_WAIT_FOR_IDS,
    FORGE_AT_IDS,
    FORGE_AT_PARENT,
    FORGE_AT_SESSION,
    FORGE_AT_STEP, /* `index` says which */
    FORGE_AT_DESCRIPTORS,
    FORGE_AT_DIRECTORY,
    FORGE_AT_FORK,
    FORGE_AT_EXEC,
};

struct forge_spawn_request {
    char *path;       /* NULL: only the steps are run */
    char **arguments; /* with argv[0]; ends in NULL */
    char **environment;
    char *directory;
    int descriptors[4];   /* what becomes 0, 1, 2, 3; -1: closed */
    uint32_t namespaces;  /* CLONE_NEW*, 0 for none */
    int own_session;      /* away from the terminal and its signals */
    struct forge_step *steps;
    size_t step_count;
};

struct forge_record { /* what a child writes into its report pipe */
    int32_t kind;     /* FORGE_STARTED … */
    int32_t phase;    /* of FORGE_FAILED */
    int32_t index;    /* of the step */
    int32_t value;    /* errno of FORGE_FAILED, wait status of FORGE_EXITED */
};
enum { FORGE_STARTED = 1, FORGE_FAILED = 2, FORGE_EXITED = 3 };

struct forge_spawned {
    int pid;
    int pidfd;
    int reports;      /* read end of the report pipe */
    int gate;         /* with a user namespace: the child waits here until its ids are mapped; else -1 */
    struct forge_record failure; /* if forge_spawn returned -1 */
};

/* Starts a child. With CLONE_NEWUSER it waits at the gate. With CLONE_NEWPID the child is a reaper: process 1 of the
   namespace, which starts the program as its own child, collects orphans, reports how the program ended, and takes
   every process that is left with it. Returns 0, or -1 with `failure`. */
int forge_spawn(struct forge_spawn_request *request, struct forge_spawned *spawned);
/* Opens the gate. */
int forge_spawn_open_gate(struct forge_spawned *spawned);
/* The next record: 1, or 0 at the end (the program runs, where there is no reaper), -1 on an error (errno). */
int forge_spawn_read(int reports, struct forge_record *record);

/* wait4 without blocking. 1: ended, 0: still running, -1: error (errno). */
struct forge_usage {
    int status;
    int64_t user_microseconds;
    int64_t system_microseconds;
    int64_t max_resident_bytes;
};
int forge_ended(int pidfd); /* 1 if the child has ended and is not yet reaped, 0 if it runs, -1 (errno) */
int forge_reap(int pid, struct forge_usage *usage);
int forge_pidfd_signal(int pidfd, int signal);

int forge_exited(int status);
int forge_exit_code(int status);
int forge_term_signal(int status);

/* ---- Files ----------------------------------------------------------------------------------------------------- */

/* Removes a file, or a directory and everything in it; what is not there is fine; follows no link. Safe between clone
   and exec. Returns 0 or -1 (errno). */
int forge_remove_tree(const char *path);
/* mkdir -p. Safe between clone and exec. */
int forge_make_directories(const char *path, mode_t mode);
/* An anonymous file in memory. */
int forge_memory_file(const char *name);
/* The kind of file system at a path (statfs f_type), or 0. */
uint64_t forge_file_system_type(const char *path);

/* ---- Terminal, signals, host ----------------------------------------------------------------------------------- */

/* Columns of a terminal, 0 if it is none. */
int forge_terminal_columns(int fd);
/* Catches a signal: each arrival puts its number, one byte, into the pipe whose read end is returned (the same for all
   signals). -1 on an error (errno). */
int forge_catch_signal(int signal);
/* SIGPIPE becomes EPIPE. */
void forge_ignore_broken_pipes(void);
/* CPUs that this process may use. */
int forge_usable_cpus(void);
/* A pipe whose ends close at exec; its read end does not block unless waits. */
int forge_pipe(int *read_end, int *write_end, int waits);
