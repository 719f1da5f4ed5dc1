/* SPDX-License-Identifier: GPL-2.0-or-later */
/* state_file.c - see state_file.h. */
#include "agent/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int write_durably(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return -1;
    ssize_t len = (ssize_t)strlen(text);
    errno = ENOSPC; /* for a write that is short without an error */
    int rc = write(fd, text, (size_t)len) == len && fsync(fd) == 0 ? 0 : -1;
    int error = errno;
    (void)close(fd);
    errno = error;
    return rc;
}

int state_file_save(const char *state_dir, const char *name, const char *text)
{
    char path[PATH_MAX], next[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", state_dir, name) >= (int)sizeof path ||
        snprintf(next, sizeof next, "%s/%s.new", state_dir, name) >= (int)sizeof next) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (write_durably(next, text) || rename(next, path))
        return -1;
    int fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) { /* without it the rename still comes, only later */
        (void)fsync(fd);
        (void)close(fd);
    }
    return 0;
}
