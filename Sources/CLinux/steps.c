/* The steps a child takes in its new namespaces. Async-signal-safe: see spawn.c. */
#define _GNU_SOURCE
#include "internal.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the C library of the oldest hosts we build on; <linux/mount.h> clashes with <sys/mount.h>. */
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef OPEN_TREE_CLOEXEC
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 4
#endif
struct attributes { /* struct mount_attr */
    uint64_t set, clear, propagation, user_namespace;
};
enum { ATTRIBUTE_READ_ONLY = 1, JOIN_SESSION_KEYRING = 1 };

static int make_mount_point(const char *path, int directory) {
    struct stat info;
    if (stat(path, &info) == 0) return 0;
    if (directory) return forge_make_directories(path, 0755);
    char parent[4096];
    size_t length = strlen(path);
    if (length >= sizeof parent) return errno = ENAMETOOLONG, -1;
    memcpy(parent, path, length + 1);
    char *slash = strrchr(parent, '/');
    if (slash && slash != parent) {
        *slash = 0;
        if (forge_make_directories(parent, 0755) != 0) return -1;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return -1;
    close(fd);
    return 0;
}

/* mount_setattr changes only the flag it is told to. A remount would have to repeat nosuid, nodev and noexec, which a
   user namespace may not take from mounts it has inherited. */
static int copy_tree(struct forge_step *step) {
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, step->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (fd < 0) return -1;
    step->descriptor = fd;
    if (!(step->flags & 1)) return 0;
    struct attributes read_only = {.set = ATTRIBUTE_READ_ONLY};
    return (int)syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &read_only, sizeof read_only);
}

static int place_tree(struct forge_step *opened, const char *target) {
    struct stat info;
    if (fstat(opened->descriptor, &info) != 0) return -1;
    if (make_mount_point(target, S_ISDIR(info.st_mode)) != 0) return -1;
    int result = (int)syscall(SYS_move_mount, opened->descriptor, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH);
    int error = errno;
    close(opened->descriptor);
    opened->descriptor = -1;
    errno = error;
    return result;
}

/* The old root comes to lie on top of the new one: no path leads there, so later paths stay in the new root, but
   it still vouches for /proc, which a user namespace may mount only while it can see another one in full. */
static int pivot_to(const char *root) {
    if (chdir(root) != 0 || syscall(SYS_pivot_root, ".", ".") != 0) return -1;
    return 0;
}

static int detach_old_root(void) {
    /* "." is still the place where the old root lies uppermost. */
    if (umount2(".", MNT_DETACH) != 0) return -1;
    return chdir("/");
}

static int close_after(int fd, int result) {
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

static struct ifreq interface_request(const char *name) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
    return request;
}

static int bring_up(int fd, const char *name) {
    struct ifreq request = interface_request(name);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    return ioctl(fd, SIOCSIFFLAGS, &request);
}

static int bring_loopback_up(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    return close_after(fd, bring_up(fd, "lo"));
}

static int set_address(int fd, const char *name, unsigned long operation, in_addr_t value) {
    struct ifreq request = interface_request(name);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = value};
    memcpy(&request.ifr_addr, &address, sizeof address);
    return ioctl(fd, operation, &request);
}

static int make_bridge(const char *name, const char *address, unsigned long bits) {
    struct in_addr value;
    if (inet_pton(AF_INET, address, &value) != 1 || bits < 1 || bits > 32) return errno = EINVAL, -1;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (ioctl(fd, SIOCBRADDBR, name) != 0 || set_address(fd, name, SIOCSIFADDR, value.s_addr) != 0
        || set_address(fd, name, SIOCSIFNETMASK, htonl(~0U << (32 - bits))) != 0)
        return close_after(fd, -1);
    return close_after(fd, bring_up(fd, name));
}

/* The tap stays when this descriptor is closed: who opens the same name later is plugged in. */
static int make_tap(const char *name, const char *bridge) {
    int tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (tap < 0) return -1;
    struct ifreq request = interface_request(name);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (ioctl(tap, TUNSETIFF, &request) != 0 || ioctl(tap, TUNSETPERSIST, 1) != 0) return close_after(tap, -1);
    close(tap);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    request = interface_request(name);
    if (ioctl(fd, SIOCGIFINDEX, &request) != 0) return close_after(fd, -1);
    struct ifreq port = interface_request(bridge);
    port.ifr_ifindex = request.ifr_ifindex;
    if (ioctl(fd, SIOCBRADDIF, &port) != 0) return close_after(fd, -1);
    return close_after(fd, bring_up(fd, name));
}

int forge_run_step(struct forge_step *steps, size_t index) {
    struct forge_step *step = &steps[index];
    switch ((enum forge_operation)step->operation) {
    case FORGE_MOUNT:
        if (make_mount_point(step->target, 1) != 0) return -1;
        return mount(step->source, step->target, step->type, step->flags, step->data);
    case FORGE_OPEN_TREE: return copy_tree(step);
    case FORGE_PLACE: return place_tree(&steps[step->flags], step->target);
    case FORGE_DIRECTORY: return forge_make_directories(step->target, (mode_t)step->flags);
    case FORGE_SYMLINK: return symlink(step->source, step->target);
    case FORGE_PIVOT: return pivot_to(step->target);
    case FORGE_DETACH_ROOT: return detach_old_root();
    case FORGE_HOST_NAME:
        if (sethostname(step->source, strlen(step->source)) != 0) return -1;
        return setdomainname("(none)", 6);
    case FORGE_LOOPBACK: return bring_loopback_up();
    case FORGE_NEW_KEYRING:
        /* A kernel without keyrings has none to leave. */
        if (syscall(SYS_keyctl, JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS && errno != EPERM) return -1;
        return 0;
    case FORGE_NO_NEW_PRIVILEGES: return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    case FORGE_FIXED_ADDRESSES: personality(ADDR_NO_RANDOMIZE); return 0;
    case FORGE_REMOVE: return forge_remove_tree(step->target);
    case FORGE_JOIN: return setns((int)step->flags, CLONE_NEWUSER | CLONE_NEWNET);
    case FORGE_BRIDGE: return make_bridge(step->target, step->source, step->flags);
    case FORGE_TAP: return make_tap(step->target, step->source);
    }
    errno = EINVAL;
    return -1;
}
