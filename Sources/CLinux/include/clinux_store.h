/* Calls for trees of files that Swift's Glibc module doesn't show. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Writes everything of the file system that `fd` is on to its disk. -1 and errno on failure. */
int forge_syncfs(int fd);

/* Makes `to` share the blocks of `from` (FICLONE). -1 and errno (EOPNOTSUPP, EXDEV, EINVAL ...) where it can't. */
int forge_clone(int to, int from);

/* copy_file_range(2) at both files' offsets. */
ssize_t forge_copy_file_range(int from, int to, size_t count);

ssize_t forge_flistxattr(int fd, char *names, size_t size);
ssize_t forge_fgetxattr(int fd, const char *name, void *value, size_t size);
int forge_fsetxattr(int fd, const char *name, const void *value, size_t size);

/* Both times of `name` in `directory` (or of the open file, if name is NULL); a link itself, never what it names. */
int forge_set_times(int directory, const char *name, int64_t seconds);

int forge_mknodat(int directory, const char *name, uint32_t type_and_mode, uint32_t major, uint32_t minor);

/* Free bytes for an ordinary user on the file system of `path`; -1 and errno on failure. */
int64_t forge_free_space(const char *path);
