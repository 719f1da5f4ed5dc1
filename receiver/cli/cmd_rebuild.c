/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_rebuild.c - `twobeat rebuild`: makes state.rrd anew from the log.
 *
 * The running receiver is the only writer of its files, so it does it; while it is stopped, this program does, under its
 * lock. The old file stays as state.rrd.bak either way. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "receiver/cli/cli.h"
#include "receiver/cli/cmd_maintenance.h"
#include "receiver/cli/cmd_rebuild.h"
#include "receiver/cli/live.h"
#include "receiver/cli/options.h"
#include "receiver/cli/record.h"
#include "receiver/record/record_lock.h"
#include "receiver/record/rrd_store.h"

/* A file is made up to where the receiver had written it: what comes after may not be settled. Where that is not known, up to
 * the receiver's last sign of life. */
static int rebuild_host(const struct record *record, const struct log_host *host, struct rrd_store *store,
                        json_t *rebuilt, struct error *error)
{
    struct timeline log = {0};
    int64_t to = host->written_to ? host->written_to : record->run.alive;
    /* A renaming that a kill has left half done. */
    int rc = host->moved_from[0] ? rrd_store_move(store, host->moved_from, host->name, error) : 0;
    if (rc == 0)
        rc = log_reader_timeline(record->reader, host->id, &log, error);
    if (rc == 0 && log.count > 0 && log.spans[0].from < to) {
        rc = rrd_store_rebuild_state(store, host->name, &log, to, error);
        if (rc == 0)
            (void)json_array_append_new(rebuilt, json_string(host->name));
    }
    timeline_free(&log);
    return rc;
}

int rebuild_record(const struct record *record, const struct cli *cli, json_t *rebuilt, struct error *error)
{
    char *folder = NULL;
    struct rrd_store *store = NULL;
    if (asprintf(&folder, "%s/hosts", cli->data) >= 0) {
        store = rrd_store_create(folder);
        free(folder);
    }
    if (!store)
        return error_set(error, "out of memory");
    int rc = 0;
    for (size_t i = 0; i < record->count && rc == 0; i++)
        rc = rebuild_host(record, &record->hosts[i], store, rebuilt, error);
    rrd_store_destroy(store);
    return rc;
}

/* With the lock held, so that no receiver starts meanwhile. */
static int rebuild_stopped(const struct cli *cli, json_t *rebuilt, struct error *error)
{
    struct record record;
    int lock = record_lock_take(cli->data, error);
    if (lock < 0)
        return CLI_NO_RECORD;
    int code = record_open(&record, cli, error);
    if (code == CLI_OK) {
        code = rebuild_record(&record, cli, rebuilt, error) ? CLI_NO_RECORD : CLI_OK;
        record_close(&record);
    }
    (void)close(lock);
    return code;
}

static int print_rebuilt(const struct cli *cli, json_t *rebuilt, struct error *error)
{
    if (cli->json)
        return cli_print_json(json_pack("{s:O}", "rebuilt", rebuilt), error);
    for (size_t i = 0; i < json_array_size(rebuilt); i++)
        (void)printf("%s: state.rrd is made anew from the log\n", json_string_value(json_array_get(rebuilt, i)));
    return CLI_OK;
}

static int run_rebuild(struct cli *cli, struct error *error)
{
    int code;
    bool stopped;
    json_t *answer = NULL;
    if (!options_go_on(cli, NULL, 1, SIZE_MAX, &code, error))
        return code;
    if ((code = change_check_hosts(cli, &stopped, error)) != CLI_OK)
        return code;
    if (stopped) {
        answer = json_pack("{s:[]}", "rebuilt");
        code = rebuild_stopped(cli, json_object_get(answer, "rebuilt"), error);
    } else {
        /* The files of a large fleet may take minutes, so there is no time limit. */
        enum live_result result = live_ask(cli, "rebuild", NULL, 0, &answer, error);
        if (result == LIVE_STOPPED)
            return cli_fail(error, CLI_NO_RECORD, "the receiver has just stopped; try again");
        code = result == LIVE_OK ? CLI_OK : CLI_NO_RECORD;
    }
    if (code == CLI_OK)
        code = print_rebuilt(cli, json_object_get(answer, "rebuilt"), error);
    json_decref(answer);
    return code;
}

const struct command command_rebuild = {
    .name = "rebuild",
    .arguments = "HOST|GLOB...",
    .summary = "makes state.rrd anew from the log",
    .help = "Rows that are older than the log are carried over, and the old file is kept as state.rrd.bak.\n",
    .run = run_rebuild,
};
