/* Counts a process's file events below some folders, and lets one of them end it or fail.
 *
 *     cc -O2 -shared -fPIC -o fault.so fault.c && LD_PRELOAD=./fault.so python ...
 *
 * Nothing happens until fault_arm() is called (by ctypes, in a forked child). An event is a call of the C library's
 * functions below on a path under the roots, but for these themselves, or on a descriptor of one. What a program does to files through mapped memory
 * or by system calls of its own is not seen. */
#define _GNU_SOURCE
#undef _FILE_OFFSET_BITS
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, KILL, TEAR, FAIL, FILL, PAUSE };
/* What an event does: look, take names or room on the disk, put bytes there, or change what takes no room. */
enum { LOOKS, TAKES, WRITES, FREES };

static char roots[8][PATH_MAX];
static int many, action, failure;
static long chosen;
static atomic_long events;
static atomic_int armed;
static int trace = -1;

/* The action is one of the enum above, ``event`` counts from 0. FAIL lets one event fail with ``number``; FILL every event
 * from there on that takes room, with ENOSPC; TEAR ends the process in the middle of a write. Roots: separated by newlines.
 * A line an event goes to the descriptor ``log``, unless it is negative. */
void fault_arm(const char *paths, int what, long event, int number, int log) {
    many = 0;
    while (*paths && many < 8) {
        size_t length = strcspn(paths, "\n");
        memcpy(roots[many], paths, length);
        roots[many++][length] = 0;
        paths += length + (paths[length] == '\n');
    }
    action = what, chosen = event, failure = number, trace = log;
    atomic_store(&events, 0);
    atomic_store(&armed, 1);
}

void fault_disarm(void) { atomic_store(&armed, 0); }

long fault_events(void) { return atomic_load(&events); }

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static int below(const char *path) {
    for (int i = 0; i < many; i++) {
        size_t length = strlen(roots[i]);
        if (!strncmp(path, roots[i], length) && path[length] == '/') return 1;
    }
    return 0;
}

static int of_descriptor(int fd, char *out) {
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = REAL(readlink)(link, out, PATH_MAX - 1);
    if (length < 0) return 0;
    out[length] = 0;
    return 1;
}

static int of_path(int folder, const char *path, char *out) {
    if (!path) return 0;
    if (path[0] == '/') {
        snprintf(out, PATH_MAX, "%s", path);
        return 1;
    }
    char base[PATH_MAX];
    if (folder == AT_FDCWD ? !getcwd(base, sizeof base) : !of_descriptor(folder, base)) return 0;
    return snprintf(out, PATH_MAX, "%.*s%s%s", PATH_MAX / 2, base, *path ? "/" : "", path) > 0;
}

/* 0: go on. 1: fail, errno is set. 2: write half of it, then end. */
static int event(const char *what, const char *path, int kind) {
    if (!below(path)) return 0;
    long number = atomic_fetch_add(&events, 1);
    if (trace >= 0) dprintf(trace, "%ld %s %d %s\n", number, what, kind, path);
    if (action == FILL && number >= chosen && (kind == TAKES || kind == WRITES)) {
        errno = ENOSPC;
        return 1;
    }
    if (number != chosen) return 0;
    switch (action) {
    case TEAR:
        if (kind == WRITES) return 2;
        /* fall through */
    case KILL:
        raise(SIGKILL);
        break;
    case FAIL:
        errno = failure;
        return 1;
    case PAUSE:
        raise(SIGSTOP);
        break;
    }
    return 0;
}

static int at(const char *what, int folder, const char *path, int kind) {
    char full[PATH_MAX];
    int before = errno;
    int fails = atomic_load(&armed) && of_path(folder, path, full) && event(what, full, kind);
    if (!fails) errno = before;
    return fails;
}

static int on(const char *what, int fd, int kind) {
    char full[PATH_MAX];
    int before = errno;
    int fails = atomic_load(&armed) && of_descriptor(fd, full) ? event(what, full, kind) : 0;
    if (!fails) errno = before;
    return fails;
}

#define OPENS(flags) ((flags) & (O_CREAT | O_TRUNC) ? TAKES : LOOKS)
#define MODE                                                                                                           \
    mode_t mode = 0;                                                                                                   \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                                               \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode = va_arg(more, mode_t);                                                                                   \
        va_end(more);                                                                                                  \
    }

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        MODE return at(#name, AT_FDCWD, path, OPENS(flags)) ? -1 : REAL(name)(path, flags, mode);                      \
    }
#define OPENAT(name)                                                                                                   \
    int name(int folder, const char *path, int flags, ...) {                                                           \
        MODE return at(#name, folder, path, OPENS(flags)) ? -1 : REAL(name)(folder, path, flags, mode);                \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                                                                                    \
    FILE *name(const char *path, const char *how) {                                                                    \
        return at(#name, AT_FDCWD, path, *how == 'r' ? LOOKS : TAKES) ? NULL : REAL(name)(path, how);                  \
    }
FOPEN(fopen)
FOPEN(fopen64)

/* A write that is torn writes half of its bytes. */
#define WRITE(name, head, call, half)                                                                                  \
    ssize_t name head {                                                                                                \
        int how = on(#name, fd, WRITES);                                                                               \
        if (how == 2) {                                                                                                \
            atomic_store(&armed, 0);                                                                                   \
            (void)!REAL(name) half;                                                                                    \
            raise(SIGKILL);                                                                                            \
        }                                                                                                              \
        return how ? -1 : REAL(name) call;                                                                             \
    }
WRITE(write, (int fd, const void *data, size_t n), (fd, data, n), (fd, data, n / 2))
WRITE(pwrite, (int fd, const void *data, size_t n, off_t p), (fd, data, n, p), (fd, data, n / 2, p))
WRITE(pwrite64, (int fd, const void *data, size_t n, off64_t p), (fd, data, n, p), (fd, data, n / 2, p))
WRITE(writev, (int fd, const struct iovec *v, int n), (fd, v, n), (fd, v, n / 2))
WRITE(pwritev, (int fd, const struct iovec *v, int n, off_t p), (fd, v, n, p), (fd, v, n / 2, p))

#define ON(type, name, kind, head, call)                                                                               \
    type name head { return on(#name, fd, kind) ? -1 : REAL(name) call; }
ON(ssize_t, read, LOOKS, (int fd, void *data, size_t n), (fd, data, n))
ON(ssize_t, pread, LOOKS, (int fd, void *data, size_t n, off_t p), (fd, data, n, p))
ON(ssize_t, pread64, LOOKS, (int fd, void *data, size_t n, off64_t p), (fd, data, n, p))
ON(int, fallocate, TAKES, (int fd, int how, off_t p, off_t n), (fd, how, p, n))
ON(int, fallocate64, TAKES, (int fd, int how, off64_t p, off64_t n), (fd, how, p, n))
ON(ssize_t, sendfile, WRITES, (int fd, int from, off_t *p, size_t n), (fd, from, p, n))
ON(ssize_t, sendfile64, WRITES, (int fd, int from, off64_t *p, size_t n), (fd, from, p, n))
ON(int, fsync, TAKES, (int fd), (fd))
ON(int, fdatasync, TAKES, (int fd), (fd))
ON(int, ftruncate, TAKES, (int fd, off_t n), (fd, n))
ON(int, ftruncate64, TAKES, (int fd, off64_t n), (fd, n))
ON(int, fchmod, FREES, (int fd, mode_t mode), (fd, mode))
ON(int, fstat, LOOKS, (int fd, struct stat *s), (fd, s))
ON(int, fstat64, LOOKS, (int fd, struct stat64 *s), (fd, s))
ON(int, flock, LOOKS, (int fd, int how), (fd, how))

/* It closes all the same, as the system's does. */
int close(int fd) {
    int fails = on("close", fd, FREES), number = errno;
    int result = REAL(close)(fd);
    if (fails) errno = number;
    return fails ? -1 : result;
}

#define AT(name, kind, folder, path, head, call)                                                                       \
    int name head { return at(#name, folder, path, kind) ? -1 : REAL(name) call; }
#define PATH(name, kind, head, call) AT(name, kind, AT_FDCWD, path, head, call)
PATH(truncate, TAKES, (const char *path, off_t n), (path, n))
PATH(truncate64, TAKES, (const char *path, off64_t n), (path, n))
PATH(unlink, FREES, (const char *path), (path))
PATH(rmdir, FREES, (const char *path), (path))
PATH(mkdir, TAKES, (const char *path, mode_t mode), (path, mode))
PATH(chmod, FREES, (const char *path, mode_t mode), (path, mode))
PATH(stat, LOOKS, (const char *path, struct stat *s), (path, s))
PATH(stat64, LOOKS, (const char *path, struct stat64 *s), (path, s))
PATH(lstat, LOOKS, (const char *path, struct stat *s), (path, s))
PATH(lstat64, LOOKS, (const char *path, struct stat64 *s), (path, s))
PATH(access, LOOKS, (const char *path, int how), (path, how))
PATH(rename, TAKES, (const char *path, const char *to), (path, to))
PATH(link, TAKES, (const char *path, const char *to), (path, to))
PATH(symlink, TAKES, (const char *to, const char *path), (to, path))
AT(unlinkat, FREES, d, path, (int d, const char *path, int how), (d, path, how))
AT(mkdirat, TAKES, d, path, (int d, const char *path, mode_t mode), (d, path, mode))
AT(fchmodat, FREES, d, path, (int d, const char *path, mode_t mode, int how), (d, path, mode, how))
AT(fstatat, LOOKS, d, path, (int d, const char *path, struct stat *s, int how), (d, path, s, how))
AT(fstatat64, LOOKS, d, path, (int d, const char *path, struct stat64 *s, int how), (d, path, s, how))
AT(statx, LOOKS, d, path, (int d, const char *path, int how, unsigned mask, struct statx *s), (d, path, how, mask, s))
AT(renameat, TAKES, d, path, (int d, const char *path, int e, const char *to), (d, path, e, to))
AT(renameat2, TAKES, d, path, (int d, const char *path, int e, const char *to, unsigned how), (d, path, e, to, how))
AT(linkat, TAKES, d, path, (int d, const char *path, int e, const char *to, int how), (d, path, e, to, how))

DIR *opendir(const char *path) { return at("opendir", AT_FDCWD, path, LOOKS) ? NULL : REAL(opendir)(path); }

ssize_t readlink(const char *path, char *out, size_t n) {
    return at("readlink", AT_FDCWD, path, LOOKS) ? -1 : REAL(readlink)(path, out, n);
}
