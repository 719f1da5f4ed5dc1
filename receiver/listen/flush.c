/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flush.c - see flush.h. */
#include "receiver/listen/flush.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "receiver/listen/pending.h"
#include "receiver/listen/worker.h"
#include "receiver/record/log_reader.h"
#include "receiver/record/months.h"
#include "receiver/record/rrd_store.h"

struct flusher {
    struct rrd_store *store;
    struct log_reader *reader; /* opened on the RRD thread */
    char *data;
    char *zone;
    /* of the loop's thread */
    struct complaint trouble;
    size_t unwritten; /* hosts whose files could not be written when last tried */
};

struct flush_item {
    uint32_t host;
    char name[NAME_LEN_MAX + 1];
    char moved_from[NAME_LEN_MAX + 1]; /* its folder is still called so; "": it is not */
    bool moved;
    int64_t to;
    enum flush_what what;
    int64_t changed_from;
    struct averages_row *rows; /* owned copy */
    uint32_t row_count;
    struct journal_month *months; /* owned */
    size_t month_count;
    int64_t written_to;
    bool suspect;
    bool rows_written, written;
};

struct flush_job {
    struct worker_job job; /* first */
    struct flusher *flusher;
    struct flush_item *items;
    size_t count, capacity;
    struct error error; /* the last one */
    size_t failures;
    struct error note; /* the last file that was begun anew */
    size_t notes;
    struct instant now;
    flush_done *done;
    void *context;
};

struct flusher *flusher_create(const char *data, const char *zone, struct error *error)
{
    struct flusher *flusher = calloc(1, sizeof *flusher);
    char *folder = NULL;
    if (flusher && asprintf(&folder, "%s/hosts", data) >= 0) {
        flusher->data = strdup(data);
        flusher->zone = strdup(zone);
        flusher->store = rrd_store_create(folder);
        free(folder);
    }
    if (!flusher || !flusher->data || !flusher->zone || !flusher->store) {
        flusher_destroy(flusher);
        error_set(error, "out of memory");
        return NULL;
    }
    return flusher;
}

void flusher_destroy(struct flusher *flusher)
{
    if (!flusher)
        return;
    rrd_store_destroy(flusher->store);
    log_reader_close(flusher->reader);
    free(flusher->data);
    free(flusher->zone);
    free(flusher);
}

struct flush_job *flush_job_create(void)
{
    return calloc(1, sizeof(struct flush_job));
}

void flush_job_destroy(struct flush_job *job)
{
    if (!job)
        return;
    for (size_t i = 0; i < job->count; i++) {
        free(job->items[i].rows);
        free(job->items[i].months);
    }
    free(job->items);
    free(job);
}

void flush_job_add(struct flush_job *job, struct receiver *receiver, struct host *host, enum flush_what what,
                   struct instant now)
{
    job->now = now;
    if (!host || host->in_flush)
        return;
    if (job->count == job->capacity) {
        size_t capacity = job->capacity ? job->capacity * 2 : 16;
        struct flush_item *items = realloc(job->items, capacity * sizeof *items);
        if (!items)
            return;
        job->items = items;
        job->capacity = capacity;
    }
    struct flush_item item = {
        .host = host->id, .what = what, .changed_from = INT64_MAX, .row_count = host->averages.row_count};
    memcpy(item.name, host->name, sizeof item.name);
    if (host->moved_from)
        memcpy(item.moved_from, host->moved_from, strlen(host->moved_from));
    if (item.row_count) {
        item.rows = malloc(item.row_count * sizeof *item.rows);
        if (!item.rows)
            return;
        memcpy(item.rows, host->averages.rows, item.row_count * sizeof *item.rows);
    }
    if (what == FLUSH_ALL) {
        item.to = receiver_settled_to(receiver, host, now);
        item.changed_from = host->flushing_from = host->changed_from;
        item.written_to = host->written_to;
        item.suspect = host->suspect;
        host->changed_from = INT64_MAX;
    }
    host->in_flush = true;
    job->items[job->count++] = item;
}

size_t flush_job_count(const struct flush_job *job)
{
    return job->count;
}

uint32_t flush_job_host(const struct flush_job *job, size_t i)
{
    return job->items[i].host;
}

static int write_state(struct flusher *flusher, struct flush_item *item, struct error *error)
{
    struct timeline log = {0};
    if (!flusher->reader && !(flusher->reader = log_reader_open(flusher->data, error)))
        return -1;
    if (item->written_to > 0)
        rrd_store_expect_state(flusher->store, item->name);
    int rc = log_reader_timeline(flusher->reader, item->host, &log, error);
    if (rc == 0)
        rc = months_compute(flusher->reader, item->host, &log, item->changed_from, item->to, flusher->zone,
                            &item->months, &item->month_count, error);
    int64_t changed_from = item->changed_from;
    if (rc == 0 && item->suspect &&
        !rrd_store_state_agrees(flusher->store, item->name, &log, changed_from < item->to ? changed_from : item->to))
        changed_from = changed_from < 0 ? changed_from : 0;
    if (rc == 0)
        rc = rrd_store_write_state(flusher->store, item->name, &log, changed_from, item->to, error);
    if (log.count == 0 || item->to <= log.spans[0].from)
        item->to = 0; /* no second is settled yet: there may be no file, so nothing must claim that it is written */
    timeline_free(&log);
    return rc;
}

static int write_item(struct flusher *flusher, struct flush_item *item, struct error *error)
{
    if (item->moved_from[0]) {
        if (rrd_store_move(flusher->store, item->moved_from, item->name, error) != 0)
            return -1;
        item->moved = true;
    }
    int rc = item->what == FLUSH_ALL ? write_state(flusher, item, error) : 0;
    /* Also if state.rrd could not be written: one bad file must not cost the others theirs. */
    item->rows_written =
        rrd_store_write_rows(flusher->store, item->name, item->rows, item->row_count, rc == 0 ? error : NULL) == 0;
    return rc == 0 && item->rows_written ? 0 : -1;
}

/* Before checkpoints tell of what was written, or the way to it is trimmed off the journal: a power cut must not take it back. */
static void sync_job(struct flush_job *job)
{
    if (rrd_store_sync(job->flusher->store, &job->error) == 0)
        return;
    for (size_t i = 0; i < job->count; i++)
        job->items[i].rows_written = job->items[i].written = false;
    job->failures = job->count;
}

static void run_job(struct worker_job *worker_job)
{
    struct flush_job *job = (struct flush_job *)worker_job;
    for (size_t i = 0; i < job->count; i++) {
        job->items[i].written = write_item(job->flusher, &job->items[i], &job->error) == 0;
        job->failures += !job->items[i].written;
    }
    sync_job(job);
    job->notes = rrd_store_take_notes(job->flusher->store, &job->note);
}

static void finish_job(struct worker_job *worker_job)
{
    struct flush_job *job = (struct flush_job *)worker_job;
    struct flusher *flusher = job->flusher;
    if (job->failures)
        complaint_raise(&flusher->trouble, LOG_LEVEL_ERROR, job->now,
                        "%s; it will be written later (%zu of %zu hosts this turn)", job->error.text, job->failures,
                        job->count);
    /* No complaint that goes on, but an event: it is mended. At most one line a job. */
    if (job->notes > 1)
        log_line(LOG_LEVEL_WARNING, "%s (and %zu other files)", job->note.text, job->notes - 1);
    else if (job->notes == 1)
        log_line(LOG_LEVEL_WARNING, "%s", job->note.text);
    job->done(job, job->context);
}

void flush_job_submit(struct flush_job *job, struct worker *worker, struct flusher *flusher, flush_done *done,
                      void *context)
{
    job->job = (struct worker_job){.run = run_job, .done = finish_job};
    job->flusher = flusher;
    job->done = done;
    job->context = context;
    worker_submit(worker, &job->job);
}

/* The trouble is over when the last of the hosts that it met is written in full, not when others are. */
static void note_trouble(struct flusher *flusher, const struct flush_item *item, struct host *host)
{
    bool over = item->written && item->what == FLUSH_ALL;
    if (!flusher || (host->unwritten ? !over : item->written))
        return; /* without a flusher it was never tried */
    host->unwritten = !host->unwritten;
    flusher->unwritten += host->unwritten ? 1 : (size_t)-1;
    if (flusher->unwritten == 0)
        complaint_clear(&flusher->trouble, "RRD files can be written again; nothing was lost");
}

bool flush_job_finish(struct flush_job *job, size_t i, struct host *host)
{
    const struct flush_item *item = &job->items[i];
    note_trouble(job->flusher, item, host);
    if (item->rows_written)
        averages_drop_rows(&host->averages, item->row_count);
    host->in_flush = false;
    host->flushing_from = INT64_MAX;
    if (!item->written) {
        if (item->changed_from < host->changed_from)
            host->changed_from = item->changed_from;
        return false;
    }
    if (item->what == FLUSH_ALL)
        host->suspect = false;
    /* A file that was made whatever it held may end earlier than it did. */
    bool made = item->changed_from == HOST_CHANGED_ALL && item->to > 0;
    if (made || item->to > host->written_to)
        host->written_to = item->to;
    return true;
}

bool flush_job_moved(const struct flush_job *job, size_t i)
{
    return job->items[i].moved;
}

void flush_job_add_months(const struct flush_job *job, size_t i, struct host *host, struct pending *pending)
{
    if (pending_add_months(pending, job->items[i].months, job->items[i].month_count) != 0)
        host->changed_from = HOST_CHANGED_ALL;
}
