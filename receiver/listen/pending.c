/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pending.c - see pending.h. */
#include "receiver/listen/pending.h"

#include <stdlib.h>
#include <string.h>

int pending_add_window(struct pending *pending, const struct journal_window *window)
{
    struct journal_window *grown = realloc(pending->windows, (pending->window_count + 1) * sizeof *grown);
    if (!grown)
        return -1;
    pending->windows = grown;
    pending->windows[pending->window_count++] = *window;
    return 0;
}

int pending_add_relabel(struct pending *pending, const struct journal_relabel *relabel)
{
    struct journal_relabel *grown = realloc(pending->relabels, (pending->relabel_count + 1) * sizeof *grown);
    if (!grown)
        return -1;
    pending->relabels = grown;
    pending->relabels[pending->relabel_count++] = *relabel;
    return 0;
}

int pending_add_months(struct pending *pending, const struct journal_month *months, size_t count)
{
    if (count == 0)
        return 0;
    struct journal_month *grown = realloc(pending->months, (pending->month_count + count) * sizeof *grown);
    if (!grown)
        return -1;
    pending->months = grown;
    memcpy(grown + pending->month_count, months, count * sizeof *months);
    pending->month_count += count;
    return 0;
}

bool pending_is_urgent(const struct pending *pending)
{
    return pending->window_count > 0 || pending->relabel_count > 0;
}

void pending_move(struct pending *pending, struct journal_batch *batch)
{
    batch->windows = pending->windows;
    batch->window_count = pending->window_count;
    batch->relabels = pending->relabels;
    batch->relabel_count = pending->relabel_count;
    batch->months = pending->months;
    batch->month_count = pending->month_count;
    *pending = (struct pending){0};
}
