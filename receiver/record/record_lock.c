/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record_lock.c - see record_lock.h.
 *
 * The probe takes a shared lock for an instant. Asking the kernel who holds it instead (/proc/locks) is blind on
 * overlay file systems and across containers. */
#include "receiver/record/record_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/* A reader may hold the lock for a moment, so the writer does not give up at once. */
#define TRIES 50
#define PAUSE_NS 20000000L

static int lock_open(const char *data, int flags, struct error *error)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/receiver.lock", data);
    if (len < 0 || (size_t)len >= sizeof path) {
        errno = ENAMETOOLONG;
        return error_set(error, "%s: the path is too long", data);
    }
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) {
        int cause = errno;
        (void)error_set(error, "%s: cannot open: %s; run this as root or as the owner of %s", path, strerror(cause),
                        data);
        errno = cause;
    }
    return fd;
}

enum record_lock_result record_lock_probe(const char *data, int *fd, struct error *error)
{
    if (fd)
        *fd = -1;
    int lock = lock_open(data, O_RDONLY, error);
    if (lock < 0)
        return errno == ENOENT ? RECORD_LOCK_FREE : RECORD_LOCK_UNCLEAR;
    if (flock(lock, LOCK_SH | LOCK_NB) != 0) {
        enum record_lock_result result = errno == EWOULDBLOCK ? RECORD_LOCK_HELD_BY_OTHER : RECORD_LOCK_UNCLEAR;
        (void)error_set(error, "%s/receiver.lock: cannot lock: %s", data, strerror(errno));
        (void)close(lock);
        return result;
    }
    if (fd)
        *fd = lock;
    else
        (void)close(lock);
    return RECORD_LOCK_FREE;
}

int record_lock_take(const char *data, struct error *error)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    int fd = lock_open(data, O_RDWR | O_CREAT, error);
    if (fd < 0)
        return -1;
    for (int tries = 1; tries <= TRIES; tries++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return fd;
        if (errno != EWOULDBLOCK || tries == TRIES)
            break;
        (void)nanosleep(&pause, NULL);
    }
    if (errno == EWOULDBLOCK)
        (void)error_set(error, "%s/receiver.lock: held by another program; is a receiver just starting? Try again",
                        data);
    else
        (void)error_set(error, "%s/receiver.lock: cannot lock: %s", data, strerror(errno));
    (void)close(fd);
    return -1;
}
