/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record.c - see record.h. */
#include "receiver/cli/record.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/name.h"

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

int record_fail_files_only(const char *data, struct error *error)
{
    return cli_fail(error, CLI_NO_RECORD,
                    "%s: has RRD files but no receiver.db; `twobeat uptime` and `twobeat graph` read the files", data);
}

static int is_visible(const struct dirent *entry)
{
    return name_is_valid(entry->d_name, strlen(entry->d_name));
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* The folders that have a state.rrd. */
static int list_folders(struct record *record, struct error *error)
{
    char path[PATH_MAX];
    struct dirent **entries;
    (void)snprintf(path, sizeof path, "%s/hosts", record->data);
    int count = scandir(path, &entries, is_visible, by_bytes);
    if (count < 0)
        return cli_fail(error, CLI_NO_RECORD, "%s: cannot read: %s", path, strerror(errno));
    record->hosts = calloc((size_t)count + 1, sizeof *record->hosts);
    for (int i = 0; i < count; i++) {
        int len = snprintf(path, sizeof path, "%s/hosts/%s/state.rrd", record->data, entries[i]->d_name);
        if (record->hosts && len > 0 && (size_t)len < sizeof path && access(path, F_OK) == 0)
            memcpy(record->hosts[record->count++].name, entries[i]->d_name, strlen(entries[i]->d_name) + 1);
        free(entries[i]);
    }
    free(entries);
    return record->hosts ? CLI_OK : cli_fail(error, CLI_NO_RECORD, "out of memory");
}

int record_open_all(struct record *record, const char *data, struct error *error)
{
    *record = (struct record){.data = data};
    if (has_rrd_only(data))
        return list_folders(record, error);
    record->reader = log_reader_open(data, error);
    if (record->reader && log_reader_begin(record->reader, error) == 0 &&
        log_reader_hosts(record->reader, &record->hosts, &record->count, error) == 0 &&
        log_reader_last_run(record->reader, &record->run, error) == 0)
        return CLI_OK;
    record_close(record);
    return CLI_NO_RECORD;
}

int record_open(struct record *record, const struct cli *cli, struct error *error)
{
    int code = record_open_all(record, cli->data, error);
    if (code == CLI_OK)
        code = record->reader ? record_choose(record, cli, error) : record_fail_files_only(cli->data, error);
    if (code != CLI_OK)
        record_close(record);
    return code;
}

void record_close(struct record *record)
{
    free(record->hosts);
    if (record->reader)
        log_reader_end(record->reader);
    log_reader_close(record->reader);
    *record = (struct record){0};
}

int64_t record_now(const struct cli *cli)
{
    int64_t now = cli->now;
    for (size_t i = 0; i < cli->data_count; i++) {
        struct error ignored;
        struct log_run run = {0};
        struct log_reader *reader = log_reader_open(cli->all_data[i], &ignored);
        if (reader)
            (void)log_reader_last_run(reader, &run, &ignored);
        log_reader_close(reader);
        now = run.alive > now ? run.alive : now;
    }
    return now;
}
