/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status_source.c - see status_source.h. */
#include "receiver/cli/status_source.h"

#include "receiver/cli/live.h"
#include "receiver/cli/record.h"

/* The state that the log ends with. What only a running receiver knows is null. */
static int add_recorded_host(json_t *hosts, struct record *record, const struct log_host *host, struct error *error)
{
    struct timeline timeline = {0};
    int rc = log_reader_timeline(record->reader, host->id, &timeline, error);
    if (rc == 0) {
        const struct timeline_span *last = timeline.count ? &timeline.spans[timeline.count - 1] : NULL;
        enum state state = last ? last->state : STATE_UNKNOWN;
        const char *cause = last && last->cause != CAUSE_NONE ? cause_token(last->cause) : NULL;
        int64_t since = last ? last->from : 0;
        if (host->forgotten && (!last || (last->cause != CAUSE_FORGOTTEN &&
                                          last->cause != CAUSE_MOVED))) { /* just now, while the receiver is stopped */
            state = STATE_UNKNOWN;
            cause = cause_token(CAUSE_FORGOTTEN);
            since = record->run.alive;
        }
        rc = json_array_append_new(hosts, json_pack("{s:s, s:s, s:s?, s:o, s:n, s:n, s:n, s:n, s:n, s:{}}", "host",
                                                    host->name, "state", state_token(state), "cause", cause, "since",
                                                    since ? json_integer(since) : json_null(), "last_heard",
                                                    "next_expected", "interval", "margin", "loss", "metrics"));
        if (rc != 0)
            (void)error_set(error, "out of memory");
    }
    timeline_free(&timeline);
    return rc;
}

static int fetch_recorded(const struct cli *cli, json_t **status, struct error *error)
{
    struct record record;
    int code = record_open(&record, cli, error);
    if (code != CLI_OK)
        return code;
    record_leave_out_forgotten(&record, cli);
    json_t *hosts = json_array();
    for (size_t i = 0; i < record.count && code == CLI_OK; i++)
        if (add_recorded_host(hosts, &record, &record.hosts[i], error))
            code = CLI_NO_RECORD;
    *status = json_pack("{s:I, s:o, s:{s:n, s:I, s:I, s:b}}", "updated", (json_int_t)record.run.alive, "hosts", hosts,
                        "receiver", "name", "started", (json_int_t)record.run.started, "stopped",
                        (json_int_t)record.run.alive, "clean", record.run.clean);
    record_close(&record);
    if (code != CLI_OK) {
        json_decref(*status);
        *status = NULL;
    }
    return code;
}

int status_fetch(const struct cli *cli, json_t **status, struct error *error)
{
    *status = NULL;
    enum live_result result = live_ask(cli, "status", NULL, LIVE_TIMEOUT_S, status, error);
    if (result == LIVE_STOPPED)
        return fetch_recorded(cli, status, error);
    if (result == LIVE_FAILED)
        return CLI_NO_RECORD;
    const json_t *hosts = json_object_get(*status, "hosts");
    const char *pattern = cli_unmatched(cli, hosts, json_array_size(hosts), live_host_name);
    if (pattern) {
        json_decref(*status);
        *status = NULL;
        return cli_fail_unmatched(error, pattern);
    }
    (void)json_object_del(*status, "ok");
    return CLI_OK;
}

int64_t status_stopped(const json_t *status)
{
    return (int64_t)json_integer_value(json_object_get(json_object_get(status, "receiver"), "stopped"));
}

double status_number(const json_t *object, const char *member, double otherwise)
{
    const json_t *value = json_object_get(object, member);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

const char *status_text(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "";
}
