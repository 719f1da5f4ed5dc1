/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_cut.c - `twobeat cut`: takes back what is recorded after a time, when the receiver's clock had run ahead.
 *
 * A receiver refuses to go on with a record that lies more than a day ahead of its clock: until then it could record nothing.
 * The record is loaded as a receiver loads it, cut, and stored with fresh checkpoints. The log stays append only: each host
 * gets a line that takes back the later ones. state.rrd follows at the next start; the other files cannot go back
 * in time, so they are put aside if they reach beyond the cut. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "receiver/cli/cli.h"
#include "receiver/cli/options.h"
#include "receiver/cli/period.h"
#include "receiver/cli/record_writer.h"
#include "receiver/cli/text.h"
#include "receiver/record/journal.h"
#include "receiver/record/record_lock.h"
#include "receiver/record/rrd_store.h"

static int add_checkpoints(struct journal_batch *batch, struct receiver *receiver)
{
    const struct host_table *table = receiver_hosts(receiver);
    batch->checkpoints = calloc(table->count + 1, sizeof *batch->checkpoints);
    for (uint32_t id = 1; batch->checkpoints && id <= table->count; id++) {
        struct host *host = table->hosts[id];
        if (!host)
            continue;
        size_t len_max = host_checkpoint_len_max(host);
        uint8_t *bytes = malloc(len_max);
        if (!bytes)
            return -1;
        struct codec codec = codec_writer(bytes, len_max);
        host_visit(&codec, host);
        batch->checkpoints[batch->checkpoint_count++] =
            (struct journal_checkpoint){.host = host->id,
                                        .bytes = bytes,
                                        .len = codec.pos,
                                        .position = receiver_last_fact(receiver),
                                        .written_to = host->written_to,
                                        .lines = host->lines,
                                        .changed_from = host_changed_from(host)};
        if (codec.failed)
            return -1;
    }
    return batch->checkpoints ? 0 : -1;
}

/* Stores what the cut changed: as the last batch of a run that was not. */
static int store(struct journal *journal, struct receiver *receiver, const struct journal_start *start, int64_t to,
                 struct error *error)
{
    struct instant now = instant_add(start->alive, 1);
    int64_t boottime_ns = start->boottime_ns + instant_since(now, (struct instant){start->started_ns});
    struct journal_batch batch = {.labels = receiver_labels(receiver),
                                  .trim_to = receiver_last_fact(receiver),
                                  .alive = now,
                                  .alive_second = to,
                                  .clean = true,
                                  .sync = true};
    receiver_take(receiver, &batch.output);
    int rc = add_checkpoints(&batch, receiver) == 0 ? 0 : error_set(error, "out of memory");
    if (rc == 0)
        rc = journal_begin_run(journal, start, start->boot_id, now, boottime_ns, (struct wall){to * NS_PER_S}, error);
    if (rc == 0)
        rc = journal_commit(journal, &batch, error);
    journal_batch_free(&batch);
    return rc;
}

/* Puts a file aside that goes further than the cut. Returns 1 if it did, 0 if not. */
static int put_aside(const char *data, const char *host, const char *file, int64_t to)
{
    char *path = NULL, *aside = NULL;
    struct error ignored;
    int done = 0;
    if (asprintf(&path, "%s/hosts/%s/%s", data, host, file) >= 0 && asprintf(&aside, "%s.bak", path) >= 0)
        done = access(path, F_OK) == 0 && rrd_store_last(path, &ignored) > to && rename(path, aside) == 0;
    free(path);
    free(aside);
    return done;
}

static int cut(const struct cli *cli, struct journal *journal, struct receiver *receiver, int64_t to, int *aside,
               struct error *error)
{
    struct journal_start start;
    char mark[TEXT_MAX];
    if (journal_load(journal, receiver, &start, error) != 0)
        return CLI_NO_RECORD;
    text_time(mark, start.has_run ? wall_seconds(start.alive_wall) : 0);
    if (!start.has_run || wall_seconds(start.alive_wall) <= to)
        return cli_fail(error, CLI_USAGE, "the record of %s %s%s: there is nothing to cut", cli->data,
                        start.has_run ? "goes to " : "is empty", start.has_run ? mark : "");
    struct receiver_output told; /* what the replay told is stored already */
    receiver_take(receiver, &told);
    receiver_output_free(&told);
    receiver_cut(receiver, start.alive, (struct wall){to * NS_PER_S});
    if (receiver_has_failed(receiver))
        return cli_fail(error, CLI_NO_RECORD, "out of memory");
    if (store(journal, receiver, &start, to, error) != 0)
        return CLI_NO_RECORD;
    const struct host_table *table = receiver_hosts(receiver);
    for (uint32_t id = 1; id <= table->count; id++) {
        const struct host *host = table->hosts[id];
        const char *folder = host && host->moved_from ? host->moved_from : host ? host->name : NULL;
        if (folder)
            *aside += put_aside(cli->data, folder, "metrics.rrd", to) + put_aside(cli->data, folder, "net.rrd", to);
    }
    return CLI_OK;
}

/* Months that had ended only for the clock that ran ahead. */
static int drop_months(const char *data, int64_t to, struct error *error)
{
    struct record_writer writer;
    char *sql = NULL;
    int64_t ignored = 0;
    int rc = record_writer_open(&writer, data, error);
    if (rc != 0)
        return rc;
    if (asprintf(&sql, "DELETE FROM months WHERE month >= strftime('%%Y-%%m', %lld, 'unixepoch')",
                 (long long)(to - 86400)) < 0)
        rc = error_set(error, "out of memory");
    else
        rc = record_writer_query(&writer, sql, &ignored, &ignored, error);
    free(sql);
    return record_writer_finish(&writer, rc, error);
}

static int cut_record(const struct cli *cli, int64_t to, uint32_t *hosts, int *aside, struct error *error)
{
    const struct receiver_options options = {.host_count_max = UINT32_MAX};
    int lock = record_lock_take(cli->data, error);
    if (lock < 0)
        return CLI_NO_RECORD;
    struct receiver *receiver = receiver_create(&options);
    struct journal *journal = receiver ? journal_open(cli->data, error) : NULL;
    int code = journal ? cut(cli, journal, receiver, to, aside, error) : CLI_NO_RECORD;
    if (receiver)
        *hosts = receiver_hosts(receiver)->count;
    else
        code = cli_fail(error, CLI_NO_RECORD, "out of memory");
    journal_close(journal);
    receiver_destroy(receiver);
    (void)close(lock);
    return code;
}

static int run_cut(struct cli *cli, struct error *error)
{
    const char *text = NULL;
    const struct option_spec specs[] = {{"to", 0, &text, NULL}, {NULL, 0, NULL, NULL}};
    int code, aside = 0;
    uint32_t hosts = 0;
    int64_t to = cli->now; /* by this clock: from here on it would be the end of the record */
    if (!options_go_on(cli, specs, 0, 0, &code, error))
        return code;
    if (!text)
        return cli_fail(error, CLI_USAGE, "--to is missing: say up to when the record is right, or \"now\"");
    if (strcmp(text, "now") != 0 && period_parse_time(&to, text, error) != 0)
        return CLI_USAGE;
    if (to < LABELS_EARLIEST_NS / NS_PER_S)
        return cli_fail(error, CLI_USAGE, "--to %s: no record begins before 2020", text);
    if (record_writer_become_owner(cli->data, error) != 0)
        return CLI_NO_RECORD;
    code = cut_record(cli, to, &hosts, &aside, error);
    if (code != CLI_OK)
        return code;
    if (drop_months(cli->data, to, error) != 0)
        return CLI_NO_RECORD;
    if (cli->json)
        return cli_print_json(json_pack("{s:I, s:i, s:i}", "to", (json_int_t)to, "hosts", (int)hosts, "aside", aside),
                              error);
    char when[TEXT_MAX];
    text_time(when, to);
    (void)printf("The record of %u hosts is cut at %s: unknown from there until the receiver runs again.\n", hosts,
                 when);
    if (aside)
        (void)printf("%d files of metrics and traffic went further and are put aside as .bak; new ones will be made.\n",
                     aside);
    return CLI_OK;
}

const struct command command_cut = {
    .name = "cut",
    .arguments = "--to T|now",
    .summary = "takes back what is recorded after a time, when the receiver's clock had run ahead",
    .help =
        "The receiver must be stopped. Nothing of the log is deleted: each host gets a line that takes back the later\n"
        "ones. metrics.rrd and net.rrd that reach beyond that time are put aside as .bak.\n",
    .run = run_cut,
};
