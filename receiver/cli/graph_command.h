/* SPDX-License-Identifier: GPL-2.0-or-later */
/* graph_command.h - the `rrdtool graph` command that draws the state of a host.
 *
 * What this program draws, anyone can draw: the command is complete, and prints the uptime figure too. */
#ifndef RECEIVER_CLI_GRAPH_COMMAND_H
#define RECEIVER_CLI_GRAPH_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "receiver/report/merge.h"

#define GRAPH_FILES_MAX MERGE_PARTS_MAX /* so many records are merged */
#define GRAPH_ARGS_MAX (32 + 8 * GRAPH_FILES_MAX)

/* An argument vector, NULL-terminated. Zero-initialise; release with graph_args_free. */
struct graph_args {
    char *items[GRAPH_ARGS_MAX + 1];
    size_t count;
    bool failed; /* out of memory */
};

/* A state.rrd of the host; texts are borrowed. */
struct graph_file {
    const char *path;
    const char
        *daemon; /* HOST:PORT of the rrdcached that reads it, with `path` below its base; NULL: it is read here */
};

/* What is to be drawn; texts are borrowed. */
struct graph_request {
    const char *host;
    struct graph_file files[GRAPH_FILES_MAX]; /* one a record; several are merged */
    size_t file_count;
    int64_t last;       /* second of the last update of any of them */
    const char *period; /* day, week, month, year or YYYY-MM */
    int64_t now;
    const char *output; /* ends in .png or .svg */
};

/* Builds the command. Returns 0, or -1 with `error` set (no such period, no such kind of picture). */
int graph_command_build(struct graph_args *args, const struct graph_request *request, struct error *error);
void graph_args_free(struct graph_args *args);

/* The command as one line for a shell; to be freed by the caller. NULL out of memory. */
char *graph_command_format(const struct graph_args *args);

#endif
