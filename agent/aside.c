/* SPDX-License-Identifier: GPL-2.0-or-later */
/* aside.c - see aside.h. */
#include "agent/aside.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define STACK_SIZE (64 * 1024)
#define LEAVE_LIMIT_MS 200 /* how long threads may take to end; one in an ordinary call needs far less */

enum state { IDLE, DUE, UNDER_WAY };

struct aside {
    void (*run)(void *context, size_t task);
    void *context;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t work;  /* something is due, or it is time to leave */
    pthread_cond_t done;  /* nothing is due, and one more call has returned */
    bool leaving;
    size_t thread_count, busy_count, due_count;
    pthread_t threads[ASIDE_THREAD_MAX];
    size_t task_count;
    uint8_t states[];
};

static size_t next_due(const struct aside *aside)
{
    size_t task = 0;
    while (aside->states[task] != DUE)
        task++;
    return task;
}

static void *serve(void *argument)
{
    struct aside *aside = argument;
    (void)pthread_mutex_lock(&aside->lock);
    while (!aside->leaving) {
        if (aside->due_count == 0) {
            (void)pthread_cond_wait(&aside->work, &aside->lock);
            continue;
        }
        size_t task = next_due(aside);
        aside->states[task] = UNDER_WAY;
        aside->due_count--;
        aside->busy_count++;
        (void)pthread_mutex_unlock(&aside->lock);
        aside->run(aside->context, task);
        (void)pthread_mutex_lock(&aside->lock);
        aside->states[task] = IDLE;
        aside->busy_count--;
        if (aside->due_count > 0)
            continue;
        /* Without the lock, or the one who wakes would have to wait for it. */
        (void)pthread_mutex_unlock(&aside->lock);
        (void)pthread_cond_signal(&aside->done);
        (void)pthread_mutex_lock(&aside->lock);
    }
    (void)pthread_mutex_unlock(&aside->lock);
    return NULL;
}

/* If there is no memory for a thread, the next round tries again. */
static void start_thread(struct aside *aside)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    size_t size = STACK_SIZE > PTHREAD_STACK_MIN ? STACK_SIZE : (size_t)PTHREAD_STACK_MIN;
    if (pthread_attr_init(&attributes) != 0)
        return;
    (void)pthread_attr_setstacksize(&attributes, size);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&aside->threads[aside->thread_count], &attributes, serve, aside) == 0)
        aside->thread_count++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
}

struct aside *aside_create(size_t task_count, void (*run)(void *context, size_t task), void *context)
{
    struct aside *aside = calloc(1, sizeof *aside + task_count);
    pthread_condattr_t attributes;
    if (!aside)
        return NULL;
    aside->run = run;
    aside->context = context;
    aside->task_count = task_count;
    (void)pthread_mutex_init(&aside->lock, NULL);
    (void)pthread_cond_init(&aside->work, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&aside->done, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    return aside;
}

/* With the lock held: until no more than `busy` calls are under way and none is due. */
static void wait_for(struct aside *aside, size_t busy, int limit_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += limit_ms * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    while (aside->due_count > 0 || aside->busy_count > busy)
        if (pthread_cond_timedwait(&aside->done, &aside->lock, &until) != 0)
            return;
}

bool aside_destroy(struct aside *aside)
{
    if (!aside)
        return true;
    (void)pthread_mutex_lock(&aside->lock);
    aside->leaving = true;
    aside->due_count = 0;
    (void)pthread_cond_broadcast(&aside->work);
    wait_for(aside, 0, LEAVE_LIMIT_MS);
    bool hangs = aside->busy_count > 0;
    (void)pthread_mutex_unlock(&aside->lock);
    if (hangs)
        return false;
    for (size_t i = 0; i < aside->thread_count; i++)
        (void)pthread_join(aside->threads[i], NULL);
    (void)pthread_cond_destroy(&aside->work);
    (void)pthread_cond_destroy(&aside->done);
    (void)pthread_mutex_destroy(&aside->lock);
    free(aside);
    return true;
}

void aside_ask(struct aside *aside, size_t task)
{
    (void)pthread_mutex_lock(&aside->lock);
    if (aside->states[task] == IDLE && !aside->leaving) {
        aside->states[task] = DUE;
        aside->due_count++;
    }
    (void)pthread_mutex_unlock(&aside->lock);
}

bool aside_wait(struct aside *aside, int limit_ms)
{
    (void)pthread_mutex_lock(&aside->lock);
    /* What is under way now has been so for an interval. */
    size_t hanging = aside->busy_count;
    if (aside->due_count > 0 && hanging == aside->thread_count && hanging < ASIDE_THREAD_MAX)
        start_thread(aside);
    if (hanging < aside->thread_count) {
        (void)pthread_cond_signal(&aside->work);
        wait_for(aside, hanging, limit_ms);
    }
    bool all_done = aside->due_count == 0 && aside->busy_count == 0;
    (void)pthread_mutex_unlock(&aside->lock);
    return all_done;
}
