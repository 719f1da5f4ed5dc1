/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_uptime.c - `twobeat uptime`: the figure, and the seconds it is made of, from the log. */
#include "receiver/report/uptime.h"

#include <errno.h>
#include <string.h>
#include <stdio.h>

#include "receiver/cli/cli.h"
#include "receiver/cli/options.h"
#include "receiver/cli/period.h"
#include "receiver/cli/record.h"
#include "receiver/cli/table.h"
#include "receiver/cli/text.h"

static const char *const headings[] = {"HOST", ">UPTIME %", ">UP", ">DOWN", ">UNREACHABLE", ">ADMIN", ">UNKNOWN"};
#define COLUMNS (sizeof headings / sizeof headings[0])

/* The fleet, while it is added up. */
struct fleet {
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

static json_t *uptime_json(const struct uptime *uptime, int64_t percent)
{
    /* The quotient is the double nearest to the decimal figure, and 15 digits print that figure again. */
    json_t *figure = percent < 0 ? json_null() : json_real((double)percent / 1e6);
    return json_pack("{s:o, s:{s:I, s:I, s:I, s:I, s:I}}", "uptime_percent", figure, "seconds", "up",
                     (json_int_t)uptime->up, "down", (json_int_t)uptime->down, "unreachable",
                     (json_int_t)uptime->unreachable, "admin", (json_int_t)uptime->admin, "unknown",
                     (json_int_t)uptime->unknown);
}

static void uptime_row(struct table *table, const char *name, const struct uptime *uptime, int64_t percent)
{
    char text[PERCENT_TEXT_MAX];
    uptime_percent_format(text, percent);
    table_add(table, "%s", name);
    table_add(table, "%s", text);
    table_add_length(table, uptime->up);
    table_add_length(table, uptime->down);
    table_add_length(table, uptime->unreachable);
    table_add_length(table, uptime->admin);
    table_add_length(table, uptime->unknown);
}

/* Counts one host, and adds it to the fleet. */
static int count_host(struct record *record, const struct log_host *host, const struct period *period,
                      struct fleet *fleet, struct uptime *uptime, struct error *error)
{
    struct timeline timeline = {0};
    int rc = log_reader_timeline(record->reader, host->id, &timeline, error);
    if (rc == 0) {
        uptime_count(&timeline, period->from, period->to, record->run.alive, uptime);
        uptime_add(&fleet->sum, uptime);
        int64_t percent = uptime_percent(uptime);
        if (percent >= 0) {
            fleet->figures += percent;
            fleet->figure_count++;
        }
    }
    timeline_free(&timeline);
    return rc;
}

static int answer_json(struct record *record, const struct period *period, struct fleet *fleet, struct error *error)
{
    json_t *hosts = json_array();
    for (size_t i = 0; i < record->count; i++) {
        struct uptime uptime;
        if (count_host(record, &record->hosts[i], period, fleet, &uptime, error)) {
            json_decref(hosts);
            return CLI_NO_RECORD;
        }
        json_t *host = uptime_json(&uptime, uptime_percent(&uptime));
        (void)json_object_set_new(host, "host", json_string(record->hosts[i].name));
        (void)json_array_append_new(hosts, host);
    }
    json_t *sum = uptime_json(&fleet->sum, fleet_percent(fleet));
    return cli_print_json(json_pack("{s:I, s:I, s:s, s:o, s:o}", "from", (json_int_t)period->from, "to",
                                    (json_int_t)period->to, "source", "log", "hosts", hosts, "fleet", sum),
                          error);
}

static int answer_text(struct record *record, const struct period *period, struct fleet *fleet, struct error *error)
{
    struct table table;
    char from[TEXT_MAX], to[TEXT_MAX];
    table_init(&table, headings, COLUMNS);
    for (size_t i = 0; i < record->count; i++) {
        struct uptime uptime;
        if (count_host(record, &record->hosts[i], period, fleet, &uptime, error)) {
            table_free(&table);
            return CLI_NO_RECORD;
        }
        uptime_row(&table, record->hosts[i].name, &uptime, uptime_percent(&uptime));
    }
    uptime_row(&table, "(fleet)", &fleet->sum, fleet_percent(fleet)); /* no host can have this name */
    text_time(from, period->from);
    text_time(to, period->to);
    (void)printf("%sFrom %s to %s, from the log.\n", table.terminal ? "" : "# ", from, to);
    int rc = table_print(&table);
    table_free(&table);
    return rc == 0 ? CLI_OK : cli_fail(error, CLI_NO_RECORD, "standard output: cannot write: %s", strerror(errno));
}

static int run_uptime(struct cli *cli, struct error *error)
{
    struct period_options typed = {0};
    struct period period;
    struct record record;
    struct fleet fleet = {0};
    const char *mean = "seconds";
    const struct option_spec specs[] = {PERIOD_SPECS(typed), {"mean", 0, &mean, NULL}, {NULL, 0, NULL, NULL}};
    int code;
    if (!options_go_on(cli, specs, 0, SIZE_MAX, &code, error))
        return code;
    fleet.mean_of_hosts = strcmp(mean, "hosts") == 0;
    if (!fleet.mean_of_hosts && strcmp(mean, "seconds") != 0)
        return cli_fail(error, CLI_USAGE, "--mean %s: must be hosts or seconds", mean);
    if (period_parse(&period, &typed, cli->now, error))
        return CLI_USAGE;
    if ((code = record_open(&record, cli, error)) != CLI_OK)
        return code;
    record_leave_out_forgotten(&record, cli);
    period.to = record_period_end(&record, cli, period.to);
    if (period.to < period.from)
        period.to = period.from;
    code = cli->json ? answer_json(&record, &period, &fleet, error) : answer_text(&record, &period, &fleet, error);
    record_close(&record);
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
    "their figures instead.\n",
    .run = run_uptime,
};
