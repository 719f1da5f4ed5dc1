/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pending.h - what goes into the next batch beside what the core puts out: what people entered, and months that ended. */
#ifndef RECEIVER_LISTEN_PENDING_H
#define RECEIVER_LISTEN_PENDING_H

#include <stdbool.h>
#include <stddef.h>

#include "receiver/record/journal.h"

/* Zero-initialise; everything is owned. */
struct pending {
    struct journal_window *windows;
    size_t window_count;
    struct journal_relabel *relabels;
    size_t relabel_count;
    struct journal_month *months;
    size_t month_count;
};

/* Take over the texts of what is added. Return 0, or -1: out of memory, nothing is taken over. */
int pending_add_window(struct pending *pending, const struct journal_window *window);
int pending_add_relabel(struct pending *pending, const struct journal_relabel *relabel);
int pending_add_months(struct pending *pending, const struct journal_month *months, size_t count);

/* Whether somebody entered something: that is not to wait. */
bool pending_is_urgent(const struct pending *pending);
/* Moves all of it to the batch. */
void pending_move(struct pending *pending, struct journal_batch *batch);

#endif
