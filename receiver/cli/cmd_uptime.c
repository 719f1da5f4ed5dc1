/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_uptime.c - `twobeat uptime`: the figure, and the seconds it is made of, from the logs of all records that were
 * named, or from the rows of RRD files. */
#include "receiver/report/uptime.h"

#include <errno.h>
#include <string.h>
#include <stdio.h>

#include "receiver/cli/cli.h"
#include "receiver/cli/options.h"
#include "receiver/cli/period.h"
#include "receiver/cli/records.h"
#include "receiver/cli/table.h"
#include "receiver/cli/text.h"

static const char *const headings[] = {"HOST", ">UPTIME %", ">UP", ">DOWN", ">UNREACHABLE", ">ADMIN", ">UNKNOWN"};
#define COLUMNS (sizeof headings / sizeof headings[0])

/* What is asked, and the fleet while it is added up. */
struct fleet {
    struct records records;
    struct records_source source;
    struct period period;
    struct uptime sum;
    bool mean_of_hosts; /* of the figures, instead of the figure of the sum */
    int64_t figures, figure_count;
};

static int64_t fleet_percent(const struct fleet *fleet)
{
    if (!fleet->mean_of_hosts)
        return uptime_percent(&fleet->sum);
    return fleet->figure_count ? fleet->figures / fleet->figure_count : PERCENT_NO_DATA;
}

/* Rows do not tell why a host was down. */
static json_t *uptime_json(const struct fleet *fleet, const struct uptime *uptime, int64_t percent)
{
    json_t *unreachable = fleet->source.row_s ? json_null() : json_integer((json_int_t)uptime->unreachable);
    /* The quotient is the double nearest to the decimal figure, and 15 digits print that figure again. */
    json_t *figure = percent < 0 ? json_null() : json_real((double)percent / 1e6);
    return json_pack("{s:o, s:{s:I, s:I, s:o, s:I, s:I}}", "uptime_percent", figure, "seconds", "up",
                     (json_int_t)uptime->up, "down", (json_int_t)uptime->down, "unreachable", unreachable, "admin",
                     (json_int_t)uptime->admin, "unknown", (json_int_t)uptime->unknown);
}

static void uptime_row(const struct fleet *fleet, struct table *table, const char *name, const struct uptime *uptime,
                       int64_t percent)
{
    char text[PERCENT_TEXT_MAX];
    uptime_percent_format(text, percent);
    table_add(table, "%s", name);
    table_add(table, "%s", text);
    table_add_length(table, uptime->up);
    table_add_length(table, uptime->down);
    if (fleet->source.row_s)
        table_add(table, "%s", "");
    else
        table_add_length(table, uptime->unreachable);
    table_add_length(table, uptime->admin);
    table_add_length(table, uptime->unknown);
}

/* Counts one host, and adds it to the fleet. */
static int count_host(struct fleet *fleet, size_t host, struct uptime *uptime, struct error *error)
{
    if (records_uptime(&fleet->records, &fleet->records.hosts[host], &fleet->source, &fleet->period, uptime, error))
        return -1;
    uptime_add(&fleet->sum, uptime);
    int64_t percent = uptime_percent(uptime);
    if (percent >= 0) {
        fleet->figures += percent;
        fleet->figure_count++;
    }
    return 0;
}

static int answer_json(struct fleet *fleet, struct error *error)
{
    json_t *hosts = json_array();
    for (size_t i = 0; i < fleet->records.host_count; i++) {
        struct uptime uptime;
        if (count_host(fleet, i, &uptime, error)) {
            json_decref(hosts);
            return CLI_NO_RECORD;
        }
        json_t *host = uptime_json(fleet, &uptime, uptime_percent(&uptime));
        (void)json_object_set_new(host, "host", json_string(fleet->records.hosts[i].name));
        (void)json_array_append_new(hosts, host);
    }
    json_t *sum = uptime_json(fleet, &fleet->sum, fleet_percent(fleet));
    json_t *answer = json_pack("{s:I, s:I, s:s, s:o, s:o}", "from", (json_int_t)fleet->period.from, "to",
                               (json_int_t)fleet->period.to, "source", fleet->source.row_s ? "rrd" : "log", "hosts",
                               hosts, "fleet", sum);
    if (fleet->source.row_s)
        (void)json_object_set_new(answer, "row_seconds", json_integer((json_int_t)fleet->source.row_s));
    return cli_print_json(answer, error);
}

/* "from the log", "from 2 logs", or "from RRD files in rows of 15 minutes". */
static void print_source(const struct fleet *fleet, bool terminal)
{
    char from[TEXT_MAX], to[TEXT_MAX], source[TEXT_MAX];
    text_time(from, fleet->period.from);
    text_time(to, fleet->period.to);
    if (fleet->source.row_s)
        (void)snprintf(source, sizeof source, "RRD files in rows of %s",
                       fleet->source.row_s == RECORDS_ROW_DAY_S ? "a day" : "15 minutes");
    else if (fleet->records.count == 1)
        (void)snprintf(source, sizeof source, "the log");
    else
        (void)snprintf(source, sizeof source, "%zu logs, merged", fleet->records.count);
    (void)printf("%sFrom %s to %s, from %s.\n", terminal ? "" : "# ", from, to, source);
}

static int answer_text(struct fleet *fleet, struct error *error)
{
    struct table table;
    table_init(&table, headings, COLUMNS);
    for (size_t i = 0; i < fleet->records.host_count; i++) {
        struct uptime uptime;
        if (count_host(fleet, i, &uptime, error)) {
            table_free(&table);
            return CLI_NO_RECORD;
        }
        uptime_row(fleet, &table, fleet->records.hosts[i].name, &uptime, uptime_percent(&uptime));
    }
    uptime_row(fleet, &table, "(fleet)", &fleet->sum, fleet_percent(fleet)); /* no host can have this name */
    print_source(fleet, table.terminal);
    int rc = table_print(&table);
    table_free(&table);
    return rc == 0 ? CLI_OK : cli_fail(error, CLI_NO_RECORD, "standard output: cannot write: %s", strerror(errno));
}

static int run_uptime(struct cli *cli, struct error *error)
{
    struct period_options typed = {0};
    struct fleet fleet = {0};
    struct period *period = &fleet.period;
    const char *mean = "seconds";
    const struct option_spec specs[] = {PERIOD_SPECS(typed), {"mean", 0, &mean, NULL}, {NULL, 0, NULL, NULL}};
    int code;
    if (!options_go_on(cli, specs, 0, SIZE_MAX, &code, error))
        return code;
    fleet.mean_of_hosts = strcmp(mean, "hosts") == 0;
    if (!fleet.mean_of_hosts && strcmp(mean, "seconds") != 0)
        return cli_fail(error, CLI_USAGE, "--mean %s: must be hosts or seconds", mean);
    if (period_parse(period, &typed, cli->now, error))
        return CLI_USAGE;
    if ((code = records_open(&fleet.records, cli, RECORDS_FILES_ONLY, error)) != CLI_OK)
        return code;
    period->to = records_period_end(&fleet.records, period->to);
    if (records_choose_source(&fleet.records, period, &fleet.source, error))
        code = CLI_NO_RECORD;
    if (period->to < period->from)
        period->to = period->from;
    if (code == CLI_OK)
        code = cli->json ? answer_json(&fleet, error) : answer_text(&fleet, error);
    records_close(&fleet.records);
    return code;
}

const struct command command_uptime = {
    .name = "uptime",
    .arguments = "[HOST|GLOB...] " PERIOD_USAGE " [--mean hosts]",
    .summary = "uptime of each host and of the fleet, in percent and in seconds",
    .help = PERIOD_HELP
    "\nUptime is up / (up + down), rounded down; unknown and planned (admin) time is outside. Unreachable is a part "
    "of\n"
    "down: the host ran on but was not heard. The fleet adds the seconds of its hosts; --mean hosts takes the mean of\n"
    "their figures instead.\n"
    "Of several records (--data repeated) each second counts as the best of what they say: up, admin, down, unknown.\n"
    "A record of RRD files without receiver.db is counted in rows of 15 minutes, or of days beyond 100 days.\n",
    .run = run_uptime,
    .merges = true,
};
