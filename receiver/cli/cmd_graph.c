/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_graph.c - `twobeat graph`: the state of a host as a picture, drawn by rrdtool from the files alone.
 *
 * It works wherever state.rrd is, also without the database. rrdtool runs as a child with an argument vector: no shell
 * reads a name. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/name.h"
#include "receiver/cli/cli.h"
#include "receiver/cli/graph_command.h"
#include "receiver/cli/live.h"
#include "receiver/cli/options.h"
#include "receiver/cli/record.h"
#include "receiver/record/rrd_store.h"

#define FLUSH_TIMEOUT_S 10
#define REMOTE_PREFIX "rrdcached:" /* of a --data that is no directory */

extern char **environ;

/* Keeps the first line of what the child complains about; reads all of it, so that the child never waits. */
static void read_complaint(int fd, char *line, size_t size)
{
    char buf[512];
    size_t len = 0;
    ssize_t n;
    while ((n = read(fd, buf, sizeof buf)) > 0 || (n < 0 && errno == EINTR))
        for (ssize_t i = 0; i < n && len + 1 < size; i++)
            line[len++] = buf[i];
    line[len] = '\0';
    line[strcspn(line, "\n")] = '\0';
}

/* Starts the command; its standard output goes nowhere, its complaints into a pipe. */
static int child_start(const struct graph_args *args, pid_t *child, int *complaints, struct error *error)
{
    int ends[2];
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_set(error, "cannot start rrdtool: %s", strerror(errno));
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc == 0) {
        (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
        rc = posix_spawnp(child, args->items[0], &actions, NULL, args->items, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    (void)close(ends[1]);
    if (rc == 0) {
        *complaints = ends[0];
        return 0;
    }
    (void)close(ends[0]);
    return error_set(error, "cannot start rrdtool: %s%s", strerror(rc),
                     rc == ENOENT ? "; install the package rrdtool" : "");
}

static int draw(const struct graph_args *args, struct error *error)
{
    pid_t child;
    int complaints, status = 0;
    char line[256];
    if (child_start(args, &child, &complaints, error))
        return -1;
    read_complaint(complaints, line, sizeof line);
    (void)close(complaints);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return error_set(error, "rrdtool: lost: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return error_set(error, "rrdtool: %s", line[0] ? line : "ended with an error, but did not say why");
}

static int print_command(const struct cli *cli, const struct graph_args *args, struct error *error)
{
    if (cli->json) {
        json_t *words = json_array();
        for (size_t i = 0; i < args->count; i++)
            (void)json_array_append_new(words, json_string(args->items[i]));
        return cli_print_json(json_pack("{s:o}", "command", words), error);
    }
    char *text = graph_command_format(args);
    if (!text)
        return cli_fail(error, CLI_NO_RECORD, "out of memory");
    (void)puts(text);
    free(text);
    return CLI_OK;
}

/* The files that are drawn, one a record. Paths that are made here are owned. */
struct files {
    struct graph_file items[GRAPH_FILES_MAX];
    char *paths[GRAPH_FILES_MAX];
    size_t count;
    int64_t last;
};

/* Says why there is no file of the host in any record; looks into the first, as if it were alone. */
static int fail_no_file(const struct cli *cli, struct error *error)
{
    struct record record;
    const char *host = cli->args[0];
    int code = record_open_all(&record, cli->data, error);
    if (code == CLI_OK && !record.reader)
        code = cli_fail(error, CLI_USAGE, "%s/hosts/%s/state.rrd: there is no such file, so nothing to draw of \"%s\"",
                        cli->data, host, host);
    record_close(&record);
    if (code == CLI_OK && (code = record_open(&record, cli, error)) == CLI_OK) {
        record_close(&record);
        code = cli_fail(error, CLI_NO_RECORD, "%s/hosts/%s/state.rrd: not written yet; run: twobeat flush %s",
                        cli->data, host, host);
    }
    return code;
}

/* Takes the file of one record, if the host has one there. */
static int add_file(struct files *files, const char *data, const char *host, int64_t now, struct error *error)
{
    size_t prefix = strlen(REMOTE_PREFIX);
    struct graph_file *file = &files->items[files->count];
    bool remote = strncmp(data, REMOTE_PREFIX, prefix) == 0;
    char **path = &files->paths[files->count];
    if (asprintf(path, "%s%shosts/%s/state.rrd", remote ? "" : data, remote ? "" : "/", host) < 0) {
        *path = NULL;
        return cli_fail(error, CLI_NO_RECORD, "out of memory");
    }
    *file = (struct graph_file){.path = *path, .daemon = remote ? data + prefix : NULL};
    files->count++;
    if (remote) {
        /* By a Unix socket rrdcached wants whole paths, and then the files can be read without it. */
        if (strncmp(file->daemon, "unix:", 5) == 0 || strchr(file->daemon, '/') || !*file->daemon)
            return cli_fail(error, CLI_USAGE, "--data %s: must be " REMOTE_PREFIX "HOST:PORT", data);
        files->last = now > files->last ? now : files->last;
        return CLI_OK;
    }
    if (access(*path, R_OK) != 0) {
        if (errno != ENOENT)
            return cli_fail(error, CLI_NO_RECORD, "%s: cannot read: %s", *path, strerror(errno));
        free(*path);
        files->count--;
        return CLI_OK;
    }
    int64_t last = rrd_store_last(*path, error);
    files->last = last > files->last ? last : files->last;
    return last < 0 ? CLI_NO_RECORD : CLI_OK;
}

static void free_files(struct files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->paths[i]);
}

/* Finds the files of the host, and tells an unknown host from one without a file. */
static int find_files(const struct cli *cli, struct files *files, struct error *error)
{
    const char *host = cli->args[0];
    int code = CLI_OK;
    *files = (struct files){.count = 0};
    if (!name_is_valid(host, strlen(host)))
        return cli_fail(error, CLI_USAGE, "\"%s\" is not the name of a host", host);
    for (size_t i = 0; i < cli->data_count && code == CLI_OK; i++)
        code = add_file(files, cli->all_data[i], host, cli->now, error);
    if (code == CLI_OK && files->count == 0)
        code = fail_no_file(cli, error);
    if (code != CLI_OK)
        free_files(files);
    return code;
}

/* Lets the receivers write what they have. A picture without it is still worth drawing, so failures do not matter. */
static void flush_quietly(const struct cli *cli)
{
    for (size_t i = 0; i < cli->data_count; i++) {
        json_t *answer;
        struct error ignored;
        struct cli one = *cli;
        one.data = cli->all_data[i];
        if (live_ask(&one, "flush", NULL, FLUSH_TIMEOUT_S, &answer, &ignored) == LIVE_OK)
            json_decref(answer);
    }
}

static int run_graph(struct cli *cli, struct error *error)
{
    const char *what = "state", *period = "day", *output = NULL;
    bool print = false;
    const struct option_spec specs[] = {{"what", 0, &what, NULL},
                                        {"period", 0, &period, NULL},
                                        {"output", 'o', &output, NULL},
                                        {"print-command", 0, NULL, &print},
                                        {NULL, 0, NULL, NULL}};
    struct files files;
    int code;
    if (!options_go_on(cli, specs, 1, 1, &code, error))
        return code;
    if (strcmp(what, "state") != 0)
        return cli_fail(error, CLI_USAGE, "--what %s: this version draws state only", what);
    if (!output && !print)
        return cli_fail(error, CLI_USAGE, "graph: name the picture with -o FILE.png or -o FILE.svg");
    if (!print)
        flush_quietly(cli);
    if ((code = find_files(cli, &files, error)) != CLI_OK)
        return code;
    struct graph_request request = {.host = cli->args[0],
                                    .file_count = files.count,
                                    .last = files.last,
                                    .period = period,
                                    .now = cli->now,
                                    .output = output ? output : "state.png"};
    memcpy(request.files, files.items, sizeof files.items);
    struct graph_args args = {0};
    if (graph_command_build(&args, &request, error))
        code = CLI_USAGE;
    else if (print)
        code = print_command(cli, &args, error);
    else if (draw(&args, error))
        code = CLI_NO_RECORD;
    else if (cli->json)
        code = cli_print_json(json_pack("{s:s}", "file", output), error);
    graph_args_free(&args);
    free_files(&files);
    return code;
}

const struct command command_graph = {
    .name = "graph",
    .arguments = "HOST [--what state] [--period day|week|month|year|YYYY-MM] -o FILE.png|.svg [--print-command]",
    .summary = "the state of a host as a picture, with its uptime",
    .help = "  --period P        the last day (default), week, month (30 days), year (365 days), or a calendar month\n"
            "  -o FILE           the picture, PNG or SVG by its ending\n"
            "  --print-command   prints the rrdtool command that draws it, instead of running it\n\n"
            "Green is up, blue planned (admin), red down, grey unknown; what is not written yet has no colour.\n"
            "Needs hosts/HOST/state.rrd only, not the database.\n"
            "Several records (--data repeated) are drawn merged: up if any of them says so. Here --data may also be\n"
            "rrdcached:HOST:PORT, an rrdcached whose base is the data directory of a receiver elsewhere.\n",
    .run = run_graph,
    .merges = true,
};
