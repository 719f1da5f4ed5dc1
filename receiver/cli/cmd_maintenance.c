/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_maintenance.c - `twobeat maintenance start` and `end`; planning ahead is in cmd_maintenance_plan.c.
 *
 * The running receiver is told; while it is stopped, the record itself is changed under its lock. */
#include <inttypes.h>
#include <stdio.h>

#include "common/settings.h"
#include "common/time.h"
#include "receiver/cli/cli.h"
#include "receiver/cli/cmd_maintenance.h"
#include "receiver/cli/live.h"
#include "receiver/cli/maintenance_record.h"
#include "receiver/cli/options.h"
#include "receiver/cli/period.h"
#include "receiver/cli/record.h"
#include "receiver/cli/record_writer.h"
#include "receiver/cli/text.h"

#define REASON_MAX 500

int change_check_hosts(const struct cli *cli, bool *stopped, struct error *error)
{
    struct record record;
    int code = live_check_hosts(cli, stopped, error);
    if (code != CLI_OK || !*stopped)
        return code;
    if (record_writer_become_owner(cli->data, error))
        return CLI_NO_RECORD;
    code = record_open(&record, cli, error);
    if (code == CLI_OK)
        record_close(&record);
    return code;
}

/* The end that was typed, 0 for none. */
static int parse_until(int64_t *until, const struct cli *cli, const char *duration, const char *time,
                       struct error *error)
{
    int64_t ns;
    *until = 0;
    if (duration && time)
        return error_set(error, "give only one of --for and --until");
    if (duration) {
        if (duration_parse(&ns, duration) || ns < NS_PER_S)
            return error_set(error, "--for %s: must be a number and a unit, as 90s, 30m, 2h or 7d", duration);
        *until = cli->now + ns / NS_PER_S;
    } else if (time) {
        if (period_parse_time(until, time, error))
            return -1;
        if (*until <= cli->now)
            return error_set(error, "--until %s: lies in the past", time);
    }
    return 0;
}

int maintenance_check_reason(const char *reason, struct error *error)
{
    size_t len = 0;
    for (; reason[len]; len++)
        if ((unsigned char)reason[len] < ' ' || len >= REASON_MAX)
            return error_set(error, "--reason: must be one line of at most %d bytes", REASON_MAX);
    return 0;
}

static int print_started(const struct cli *cli, json_t *ids, int64_t from, int64_t until, struct error *error)
{
    char since[TEXT_MAX], end[TEXT_MAX];
    if (cli->json)
        return cli_print_json(json_pack("{s:O, s:I, s:o}", "ids", ids, "from", (json_int_t)from, "until",
                                        until ? json_integer(until) : json_null()),
                              error);
    text_time(since, from);
    text_time(end, until);
    for (size_t i = 0; i < json_array_size(ids); i++)
        (void)printf("maintenance %" JSON_INTEGER_FORMAT " from %s %s%s\n", json_integer_value(json_array_get(ids, i)),
                     since, until ? "until " : "until it is ended", until ? end : "");
    return CLI_OK;
}

static int start_live(const struct cli *cli, int64_t until, const char *reason, struct error *error)
{
    json_t *answer;
    json_t *more = json_pack("{s:o, s:s}", "until", until ? json_integer(until) : json_null(), "reason", reason);
    if (!more)
        return cli_fail(error, CLI_USAGE, "--reason: is not UTF-8 text");
    enum live_result result = live_ask(cli, "maintenance_start", more, LIVE_TIMEOUT_S, &answer, error);
    if (result != LIVE_OK)
        return result == LIVE_STOPPED ? cli_fail(error, CLI_NO_RECORD, "the receiver has just stopped; try again")
                                      : CLI_NO_RECORD;
    int64_t from = (int64_t)json_integer_value(json_object_get(answer, "from"));
    int code = print_started(cli, json_object_get(answer, "ids"), from ? from : cli->now, until, error);
    json_decref(answer);
    return code;
}

static int run_start(struct cli *cli, struct error *error)
{
    const char *duration = NULL, *time = NULL, *reason = "";
    const struct option_spec specs[] = {
        {"for", 0, &duration, NULL}, {"until", 0, &time, NULL}, {"reason", 0, &reason, NULL}, {NULL, 0, NULL, NULL}};
    int code;
    int64_t until;
    bool stopped;
    if (!options_go_on(cli, specs, 1, SIZE_MAX, &code, error))
        return code;
    if (parse_until(&until, cli, duration, time, error) || maintenance_check_reason(reason, error))
        return CLI_USAGE;
    if ((code = change_check_hosts(cli, &stopped, error)) != CLI_OK)
        return code;
    if (!stopped)
        return start_live(cli, until, reason, error);
    json_t *ids = json_array();
    code = maintenance_record_add(cli, cli->now, until, reason, ids, error)
               ? CLI_NO_RECORD
               : print_started(cli, ids, cli->now, until, error);
    json_decref(ids);
    return code;
}

static int print_ended(const struct cli *cli, json_t *ended, struct error *error)
{
    if (json_array_size(ended) == 0)
        return cli_fail(error, CLI_USAGE, "no maintenance of \"%s\" is running; name it as it was started",
                        cli->args[0]);
    if (cli->json)
        return cli_print_json(json_pack("{s:O}", "ended", ended), error);
    for (size_t i = 0; i < json_array_size(ended); i++)
        (void)printf("maintenance %" JSON_INTEGER_FORMAT " ended\n", json_integer_value(json_array_get(ended, i)));
    return CLI_OK;
}

static int run_end(struct cli *cli, struct error *error)
{
    int code;
    bool stopped;
    json_t *answer = NULL;
    if (!options_go_on(cli, NULL, 1, SIZE_MAX, &code, error))
        return code;
    if ((code = change_check_hosts(cli, &stopped, error)) != CLI_OK)
        return code;
    if (stopped) {
        answer = json_pack("{s:[]}", "ended");
        if (maintenance_record_end(cli, json_object_get(answer, "ended"), error))
            code = CLI_NO_RECORD;
    } else if (live_ask(cli, "maintenance_end", NULL, LIVE_TIMEOUT_S, &answer, error) != LIVE_OK) {
        return error->text[0] ? CLI_NO_RECORD
                              : cli_fail(error, CLI_NO_RECORD, "the receiver has just stopped; try again");
    }
    if (code == CLI_OK)
        code = print_ended(cli, json_object_get(answer, "ended"), error);
    json_decref(answer);
    return code;
}

const struct command command_maintenance_start = {
    .name = "maintenance start",
    .arguments = "HOST|GLOB... [--for 2h | --until T] [--reason TEXT]",
    .summary = "from now on, silence of these hosts is planned",
    .help = "  --for LENGTH    ends by itself after 90s, 30m, 2h, 7d, ...\n"
            "  --until T       ends by itself at T: Unix seconds, YYYY-MM-DD[ HH:MM[:SS]] or ISO 8601\n"
            "  --reason TEXT   kept with the record\n\n"
            "Without an end it lasts until `twobeat maintenance end`. Planned time is outside the uptime figure.\n"
            "A pattern also covers hosts that are heard for the first time later.\n",
    .run = run_start,
};

const struct command command_maintenance_end = {
    .name = "maintenance end",
    .arguments = "HOST|GLOB...",
    .summary = "ends the planned time of these hosts",
    .help = "Name the hosts as they were named at the start: web1 does not end what was started for \"web*\".\n",
    .run = run_end,
};
