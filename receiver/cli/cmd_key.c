/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_key.c - `twobeat key`: makes the site key, and derives from it what others need.
 *
 * A key goes to the file that was named, or to standard output where nothing was; never anywhere else. Memory that held
 * one is wiped. */
#include "common/key.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/key_file.h"
#include "receiver/cli/cli.h"
#include "receiver/cli/options.h"

#define SITE_KEY_DEFAULT "/etc/twobeat/site.key"
#define GENERATION_MAX 255

/* Writes the text of a key where it is wanted, and wipes it. */
static int key_write(const struct cli *cli, const char *file, char *text, size_t len, struct error *error)
{
    bool to_file = file && strcmp(file, "-") != 0;
    int code = CLI_OK;
    if (cli->json && !to_file)
        code = cli_print_json(json_pack("{s:s%}", "key", text, len), error);
    else if (key_file_create(file, text, len, error))
        code = to_file && errno == EEXIST ? CLI_USAGE : CLI_NO_RECORD;
    else if (cli->json)
        code = cli_print_json(json_pack("{s:s}", "file", file), error);
    sodium_memzero(text, KEY_TEXT_MAX);
    return code;
}

/* libsodium needs this before it gives random bytes. */
static int sodium_begin(struct error *error)
{
    return sodium_init() >= 0 ? 0 : error_set(error, "libsodium cannot start; is /dev/urandom there?");
}

static int run_key_site(struct cli *cli, struct error *error)
{
    const char *file = NULL;
    const struct option_spec specs[] = {{"output", 'o', &file, NULL}, {NULL, 0, NULL, NULL}};
    char text[KEY_TEXT_MAX];
    struct key site;
    int code;
    if (!options_go_on(cli, specs, 0, 0, &code, error))
        return code;
    if (sodium_begin(error))
        return CLI_NO_RECORD;
    randombytes_buf(site.bytes, sizeof site.bytes);
    size_t len = key_site_format(text, &site);
    sodium_memzero(&site, sizeof site);
    return key_write(cli, file, text, len, error);
}

static int run_key_view(struct cli *cli, struct error *error)
{
    const char *file = NULL, *site_file = SITE_KEY_DEFAULT;
    const struct option_spec specs[] = {
        {"output", 'o', &file, NULL}, {"site-key", 0, &site_file, NULL}, {NULL, 0, NULL, NULL}};
    char text[KEY_TEXT_MAX];
    struct key site, view;
    int code;
    if (!options_go_on(cli, specs, 0, 0, &code, error))
        return code;
    if (sodium_begin(error) || key_site_load(&site, site_file, error))
        return CLI_NO_RECORD;
    key_derive_view(&view, &site);
    size_t len = key_view_format(text, &view);
    sodium_memzero(&site, sizeof site);
    sodium_memzero(&view, sizeof view);
    return key_write(cli, file, text, len, error);
}

static int parse_generation(uint8_t *out, const char *text, struct error *error)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno || end == text || *end || number < 1 || number > GENERATION_MAX)
        return error_set(error, "--generation %s: must be a whole number from 1 to %d", text, GENERATION_MAX);
    *out = (uint8_t)number;
    return 0;
}

static int run_key_host(struct cli *cli, struct error *error)
{
    const char *file = NULL, *site_file = SITE_KEY_DEFAULT, *generation = "1";
    const struct option_spec specs[] = {{"output", 'o', &file, NULL},
                                        {"site-key", 0, &site_file, NULL},
                                        {"generation", 0, &generation, NULL},
                                        {NULL, 0, NULL, NULL}};
    char text[KEY_TEXT_MAX];
    struct key site;
    struct host_key host = {.generation = 1};
    int code;
    if (!options_go_on(cli, specs, 1, 1, &code, error))
        return code;
    const char *name = cli->args[0];
    if (!name_is_valid(name, strlen(name)))
        return cli_fail(error, CLI_USAGE,
                        "\"%s\" cannot be the name of a host: use a-z 0-9 . _ -, first a letter or digit,"
                        " no \"..\", at most %d",
                        name, NAME_LEN_MAX);
    if (parse_generation(&host.generation, generation, error))
        return CLI_USAGE;
    if (sodium_begin(error) || key_site_load(&site, site_file, error))
        return CLI_NO_RECORD;
    memcpy(host.name, name, strlen(name) + 1);
    key_derive_host(&host.key, &site, host.generation, name, strlen(name));
    size_t len = key_host_format(text, &host);
    sodium_memzero(&site, sizeof site);
    sodium_memzero(&host, sizeof host);
    return key_write(cli, file, text, len, error);
}

const struct command command_key_site = {
    .name = "key site",
    .arguments = "[-o FILE]",
    .summary = "makes a new site key, the secret of all receivers",
    .help = "  -o FILE   writes it there, readable by its owner only; an existing file is never overwritten\n",
    .run = run_key_site,
};

const struct command command_key_host = {
    .name = "key host",
    .arguments = "NAME [--site-key FILE] [--generation N] [-o FILE]",
    .summary = "the key of one host: the one file that its agent needs",
    .help = "  --site-key FILE   default " SITE_KEY_DEFAULT "\n"
            "  --generation N    1 to 255, default 1; receivers accept those that their settings name\n"
            "  -o FILE           writes it there instead of to standard output; never overwrites\n",
    .run = run_key_host,
};

const struct command command_key_view = {
    .name = "key view",
    .arguments = "[--site-key FILE] [-o FILE]",
    .summary = "the key of the web pages, which speaks for no host",
    .help = "  --site-key FILE   default " SITE_KEY_DEFAULT "\n"
            "  -o FILE           writes it there instead of to standard output; never overwrites\n",
    .run = run_key_view,
};
