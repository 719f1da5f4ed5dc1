/* SPDX-License-Identifier: GPL-2.0-or-later */
/* records.c - see records.h. */
#include "receiver/cli/records.h"

#include <stdlib.h>
#include <string.h>

#include "receiver/record/record_lock.h"

/* Receivers mark once a second that they are alive: marks of those that run differ by a second or two. */
#define MARKS_APART_S 10

static const char *host_name(const void *hosts, size_t index)
{
    return ((const struct records_host *)hosts)[index].name;
}

/* The hosts of all records under one name each. In each record they are sorted by name. */
static int unite_hosts(struct records *records)
{
    size_t at[CLI_DATA_MAX] = {0}, total = 0;
    for (size_t i = 0; i < records->count; i++)
        total += records->items[i].count;
    records->hosts = calloc(total + 1, sizeof *records->hosts);
    if (!records->hosts)
        return -1;
    for (;;) {
        struct records_host *host = &records->hosts[records->host_count];
        for (size_t i = 0; i < records->count; i++) {
            const struct log_host *next = &records->items[i].hosts[at[i]];
            if (at[i] < records->items[i].count && (!host->name || strcmp(next->name, host->name) < 0))
                host->name = next->name;
        }
        if (!host->name)
            return 0;
        for (size_t i = 0; i < records->count; i++)
            if (at[i] < records->items[i].count && strcmp(records->items[i].hosts[at[i]].name, host->name) == 0)
                host->in[i] = &records->items[i].hosts[at[i]++];
        records->host_count++;
    }
}

static bool is_forgotten(const struct records *records, const struct records_host *host)
{
    for (size_t i = 0; i < records->count; i++)
        if (host->in[i] && !host->in[i]->forgotten)
            return false;
    return true;
}

static int choose_hosts(struct records *records, const struct cli *cli, int take, struct error *error)
{
    const char *pattern = cli_unmatched(cli, records->hosts, records->host_count, host_name);
    if (pattern)
        return cli_fail_unmatched(error, pattern);
    size_t kept = 0;
    for (size_t i = 0; i < records->host_count; i++) {
        const struct records_host *host = &records->hosts[i];
        bool left_out = !(take & RECORDS_FORGOTTEN) && is_forgotten(records, host) && !cli_names_host(cli, host->name);
        if (cli_wants_host(cli, host->name) && !left_out)
            records->hosts[kept++] = *host;
    }
    records->host_count = kept;
    return CLI_OK;
}

int records_open(struct records *records, const struct cli *cli, int take, struct error *error)
{
    int code = CLI_OK;
    *records = (struct records){0};
    while (code == CLI_OK && records->count < cli->data_count) {
        struct record *record = &records->items[records->count];
        code = record_open_all(record, cli->all_data[records->count], error);
        if (code != CLI_OK)
            break;
        records->count++;
        records->files_only |= !record->reader;
        if (!record->reader && !(take & RECORDS_FILES_ONLY))
            code = record_fail_files_only(record->data, error);
    }
    if (code == CLI_OK && unite_hosts(records))
        code = cli_fail(error, CLI_NO_RECORD, "out of memory");
    if (code == CLI_OK)
        code = choose_hosts(records, cli, take, error);
    if (code != CLI_OK)
        records_close(records);
    return code;
}

void records_close(struct records *records)
{
    for (size_t i = 0; i < records->count; i++)
        record_close(&records->items[i]);
    free(records->hosts);
    *records = (struct records){0};
}

int records_view(const struct records *records, const struct records_host *host, struct records_view *view,
                 struct error *error)
{
    int rc = 0;
    for (size_t i = 0; i < records->count && rc == 0; i++) {
        view->parts[i] = (struct merge_part){&view->timelines[i], records->items[i].run.alive};
        if (host->in[i] && records->items[i].reader)
            rc = log_reader_timeline(records->items[i].reader, host->in[i]->id, &view->timelines[i], error);
    }
    if (rc == 0 && merge_parts(view->parts, records->count, &view->merged))
        rc = error_set(error, "out of memory");
    if (rc != 0)
        records_view_free(view);
    return rc;
}

void records_view_free(struct records_view *view)
{
    merged_free(&view->merged);
    for (size_t i = 0; i < CLI_DATA_MAX; i++)
        timeline_free(&view->timelines[i]);
}

int64_t records_period_end(const struct records *records, int64_t to)
{
    struct error unclear;
    int64_t latest = 0, end = to;
    bool runs[CLI_DATA_MAX] = {false}, latest_runs = false;
    for (size_t i = 0; i < records->count; i++) {
        const struct record *record = &records->items[i];
        runs[i] = record->reader && to > record->run.alive &&
                  record_lock_probe(record->data, NULL, &unclear) == RECORD_LOCK_HELD_BY_OTHER;
        if (record->run.alive > latest || (record->run.alive == latest && runs[i])) {
            latest = record->run.alive;
            latest_runs = runs[i];
        }
    }
    for (size_t i = 0; i < records->count && latest_runs; i++) {
        int64_t alive = records->items[i].run.alive;
        if (runs[i] && alive >= latest - MARKS_APART_S && alive < end)
            end = alive;
    }
    return end;
}
