/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status_source.c - see status_source.h. */
#include "receiver/cli/status_source.h"

#include "receiver/cli/live.h"
#include "receiver/cli/record.h"
#include "receiver/cli/status_merge.h"

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
    int code = record_open_all(&record, cli->data, error);
    if (code == CLI_OK && !record.reader)
        code = record_fail_files_only(cli->data, error);
    json_t *hosts = json_array();
    for (size_t i = 0; code == CLI_OK && i < record.count; i++) {
        const struct log_host *host = &record.hosts[i];
        bool meant = cli_wants_host(cli, host->name) && (!host->forgotten || cli_names_host(cli, host->name));
        if (meant && add_recorded_host(hosts, &record, host, error))
            code = CLI_NO_RECORD;
    }
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

/* What one record, or its receiver, tells. */
static int fetch_one(const struct cli *cli, json_t **status, struct error *error)
{
    enum live_result result = live_ask(cli, "status", NULL, LIVE_TIMEOUT_S, status, error);
    if (result == LIVE_STOPPED)
        return fetch_recorded(cli, status, error);
    if (result == LIVE_FAILED)
        return CLI_NO_RECORD;
    (void)json_object_del(*status, "ok");
    return CLI_OK;
}

static int fetch_all(const struct cli *cli, json_t *statuses[], struct error *error)
{
    int code = CLI_OK;
    for (size_t i = 0; i < cli->data_count && code == CLI_OK; i++) {
        struct cli one = *cli;
        one.data = cli->all_data[i];
        code = fetch_one(&one, &statuses[i], error);
    }
    return code;
}

int status_fetch(const struct cli *cli, json_t **status, struct error *error)
{
    json_t *statuses[CLI_DATA_MAX] = {NULL};
    *status = NULL;
    int code = fetch_all(cli, statuses, error);
    if (code == CLI_OK) {
        *status =
            cli->data_count == 1 ? json_incref(statuses[0]) : status_merge(cli->all_data, statuses, cli->data_count);
        const json_t *hosts = json_object_get(*status, "hosts");
        const char *pattern = cli_unmatched(cli, hosts, json_array_size(hosts), live_host_name);
        if (!*status)
            code = cli_fail(error, CLI_NO_RECORD, "out of memory");
        else if (pattern)
            code = cli_fail_unmatched(error, pattern);
    }
    for (size_t i = 0; i < cli->data_count; i++)
        json_decref(statuses[i]);
    if (code != CLI_OK) {
        json_decref(*status);
        *status = NULL;
    }
    return code;
}

bool status_is_stopped(const json_t *status, int64_t *since)
{
    const json_t *several = json_object_get(status, "receivers"), *receiver;
    size_t index;
    bool runs = false;
    *since = 0;
    if (!several) {
        const json_t *stopped = json_object_get(json_object_get(status, "receiver"), "stopped");
        *since = (int64_t)json_integer_value(stopped);
        return stopped != NULL;
    }
    json_array_foreach(several, index, receiver)
    {
        int64_t stopped = (int64_t)json_integer_value(json_object_get(receiver, "stopped"));
        runs |= json_object_get(receiver, "stopped") == NULL;
        *since = stopped > *since ? stopped : *since;
    }
    return !runs;
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
