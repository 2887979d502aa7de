/* Directories in bulk, in code that is safe between clone and exec: no malloc, no opendir. */
#define _GNU_SOURCE
#include "clinux.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct entry { /* struct linux_dirent64 */
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

enum { UNKNOWN_TYPE = 0, DIRECTORY_TYPE = 4 }; /* DT_UNKNOWN, DT_DIR of <dirent.h> */

static int remove_at(int parent, const char *name, unsigned char type);

/* Removes what a listing from the start shows: how many entries, or -1. Removing while listing may skip some. */
static long remove_entries(int fd) {
    _Alignas(struct entry) char buffer[2048];
    long removed = 0;
    if (lseek(fd, 0, SEEK_SET) < 0) return -1;
    for (;;) {
        long count = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
        if (count <= 0) return count < 0 ? -1 : removed;
        for (long at = 0; at < count;) {
            struct entry *entry = (struct entry *)(buffer + at);
            at += entry->length;
            if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0) continue;
            if (remove_at(fd, entry->name, entry->type) != 0) return -1;
            removed++;
        }
    }
}

/* Many directories are empty, and listing one costs more than trying. */
static int remove_empty(int parent, const char *name) {
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

/* What is said to be a directory is not tried as a file first. */
static int remove_at(int parent, const char *name, unsigned char type) {
    int error = ENOTDIR;
    if (type != DIRECTORY_TYPE) {
        if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return 0;
        error = errno;
    }
    if (remove_empty(parent, name) == 0) return 0;
    struct stat info;
    if (fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : -1;
    if (!S_ISDIR(info.st_mode)) return errno = error, -1;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0)
        fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -1;
    if ((info.st_mode & 0700) != 0700) fchmod(fd, 0700);
    int result;
    for (;;) {
        long removed = remove_entries(fd);
        result = removed < 0 ? -1 : remove_empty(parent, name);
        if (result == 0 || removed <= 0 || (errno != ENOTEMPTY && errno != EEXIST)) break;
    }
    error = errno;
    close(fd);
    errno = error;
    return result;
}

int forge_remove_tree(const char *path) {
    if (!*path) return errno = EINVAL, -1;
    return remove_at(AT_FDCWD, path, UNKNOWN_TYPE);
}

int forge_make_directories(const char *path, mode_t mode) {
    char partial[4096];
    size_t length = strlen(path);
    if (length >= sizeof partial) return errno = ENAMETOOLONG, -1;
    memcpy(partial, path, length + 1);
    for (size_t at = 1; at < length; at++) {
        if (partial[at] != '/') continue;
        partial[at] = 0;
        if (mkdir(partial, 0755) != 0 && errno != EEXIST) {
            /* On a read-only file system mkdir says so before it says that the directory is there. */
            struct stat info;
            int error = errno;
            if (stat(partial, &info) != 0 || !S_ISDIR(info.st_mode)) return errno = error, -1;
        }
        partial[at] = '/';
    }
    if (mkdir(path, mode) == 0) return chmod(path, mode);
    struct stat info;
    int error = errno;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return 0;
    errno = error;
    return -1;
}
