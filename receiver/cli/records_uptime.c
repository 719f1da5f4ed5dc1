/* SPDX-License-Identifier: GPL-2.0-or-later */
/* records_uptime.c - the seconds of a host: from the logs, or, where a record has RRD files only, from the rows of all records.
 * See records.h. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "receiver/cli/records.h"
#include "receiver/record/rrd_store.h"
#include "receiver/report/rows.h"

static int64_t round_down(int64_t at, int64_t step)
{
    return at - (at % step + step) % step;
}

static int file_path(char path[PATH_MAX], const struct record *record, const struct log_host *host, struct error *error)
{
    int len = snprintf(path, PATH_MAX, "%s/hosts/%s/state.rrd", record->data, host->name);
    return len > 0 && len < PATH_MAX ? 0 : error_set(error, "%s: the path is too long", record->data);
}

/* The latest update of any of the files that are to be read. */
static int newest_update(const struct records *records, int64_t *newest, struct error *error)
{
    char path[PATH_MAX];
    *newest = 0;
    for (size_t h = 0; h < records->host_count; h++)
        for (size_t i = 0; i < records->count; i++) {
            const struct record *record = &records->items[i];
            if (record->reader || !records->hosts[h].in[i])
                continue;
            int64_t last = file_path(path, record, records->hosts[h].in[i], error) ? -1 : rrd_store_last(path, error);
            if (last < 0)
                return -1;
            *newest = last > *newest ? last : *newest;
        }
    return 0;
}

int records_choose_source(const struct records *records, struct period *period, struct records_source *source,
                          struct error *error)
{
    int64_t newest;
    *source = (struct records_source){0};
    if (!records->files_only)
        return 0;
    if (newest_update(records, &newest, error))
        return -1;
    /* Rows of 15 minutes go after 100 days. */
    bool has_quarters =
        round_down(period->from, RECORDS_ROW_QUARTER_S) >= rrd_store_state_begin(RECORDS_ROW_QUARTER_S, newest);
    source->row_s = has_quarters ? RECORDS_ROW_QUARTER_S : RECORDS_ROW_DAY_S;
    period->from = round_down(period->from, source->row_s);
    period->to = round_down(period->to, source->row_s);
    return 0;
}

static int rows_from_file(const struct record *record, const struct log_host *host, int64_t row_s, int64_t from,
                          struct row *rows, size_t count, struct error *error)
{
    char path[PATH_MAX];
    double(*stored)[4] = malloc((count + 1) * sizeof *stored);
    if (!stored)
        return error_set(error, "out of memory");
    int rc = file_path(path, record, host, error);
    if (rc == 0)
        rc = rrd_store_state_rows(path, row_s, from, from + (int64_t)count * row_s, stored, error);
    for (size_t i = 0; i < count && rc == 0; i++)
        rows[i] = (struct row){stored[i][0], stored[i][2], stored[i][3]};
    free(stored);
    return rc;
}

static int rows_from_log(const struct record *record, const struct log_host *host, int64_t row_s, int64_t from,
                         struct row *rows, size_t count, struct error *error)
{
    struct timeline timeline = {0};
    int rc = log_reader_timeline(record->reader, host->id, &timeline, error);
    if (rc == 0)
        rows_from_timeline(&timeline, record->run.alive, from, row_s, rows, count);
    timeline_free(&timeline);
    return rc;
}

static int count_rows(const struct records *records, const struct records_host *host, int64_t row_s,
                      const struct period *period, struct uptime *out, struct error *error)
{
    size_t count = (size_t)((period->to - period->from) / row_s);
    struct row *rows = calloc(2 * (count + 1), sizeof *rows);
    if (!rows)
        return error_set(error, "out of memory");
    struct row *one = rows + count + 1;
    int rc = 0;
    for (size_t i = 0; i < records->count && rc == 0; i++) {
        const struct record *record = &records->items[i];
        if (!host->in[i])
            continue;
        rc = (record->reader ? rows_from_log : rows_from_file)(record, host->in[i], row_s, period->from, one, count,
                                                               error);
        if (rc == 0)
            rows_merge(rows, one, count);
    }
    if (rc == 0)
        rows_count(rows, count, row_s, out);
    free(rows);
    return rc;
}

int records_uptime(const struct records *records, const struct records_host *host, const struct records_source *source,
                   const struct period *period, struct uptime *out, struct error *error)
{
    if (source->row_s > 0)
        return count_rows(records, host, source->row_s, period, out, error);
    struct records_view view = {0};
    if (records_view(records, host, &view, error))
        return -1;
    uptime_count(&view.merged.timeline, period->from, period->to, view.merged.limit, out);
    records_view_free(&view);
    return 0;
}
