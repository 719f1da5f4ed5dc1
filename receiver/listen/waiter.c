/* SPDX-License-Identifier: GPL-2.0-or-later */
/* waiter.c - see waiter.h. */
#include "receiver/listen/waiter.h"

#include <stdlib.h>

void waiters_tell(struct waiter *waiters)
{
    while (waiters) {
        struct waiter *next = waiters->next;
        if (waiters->done)
            waiters->done(waiters->context);
        free(waiters);
        waiters = next;
    }
}

void waiters_append(struct waiter **list, struct waiter *more)
{
    while (*list)
        list = &(*list)->next;
    *list = more;
}

struct waiter *waiter_create(void (*done)(void *context), void *context)
{
    struct waiter *waiter = calloc(1, sizeof *waiter);
    if (waiter)
        *waiter = (struct waiter){.done = done, .context = context};
    return waiter;
}

void waiters_forget(struct waiter *list, const void *context)
{
    for (; list; list = list->next)
        if (list->context == context)
            list->done = NULL;
}
