/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record.c - see record.h. */
#include "receiver/cli/record.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "receiver/record/record_lock.h"

static const char *record_host_name(const void *hosts, size_t index)
{
    return ((const struct log_host *)hosts)[index].name;
}

static int record_choose(struct record *record, const struct cli *cli, struct error *error)
{
    const char *pattern = cli_unmatched(cli, record->hosts, record->count, record_host_name);
    if (pattern)
        return cli_fail_unmatched(error, pattern);
    size_t kept = 0;
    for (size_t i = 0; i < record->count; i++)
        if (cli_wants_host(cli, record->hosts[i].name))
            record->hosts[kept++] = record->hosts[i];
    record->count = kept;
    return CLI_OK;
}

/* A folder of RRD files that lost its database still has pictures to offer. */
static bool has_rrd_only(const char *data)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/receiver.db", data);
    if (access(path, F_OK) == 0)
        return false;
    (void)snprintf(path, sizeof path, "%s/hosts", data);
    return access(path, F_OK) == 0;
}

int record_open(struct record *record, const struct cli *cli, struct error *error)
{
    *record = (struct record){0};
    if (has_rrd_only(cli->data))
        return cli_fail(error, CLI_NO_RECORD,
                        "%s: has RRD files but no receiver.db, and this version reads figures from the"
                        " database only; `twobeat graph HOST` draws from the files",
                        cli->data);
    record->reader = log_reader_open(cli->data, error);
    if (!record->reader)
        return CLI_NO_RECORD;
    int code = CLI_OK;
    if (log_reader_begin(record->reader, error) ||
        log_reader_hosts(record->reader, &record->hosts, &record->count, error) ||
        log_reader_last_run(record->reader, &record->run, error))
        code = CLI_NO_RECORD;
    if (code == CLI_OK)
        code = record_choose(record, cli, error);
    if (code != CLI_OK)
        record_close(record);
    return code;
}

void record_leave_out_forgotten(struct record *record, const struct cli *cli)
{
    size_t kept = 0;
    for (size_t i = 0; i < record->count; i++)
        if (!record->hosts[i].forgotten || cli_names_host(cli, record->hosts[i].name))
            record->hosts[kept++] = record->hosts[i];
    record->count = kept;
}

void record_close(struct record *record)
{
    free(record->hosts);
    if (record->reader)
        log_reader_end(record->reader);
    log_reader_close(record->reader);
    *record = (struct record){0};
}

int64_t record_period_end(const struct record *record, const struct cli *cli, int64_t to)
{
    struct error unclear;
    if (to > record->run.alive && record_lock_probe(cli->data, NULL, &unclear) == RECORD_LOCK_HELD_BY_OTHER)
        return record->run.alive;
    return to;
}

int64_t record_now(const struct cli *cli)
{
    struct error ignored;
    struct log_run run = {0};
    struct log_reader *reader = log_reader_open(cli->data, &ignored);
    if (reader)
        (void)log_reader_last_run(reader, &run, &ignored);
    log_reader_close(reader);
    return run.alive > cli->now ? run.alive : cli->now;
}
