/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_host_forget.c - `twobeat host forget`: a host that is no longer there is no alarm, and no part of an average.
 *
 * The running receiver is told. While it is stopped, the wish is entered into the record, and the receiver does it at its
 * start: it alone knows what it expects of a host. */
#include <stdio.h>
#include <string.h>

#include "common/name.h"
#include "receiver/cli/cli.h"
#include "receiver/cli/live.h"
#include "receiver/cli/options.h"
#include "receiver/cli/record.h"
#include "receiver/cli/record_writer.h"
#include "receiver/cli/text.h"

static int mark(struct record_writer *writer, const char *name, struct error *error)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(writer->db, "UPDATE hosts SET to_forget = 1 WHERE name = ?", -1, &stmt, NULL) != SQLITE_OK)
        return record_writer_fail(writer, error);
    (void)sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    int rc = sqlite3_step(stmt) == SQLITE_DONE ? 0 : record_writer_fail(writer, error);
    (void)sqlite3_finalize(stmt);
    return rc;
}

static int forget_stopped(struct cli *cli, json_t **answer, struct error *error)
{
    struct record_writer writer;
    struct record record;
    if (record_writer_become_owner(cli->data, error))
        return CLI_NO_RECORD;
    int code = record_open(&record, cli, error);
    if (code != CLI_OK)
        return code;
    *answer =
        json_pack("{s:s, s:I, s:n}", "forgotten", record.hosts[0].name, "at", (json_int_t)record.run.alive, "heard");
    record_close(&record);
    if (record_writer_open(&writer, cli->data, error))
        return CLI_NO_RECORD;
    return record_writer_finish(&writer, mark(&writer, cli->args[0], error), error) ? CLI_NO_RECORD : CLI_OK;
}

/* Finds the host, and asks. On LIVE_OK the answer belongs to the caller. */
static int forget_live(struct cli *cli, bool *stopped, json_t **answer, struct error *error)
{
    int code = live_check_hosts(cli, stopped, error);
    if (code != CLI_OK || *stopped)
        return code;
    if (live_ask(cli, "forget", NULL, LIVE_TIMEOUT_S, answer, error) == LIVE_OK)
        return CLI_OK;
    return error->text[0] ? CLI_NO_RECORD : cli_fail(error, CLI_NO_RECORD, "the receiver has just stopped; try again");
}

static int print_forgotten(const struct cli *cli, const json_t *answer, bool stopped, struct error *error)
{
    char at[TEXT_MAX];
    const char *name = json_string_value(json_object_get(answer, "forgotten"));
    json_t *heard = json_object_get(answer, "heard");
    int64_t second = (int64_t)json_integer_value(json_object_get(answer, "at"));
    if (cli->json)
        return cli_print_json(json_pack("{s:s, s:I, s:O}", "forgotten", name, "at", (json_int_t)second, "heard", heard),
                              error);
    text_time(at, second);
    (void)printf("%s is forgotten from %s on\n", name, at);
    if (stopped)
        (void)printf("The receiver is stopped, since then; it forgets %s when it starts.\n", name);
    else if (json_is_true(heard))
        (void)printf(
            "It is still heard: its next heartbeat opens its record again. Stop its agent, or revoke its key.\n");
    return CLI_OK;
}

static int run_forget(struct cli *cli, struct error *error)
{
    int code;
    bool stopped = false;
    json_t *answer = NULL;
    if (!options_go_on(cli, NULL, 1, 1, &code, error))
        return code;
    if (!name_is_valid(cli->args[0], strlen(cli->args[0])))
        return cli_fail(error, CLI_USAGE, "\"%s\" is not the name of a host", cli->args[0]);
    code = forget_live(cli, &stopped, &answer, error);
    if (code == CLI_OK && stopped)
        code = forget_stopped(cli, &answer, error);
    if (code == CLI_OK)
        code = print_forgotten(cli, answer, stopped, error);
    json_decref(answer);
    return code;
}

const struct command command_host_forget = {
    .name = "host forget",
    .arguments = "HOST",
    .summary = "takes a host out of alarms and averages, and keeps its record",
    .help = "Its record is closed at this instant, as unknown. It is shown only where it is named. Its next heartbeat\n"
            "opens the record again: stop its agent before.\n",
    .run = run_forget,
};
