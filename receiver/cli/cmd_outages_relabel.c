/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_outages_relabel.c - `twobeat outages relabel`: what an outage counts as, said by a person.
 *
 * The log stays as it is; what is said is laid over it by whoever reads it. The running receiver is told; while it is
 * stopped, the record and its file are changed under its lock. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "receiver/cli/cli.h"
#include "receiver/cli/cmd_maintenance.h"
#include "receiver/cli/cmd_rebuild.h"
#include "receiver/cli/live.h"
#include "receiver/cli/options.h"
#include "receiver/cli/record.h"
#include "receiver/cli/record_writer.h"
#include "receiver/cli/text.h"

/* What was typed, and what the record knows of it. */
struct wish {
    int64_t id;
    enum state as;
    const char *reason;
    struct log_host host;
    uint32_t number;  /* the line that first told of the outage */
    enum state was;   /* until now */
    int64_t from, to; /* `to` means nothing if `goes_on` */
    bool goes_on;     /* this span has no end yet */
    bool to_end;      /* it holds for whatever follows before the host is up again */
    bool open;        /* ... which the host is not yet */
};

static int parse_wish(struct wish *wish, const struct cli *cli, const char *as, const char *reason, struct error *error)
{
    char *end;
    errno = 0;
    wish->id = strtoll(cli->args[0], &end, 10);
    if (errno || *end || end == cli->args[0] || wish->id < 1)
        return error_set(error, "\"%s\" is no id; `twobeat outages` shows them", cli->args[0]);
    int state = as ? state_find(as) : -1;
    if (state < 0 || state == STATE_LATE)
        return error_set(error, "--as %s: must be up, down, admin or unknown", as ? as : "is missing");
    if (!reason || strspn(reason, " ") == strlen(reason))
        return error_set(error, "--reason is missing or empty: say why, it is kept with the record");
    json_t *text = json_string(reason);
    if (!text)
        return error_set(error, "--reason: is not UTF-8 text");
    json_decref(text);
    wish->as = (enum state)state;
    wish->reason = reason;
    return maintenance_check_reason(reason, error);
}

/* Looks for the outage in the log, and for what this would mean to it. Returns an exit code. */
static int find_outage(struct wish *wish, struct timeline *log, const struct log_line *line, struct error *error)
{
    size_t index = SIZE_MAX;
    wish->number = timeline_first_number(log, line->number);
    for (size_t i = 0; i < log->count; i++)
        if (log->spans[i].first_number == wish->number && log->spans[i].told != STATE_UP)
            index = i;
    if (index == SIZE_MAX || line->is_up)
        return cli_fail(error, CLI_USAGE, "%" PRId64 " is no outage of %s: %s", wish->id, wish->host.name,
                        line->is_up ? "it tells that the host was up" : "the log has taken it back since");
    const struct timeline_span *span = &log->spans[index], *next = index + 1 < log->count ? span + 1 : NULL;
    wish->was = span->state;
    wish->from = span->from;
    wish->goes_on = !next;
    wish->to = next ? next->from : 0;
    char reason[] = "";
    struct timeline_relabel relabel = {.state = wish->as, .reason = reason};
    if (timeline_say(log, index, &relabel, &wish->open))
        return cli_fail(error, CLI_NO_RECORD, "out of memory");
    wish->to_end = relabel.to_end;
    return CLI_OK;
}

/* Returns an exit code. */
static int look_up(struct wish *wish, const struct record *record, struct error *error)
{
    struct log_line line;
    struct timeline log = {0};
    if (log_reader_find_line(record->reader, wish->id, &line, error))
        return CLI_NO_RECORD;
    size_t i = 0;
    while (i < record->count && record->hosts[i].id != line.host)
        i++;
    if (line.host == 0 || i == record->count)
        return cli_fail(error, CLI_USAGE, "no outage has the id %" PRId64 "; `twobeat outages` shows them", wish->id);
    wish->host = record->hosts[i];
    int code = log_reader_timeline(record->reader, line.host, &log, error) ? CLI_NO_RECORD
                                                                           : find_outage(wish, &log, &line, error);
    timeline_free(&log);
    return code;
}

/* ---- with the receiver running ---- */

static int relabel_live(struct cli *cli, struct wish *wish, struct error *error)
{
    struct record record;
    json_t *answer;
    int code = record_open(&record, cli, error);
    if (code != CLI_OK)
        return code;
    code = look_up(wish, &record, error);
    record_close(&record);
    if (code != CLI_OK)
        return code;
    json_t *more = json_pack("{s:[s], s:I, s:s, s:s, s:b, s:b, s:I, s:o}", "hosts", wish->host.name, "number",
                             (json_int_t)wish->number, "as", state_token(wish->as), "reason", wish->reason, "to_end",
                             wish->to_end, "open", wish->open, "from", (json_int_t)wish->from, "to",
                             wish->goes_on ? json_null() : json_integer(wish->to));
    if (!more)
        return cli_fail(error, CLI_USAGE, "--reason: is not UTF-8 text");
    enum live_result result = live_ask(cli, "relabel", more, LIVE_TIMEOUT_S, &answer, error);
    if (result == LIVE_STOPPED)
        return cli_fail(error, CLI_NO_RECORD, "the receiver has just stopped; try again");
    if (result == LIVE_OK)
        json_decref(answer);
    return result == LIVE_OK ? CLI_OK : CLI_NO_RECORD;
}

/* ---- with the receiver stopped ---- */

/* The position is that of the host's checkpoint: the receiver then writes the file once more when it runs, should this
 * program be killed before it does, and computes the months. */
static int insert(struct record_writer *writer, const struct wish *wish, int64_t now, struct error *error)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(
            writer->db,
            "INSERT INTO relabels (host, number, to_end, state, reason, entered, position, from_at, to_at)"
            " SELECT id, ?2, ?3, ?4, ?5, ?6, position, ?7, ?8 FROM hosts WHERE id = ?1",
            -1, &stmt, NULL) != SQLITE_OK)
        return record_writer_fail(writer, error);
    (void)sqlite3_bind_int64(stmt, 1, (sqlite3_int64)wish->host.id);
    (void)sqlite3_bind_int64(stmt, 2, (sqlite3_int64)wish->number);
    (void)sqlite3_bind_int(stmt, 3, wish->to_end);
    (void)sqlite3_bind_text(stmt, 4, state_token(wish->as), -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(stmt, 5, wish->reason, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(stmt, 6, now);
    (void)sqlite3_bind_int64(stmt, 7, wish->from);
    if (!wish->goes_on)
        (void)sqlite3_bind_int64(stmt, 8, wish->to);
    int rc = sqlite3_step(stmt) == SQLITE_DONE ? 0 : record_writer_fail(writer, error);
    (void)sqlite3_finalize(stmt);
    return rc;
}

/* The file follows at once, with what is committed by now. */
static int rewrite_file(struct cli *cli, const struct wish *wish, struct error *error)
{
    struct record record;
    char name[sizeof wish->host.name];
    char *names[] = {name};
    if (wish->host.written_to == 0)
        return CLI_OK; /* there is none yet */
    (void)snprintf(name, sizeof name, "%s", wish->host.name);
    cli->args = names;
    cli->arg_count = 1;
    int code = record_open(&record, cli, error);
    cli->arg_count = 0;
    if (code != CLI_OK)
        return code;
    json_t *rebuilt = json_array();
    code = rebuild_record(&record, cli, rebuilt, error) ? CLI_NO_RECORD : CLI_OK;
    json_decref(rebuilt);
    record_close(&record);
    return code;
}

static int relabel_stopped(struct cli *cli, struct wish *wish, struct error *error)
{
    struct record_writer writer;
    struct record record;
    if (record_writer_become_owner(cli->data, error) || record_writer_open(&writer, cli->data, error))
        return CLI_NO_RECORD;
    int code = record_open(&record, cli, error);
    if (code == CLI_OK) {
        code = look_up(wish, &record, error);
        record_close(&record);
    }
    if (code == CLI_OK && record_writer_commit(&writer, insert(&writer, wish, cli->now, error), error))
        code = CLI_NO_RECORD;
    if (code == CLI_OK)
        code = rewrite_file(cli, wish, error);
    record_writer_close(&writer);
    return code;
}

/* ---- the command ---- */

static int print_done(const struct cli *cli, const struct wish *wish, struct error *error)
{
    char from[TEXT_MAX], to[TEXT_MAX] = "now";
    if (cli->json)
        return cli_print_json(json_pack("{s:I, s:s, s:I, s:o, s:s, s:s, s:s}", "id", (json_int_t)wish->id, "host",
                                        wish->host.name, "from", (json_int_t)wish->from, "to",
                                        wish->goes_on ? json_null() : json_integer(wish->to), "was",
                                        state_token(wish->was), "state", state_token(wish->as), "reason", wish->reason),
                              error);
    text_time(from, wish->from);
    if (!wish->goes_on)
        text_time(to, wish->to);
    (void)printf("%s from %s to %s: %s -> %s%s\n", wish->host.name, from, to, state_token(wish->was),
                 state_token(wish->as), wish->goes_on ? ", until it is up again" : "");
    return CLI_OK;
}

static int run_relabel(struct cli *cli, struct error *error)
{
    const char *as = NULL, *reason = NULL;
    const struct option_spec specs[] = {{"as", 0, &as, NULL}, {"reason", 0, &reason, NULL}, {NULL, 0, NULL, NULL}};
    struct wish wish = {0};
    json_t *answer;
    int code;
    if (!options_go_on(cli, specs, 1, 1, &code, error))
        return code;
    if (parse_wish(&wish, cli, as, reason, error))
        return CLI_USAGE;
    cli->arg_count = 0; /* the argument is no host */
    /* No name is "-": only whether somebody answers is asked. */
    enum live_result running =
        live_ask(cli, "status", json_pack("{s:[s]}", "hosts", "-"), LIVE_TIMEOUT_S, &answer, error);
    if (running == LIVE_FAILED)
        return CLI_NO_RECORD;
    if (running == LIVE_OK)
        json_decref(answer);
    code = running == LIVE_OK ? relabel_live(cli, &wish, error) : relabel_stopped(cli, &wish, error);
    return code == CLI_OK ? print_done(cli, &wish, error) : code;
}

const struct command command_outages_relabel = {
    .name = "outages relabel",
    .arguments = "ID --as up|down|admin|unknown --reason TEXT",
    .summary = "says what an outage counts as",
    .help = "  --as STATE      what it counts as from now on\n"
            "  --reason TEXT   why; shown with the outage\n\n"
            "`twobeat outages` shows the ids. What was recorded stays: the outage is still listed, with its cause and "
            "what it\n"
            "was. Figures and files follow. To correct this, relabel the outage again. One that goes on keeps what is "
            "said\n"
            "until the host is up again.\n",
    .run = run_relabel,
};
