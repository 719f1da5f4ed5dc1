/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - the program `twobeat`: finds the command, runs it, prints its error line. */
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "receiver/cli/cli.h"

static const struct command *const commands[] = {
    &command_status,
    &command_check,
    &command_uptime,
    &command_outages,
    &command_outages_relabel,
    &command_graph,
    &command_host_list,
    &command_host_forget,
    &command_host_rename,
    &command_maintenance_start,
    &command_maintenance_end,
    &command_maintenance_plan,
    &command_maintenance_list,
    &command_maintenance_cancel,
    &command_flush,
    &command_verify,
    &command_rebuild,
    &command_copy,
    &command_cut,
    &command_key_site,
    &command_key_host,
    &command_key_view,
};
#define DEFAULT_DATA "/var/lib/twobeat"
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_help(void)
{
    (void)printf("usage: twobeat COMMAND [ARGUMENTS] [--data DIR] [--json] [--help]\n\n"
                 "Asks and changes what a twobeat receiver records on this machine.\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        (void)printf("  %-19s %s\n", commands[i]->name, commands[i]->summary);
    (void)printf("\n  --data DIR   data directory of the receiver (default /var/lib/twobeat); several are merged\n"
                 "  --json       answer in JSON; times are Unix seconds, lengths seconds\n"
                 "  --help       with a command: what it does and takes\n\n"
                 "Exit: 0 done, 1 a named host is down or a file differs, 2 wrong use or unknown host,\n"
                 "3 the record cannot be read. More: man twobeat\n");
}

/* The index in argv of the command: the first word that is neither an option nor the value of one. */
static int find_command_word(int argc, char **argv, int from)
{
    int i = from;
    while (i < argc && argv[i][0] == '-')
        i += strcmp(argv[i], "--data") == 0 ? 2 : 1;
    return i < argc ? i : argc;
}

static const struct command *find_name(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/* Two words come before one: `outages` is a command, too. */
static const struct command *find_command(const char *first, const char *second)
{
    char words[64];
    (void)snprintf(words, sizeof words, "%s %s", first, second);
    const struct command *command = find_name(words);
    return command ? command : find_name(first);
}

/* Whether some command begins with this word and takes a second one. */
static bool is_group(const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strncmp(commands[i]->name, word, len) == 0 && commands[i]->name[len] == ' ')
            return true;
    return false;
}

/* Takes the word at `index` out of argv. */
static void drop_word(struct cli *cli, int index)
{
    memmove(&cli->argv[index], &cli->argv[index + 1], (size_t)(cli->argc - index) * sizeof cli->argv[0]);
    cli->argc--;
}

static bool wants_help(const struct cli *cli)
{
    for (int i = 1; i < cli->argc; i++)
        if (strcmp(cli->argv[i], "--help") == 0 || strcmp(cli->argv[i], "-h") == 0)
            return true;
    return false;
}

static int dispatch(struct cli *cli, struct error *error)
{
    int first = find_command_word(cli->argc, cli->argv, 1);
    int second = find_command_word(cli->argc, cli->argv, first + 1);
    const char *word = first < cli->argc ? cli->argv[first] : "";
    const char *second_word = second < cli->argc ? cli->argv[second] : "";
    cli->command = find_command(word, second_word);
    if (!cli->command && (!*word || is_group(word)) && wants_help(cli)) {
        print_help();
        return CLI_OK;
    }
    if (!*word)
        return cli_fail(error, CLI_USAGE, "no command given; `twobeat --help` lists them");
    if (!cli->command)
        return cli_fail(error, CLI_USAGE, "unknown command \"%s%s%s\"; `twobeat --help` lists them", word,
                        is_group(word) && *second_word ? " " : "", is_group(word) ? second_word : "");
    if (strchr(cli->command->name, ' '))
        drop_word(cli, second);
    drop_word(cli, first);
    return cli->command->run(cli, error);
}

/* Names and paths that were typed are told back: nothing in them makes a second line or speaks to the terminal. */
static void print_error(char *text)
{
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
    (void)fprintf(stderr, "twobeat: %s\n", text);
}

int main(int argc, char **argv)
{
    struct error error = {""};
    struct cli cli = {.argc = argc,
                      .argv = argv,
                      .data = DEFAULT_DATA,
                      .all_data = {DEFAULT_DATA},
                      .data_count = 1,
                      .now = (int64_t)time(NULL)};
    if (argc < 1)
        return CLI_USAGE;
    /* LC_TIME is left alone: output has one form everywhere. Names of files may have any bytes. */
    (void)setlocale(LC_CTYPE, "");
    tzset();
    int code = dispatch(&cli, &error);
    if (error.text[0])
        print_error(error.text);
    if (fflush(stdout) != 0 && code == CLI_OK)
        code = CLI_NO_RECORD;
    return code;
}
