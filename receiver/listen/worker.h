/* SPDX-License-Identifier: GPL-2.0-or-later */
/* worker.h - one thread that does blocking work, in the order in which it was given.
 *
 * The journal has one, the RRD files have one: so there is never more than one writer of each, and the loop never waits for a disk. A job
 * belongs to the worker from worker_submit until its `done`, which runs on the loop. */
#ifndef RECEIVER_LISTEN_WORKER_H
#define RECEIVER_LISTEN_WORKER_H

#include <uv.h>

struct worker_job {
    void (*run)(struct worker_job *job);  /* on the worker's thread */
    void (*done)(struct worker_job *job); /* on the loop; may free the job */
    struct worker_job *next;              /* the worker's */
};

struct worker {
    uv_thread_t thread;
    uv_mutex_t mutex;
    uv_cond_t wake;
    uv_async_t finished;
    struct worker_job *todo_first, *todo_last; /* under the mutex, as all below */
    struct worker_job *done_first, *done_last;
    int stopping;
};

/* Starts the thread. Returns 0 or a libuv error. */
int worker_start(struct worker *worker, uv_loop_t *loop);
void worker_submit(struct worker *worker, struct worker_job *job);
/* Finishes all jobs, their `done` included, ends the thread and closes the handle (the loop must run once more). */
void worker_stop(struct worker *worker);

#endif
