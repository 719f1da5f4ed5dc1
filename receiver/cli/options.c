/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options.c - see options.h. */
#include "receiver/cli/options.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "receiver/cli/record.h"

#define LONG_ONLY 256 /* values of options without a letter start here: the index in the list is added */

static void print_command_help(const struct command *command)
{
    (void)printf("usage: twobeat %s%s%s [--data DIR] [--json]\n\n%s\n", command->name, command->arguments[0] ? " " : "",
                 command->arguments, command->summary);
    if (command->help[0])
        (void)printf("\n%s", command->help);
}

static int option_fail(const struct cli *cli, const char *what, struct error *error)
{
    return error_set(error, "%s: %s %s; see `twobeat %s --help`", cli->command->name, what, cli->argv[optind - 1],
                     cli->command->name);
}

/* Fills what getopt_long needs; returns the number of options. */
static size_t options_table(const struct option_spec *all, size_t count, struct option *table, char *letters)
{
    size_t used = 0;
    letters[used++] = ':';
    for (size_t i = 0; i < count; i++) {
        table[i] =
            (struct option){all[i].name, all[i].value ? required_argument : no_argument, NULL, LONG_ONLY + (int)i};
        if (all[i].letter) {
            letters[used++] = all[i].letter;
            if (all[i].value)
                letters[used++] = ':';
        }
    }
    table[count] = (struct option){NULL, 0, NULL, 0};
    letters[used] = '\0';
    return count;
}

/* The index of the option that getopt_long found. */
static size_t option_index(const struct option_spec *all, size_t count, int found)
{
    if (found >= LONG_ONLY)
        return (size_t)(found - LONG_ONLY);
    size_t i = 0;
    while (i < count && all[i].letter != found)
        i++;
    return i;
}

/* Takes the record that getopt_long found. */
static int add_data(struct cli *cli, size_t *count, struct error *error)
{
    if (*count > 0 && !cli->command->merges)
        return error_set(error, "--data is given twice, but `twobeat %s` works on one record", cli->command->name);
    if (*count == CLI_DATA_MAX)
        return error_set(error, "--data is given more than %d times", CLI_DATA_MAX);
    cli->all_data[(*count)++] = optarg;
    return 0;
}

enum options_result options_parse(struct cli *cli, const struct option_spec *specs, struct error *error)
{
    const char *data = NULL;
    size_t data_count = 0;
    bool help = false;
    struct option_spec all[OPTIONS_MAX] = {
        {"data", 0, &data, NULL}, {"json", 0, NULL, &cli->json}, {"help", 'h', NULL, &help}};
    size_t count = 3;
    for (; specs && specs->name; specs++) {
        assert(count < OPTIONS_MAX);
        all[count++] = *specs;
    }
    struct option table[OPTIONS_MAX + 1];
    char letters[2 * OPTIONS_MAX + 2];
    (void)options_table(all, count, table, letters);
    opterr = 0;
    optind = 1;
    for (int found; (found = getopt_long(cli->argc, cli->argv, letters, table, NULL)) != -1;) {
        if (found == '?' || found == ':') {
            (void)option_fail(cli, found == ':' ? "no value for" : "cannot take", error);
            return OPTIONS_BAD;
        }
        const struct option_spec *option = &all[option_index(all, count, found)];
        if (option->value == &data && add_data(cli, &data_count, error))
            return OPTIONS_BAD;
        if (option->value)
            *option->value = optarg;
        else
            *option->flag = true;
    }
    if (help) {
        print_command_help(cli->command);
        return OPTIONS_HELP;
    }
    if (data_count > 0) {
        cli->data = cli->all_data[0];
        cli->data_count = data_count;
    }
    cli->args = cli->argv + optind;
    cli->arg_count = (size_t)(cli->argc - optind);
    return OPTIONS_OK;
}

bool options_go_on(struct cli *cli, const struct option_spec *specs, size_t min, size_t max, int *code,
                   struct error *error)
{
    enum options_result result = options_parse(cli, specs, error);
    *code = result == OPTIONS_HELP ? CLI_OK : CLI_USAGE;
    if (result != OPTIONS_OK)
        return false;
    cli->now = record_now(cli);
    if (cli->arg_count >= min && cli->arg_count <= max)
        return true;
    (void)error_set(error, "usage: twobeat %s%s%s", cli->command->name, cli->command->arguments[0] ? " " : "",
                    cli->command->arguments);
    return false;
}
