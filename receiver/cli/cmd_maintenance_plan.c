/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_maintenance_plan.c - `twobeat maintenance plan`, `list` and `cancel`.
 *
 * What is planned lies ahead: nothing that was recorded is changed by a plan, nor by taking it back. The list is read from
 * the record, since the receiver answers a change only when it is stored there. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "receiver/cli/cli.h"
#include "receiver/cli/cmd_maintenance.h"
#include "receiver/cli/live.h"
#include "receiver/cli/maintenance_record.h"
#include "receiver/cli/options.h"
#include "receiver/cli/period.h"
#include "receiver/cli/record.h"
#include "receiver/cli/record_writer.h"
#include "receiver/cli/table.h"
#include "receiver/cli/text.h"

/* ---- plan ---- */

static int parse_plan(struct period *plan, const struct cli *cli, const char *from, const char *to, struct error *error)
{
    if (!from || !to)
        return error_set(error, "planned maintenance needs --from and --to; `twobeat maintenance start` begins now");
    if (period_parse_time(&plan->from, from, error) || period_parse_time(&plan->to, to, error))
        return -1;
    if (plan->from < cli->now)
        return error_set(error, "--from %s: lies in the past; what was recorded is not changed by maintenance", from);
    if (plan->to <= plan->from)
        return error_set(error, "--to %s: does not lie after --from %s", to, from);
    if (plan->to > cli->now + MAINTENANCE_AHEAD_MAX_S)
        return error_set(error, "--to %s: lies more than ten years ahead", to);
    return 0;
}

static int print_planned(const struct cli *cli, json_t *ids, const struct period *plan, struct error *error)
{
    char from[TEXT_MAX], to[TEXT_MAX];
    if (cli->json)
        return cli_print_json(
            json_pack("{s:O, s:I, s:I}", "ids", ids, "from", (json_int_t)plan->from, "to", (json_int_t)plan->to),
            error);
    text_time(from, plan->from);
    text_time(to, plan->to);
    for (size_t i = 0; i < json_array_size(ids); i++)
        (void)printf("maintenance %" JSON_INTEGER_FORMAT " from %s until %s\n",
                     json_integer_value(json_array_get(ids, i)), from, to);
    return CLI_OK;
}

static int plan_live(const struct cli *cli, const struct period *plan, const char *reason, struct error *error)
{
    json_t *answer;
    json_t *more =
        json_pack("{s:I, s:I, s:s}", "from", (json_int_t)plan->from, "to", (json_int_t)plan->to, "reason", reason);
    if (!more)
        return cli_fail(error, CLI_USAGE, "--reason: is not UTF-8 text");
    enum live_result result = live_ask(cli, "maintenance_plan", more, LIVE_TIMEOUT_S, &answer, error);
    if (result != LIVE_OK)
        return result == LIVE_STOPPED ? cli_fail(error, CLI_NO_RECORD, "the receiver has just stopped; try again")
                                      : CLI_NO_RECORD;
    int code = print_planned(cli, json_object_get(answer, "ids"), plan, error);
    json_decref(answer);
    return code;
}

static int run_plan(struct cli *cli, struct error *error)
{
    const char *from = NULL, *to = NULL, *reason = "";
    const struct option_spec specs[] = {
        {"from", 0, &from, NULL}, {"to", 0, &to, NULL}, {"reason", 0, &reason, NULL}, {NULL, 0, NULL, NULL}};
    int code;
    struct period plan;
    bool stopped;
    if (!options_go_on(cli, specs, 1, SIZE_MAX, &code, error))
        return code;
    if (parse_plan(&plan, cli, from, to, error) || maintenance_check_reason(reason, error))
        return CLI_USAGE;
    if ((code = change_check_hosts(cli, &stopped, error)) != CLI_OK)
        return code;
    if (!stopped)
        return plan_live(cli, &plan, reason, error);
    json_t *ids = json_array();
    code = maintenance_record_add(cli, plan.from, plan.to, reason, ids, error) ? CLI_NO_RECORD
                                                                               : print_planned(cli, ids, &plan, error);
    json_decref(ids);
    return code;
}

const struct command command_maintenance_plan = {
    .name = "maintenance plan",
    .arguments = "HOST|GLOB... --from T --to T [--reason TEXT]",
    .summary = "in a time to come, silence of these hosts is planned",
    .help = "  --from T        its begin, in the future: Unix seconds, YYYY-MM-DD[ HH:MM[:SS]] or ISO 8601\n"
            "  --to T          its end\n"
            "  --reason TEXT   kept with the record\n\n"
            "A pattern also covers hosts that are heard for the first time later.\n",
    .run = run_plan,
};

/* ---- list ---- */

/* One that was cancelled before it began has no length, and is over. */
static const char *state_of(const struct log_window *window, int64_t now)
{
    if (window->to && (window->to <= window->from || window->to <= now))
        return "over";
    return window->from > now ? "planned" : "running";
}

static int list_json(const struct cli *cli, const struct log_window *windows, size_t count, struct error *error)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct log_window *w = &windows[i];
        (void)json_array_append_new(
            rows, json_pack("{s:I, s:s, s:I, s:o, s:s, s:s, s:s?}", "id", (json_int_t)w->id, "pattern", w->pattern,
                            "from", (json_int_t)w->from, "to", w->to ? json_integer(w->to) : json_null(), "reason",
                            w->reason, "state", state_of(w, cli->now), "origin", *w->origin ? w->origin : NULL));
    }
    return cli_print_json(json_pack("{s:o}", "maintenance", rows), error);
}

static int list_text(const struct cli *cli, const struct log_window *windows, size_t count, struct error *error)
{
    static const char *const headings[] = {">ID", "STATE", "HOSTS", "FROM", "TO", "REASON"};
    struct table table;
    table_init(&table, headings, sizeof headings / sizeof *headings);
    for (size_t i = 0; i < count; i++) {
        table_add(&table, "%" PRId64, windows[i].id);
        table_add(&table, "%s", state_of(&windows[i], cli->now));
        table_add(&table, "%s", windows[i].pattern);
        table_add_time(&table, windows[i].from);
        if (windows[i].to)
            table_add_time(&table, windows[i].to);
        else
            table_add(&table, "%s", "");
        if (*windows[i].origin)
            table_add(&table, "from %s%s%s", windows[i].origin, *windows[i].reason ? ": " : "", windows[i].reason);
        else
            table_add(&table, "%s", windows[i].reason);
    }
    int rc = table_print(&table);
    table_free(&table);
    return rc == 0 ? CLI_OK : cli_fail(error, CLI_NO_RECORD, "standard output: cannot write: %s", strerror(errno));
}

static int run_list(struct cli *cli, struct error *error)
{
    bool all = false;
    const struct option_spec specs[] = {{"all", 0, NULL, &all}, {NULL, 0, NULL, NULL}};
    struct record record;
    struct log_window *windows = NULL;
    size_t count = 0, kept = 0;
    int code;
    if (!options_go_on(cli, specs, 0, 0, &code, error))
        return code;
    if ((code = record_open(&record, cli, error)) != CLI_OK)
        return code;
    if (log_reader_windows(record.reader, &windows, &count, error))
        code = CLI_NO_RECORD;
    record_close(&record);
    for (size_t i = 0; i < count; i++) {
        if (all || strcmp(state_of(&windows[i], cli->now), "over") != 0)
            windows[kept++] = windows[i];
        else
            log_window_free(&windows[i]);
    }
    if (code == CLI_OK)
        code = cli->json ? list_json(cli, windows, kept, error) : list_text(cli, windows, kept, error);
    for (size_t i = 0; i < kept; i++)
        log_window_free(&windows[i]);
    free(windows);
    return code;
}

const struct command command_maintenance_list = {
    .name = "maintenance list",
    .arguments = "[--all]",
    .summary = "planned time that runs or is to come",
    .help = "  --all   also what is over or was cancelled\n",
    .run = run_list,
};

/* ---- cancel ---- */

static int cancel_live(struct cli *cli, int64_t id, bool *stopped, struct error *error)
{
    json_t *answer;
    cli->arg_count = 0; /* the argument is no host */
    enum live_result result =
        live_ask(cli, "maintenance_cancel", json_pack("{s:I}", "id", (json_int_t)id), LIVE_TIMEOUT_S, &answer, error);
    *stopped = result == LIVE_STOPPED;
    if (result == LIVE_OK)
        json_decref(answer);
    return result == LIVE_FAILED ? CLI_NO_RECORD : CLI_OK;
}

static int run_cancel(struct cli *cli, struct error *error)
{
    int code;
    bool stopped;
    if (!options_go_on(cli, NULL, 1, 1, &code, error))
        return code;
    char *end;
    errno = 0;
    int64_t id = strtoll(cli->args[0], &end, 10);
    if (errno || *end || end == cli->args[0] || id < 1)
        return cli_fail(error, CLI_USAGE, "\"%s\" is no id; `twobeat maintenance list` shows them", cli->args[0]);
    if ((code = cancel_live(cli, id, &stopped, error)) != CLI_OK)
        return code;
    if (stopped) {
        if (record_writer_become_owner(cli->data, error))
            return CLI_NO_RECORD;
        if ((code = maintenance_record_cancel(cli, id, error)) != CLI_OK)
            return code;
    }
    if (cli->json)
        return cli_print_json(json_pack("{s:I}", "cancelled", (json_int_t)id), error);
    (void)printf("maintenance %" PRId64 " cancelled\n", id);
    return CLI_OK;
}

const struct command command_maintenance_cancel = {
    .name = "maintenance cancel",
    .arguments = "ID",
    .summary = "takes planned time back, or ends it now if it runs",
    .help = "`twobeat maintenance list` shows the ids. What is over cannot be cancelled.\n",
    .run = run_cancel,
};
