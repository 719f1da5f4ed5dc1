/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run_state.c - see run_state.h. */
#include "agent/run_state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/state_file.h"

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

static int save(const char *state_dir, const char *text, struct error *error)
{
    if (state_file_save(state_dir, "run", text))
        return error_set(error, "state_dir %s cannot be written: %s; how this run ends will not be known", state_dir,
                         strerror(errno));
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
