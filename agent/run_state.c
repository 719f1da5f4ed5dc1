/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run_state.c - see run_state.h. A new file replaces the old one, so that a loss of power leaves one or the other. */
#include "agent/run_state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RUN_STATE_MAX 32

enum previous_end run_state_load(const char *state_dir)
{
    char path[PATH_MAX], text[RUN_STATE_MAX] = "";
    if (snprintf(path, sizeof path, "%s/run", state_dir) >= (int)sizeof path)
        return PREVIOUS_UNKNOWN;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return PREVIOUS_UNKNOWN;
    ssize_t len = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (len <= 0)
        return PREVIOUS_UNKNOWN;
    text[strcspn(text, "\n")] = '\0';
    if (strcmp(text, "running") == 0)
        return PREVIOUS_DIED;
    if (strcmp(text, "stopped") == 0)
        return PREVIOUS_STOPPED;
    return strcmp(text, "shutdown") == 0 ? PREVIOUS_SHUTDOWN : PREVIOUS_UNKNOWN;
}

static int write_durably(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return -1;
    ssize_t len = (ssize_t)strlen(text);
    int rc = write(fd, text, (size_t)len) == len && fsync(fd) == 0 ? 0 : -1;
    int error = errno;
    (void)close(fd);
    errno = error;
    return rc;
}

static int save(const char *state_dir, const char *text, struct error *error)
{
    char path[PATH_MAX], next[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/run", state_dir) >= (int)sizeof path ||
        snprintf(next, sizeof next, "%s/run.new", state_dir) >= (int)sizeof next)
        return error_set(error, "state_dir %s: the path is too long", state_dir);
    if (write_durably(next, text) || rename(next, path))
        return error_set(error, "state_dir %s cannot be written: %s; how this run ends will not be known", state_dir,
                         strerror(errno));
    int fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) { /* without it the rename still comes, only later */
        (void)fsync(fd);
        (void)close(fd);
    }
    return 0;
}

int run_state_save_running(const char *state_dir, struct error *error)
{
    return save(state_dir, "running\n", error);
}

int run_state_save_end(const char *state_dir, enum bye_reason reason, struct error *error)
{
    return save(state_dir, reason == BYE_SHUTDOWN ? "shutdown\n" : "stopped\n", error);
}
