/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fault_calls.c - the C library's file calls, on their way through a disk that fails. See fault_disk.h.
 *
 * A program that has these symbols gives them to its shared libraries, too. The kernel is asked by system call, so that no
 * sanitizer stands between. Sleeping takes no time: whoever waits for a lock would wait for nobody here. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/fault_disk.h"

/* True, with errno set: the call fails. */
static bool fails(int error)
{
    if (error <= 0)
        return false;
    errno = error;
    return true;
}

static int open_file(const char *path, int flags, mode_t mode)
{
    int error = disk_ask_path(path, DISK_OPEN);
    if (fails(error))
        return -1;
    bool created = flags & O_CREAT && syscall(SYS_access, path, F_OK) != 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0 && error == 0)
        disk_note_open(fd, path, created);
    if (fd >= 0 && error == 0 && flags & O_TRUNC)
        disk_note_write(fd, 0, SIZE_MAX / 2);
    return fd;
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

int mkstemp(char *template)
{
    size_t len = strlen(template);
    for (int i = 0; i < 1000000; i++) {
        (void)snprintf(template + len - 6, 7, "%06d", i);
        int fd = open_file(template, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

int close(int fd)
{
    disk_note_close(fd);
    return (int)syscall(SYS_close, fd);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    if (fd == STDERR_FILENO) {
        disk_add_lines(bytes, len);
        return (ssize_t)len;
    }
    int error = disk_ask_fd(fd, DISK_WRITE);
    off_t at = error < 0 ? 0 : (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
    size_t done = error > 0 ? disk_torn(len) : len;
    ssize_t put = done > 0 || error <= 0 ? (ssize_t)syscall(SYS_write, fd, bytes, done) : 0;
    if (error >= 0 && put > 0)
        disk_note_write(fd, at, (size_t)put);
    return fails(error) ? -1 : put;
}

static ssize_t write_at(int fd, const void *bytes, size_t len, off_t at)
{
    int error = disk_ask_fd(fd, DISK_WRITE);
    size_t done = error > 0 ? disk_torn(len) : len;
    ssize_t put = done > 0 || error <= 0 ? (ssize_t)syscall(SYS_pwrite64, fd, bytes, done, at) : 0;
    if (error >= 0 && put > 0)
        disk_note_write(fd, at, (size_t)put);
    return fails(error) ? -1 : put;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    return write_at(fd, bytes, len, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at);
ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at)
{
    return write_at(fd, bytes, len, at);
}

static int cut(int fd, off_t size)
{
    int error = disk_ask_fd(fd, DISK_CUT);
    if (fails(error))
        return -1;
    int rc = (int)syscall(SYS_ftruncate, fd, size);
    if (rc == 0 && error == 0)
        disk_note_write(fd, 0, SIZE_MAX / 2);
    return rc;
}

int ftruncate(int fd, off_t size)
{
    return cut(fd, size);
}

int ftruncate64(int fd, off_t size);
int ftruncate64(int fd, off_t size)
{
    return cut(fd, size);
}

int posix_fallocate(int fd, off_t from, off_t len)
{
    int error = disk_ask_fd(fd, DISK_CUT);
    struct stat info;
    if (error > 0)
        return error;
    if (fstat(fd, &info) == 0 && info.st_size < from + len)
        (void)syscall(SYS_ftruncate, fd, from + len);
    if (error == 0)
        disk_note_write(fd, 0, SIZE_MAX / 2);
    return 0;
}

static int sync_file(int fd, bool everything)
{
    int error = disk_ask_fd(fd, DISK_SYNC);
    if (fails(error))
        return -1;
    if (error == 0)
        disk_note_sync(fd, everything);
    return 0;
}

int fsync(int fd)
{
    return sync_file(fd, false);
}

int fdatasync(int fd)
{
    return sync_file(fd, false);
}

int syncfs(int fd)
{
    return sync_file(fd, true);
}

static void *map(void *at, size_t len, int protection, int flags, int fd, off_t from)
{
    bool writes = flags & MAP_SHARED && protection & PROT_WRITE;
    int error = fd >= 0 && writes ? disk_ask_fd(fd, DISK_MAP) : -1;
    if (fails(error))
        return MAP_FAILED;
    if (error == 0)
        disk_note_map(fd);
    return (void *)syscall(SYS_mmap, at, len, protection, flags, fd, from); // NOLINT(performance-no-int-to-ptr)
}

void *mmap(void *at, size_t len, int protection, int flags, int fd, off_t from)
{
    return map(at, len, protection, flags, fd, from);
}

void *mmap64(void *at, size_t len, int protection, int flags, int fd, off_t from);
void *mmap64(void *at, size_t len, int protection, int flags, int fd, off_t from)
{
    return map(at, len, protection, flags, fd, from);
}

static int control(int fd, int command, void *argument)
{
    bool locks = command == F_SETLK || command == F_SETLKW;
    const struct flock *lock = argument;
    if (locks && lock->l_type != F_UNLCK && fails(disk_ask_fd(fd, DISK_LOCK)))
        return -1;
    return (int)syscall(SYS_fcntl, fd, command, argument);
}

int fcntl(int fd, int command, ...)
{
    va_list args;
    va_start(args, command);
    void *argument = va_arg(args, void *);
    va_end(args);
    return control(fd, command, argument);
}

int fcntl64(int fd, int command, ...);
int fcntl64(int fd, int command, ...)
{
    va_list args;
    va_start(args, command);
    void *argument = va_arg(args, void *);
    va_end(args);
    return control(fd, command, argument);
}

int rename(const char *from, const char *to)
{
    return fails(disk_ask_path(from, DISK_NAME)) ? -1 : (int)syscall(SYS_rename, from, to);
}

int link(const char *from, const char *to)
{
    return fails(disk_ask_path(from, DISK_NAME)) ? -1 : (int)syscall(SYS_link, from, to);
}

int unlink(const char *path)
{
    return fails(disk_ask_path(path, DISK_NAME)) ? -1 : (int)syscall(SYS_unlink, path);
}

int mkdir(const char *path, mode_t mode)
{
    return fails(disk_ask_path(path, DISK_NAME)) ? -1 : (int)syscall(SYS_mkdir, path, mode);
}

int usleep(useconds_t us)
{
    (void)us;
    return 0;
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)time;
    (void)left;
    return 0;
}
