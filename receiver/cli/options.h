/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options.h - the options of a command, the common ones included. */
#ifndef RECEIVER_CLI_OPTIONS_H
#define RECEIVER_CLI_OPTIONS_H

#include <stdbool.h>

#include "receiver/cli/cli.h"

#define OPTIONS_MAX 16 /* of one command, the common ones included */

/* Takes a value or is a flag. A list ends with a NULL name. */
struct option_spec {
    const char *name;   /* without the dashes */
    char letter;        /* as in -o, or 0 */
    const char **value; /* stays as it is if the option is not given */
    bool *flag;
};

enum options_result {
    OPTIONS_OK,
    OPTIONS_HELP, /* the help was printed: nothing else is to be done */
    OPTIONS_BAD   /* `error` is set */
};

/* Parses the words of the command, options and names in any order. `specs` may be NULL. */
enum options_result options_parse(struct cli *cli, const struct option_spec *specs, struct error *error);

/* The same, and checks that there are `min` to `max` names. Returns true if the command goes on; else it ends with
 * `*code`. */
bool options_go_on(struct cli *cli, const struct option_spec *specs, size_t min, size_t max, int *code,
                   struct error *error);

#endif
