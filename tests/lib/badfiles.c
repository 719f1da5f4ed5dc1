/* SPDX-License-Identifier: GPL-2.0-or-later */
/* badfiles.c - a disk that fails or is slow, as a test wants it: a module for LD_PRELOAD.
 *
 * The file named by TWOBEAT_BADFILES is mapped and may be changed at any time: an error number (0: none), how many milliseconds each
 * call takes first, both of 32 bits in this machine's order, and a text that the paths concerned contain. Concerned are opening,
 * writing, cutting and syncing. The kernel is asked by system call, so that no sanitizer stands between. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PATH_LEN_MAX 4096

struct fault {
    volatile int32_t error, wait_ms;
    char text[248];
};

static const struct fault *fault; /* never NULL once the process has begun */

__attribute__((constructor)) static void map_fault(void)
{
    const char *path = getenv("TWOBEAT_BADFILES");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *fault, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        abort(); /* a test that tests nothing */
    close(fd);
    fault = map;
}

/* Whether the call on this path is to fail, with errno set; waits first if it is to be slow. */
static int fails(const char *path)
{
    if (!fault || (fault->error == 0 && fault->wait_ms == 0) || !strstr(path, fault->text))
        return 0;
    struct timespec wait = {fault->wait_ms / 1000, fault->wait_ms % 1000 * 1000000L};
    (void)nanosleep(&wait, NULL);
    errno = fault->error;
    return fault->error != 0;
}

static int fails_fd(int fd)
{
    char link[64], path[PATH_LEN_MAX];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 0)
        return 0;
    path[len] = '\0';
    return fails(path);
}

static int open_file(const char *path, int flags, mode_t mode)
{
    return fails(path) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? (mode_t)va_arg(args, int) : 0;
    va_end(args);
    return open_file(path, flags, mode);
}

int open64(const char *path, int flags, ...);
int open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? (mode_t)va_arg(args, int) : 0;
    va_end(args);
    return open_file(path, flags, mode);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    return fails_fd(fd) ? -1 : (ssize_t)syscall(SYS_write, fd, bytes, len);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    return fails_fd(fd) ? -1 : (ssize_t)syscall(SYS_pwrite64, fd, bytes, len, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at);
ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at)
{
    return pwrite(fd, bytes, len, at);
}

int ftruncate(int fd, off_t len)
{
    return fails_fd(fd) ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

int ftruncate64(int fd, off_t len);
int ftruncate64(int fd, off_t len)
{
    return ftruncate(fd, len);
}

int fsync(int fd)
{
    return fails_fd(fd) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return fails_fd(fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}
