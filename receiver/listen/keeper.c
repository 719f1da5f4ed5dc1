/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeper.c - see keeper.h. */
#include "receiver/listen/keeper.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "common/log.h"
#include "receiver/listen/batch_names.h"
#include "receiver/listen/commit_pace.h"
#include "receiver/listen/flush.h"
#include "receiver/listen/flush_plan.h"
#include "receiver/listen/pending.h"
#include "receiver/listen/waiter.h"
#include "receiver/listen/worker.h"

/* So many bytes of facts wait for a database that cannot be written. Behind that, checkpoints are shorter than what led to them. */
#define UNSAVED_MAX (16 * 1024 * 1024)
#define UNSAVED_PER_HOST_MAX 2048

struct commit_job {
    struct worker_job job; /* first: the worker hands this back */
    struct keeper *keeper;
    struct journal_batch batch;
    struct labels labels;
    struct error error;
    int rc;
    struct flush_job *flush; /* to be started when this is stored */
    struct waiter *flush_waiters;
    struct waiter *waiters; /* to be told when this is stored */
};

struct keeper {
    struct receiver *receiver;
    struct journal *journal;
    struct worker journal_worker, rrd_worker;
    struct flusher *flusher;
    struct flush_plan *plan;

    struct commit_job *committing; /* under way, or to be tried again */
    bool retry;
    struct instant committed_at, synced_at;
    int64_t commit_interval_ns;
    size_t unsaved_max;
    bool whole;                  /* facts were given up: the next batch holds the checkpoints of all */
    struct heard_beat *unsynced; /* stored, but not yet surely on the disk */
    size_t unsynced_count, unsynced_capacity;

    /* for the next batch */
    struct pending pending;
    struct journal_checkpoint *checkpoints;
    size_t checkpoint_count;
    struct waiter *waiters;

    bool flushing;
    struct waiter *flushing_waiters;
    struct complaint commit_trouble;
};

struct keeper *keeper_create(struct uv_loop_s *loop, struct receiver *receiver, struct journal *journal,
                             const struct keeper_options *options, struct error *error)
{
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper) {
        error_set(error, "out of memory");
        return NULL;
    }
    keeper->receiver = receiver;
    keeper->journal = journal;
    keeper->commit_interval_ns = COMMIT_MAX_NS;
    keeper->unsaved_max = options->unsaved_max;
    keeper->plan = flush_plan_create(receiver);
    keeper->flusher = flusher_create(options->data, options->zone, error);
    if (!keeper->flusher || !keeper->plan) {
        error_set(error, "out of memory");
        keeper_destroy(keeper);
        return NULL;
    }
    flush_plan_set_interval(keeper->plan, options->flush_interval_ns);
    if (worker_start(&keeper->journal_worker, loop) != 0) {
        error_set(error, "cannot start a thread");
        keeper_destroy(keeper);
        return NULL;
    }
    if (worker_start(&keeper->rrd_worker, loop) != 0) {
        error_set(error, "cannot start a thread");
        worker_stop(&keeper->journal_worker);
        keeper_destroy(keeper);
        return NULL;
    }
    return keeper;
}

void keeper_set_flush_interval(struct keeper *keeper, int64_t flush_interval_ns)
{
    flush_plan_set_interval(keeper->plan, flush_interval_ns);
}

/* ---- after the RRD thread ---- */

static void put_checkpoint(struct keeper *keeper, struct host *host)
{
    struct journal_checkpoint *grown =
        realloc(keeper->checkpoints, (keeper->checkpoint_count + 1) * sizeof *keeper->checkpoints);
    if (!grown)
        return; /* the journal keeps the facts until the next turn */
    keeper->checkpoints = grown;
    size_t len_max = host_checkpoint_len_max(host);
    uint8_t *bytes = malloc(len_max);
    if (!bytes)
        return;
    struct codec codec = codec_writer(bytes, len_max);
    host_visit(&codec, host);
    if (codec.failed) {
        free(bytes);
        return;
    }
    host->position = receiver_last_fact(keeper->receiver);
    keeper->checkpoints[keeper->checkpoint_count++] =
        (struct journal_checkpoint){.host = host->id,
                                    .bytes = bytes,
                                    .len = codec.pos,
                                    .position = host->position,
                                    .written_to = host->written_to,
                                    .lines = host->lines,
                                    .changed_from = host_changed_from(host)};
}

static void on_flushed(struct flush_job *job, void *context)
{
    struct keeper *keeper = context;
    const struct host_table *table = receiver_hosts(keeper->receiver);
    for (size_t i = 0; i < flush_job_count(job); i++) {
        struct host *host = table->hosts[flush_job_host(job, i)];
        /* A checkpoint also of what could not be written: one bad file must not keep the journal of all. */
        bool written = flush_job_finish(job, i, host);
        if (flush_job_moved(job, i))
            receiver_folder_moved(keeper->receiver, host->id);
        flush_job_add_months(job, i, host, &keeper->pending);
        if (written)
            flush_plan_queue(keeper->plan, host); /* the log has changed meanwhile */
        put_checkpoint(keeper, host);
    }
    flush_job_destroy(job);
    keeper->flushing = false;
    waiters_append(&keeper->waiters, keeper->flushing_waiters);
    keeper->flushing_waiters = NULL;
}

/* ---- after the journal thread ---- */

static void keep_unsynced(struct keeper *keeper, const struct receiver_output *output)
{
    size_t need = keeper->unsynced_count + output->heard_count;
    if (need > keeper->unsynced_capacity) {
        struct heard_beat *grown = realloc(keeper->unsynced, 2 * need * sizeof *grown);
        if (!grown)
            return; /* these are never called safe, which loses nothing */
        keeper->unsynced = grown;
        keeper->unsynced_capacity = 2 * need;
    }
    if (output->heard_count)
        memcpy(keeper->unsynced + keeper->unsynced_count, output->heard, output->heard_count * sizeof *output->heard);
    keeper->unsynced_count = need;
}

static void start_flush(struct keeper *keeper, struct commit_job *commit)
{
    if (!commit->flush)
        return;
    keeper->flushing_waiters = commit->flush_waiters;
    flush_job_submit(commit->flush, &keeper->rrd_worker, keeper->flusher, on_flushed, keeper);
}

static void on_committed(struct worker_job *job)
{
    struct commit_job *commit = (struct commit_job *)job;
    struct keeper *keeper = commit->keeper;
    if (commit->rc != 0) {
        complaint_raise(&keeper->commit_trouble, LOG_LEVEL_ERROR, keeper->committed_at,
                        "%s; judging goes on, and nothing new is called safe until it can be stored",
                        commit->error.text);
        keeper->retry = true;
        return;
    }
    complaint_clear(&keeper->commit_trouble, "the journal can be written again; nothing was lost");
    keep_unsynced(keeper, &commit->batch.output);
    if (commit->batch.sync) {
        receiver_stored(keeper->receiver, keeper->unsynced, keeper->unsynced_count);
        keeper->unsynced_count = 0;
    }
    start_flush(keeper, commit);
    waiters_tell(commit->waiters);
    journal_batch_free(&commit->batch);
    free(commit);
    keeper->committing = NULL;
}

static void run_commit(struct worker_job *job)
{
    struct commit_job *commit = (struct commit_job *)job;
    commit->rc = journal_commit(commit->keeper->journal, &commit->batch, &commit->error);
}

/* ---- cutting a batch ---- */

static void plan_flush(struct keeper *keeper, struct commit_job *commit, struct instant now)
{
    if (keeper->flushing)
        return;
    struct flush_job *job = flush_job_create();
    if (!job)
        return;
    struct waiter *waiters = NULL;
    flush_plan_fill(keeper->plan, job, now, &waiters);
    if (flush_job_count(job) == 0 && !waiters) {
        flush_job_destroy(job);
        return;
    }
    commit->flush = job;
    commit->flush_waiters = waiters;
    keeper->flushing = true;
}

/* What was told before the watermark is to reach state.rrd. */
static void queue_changed(struct keeper *keeper, const struct line_list *lines)
{
    const struct host_table *table = receiver_hosts(keeper->receiver);
    for (size_t i = 0; i < lines->count; i++)
        flush_plan_queue(keeper->plan, table->hosts[lines->lines[i].host]);
}

/* What was judged under the old name is not to be judged again under the new one. */
static void put_renamed(struct keeper *keeper, const struct journal_batch *batch)
{
    const struct host_table *table = receiver_hosts(keeper->receiver);
    for (size_t i = 0; i < batch->name_count; i++)
        put_checkpoint(keeper, table->hosts[batch->names[i].host]);
}

static _Noreturn void stop_without_memory(void)
{
    log_line(LOG_LEVEL_ERROR, "out of memory; stopping, so that a fresh start can replay the journal");
    _exit(EXIT_FAILURE);
}

/* In the place of the facts that were given up. Without one of them the journal could not be replayed. */
static void put_all_checkpoints(struct keeper *keeper)
{
    const struct host_table *table = receiver_hosts(keeper->receiver);
    for (uint32_t id = 1; id <= table->count; id++) {
        size_t count = keeper->checkpoint_count;
        if (!table->hosts[id])
            continue;
        put_checkpoint(keeper, table->hosts[id]);
        if (keeper->checkpoint_count == count)
            stop_without_memory();
    }
}

static struct commit_job *cut(struct keeper *keeper, struct instant now, bool clean)
{
    struct commit_job *commit = calloc(1, sizeof *commit);
    if (!commit)
        return NULL;
    commit->job = (struct worker_job){.run = run_commit, .done = on_committed};
    commit->keeper = keeper;
    commit->labels = *receiver_labels(keeper->receiver);
    if (!clean)
        plan_flush(keeper, commit, now);
    struct journal_batch *batch = &commit->batch;
    if (keeper->whole) {
        receiver_hear_again(keeper->receiver);
        put_all_checkpoints(keeper);
    }
    receiver_take(keeper->receiver, &batch->output);
    if (!batch_names_fill(batch, receiver_hosts(keeper->receiver)))
        stop_without_memory(); /* facts without their host would make the journal unreadable */
    queue_changed(keeper, &batch->output.lines);
    put_renamed(keeper, batch);
    pending_move(&keeper->pending, batch);
    batch->checkpoints = keeper->checkpoints;
    batch->checkpoint_count = keeper->checkpoint_count;
    keeper->checkpoints = NULL;
    keeper->checkpoint_count = 0;
    commit->waiters = keeper->waiters;
    keeper->waiters = NULL;
    batch->labels = &commit->labels;
    batch->trim_to = keeper->whole ? receiver_last_fact(keeper->receiver) : flush_plan_trim(keeper->plan);
    keeper->whole = false;
    batch->alive = now;
    batch->alive_second = labels_second(&commit->labels, now);
    batch->clean = clean;
    batch->sync = clean || instant_since(now, keeper->synced_at) >= COMMIT_MAX_NS || commit->waiters;
    if (batch->sync)
        keeper->synced_at = now;
    keeper->committed_at = now;
    return commit;
}

static void bound_unsaved(struct keeper *keeper, struct instant now)
{
    size_t max = keeper->unsaved_max;
    if (max == 0)
        max = UNSAVED_MAX + (size_t)UNSAVED_PER_HOST_MAX * receiver_hosts(keeper->receiver)->count;
    if (receiver_unsaved(keeper->receiver) <= max)
        return;
    receiver_give_up_facts(keeper->receiver, now);
    keeper->whole = true;
}

void keeper_tick(struct keeper *keeper, struct instant now)
{
    if (keeper->committing) {
        bound_unsaved(keeper, now);
        if (keeper->retry && instant_since(now, keeper->committed_at) >= COMMIT_MAX_NS) {
            keeper->retry = false;
            keeper->committed_at = now;
            worker_submit(&keeper->journal_worker, &keeper->committing->job);
        }
        return;
    }
    int64_t since_ns = instant_since(now, keeper->committed_at);
    bool asked = keeper->waiters || pending_is_urgent(&keeper->pending) ||
                 (flush_plan_has_requests(keeper->plan) && !keeper->flushing);
    bool news = receiver_has_output(keeper->receiver);
    bool starting = commit_pace_is_starting(keeper->receiver, now);
    if (!(since_ns >= COMMIT_MAX_NS || asked || (starting && since_ns >= COMMIT_MIN_NS) ||
          (news && since_ns >= keeper->commit_interval_ns)))
        return;
    if (instant_since(now, keeper->synced_at) >= COMMIT_MAX_NS)
        keeper->commit_interval_ns = commit_pace_ns(keeper->receiver);
    keeper->committing = cut(keeper, now, false);
    if (keeper->committing)
        worker_submit(&keeper->journal_worker, &keeper->committing->job);
}

void keeper_stop(struct keeper *keeper, struct instant now)
{
    worker_stop(&keeper->journal_worker);
    worker_stop(&keeper->rrd_worker);
    const struct host_table *table = receiver_hosts(keeper->receiver);
    struct error error;
    if (keeper->committing) { /* could not be stored before: one last time */
        if (journal_commit(keeper->journal, &keeper->committing->batch, &error) != 0) {
            log_line(LOG_LEVEL_ERROR, "%s; what happened since is lost, agents will send it again", error.text);
            return; /* what came after builds on it */
        }
        struct flush_job *flush = keeper->committing->flush; /* its files are for the next run */
        for (size_t i = 0; flush && i < flush_job_count(flush); i++)
            (void)flush_job_finish(flush, i, table->hosts[flush_job_host(flush, i)]);
    }
    if (receiver_has_failed(keeper->receiver))
        return; /* something is missing in it: the next run replays what is stored */
    /* With everything in checkpoints the next start has nothing to replay: it may be of another version. */
    for (uint32_t id = 1; id <= table->count; id++)
        if (table->hosts[id])
            put_checkpoint(keeper, table->hosts[id]);
    struct commit_job *last = cut(keeper, now, true);
    if (!last || journal_commit(keeper->journal, &last->batch, &error) != 0)
        log_line(LOG_LEVEL_ERROR, "%s; the stop is not recorded", last ? error.text : "out of memory");
    if (last) {
        waiters_tell(last->waiters);
        journal_batch_free(&last->batch);
        free(last);
    }
}

void keeper_destroy(struct keeper *keeper)
{
    if (!keeper)
        return;
    if (keeper->committing) {
        flush_job_destroy(keeper->committing->flush);
        journal_batch_free(&keeper->committing->batch);
        free(keeper->committing);
    }
    /* What was for a batch after the one that could not be stored. */
    struct journal_batch rest = {.checkpoints = keeper->checkpoints, .checkpoint_count = keeper->checkpoint_count};
    pending_move(&keeper->pending, &rest);
    journal_batch_free(&rest);
    flusher_destroy(keeper->flusher);
    free(keeper->unsynced);
    flush_plan_destroy(keeper->plan);
    free(keeper);
}

/* ---- requests ---- */

int keeper_put_window(struct keeper *keeper, const struct journal_window *window)
{
    return pending_add_window(&keeper->pending, window);
}

int keeper_put_relabel(struct keeper *keeper, const struct journal_relabel *relabel)
{
    return pending_add_relabel(&keeper->pending, relabel);
}

int keeper_when_stored(struct keeper *keeper, keeper_done *done, void *context)
{
    struct waiter *waiter = waiter_create(done, context);
    if (!waiter)
        return -1;
    waiters_append(&keeper->waiters, waiter);
    return 0;
}

int keeper_flush(struct keeper *keeper, const uint32_t *hosts, size_t count, keeper_done *done, void *context)
{
    return flush_plan_request(keeper->plan, hosts, count, done, context);
}

void keeper_remake(struct keeper *keeper, struct host *host)
{
    host->changed_from = HOST_CHANGED_ALL;
    flush_plan_queue(keeper->plan, host);
    put_checkpoint(keeper, host);
}

size_t keeper_outdated(const struct keeper *keeper)
{
    return flush_plan_outdated(keeper->plan);
}

void keeper_forget(struct keeper *keeper, const void *context)
{
    waiters_forget(keeper->waiters, context);
    flush_plan_forget(keeper->plan, context);
    waiters_forget(keeper->flushing_waiters, context);
    if (keeper->committing) {
        waiters_forget(keeper->committing->waiters, context);
        waiters_forget(keeper->committing->flush_waiters, context);
    }
}
