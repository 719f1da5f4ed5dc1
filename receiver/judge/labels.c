/* SPDX-License-Identifier: GPL-2.0-or-later */
/* labels.c - see labels.h. */
#include "receiver/judge/labels.h"

#include <string.h>

void labels_begin(struct labels *labels, struct instant from, struct wall wall)
{
    struct wall reached = labels_of(labels, from);
    if (labels->count > 0 && wall.ns < reached.ns)
        wall = reached;
    if (labels->count == LABELS_MAX) {
        memmove(&labels->parts[0], &labels->parts[1], (LABELS_MAX - 1) * sizeof labels->parts[0]);
        labels->count--;
    }
    labels->parts[labels->count].from = from;
    labels->parts[labels->count].offset_ns = wall.ns - from.ns;
    labels->count++;
}

struct wall labels_of(const struct labels *labels, struct instant t)
{
    size_t i = labels->count;
    while (i > 1 && instant_before(t, labels->parts[i - 1].from))
        i--;
    if (i == 0)
        return (struct wall){t.ns};
    struct wall label = {t.ns + labels->parts[i - 1].offset_ns};
    /* What lies before a jump forward is not told as if it lay after it. */
    if (i < labels->count) {
        struct wall next = {labels->parts[i].from.ns + labels->parts[i].offset_ns};
        if (label.ns > next.ns)
            label = next;
    }
    return label;
}

int64_t labels_second(const struct labels *labels, struct instant t)
{
    return wall_seconds(labels_of(labels, t));
}
