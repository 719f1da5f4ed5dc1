/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_host_rename.c - `twobeat host rename`: another name for a host, with its history and its files.
 *
 * The running receiver is told. While it is stopped, the record is loaded as the receiver loads it, and the name stored with a
 * fresh checkpoint, so that nothing that happened under the old name is judged again under the new one; then the folder is
 * moved. A kill between the two is no harm: the receiver moves the folder before it next writes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/name.h"
#include "receiver/cli/cli.h"
#include "receiver/cli/live.h"
#include "receiver/cli/options.h"
#include "receiver/cli/record.h"
#include "receiver/cli/record_writer.h"
#include "receiver/record/journal.h"
#include "receiver/record/record_lock.h"
#include "receiver/record/rrd_store.h"

/* Of the two names: is there such a host, and may it be called so? Sets its id. */
static int check_names(struct cli *cli, const char *from, const char *to, uint32_t *id, struct error *error)
{
    struct record record;
    *id = 0;
    cli->arg_count = 0; /* the second argument is no host */
    int code = record_open(&record, cli, error);
    if (code != CLI_OK)
        return code;
    for (size_t i = 0; i < record.count && code == CLI_OK; i++) {
        const struct log_host *host = &record.hosts[i];
        if (strcmp(host->name, from) == 0)
            *id = host->id;
        else if (strcmp(host->name, to) == 0 || strcmp(host->alias, to) == 0)
            code = cli_fail(error, CLI_USAGE, "%s: another host has that name, or may still speak under it", to);
    }
    record_close(&record);
    return code == CLI_OK && *id == 0 ? cli_fail_unmatched(error, from) : code;
}

/* ---- while the receiver is stopped ---- */

/* Stores the names of a host as they are now, and what the core holds of it. */
static int store_host(struct journal *journal, struct receiver *receiver, struct host *host, struct error *error)
{
    struct journal_batch batch = {.sync = true};
    size_t len_max = host_checkpoint_len_max(host);
    receiver_take(receiver, &batch.output);
    batch.names = calloc(1, sizeof *batch.names);
    batch.checkpoints = calloc(1, sizeof *batch.checkpoints);
    uint8_t *bytes = malloc(len_max);
    int rc = 0;
    if (!batch.names || !batch.checkpoints || !bytes) {
        free(bytes);
        rc = error_set(error, "out of memory");
    } else {
        struct codec codec = codec_writer(bytes, len_max);
        host_visit(&codec, host);
        batch.name_count = batch.checkpoint_count = 1;
        batch.names->host = host->id;
        (void)snprintf(batch.names->name, sizeof batch.names->name, "%s", host->name);
        (void)snprintf(batch.names->alias, sizeof batch.names->alias, "%s", host->alias ? host->alias : "");
        (void)snprintf(batch.names->moved_from, sizeof batch.names->moved_from, "%s",
                       host->moved_from ? host->moved_from : "");
        *batch.checkpoints = (struct journal_checkpoint){.host = host->id,
                                                         .bytes = bytes,
                                                         .len = codec.pos,
                                                         .position = receiver_last_fact(receiver),
                                                         .written_to = host->written_to,
                                                         .lines = host->lines,
                                                         .changed_from = host_changed_from(host)};
        rc = codec.failed ? error_set(error, "out of memory") : journal_commit(journal, &batch, error);
    }
    journal_batch_free(&batch);
    return rc;
}

static int move_folder(const char *data, const struct host *host, struct error *error)
{
    char *folder = NULL;
    struct rrd_store *store = asprintf(&folder, "%s/hosts", data) >= 0 ? rrd_store_create(folder) : NULL;
    int rc = store ? rrd_store_move(store, host->moved_from, host->name, error) : error_set(error, "out of memory");
    rrd_store_destroy(store);
    free(folder);
    return rc;
}

static int rename_loaded(const char *data, struct journal *journal, struct receiver *receiver, uint32_t id,
                         const char *to, struct error *error)
{
    struct journal_start start;
    struct receiver_output told; /* what the replay told is stored already */
    if (journal_load(journal, receiver, &start, error) != 0)
        return -1;
    receiver_take(receiver, &told);
    receiver_output_free(&told);
    struct host *host = receiver_hosts(receiver)->hosts[id];
    /* An earlier renaming that a kill has left half done. */
    if (host->moved_from) {
        if (move_folder(data, host, error) != 0)
            return -1;
        receiver_folder_moved(receiver, id);
        if (store_host(journal, receiver, host, error) != 0)
            return -1;
    }
    if (receiver_rename(receiver, start.alive, id, to) != RENAME_DONE || receiver_has_failed(receiver))
        return error_set(error, "out of memory");
    if (store_host(journal, receiver, host, error) != 0 || move_folder(data, host, error) != 0)
        return -1;
    receiver_folder_moved(receiver, id);
    return store_host(journal, receiver, host, error);
}

/* Files under the new name would be nobody's. */
static int check_folder(const char *data, const char *to, struct error *error)
{
    char *path = NULL;
    int rc = 0;
    if (asprintf(&path, "%s/hosts/%s", data, to) < 0)
        return error_set(error, "out of memory");
    if (access(path, F_OK) == 0)
        rc = error_set(error, "%s: there are files of that name, of no host; move them away", path);
    free(path);
    return rc;
}

static int rename_stopped(const struct cli *cli, uint32_t id, const char *to, struct error *error)
{
    const struct receiver_options options = {.host_count_max = UINT32_MAX};
    if (record_writer_become_owner(cli->data, error))
        return CLI_NO_RECORD;
    int lock = record_lock_take(cli->data, error);
    if (lock < 0)
        return CLI_NO_RECORD;
    struct receiver *receiver = receiver_create(&options);
    struct journal *journal = NULL;
    int rc = receiver ? check_folder(cli->data, to, error) : error_set(error, "out of memory");
    if (rc == 0)
        rc = (journal = journal_open(cli->data, error)) ? 0 : -1;
    if (rc == 0)
        rc = rename_loaded(cli->data, journal, receiver, id, to, error);
    journal_close(journal);
    receiver_destroy(receiver);
    (void)close(lock);
    return rc == 0 ? CLI_OK : CLI_NO_RECORD;
}

/* ---- the command ---- */

static int run_rename(struct cli *cli, struct error *error)
{
    int code;
    uint32_t id;
    json_t *answer = NULL;
    if (!options_go_on(cli, NULL, 2, 2, &code, error))
        return code;
    const char *from = cli->args[0], *to = cli->args[1];
    if (!name_is_valid(to, strlen(to)))
        return cli_fail(error, CLI_USAGE, "\"%s\" cannot be the name of a host: want a-z, 0-9, . _ - and at most 100",
                        to);
    if (strcmp(from, to) == 0)
        return cli_fail(error, CLI_USAGE, "%s: that is its name already", to);
    if ((code = check_names(cli, from, to, &id, error)) != CLI_OK)
        return code;
    cli->arg_count = 1;
    /* It returns when the folder is moved: the receiver may be writing for a while. */
    enum live_result result = live_ask(cli, "rename", json_pack("{s:s}", "to", to), 0, &answer, error);
    json_decref(answer);
    code = result == LIVE_OK ? CLI_OK : CLI_NO_RECORD;
    if (result == LIVE_STOPPED)
        code = rename_stopped(cli, id, to, error);
    if (code != CLI_OK)
        return code;
    if (cli->json)
        return cli_print_json(json_pack("{s:s, s:s}", "renamed", from, "to", to), error);
    (void)printf("%s is renamed to %s, and may speak with its old key until it is heard with the new one\n", from, to);
    return CLI_OK;
}

const struct command command_host_rename = {
    .name = "host rename",
    .arguments = "OLD NEW",
    .summary = "another name for a host, with its history and files",
    .help = "It is heard with the key of either name until it has spoken with that of the new one: make that key with\n"
            "`twobeat key host NEW`, and put it on the host. Maintenance stays as it was entered, for the old name.\n",
    .run = run_rename,
};
