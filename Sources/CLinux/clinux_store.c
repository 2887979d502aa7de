#define _GNU_SOURCE
#include "clinux_store.h"
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

int forge_syncfs(int fd) { return syncfs(fd); }

int forge_clone(int to, int from) { return ioctl(to, FICLONE, from); }

ssize_t forge_copy_file_range(int from, int to, size_t count) { return copy_file_range(from, NULL, to, NULL, count, 0); }

ssize_t forge_flistxattr(int fd, char *names, size_t size) { return flistxattr(fd, names, size); }

ssize_t forge_fgetxattr(int fd, const char *name, void *value, size_t size) { return fgetxattr(fd, name, value, size); }

int forge_fsetxattr(int fd, const char *name, const void *value, size_t size) {
    return fsetxattr(fd, name, value, size, 0);
}

int forge_set_times(int directory, const char *name, int64_t seconds) {
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    return name == NULL ? futimens(directory, times) : utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW);
}

int forge_mknodat(int directory, const char *name, uint32_t type_and_mode, uint32_t major, uint32_t minor) {
    return mknodat(directory, name, type_and_mode, makedev(major, minor));
}

int64_t forge_free_space(const char *path) {
    struct statvfs info;
    if (statvfs(path, &info) != 0) return -1;
    return (int64_t)info.f_bavail * (int64_t)info.f_frsize;
}
