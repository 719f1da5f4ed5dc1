/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_outages.c - `twobeat outages`: every span in which a host was not up, with what is known of its edges. */
#include "receiver/report/outages.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "receiver/cli/cli.h"
#include "receiver/cli/options.h"
#include "receiver/cli/period.h"
#include "receiver/cli/outages_seen.h"
#include "receiver/cli/records.h"
#include "receiver/cli/table.h"
#include "receiver/cli/text.h"

static const char *const headings[] = {">ID", "HOST", "STATE", "FROM", "TO", ">LENGTH", "CAUSE", "BOUNDS", "NOTES"};
#define COLUMNS (sizeof headings / sizeof headings[0])

/* Where the outages go. */
struct output {
    json_t *json; /* if JSON was asked for */
    bool csv;
    struct table table; /* otherwise */
};

/* One outage, as it is told. */
struct told {
    const char *host;
    const struct outage *outage;
    int64_t id;       /* 0: of several records each has its own */
    char *note;       /* owned; NULL: out of memory */
    json_t *seen;     /* owned; of several records what each says, else NULL */
    char *note_whole; /* owned; the note, and what was seen as text */
};

static void add_json(json_t *list, const struct told *told)
{
    const struct outage *o = told->outage;
    json_t *notes = json_array();
    if (told->note && told->note[0])
        (void)json_array_append_new(notes, json_string(told->note));
    json_t *to = o->open ? json_null() : json_integer(o->to);
    json_t *to_bounds =
        o->open ? json_null() : json_pack("[I, I]", (json_int_t)o->to_earliest, (json_int_t)o->to_latest);
    const char *cause = o->cause == CAUSE_NONE ? NULL : cause_token(o->cause);
    json_t *row = json_pack("{s:o, s:s, s:s, s:I, s:o, s:I, s:s?, s:{s:[I, I], s:o}, s:o}", "id",
                            told->id ? json_integer((json_int_t)told->id) : json_null(), "host", told->host, "state",
                            state_token(o->state), "from", (json_int_t)o->from, "to", to, "seconds",
                            (json_int_t)o->seconds, "cause", cause, "bounds", "from", (json_int_t)o->from_earliest,
                            (json_int_t)o->from_latest, "to", to_bounds, "notes", notes);
    if (told->seen)
        (void)json_object_set(row, "seen", told->seen);
    (void)json_array_append_new(list, row);
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
static void print_csv(const struct told *told)
{
    const struct outage *o = told->outage;
    int64_t ends[] = {o->to, o->to_earliest, o->to_latest};
    char from[3][TEXT_MAX], to[3][TEXT_MAX] = {"", "", ""};
    text_time_iso(from[0], o->from);
    text_time_iso(from[1], o->from_earliest);
    text_time_iso(from[2], o->from_latest);
    for (int i = 0; i < 3 && !o->open; i++)
        text_time_iso(to[i], ends[i]);
    if (told->id)
        (void)printf("%" PRId64, told->id);
    (void)printf(",%s,%s,%s,%s,%" PRId64 ",%s,%s,%s,%s,%s,", told->host, state_token(o->state), from[0], to[0],
                 o->seconds, cause_token(o->cause), from[1], from[2], to[1], to[2]);
    if (told->note_whole && told->note_whole[0])
        print_csv_text(told->note_whole);
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

static void add_row(struct table *table, const struct told *told)
{
    const struct outage *o = told->outage;
    char from[TEXT_MAX], to[TEXT_MAX];
    if (told->id)
        table_add(table, "%" PRId64, told->id);
    else
        table_add(table, "%s", "");
    table_add(table, "%s", told->host);
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
    table_add(table, "%s", told->note_whole ? told->note_whole : "");
}

static void tell_outage(struct output *output, const struct records *records, const struct records_host *host,
                        const struct records_view *view, const struct outage *outage)
{
    struct told told = {.host = host->name, .outage = outage, .note = outages_note(outage)};
    if (records->count == 1)
        told.id = log_reader_line_id(records->items[0].reader, host->in[0]->id, outage->number);
    else
        told.seen = outages_seen(records, host, view, outage);
    told.note_whole = outages_note_seen(told.note, told.seen);
    if (output->json)
        add_json(output->json, &told);
    else if (output->csv)
        print_csv(&told);
    else
        add_row(&output->table, &told);
    free(told.note);
    free(told.note_whole);
    json_decref(told.seen);
}

static int list_host(struct output *output, const struct records *records, const struct records_host *host,
                     const struct period *period, struct error *error)
{
    struct records_view view = {0};
    struct outage outage;
    size_t index = 0;
    if (records_view(records, host, &view, error))
        return -1;
    const struct merged *merged = &view.merged;
    while (outages_next(&merged->timeline, period->from, period->to, merged->limit, &index, &outage))
        tell_outage(output, records, host, &view, &outage);
    records_view_free(&view);
    return 0;
}

static int list_all(struct output *output, const struct records *records, const struct period *period,
                    struct error *error)
{
    if (output->csv)
        (void)puts("id,host,state,from,to,seconds,cause,from_earliest,from_latest,to_earliest,to_latest,notes");
    for (size_t i = 0; i < records->host_count; i++)
        if (list_host(output, records, &records->hosts[i], period, error)) {
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
    struct records records;
    struct output output = {0};
    const struct option_spec specs[] = {PERIOD_SPECS(typed), {"csv", 0, NULL, &output.csv}, {NULL, 0, NULL, NULL}};
    int code;
    if (!options_go_on(cli, specs, 0, SIZE_MAX, &code, error))
        return code;
    if (output.csv && cli->json)
        return cli_fail(error, CLI_USAGE, "give only one of --csv and --json");
    if (period_parse(&period, &typed, cli->now, error))
        return CLI_USAGE;
    if ((code = records_open(&records, cli, 0, error)) != CLI_OK)
        return code;
    if (cli->json)
        output.json = json_array();
    table_init(&output.table, headings, COLUMNS);
    code = list_all(&output, &records, &period, error);
    table_free(&output.table);
    records_close(&records);
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
    "Notes tell what somebody said about an outage with `twobeat outages relabel`.\n"
    "Of several records (--data repeated) these are the spans in which none of them says up, with what each saw and\n"
    "the id that it has there.\n",
    .run = run_outages,
    .merges = true,
};
