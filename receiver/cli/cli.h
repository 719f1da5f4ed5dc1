/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cli.h - what the commands of `twobeat` have in common.
 *
 * main.c finds the command and prints its error line; a command parses its options, prints its answer, and returns an
 * exit code. Answers go to standard output, error lines to standard error. */
#ifndef RECEIVER_CLI_CLI_H
#define RECEIVER_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "receiver/report/merge.h"

enum cli_exit {
    CLI_OK = 0,
    CLI_DIFFERS = 1,  /* a named host is down, a file differs from the log */
    CLI_USAGE = 2,    /* wrong use, or no such host */
    CLI_NO_RECORD = 3 /* the record, or the receiver, cannot be asked */
};

struct cli;

#define CLI_DATA_MAX MERGE_PARTS_MAX /* so many records are merged */

struct command {
    const char *name;      /* one or two words */
    const char *arguments; /* as in a usage line, without the common options */
    const char *summary;   /* one line */
    const char *help;      /* what else there is to know; ends with a newline, may be empty */
    int (*run)(struct cli *cli, struct error *error);
    bool merges; /* --data may be repeated */
};

/* One call of the program. Everything is borrowed from argv. */
struct cli {
    const struct command *command;
    int argc; /* argv[0] is the command */
    char **argv;
    const char *data; /* the record; the first of those that are to be merged */
    const char *all_data[CLI_DATA_MAX];
    size_t data_count;
    bool json;
    char **args; /* set by options_parse: what is not an option, mostly names and patterns of hosts */
    size_t arg_count;
    int64_t now; /* Unix seconds at the start of the program */
};

extern const struct command command_key_site, command_key_host, command_key_view, command_status, command_check,
    command_uptime, command_outages, command_outages_relabel, command_maintenance_start, command_maintenance_end,
    command_maintenance_plan, command_maintenance_list, command_maintenance_cancel, command_host_list,
    command_host_forget, command_host_rename, command_graph, command_flush, command_verify, command_rebuild,
    command_cut, command_copy;

/* Sets the error line and returns `code`, so that a command can write `return cli_fail(...)`. */
__attribute__((format(printf, 3, 4))) int cli_fail(struct error *error, int code, const char *format, ...);

/* Prints a JSON value as one line (numbers with at most 15 digits, so that decimals look as they were meant) and
 * releases it. Returns CLI_OK, or CLI_NO_RECORD with `error` set if standard output cannot take it or `value` is
 * NULL. */
int cli_print_json(json_t *value, struct error *error);

/* Whether `name` is meant by the arguments: none at all means every host. */
bool cli_wants_host(const struct cli *cli, const char *name);

/* Whether an argument is this very name, and no pattern. */
bool cli_names_host(const struct cli *cli, const char *name);

/* The first argument that none of the hosts fits (`name_of` gives their names), or NULL. */
const char *cli_unmatched(const struct cli *cli, const void *hosts, size_t count,
                          const char *(*name_of)(const void *hosts, size_t index));
/* The error of such an argument; returns CLI_USAGE. */
int cli_fail_unmatched(struct error *error, const char *pattern);

#endif
