/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cli.c - see cli.h. */
#include "receiver/cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/name.h"

#define JSON_DIGITS 15 /* what a double always keeps */

int cli_fail(struct error *error, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return code;
}

int cli_print_json(json_t *value, struct error *error)
{
    if (!value)
        return cli_fail(error, CLI_NO_RECORD, "out of memory");
    int rc = json_dumpf(value, stdout, JSON_REAL_PRECISION(JSON_DIGITS) | JSON_COMPACT);
    json_decref(value);
    if (rc != 0 || putchar('\n') == EOF || fflush(stdout) != 0)
        return cli_fail(error, CLI_NO_RECORD, "standard output: cannot write: %s", strerror(errno));
    return CLI_OK;
}

bool cli_wants_host(const struct cli *cli, const char *name)
{
    if (cli->arg_count == 0)
        return true;
    for (size_t i = 0; i < cli->arg_count; i++)
        if (name_matches(cli->args[i], name))
            return true;
    return false;
}

bool cli_names_host(const struct cli *cli, const char *name)
{
    for (size_t i = 0; i < cli->arg_count; i++)
        if (strcmp(cli->args[i], name) == 0)
            return true;
    return false;
}

const char *cli_unmatched(const struct cli *cli, const void *hosts, size_t count,
                          const char *(*name_of)(const void *hosts, size_t index))
{
    for (size_t i = 0; i < cli->arg_count; i++) {
        size_t host = 0;
        while (host < count && !name_matches(cli->args[i], name_of(hosts, host)))
            host++;
        if (host == count)
            return cli->args[i];
    }
    return NULL;
}

int cli_fail_unmatched(struct error *error, const char *pattern)
{
    bool glob = strpbrk(pattern, "*?[") != NULL;
    return cli_fail(error, CLI_USAGE, "%s \"%s\"; `twobeat host list` shows the names",
                    glob ? "no host fits" : "there is no host", pattern);
}
