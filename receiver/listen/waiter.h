/* SPDX-License-Identifier: GPL-2.0-or-later */
/* waiter.h - lists of those who want to be told when something is on the disk. A waiter wanders from list to list while
 * what it waits for goes through its stages. */
#ifndef RECEIVER_LISTEN_WAITER_H
#define RECEIVER_LISTEN_WAITER_H

struct waiter {
    void (*done)(void *context); /* NULL: no longer interested */
    void *context;
    struct waiter *next;
};

/* NULL: out of memory. */
struct waiter *waiter_create(void (*done)(void *context), void *context);
/* Adds a list to the end of another, which owns it from then on. */
void waiters_append(struct waiter **list, struct waiter *more);
/* Tells all of them, and releases them. */
void waiters_tell(struct waiter *waiters);
/* Those with this context will not be told. */
void waiters_forget(struct waiter *list, const void *context);

#endif
