/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_check.c - `twobeat check`: one host for a monitoring system, by the convention of its plugins.
 *
 * Whatever goes wrong must reach the one line on standard output and exit 3: a plugin that fails silently looks like a
 * host that is well. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/metric.h"
#include "common/name.h"
#include "receiver/cli/cli.h"
#include "receiver/cli/options.h"
#include "receiver/cli/status_source.h"
#include "receiver/cli/text.h"
#include "receiver/judge/state.h"

#define CHECK_LINE_MAX 4096

enum check_exit { CHECK_OK = 0, CHECK_WARNING = 1, CHECK_CRITICAL = 2, CHECK_UNKNOWN = 3 };

static int exit_of_state(int state)
{
    switch (state) {
    case STATE_UP:
    case STATE_ADMIN: return CHECK_OK;
    case STATE_LATE: return CHECK_WARNING;
    case STATE_DOWN: return CHECK_CRITICAL;
    default: return CHECK_UNKNOWN;
    }
}

static const char *word_of_state(int state)
{
    switch (state) {
    case STATE_UP: return "UP";
    case STATE_ADMIN: return "ADMIN";
    case STATE_LATE: return "LATE";
    case STATE_DOWN: return "DOWN";
    default: return "UNKNOWN";
    }
}

/* Only units that the convention knows may follow a value. */
static const char *unit_of_metric(const char *unit)
{
    if (strcmp(unit, "%") == 0 || strcmp(unit, "s") == 0)
        return unit;
    return strcmp(unit, "bytes") == 0 ? "B" : "";
}

__attribute__((format(printf, 2, 3))) static void append(char line[CHECK_LINE_MAX], const char *format, ...)
{
    size_t used = strlen(line);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line + used, CHECK_LINE_MAX - used, format, args);
    va_end(args);
}

static void append_value(char line[CHECK_LINE_MAX], const char *name, double value, const char *unit)
{
    if (!isnan(value))
        append(line, " %s=%.10g%s", name, value, unit);
}

static void append_perfdata(char line[CHECK_LINE_MAX], const json_t *host, double now)
{
    const json_t *metrics = json_object_get(host, "metrics");
    append(line, " |");
    append_value(line, "age", now - status_number(host, "last_heard", NAN), "s");
    append_value(line, "interval", status_number(host, "interval", NAN), "s");
    append_value(line, "margin", status_number(host, "margin", NAN), "s");
    append_value(line, "loss", 100 * status_number(host, "loss", NAN), "%");
    for (int i = 0; i < METRIC_COUNT; i++)
        append_value(line, metric_catalogue[i].name, status_number(metrics, metric_catalogue[i].name, NAN),
                     unit_of_metric(metric_catalogue[i].unit));
}

static int describe_host(char line[CHECK_LINE_MAX], const json_t *status, const json_t *host)
{
    char when[TEXT_MAX], length[TEXT_MAX];
    double updated = status_number(status, "updated", 0);
    int state = state_find(status_text(host, "state"));
    int cause = cause_find(status_text(host, "cause"));
    double since = status_number(host, "since", NAN);
    append(line, "TWOBEAT %s - %s %s", word_of_state(state), status_text(host, "host"), status_text(host, "state"));
    if (!isnan(since)) {
        text_time(when, (int64_t)floor(since));
        text_length(length, (int64_t)floor(updated) - (int64_t)floor(since));
        append(line, " since %s (%s)", when, length);
    }
    if (cause > CAUSE_NONE)
        append(line, ", %s", cause_text((enum cause)cause));
    append_perfdata(line, host, updated);
    return exit_of_state(state);
}

static int check_host(struct cli *cli, char line[CHECK_LINE_MAX], struct error *error)
{
    char when[TEXT_MAX];
    json_t *status;
    const char *name = cli->args[0];
    /* A glob would make one line of several hosts. */
    if (!name_is_valid(name, strlen(name)))
        return cli_fail(error, CHECK_UNKNOWN, "\"%s\" is not the name of a host", name);
    if (status_fetch(cli, &status, error) != CLI_OK)
        return CHECK_UNKNOWN;
    int code = CHECK_UNKNOWN;
    int64_t stopped;
    bool is_stopped = status_is_stopped(status, &stopped);
    text_time(when, stopped);
    if (is_stopped)
        (void)cli_fail(error, CHECK_UNKNOWN, "%s stopped%s%s",
                       cli->data_count > 1 ? "all receivers are" : "the receiver is", stopped ? " since " : "",
                       stopped ? when : "");
    else
        code = describe_host(line, status, json_array_get(json_object_get(status, "hosts"), 0));
    json_decref(status);
    return code;
}

static int run_check(struct cli *cli, struct error *error)
{
    char line[CHECK_LINE_MAX] = "";
    int code;
    if (options_go_on(cli, NULL, 1, 1, &code, error))
        code = check_host(cli, line, error);
    else if (code == CLI_OK)
        return CLI_OK; /* the help was asked for */
    if (error->text[0]) {
        for (char *c = error->text; *c; c++)
            if (*c == '|')
                *c = '/'; /* it would begin the perfdata */
        line[0] = '\0';
        append(line, "TWOBEAT UNKNOWN - %s", error->text);
        error->text[0] = '\0';
        code = CHECK_UNKNOWN;
    }
    if (cli->json) {
        int printed = cli_print_json(json_pack("{s:i, s:s}", "code", code, "text", line), error);
        return printed == CLI_OK ? code : CHECK_UNKNOWN;
    }
    return puts(line) == EOF ? CHECK_UNKNOWN : code;
}

const struct command command_check = {
    .name = "check",
    .arguments = "HOST",
    .summary = "one line on a host, for a monitoring system that calls plugins",
    .help = "Exit: 0 up or admin (planned), 1 late, 2 down, 3 unknown, and for any error.\n"
            "After the bar come the age of the last heartbeat, interval, margin, loss and the metrics.\n",
    .run = run_check,
    .merges = true,
};
