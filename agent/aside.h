/* SPDX-License-Identifier: GPL-2.0-or-later */
/* aside.h - calls that may never return, made beside the loop.
 *
 * Asking a file system for its size or a sensor for its temperature can take for ever if the disk, the bus or the
 * process behind it is dead, and nothing can call it off. Such calls are tasks, made by one helper thread in turn. A
 * task that hangs keeps its thread and is not asked again until it returns; the next thread, up to ASIDE_THREAD_MAX,
 * is started for the others. Threads have small stacks and no signals. They are started at the first need, hence after
 * a change of user, which has to wait for every thread of the process. */
#ifndef AGENT_ASIDE_H
#define AGENT_ASIDE_H

#include <stdbool.h>
#include <stddef.h>

#define ASIDE_THREAD_MAX 4

struct aside;

/* `run` is called on a helper thread for each task that is asked, never twice at once for the same one. NULL: out of
 * memory. */
struct aside *aside_create(size_t task_count, void (*run)(void *context, size_t task), void *context);

/* False: a call still hangs and all of this lives on; the process must end by _exit. NULL is fine. */
bool aside_destroy(struct aside *aside);

/* The task is due; nothing happens if it is already, or under way. May also be called from within a task. */
void aside_ask(struct aside *aside, size_t task);

/* Lets the threads begin, and waits for at most `limit_ms` until all is done but for what was under way before. Returns
 * at once if every thread hangs. True: all is done, and nothing hangs. */
bool aside_wait(struct aside *aside, int limit_ms);

#endif
