/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_outages.c - `twobeat outages`: every span in which a host was not up, with what is known of its edges. */
#include "receiver/report/outages.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "receiver/cli/cli.h"
#include "receiver/cli/options.h"
#include "receiver/cli/period.h"
#include "receiver/cli/record.h"
#include "receiver/cli/table.h"
#include "receiver/cli/text.h"

static const char *const headings[] = {">ID", "HOST", "STATE", "FROM", "TO", ">LENGTH", "CAUSE", "BOUNDS", "NOTES"};
#define NOTE_MAX 1024
#define COLUMNS (sizeof headings / sizeof headings[0])

/* Where the outages go. */
struct output {
    json_t *json; /* if JSON was asked for */
    bool csv;
    struct table table; /* otherwise */
};

/* "relabelled admin on 2026-11-22 10:00:00 CET: wrong cable (was down)"; false if there is nothing to note. */
static bool note_format(char out[NOTE_MAX], const struct outage *o)
{
    char when[TEXT_MAX];
    if (!o->relabel)
        return false;
    text_time(when, o->relabel->entered);
    (void)snprintf(out, NOTE_MAX, "relabelled %s on %s: %s (was %s)", state_token(o->state), when, o->relabel->reason,
                   state_token(o->told));
    return true;
}

static void add_json(json_t *list, int64_t id, const char *host, const struct outage *o)
{
    char note[NOTE_MAX];
    json_t *notes = json_array();
    if (note_format(note, o))
        (void)json_array_append_new(notes, json_string(note));
    json_t *to = o->open ? json_null() : json_integer(o->to);
    json_t *to_bounds =
        o->open ? json_null() : json_pack("[I, I]", (json_int_t)o->to_earliest, (json_int_t)o->to_latest);
    const char *cause = o->cause == CAUSE_NONE ? NULL : cause_token(o->cause);
    (void)json_array_append_new(list, json_pack("{s:I, s:s, s:s, s:I, s:o, s:I, s:s?, s:{s:[I, I], s:o}, s:o}", "id",
                                                (json_int_t)id, "host", host, "state", state_token(o->state), "from",
                                                (json_int_t)o->from, "to", to, "seconds", (json_int_t)o->seconds,
                                                "cause", cause, "bounds", "from", (json_int_t)o->from_earliest,
                                                (json_int_t)o->from_latest, "to", to_bounds, "notes", notes));
}

/* The text that somebody wrote stands in quotes, and a quote in it is doubled. */
static void print_csv_text(const char *text)
{
    (void)putchar('"');
    for (; *text; text++) {
        if (*text == '"')
            (void)putchar('"');
        (void)putchar(*text);
    }
    (void)putchar('"');
}

/* No other field can hold a quote, a comma or a line break: names and tokens have none. */
static void print_csv(int64_t id, const char *host, const struct outage *o)
{
    int64_t ends[] = {o->to, o->to_earliest, o->to_latest};
    char note[NOTE_MAX];
    char from[3][TEXT_MAX], to[3][TEXT_MAX] = {"", "", ""};
    text_time_iso(from[0], o->from);
    text_time_iso(from[1], o->from_earliest);
    text_time_iso(from[2], o->from_latest);
    for (int i = 0; i < 3 && !o->open; i++)
        text_time_iso(to[i], ends[i]);
    (void)printf("%" PRId64 ",%s,%s,%s,%s,%" PRId64 ",%s,%s,%s,%s,%s,", id, host, state_token(o->state), from[0], to[0],
                 o->seconds, cause_token(o->cause), from[1], from[2], to[1], to[2]);
    if (note_format(note, o))
        print_csv_text(note);
    (void)putchar('\n');
}

/* How far the true edge may lie before and after the one that is recorded: "-30s +2s", or "exact". */
static void bounds_format(char out[TEXT_MAX], int64_t edge, int64_t earliest, int64_t latest)
{
    char before[TEXT_MAX / 4], after[TEXT_MAX / 4];
    if (earliest == edge && latest == edge) {
        (void)snprintf(out, TEXT_MAX, "exact");
        return;
    }
    (void)snprintf(before, sizeof before, "%" PRId64, edge - earliest);
    (void)snprintf(after, sizeof after, "%" PRId64, latest - edge);
    (void)snprintf(out, TEXT_MAX, "-%ss +%ss", before, after);
}

static void add_row(struct table *table, int64_t id, const char *host, const struct outage *o)
{
    char from[TEXT_MAX], to[TEXT_MAX], note[NOTE_MAX];
    table_add(table, "%" PRId64, id);
    table_add(table, "%s", host);
    table_add(table, "%s", state_token(o->state));
    table_add_time(table, o->from);
    if (o->open)
        table_add(table, "%s", "");
    else
        table_add_time(table, o->to);
    table_add_length(table, o->seconds);
    table_add(table, "%s", cause_token(o->cause));
    bounds_format(from, o->from, o->from_earliest, o->from_latest);
    bounds_format(to, o->to, o->to_earliest, o->to_latest);
    if (o->open)
        table_add(table, "%s", from);
    else
        table_add(table, "%s, %s", from, to);
    table_add(table, "%s", note_format(note, o) ? note : "");
}

static int list_host(struct output *output, struct record *record, const struct log_host *host,
                     const struct period *period, struct error *error)
{
    struct timeline timeline = {0};
    struct outage outage;
    size_t index = 0;
    int rc = log_reader_timeline(record->reader, host->id, &timeline, error);
    while (rc == 0 && outages_next(&timeline, period->from, period->to, record->run.alive, &index, &outage)) {
        int64_t id = log_reader_line_id(record->reader, host->id, outage.number);
        if (output->json)
            add_json(output->json, id, host->name, &outage);
        else if (output->csv)
            print_csv(id, host->name, &outage);
        else
            add_row(&output->table, id, host->name, &outage);
    }
    timeline_free(&timeline);
    return rc;
}

static int list_all(struct output *output, struct record *record, const struct period *period, struct error *error)
{
    if (output->csv)
        (void)puts("id,host,state,from,to,seconds,cause,from_earliest,from_latest,to_earliest,to_latest,notes");
    for (size_t i = 0; i < record->count; i++)
        if (list_host(output, record, &record->hosts[i], period, error)) {
            json_decref(output->json);
            return CLI_NO_RECORD;
        }
    if (output->json)
        return cli_print_json(json_pack("{s:o}", "outages", output->json), error);
    if (!output->csv && output->table.terminal && output->table.count == 0)
        (void)puts("No outages.");
    else if (!output->csv && table_print(&output->table) != 0)
        return cli_fail(error, CLI_NO_RECORD, "standard output: cannot write: %s", strerror(errno));
    return CLI_OK;
}

static int run_outages(struct cli *cli, struct error *error)
{
    struct period_options typed = {0};
    struct period period;
    struct record record;
    struct output output = {0};
    const struct option_spec specs[] = {PERIOD_SPECS(typed), {"csv", 0, NULL, &output.csv}, {NULL, 0, NULL, NULL}};
    int code;
    if (!options_go_on(cli, specs, 0, SIZE_MAX, &code, error))
        return code;
    if (output.csv && cli->json)
        return cli_fail(error, CLI_USAGE, "give only one of --csv and --json");
    if (period_parse(&period, &typed, cli->now, error))
        return CLI_USAGE;
    if ((code = record_open(&record, cli, error)) != CLI_OK)
        return code;
    record_leave_out_forgotten(&record, cli);
    if (cli->json)
        output.json = json_array();
    table_init(&output.table, headings, COLUMNS);
    code = list_all(&output, &record, &period, error);
    table_free(&output.table);
    record_close(&record);
    return code;
}

const struct command command_outages = {
    .name = "outages",
    .arguments = "[HOST|GLOB...] " PERIOD_USAGE " [--csv]",
    .summary = "every span in which a host was down, planned or unknown",
    .help = PERIOD_HELP
    "\n  --csv   comma-separated values, times in ISO 8601\n\n"
    "An outage that reaches beyond the period is shown whole. Bounds tell how far the true edge may lie before and\n"
    "after the recorded one. An open outage has no end; its length counts up to the receiver's last sign of life.\n"
    "Notes tell what somebody said about an outage with `twobeat outages relabel`.\n",
    .run = run_outages,
};
