/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_host.c - `twobeat host list`: the hosts that the record knows. */
#include <errno.h>
#include <string.h>

#include "receiver/cli/cli.h"
#include "receiver/cli/options.h"
#include "receiver/cli/record.h"
#include "receiver/cli/table.h"

static const char *const headings[] = {"HOST", "FIRST HEARD", "FILES WRITTEN TO", "NOTES"};
#define COLUMNS (sizeof headings / sizeof headings[0])

static int list_json(const struct record *record, struct error *error)
{
    json_t *hosts = json_array();
    for (size_t i = 0; i < record->count; i++) {
        const struct log_host *host = &record->hosts[i];
        json_t *written = host->written_to ? json_integer(host->written_to) : json_null();
        (void)json_array_append_new(hosts, json_pack("{s:s, s:s?, s:I, s:o, s:b, s:b}", "host", host->name, "alias",
                                                     host->alias[0] ? host->alias : NULL, "first_heard",
                                                     (json_int_t)host->first_at, "written_to", written, "forgotten",
                                                     host->forgotten, "moved", host->moved));
    }
    return cli_print_json(json_pack("{s:o}", "hosts", hosts), error);
}

static int list_text(const struct record *record, struct error *error)
{
    struct table table;
    table_init(&table, headings, COLUMNS);
    for (size_t i = 0; i < record->count; i++) {
        const struct log_host *host = &record->hosts[i];
        table_add(&table, "%s", host->name);
        table_add_time(&table, host->first_at);
        if (host->written_to)
            table_add_time(&table, host->written_to);
        else
            table_add(&table, "%s", "");
        table_add(&table, "%s%s%s%s",
                  host->moved       ? "moved"
                  : host->forgotten ? "forgotten"
                                    : "",
                  host->forgotten && host->alias[0] ? ", " : "", host->alias[0] ? "also " : "", host->alias);
    }
    int rc = table_print(&table);
    table_free(&table);
    return rc == 0 ? CLI_OK : cli_fail(error, CLI_NO_RECORD, "standard output: cannot write: %s", strerror(errno));
}

static int run_host_list(struct cli *cli, struct error *error)
{
    struct record record;
    int code;
    if (!options_go_on(cli, NULL, 0, 0, &code, error))
        return code;
    if ((code = record_open(&record, cli, error)) != CLI_OK)
        return code;
    code = cli->json ? list_json(&record, error) : list_text(&record, error);
    record_close(&record);
    return code;
}

const struct command command_host_list = {
    .name = "host list",
    .arguments = "",
    .summary = "the hosts that were ever heard, and since when",
    .help = "FILES WRITTEN TO tells up to when hosts/HOST/state.rrd holds the record.\n",
    .run = run_host_list,
};
