/* SPDX-License-Identifier: GPL-2.0-or-later */
/* worker.c - see worker.h. */
#include "receiver/listen/worker.h"

#include <string.h>

static void append(struct worker_job **first, struct worker_job **last, struct worker_job *job)
{
    job->next = NULL;
    if (*last)
        (*last)->next = job;
    else
        *first = job;
    *last = job;
}

static struct worker_job *take_first(struct worker_job **first, struct worker_job **last)
{
    struct worker_job *job = *first;
    if (job && !(*first = job->next))
        *last = NULL;
    return job;
}

static void work(void *argument)
{
    struct worker *worker = argument;
    uv_mutex_lock(&worker->mutex);
    for (;;) {
        struct worker_job *job = take_first(&worker->todo_first, &worker->todo_last);
        if (job) {
            uv_mutex_unlock(&worker->mutex);
            job->run(job);
            uv_mutex_lock(&worker->mutex);
            append(&worker->done_first, &worker->done_last, job);
            (void)uv_async_send(&worker->finished);
        } else if (worker->stopping) {
            break;
        } else {
            uv_cond_wait(&worker->wake, &worker->mutex);
        }
    }
    uv_mutex_unlock(&worker->mutex);
}

static void finish(struct worker *worker)
{
    for (;;) {
        uv_mutex_lock(&worker->mutex);
        struct worker_job *job = take_first(&worker->done_first, &worker->done_last);
        uv_mutex_unlock(&worker->mutex);
        if (!job)
            return;
        job->done(job);
    }
}

static void on_finished(uv_async_t *handle)
{
    finish(handle->data);
}

int worker_start(struct worker *worker, uv_loop_t *loop)
{
    memset(worker, 0, sizeof *worker);
    int rc = uv_async_init(loop, &worker->finished, on_finished);
    if (rc != 0)
        return rc;
    worker->finished.data = worker;
    if ((rc = uv_mutex_init(&worker->mutex)) != 0 || (rc = uv_cond_init(&worker->wake)) != 0)
        return rc;
    return uv_thread_create(&worker->thread, work, worker);
}

void worker_submit(struct worker *worker, struct worker_job *job)
{
    uv_mutex_lock(&worker->mutex);
    append(&worker->todo_first, &worker->todo_last, job);
    uv_cond_signal(&worker->wake);
    uv_mutex_unlock(&worker->mutex);
}

void worker_stop(struct worker *worker)
{
    uv_mutex_lock(&worker->mutex);
    worker->stopping = 1;
    uv_cond_signal(&worker->wake);
    uv_mutex_unlock(&worker->mutex);
    (void)uv_thread_join(&worker->thread);
    finish(worker);
    uv_cond_destroy(&worker->wake);
    uv_mutex_destroy(&worker->mutex);
    uv_close((uv_handle_t *)&worker->finished, NULL);
}
