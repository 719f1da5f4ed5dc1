/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fault_worker.c - the threads of the receiver (receiver/listen/worker.h) without threads: a job is done at one tick of the
 * simulation, its end told at a later one. A process can die between, and a run is the same each time. */
#include "receiver/listen/worker.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/fault_shell.h"

#define WORKERS_MAX 8

static struct worker *workers[WORKERS_MAX];
static struct sim_random worker_random;
static double worker_busy; /* chance that a worker comes to nothing at a tick */

int worker_start(struct worker *worker, uv_loop_t *loop)
{
    (void)loop;
    memset(worker, 0, sizeof *worker);
    for (size_t i = 0; i < WORKERS_MAX; i++)
        if (!workers[i]) {
            workers[i] = worker;
            return 0;
        }
    abort();
}

void worker_submit(struct worker *worker, struct worker_job *job)
{
    job->next = NULL;
    if (worker->todo_last)
        worker->todo_last->next = job;
    else
        worker->todo_first = job;
    worker->todo_last = job;
}

/* Does the next job, or tells that the one before is done. False: there is neither. */
static bool step(struct worker *worker)
{
    struct worker_job *job = worker->done_first;
    if (job) {
        worker->done_first = NULL;
        job->done(job);
        return true;
    }
    job = worker->todo_first;
    if (!job)
        return false;
    worker->todo_first = job->next;
    if (!worker->todo_first)
        worker->todo_last = NULL;
    job->run(job);
    worker->done_first = job;
    return true;
}

void worker_stop(struct worker *worker)
{
    while (step(worker))
        ;
    for (size_t i = 0; i < WORKERS_MAX; i++)
        if (workers[i] == worker)
            workers[i] = NULL;
}

void fault_workers_set_busy(uint64_t seed, double busy)
{
    sim_random_init(&worker_random, seed, 901);
    worker_busy = busy;
}

void fault_workers_tick(void)
{
    for (size_t i = 0; i < WORKERS_MAX; i++)
        if (workers[i] && !sim_random_chance(&worker_random, worker_busy))
            (void)step(workers[i]);
}
