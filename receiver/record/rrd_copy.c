/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rrd_copy.c - see rrd_copy.h.
 *
 * librrd locks a file while it updates it, and gives up soon when somebody else has it locked. So the lock is held only while
 * the file is read from memory: it is read once before, without the lock, to get it there. */
#include "receiver/record/rrd_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FOLDER_MODE 0750
#define FILE_MODE 0640
#define LOCK_TRIES 1000
#define LOCK_WAIT_NS 10000000L

int copy_own(int fd, const struct copy_owner *owner, mode_t mode)
{
    bool is_root = geteuid() == 0;
    /* Who is no member of the group keeps the copy in a group of their own. */
    if (fchown(fd, is_root ? owner->uid : (uid_t)-1, owner->gid) != 0 && (is_root || errno != EPERM))
        return -1;
    return fchmod(fd, mode);
}

int copy_make_folder(const char *path, const struct copy_owner *owner, struct error *error)
{
    if (mkdir(path, FOLDER_MODE) != 0)
        return errno == EEXIST ? 0 : error_set(error, "cannot create %s: %s", path, strerror(errno));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc = fd >= 0 ? copy_own(fd, owner, FOLDER_MODE) : -1;
    if (rc != 0)
        (void)error_set(error, "cannot create %s: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* A lock that keeps writers off. It is gone when `fd` is closed. */
static int lock_shared(int fd)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    for (int tries = 1; fcntl(fd, F_SETLK, &lock) != 0; tries++) {
        if ((errno != EAGAIN && errno != EACCES) || tries == LOCK_TRIES)
            return -1;
        (void)nanosleep(&(struct timespec){.tv_nsec = LOCK_WAIT_NS}, NULL);
    }
    return 0;
}

static int read_whole(int fd, char *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, bytes + done, size - done, (off_t)done);
        if (got <= 0) {
            if (got < 0 && errno == EINTR)
                continue;
            errno = got == 0 ? EIO : errno;
            return -1;
        }
        done += (size_t)got;
    }
    return 0;
}

/* Reads the file as of one instant; to be freed. NULL with errno set. */
static char *read_file(const char *path, size_t *size, struct timespec *changed)
{
    struct stat st;
    char *bytes = NULL;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bool fine = fd >= 0 && fstat(fd, &st) == 0 && (bytes = malloc((size_t)st.st_size + 1)) != NULL;
    fine = fine && read_whole(fd, bytes, (size_t)st.st_size) == 0 && lock_shared(fd) == 0 &&
           read_whole(fd, bytes, (size_t)st.st_size) == 0 && fstat(fd, &st) == 0;
    int cause = errno;
    if (fd >= 0)
        (void)close(fd);
    errno = cause;
    if (fine) {
        *size = (size_t)st.st_size;
        *changed = st.st_mtim;
        return bytes;
    }
    free(bytes);
    return NULL;
}

static int write_whole(int fd, const char *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t put = write(fd, bytes + done, size - done);
        if (put < 0 && errno != EINTR)
            return -1;
        done += put > 0 ? (size_t)put : 0;
    }
    return 0;
}

/* The time of the last change is kept: rsync then sees what did not change. */
static int copy_file(const char *from, const char *to, const struct copy_owner *owner, struct error *error)
{
    char made[PATH_MAX];
    size_t size;
    struct timespec times[2];
    int len = snprintf(made, sizeof made, "%s.new", to);
    if (len < 0 || (size_t)len >= sizeof made)
        return error_set(error, "%.200s...: the path is too long", to);
    char *bytes = read_file(from, &size, &times[0]);
    if (!bytes && errno == ENOENT)
        return 1; /* it was renamed away just now */
    if (!bytes)
        return error_set(error, "%s: cannot read: %s", from, strerror(errno));
    times[1] = times[0];
    (void)unlink(made);
    int fd = open(made, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    bool fine =
        fd >= 0 && write_whole(fd, bytes, size) == 0 && copy_own(fd, owner, FILE_MODE) == 0 && futimens(fd, times) == 0;
    int cause = errno;
    free(bytes);
    if (fd >= 0 && close(fd) != 0 && fine) {
        cause = errno;
        fine = false;
    }
    if (fine && rename(made, to) == 0)
        return 0;
    cause = fine ? errno : cause;
    (void)unlink(made);
    return error_set(error, "%s: cannot write: %s", to, strerror(cause));
}

static bool is_rrd(const char *name)
{
    size_t len = strlen(name);
    return len > 4 && strcmp(name + len - 4, ".rrd") == 0;
}

int rrd_copy_folder(const char *from, const char *to, const struct copy_owner *owner, struct error *error)
{
    char source[PATH_MAX], target[PATH_MAX];
    DIR *folder = opendir(from);
    if (!folder)
        return errno == ENOENT ? 0 : error_set(error, "%s: cannot read: %s", from, strerror(errno));
    int count = copy_make_folder(to, owner, error);
    const struct dirent *entry;
    while (count >= 0 && (entry = readdir(folder)) != NULL) {
        if (!is_rrd(entry->d_name))
            continue;
        int len = snprintf(source, sizeof source, "%s/%s", from, entry->d_name);
        int to_len = snprintf(target, sizeof target, "%s/%s", to, entry->d_name);
        if (len < 0 || (size_t)len >= sizeof source || to_len < 0 || (size_t)to_len >= sizeof target)
            count = error_set(error, "%.200s...: the path is too long", from);
        else if (copy_file(source, target, owner, error) < 0)
            count = -1;
        else
            count++;
    }
    (void)closedir(folder);
    return count;
}

void rrd_copy_remove(const char *folder)
{
    DIR *stream = opendir(folder);
    if (!stream)
        return;
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL)
        if (is_rrd(entry->d_name))
            (void)unlinkat(dirfd(stream), entry->d_name, 0);
    (void)closedir(stream);
    (void)rmdir(folder);
}
