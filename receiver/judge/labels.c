/* SPDX-License-Identifier: GPL-2.0-or-later */
/* labels.c - see labels.h. */
#include "receiver/judge/labels.h"

#include <string.h>

/* A wall clock that has moved by less is not worth a part of its own. */
#define MOVED_MIN_NS (NS_PER_S / 2)
/* A restart after which the wall clock still agrees this well needs none either. */
#define SAME_NS (NS_PER_S / 10)
enum { SLOW_DIVISOR = 100 };

/* The label of `t`, which is not before the part. */
static struct wall within(const struct label_part *part, struct instant t)
{
    int64_t gone_ns = instant_since(t, part->from);
    int64_t least_ns = part->base.ns + (part->slow ? gone_ns - gone_ns / SLOW_DIVISOR : 0);
    int64_t wall_ns = t.ns + part->offset_ns;
    return (struct wall){wall_ns > least_ns ? wall_ns : least_ns};
}

void labels_load(struct labels *labels, const struct label_part *part)
{
    if (labels->count == LABELS_MAX) {
        memmove(&labels->parts[0], &labels->parts[1], (LABELS_MAX - 1) * sizeof labels->parts[0]);
        labels->count--;
    }
    labels->parts[labels->count++] = *part;
}

/* Begins a part at which the labels do not go back. */
static void begin(struct labels *labels, struct instant from, struct wall wall, struct wall reached, bool slow)
{
    struct label_part part = {.from = from,
                              .offset_ns = wall.ns - from.ns,
                              .base = wall.ns > reached.ns ? wall : reached,
                              .slow = slow && wall.ns < reached.ns};
    labels_load(labels, &part);
}

static enum labels_change jump(struct labels *labels, struct instant now, struct wall wall)
{
    struct wall to = {wall.ns + 1};
    begin(labels, instant_add(now, 1), to, to, false);
    return LABELS_FORWARD;
}

enum labels_change labels_start(struct labels *labels, struct instant now, struct wall wall)
{
    if (labels->count == 0) {
        begin(labels, now, wall, (struct wall){LABELS_EARLIEST_NS}, false);
        return LABELS_CHANGED;
    }
    const struct label_part *part = &labels->parts[labels->count - 1];
    int64_t moved_ns = wall.ns - (now.ns + part->offset_ns);
    if (!part->slow && moved_ns <= SAME_NS && moved_ns >= -SAME_NS)
        return LABELS_SAME;
    struct wall reached = labels_of(labels, now);
    if (wall.ns - reached.ns > LABELS_JUMP_NS)
        return jump(labels, now, wall);
    begin(labels, now, wall, reached, false);
    return LABELS_CHANGED;
}

enum labels_change labels_look(struct labels *labels, struct instant now, struct wall wall)
{
    if (labels->count == 0)
        return labels_start(labels, now, wall);
    const struct label_part *part = &labels->parts[labels->count - 1];
    int64_t moved_ns = wall.ns - (now.ns + part->offset_ns); /* against what the wall clock said so far */
    /* A clock that is slewed, or set by little again and again, is followed before it has come far enough for a jump. */
    if (moved_ns <= MOVED_MIN_NS && moved_ns >= -MOVED_MIN_NS)
        return LABELS_SAME;
    struct wall reached = labels_of(labels, now);
    if (wall.ns - reached.ns > LABELS_JUMP_NS)
        return jump(labels, now, wall);
    /* Labels that stand still, since the clock was wrong at the start, stand still until it is right. */
    bool stands = !part->slow && now.ns + part->offset_ns < reached.ns;
    begin(labels, now, wall, reached, !stands);
    return LABELS_CHANGED;
}

struct wall labels_of(const struct labels *labels, struct instant t)
{
    size_t i = labels->count;
    while (i > 0 && instant_before(t, labels->parts[i - 1].from))
        i--;
    if (labels->count == 0)
        return (struct wall){t.ns};
    struct wall label = {t.ns + labels->parts[0].offset_ns}; /* before the first part: as in it */
    if (i > 0)
        label = within(&labels->parts[i - 1], t);
    /* What lies before a jump forward is not told as if it lay after it. */
    if (i < labels->count && label.ns > labels->parts[i].base.ns)
        label = labels->parts[i].base;
    return label;
}

int64_t labels_second(const struct labels *labels, struct instant t)
{
    return wall_seconds(labels_of(labels, t));
}

struct instant labels_instant(const struct labels *labels, struct wall wall)
{
    int64_t offset_ns = labels->count ? labels->parts[labels->count - 1].offset_ns : 0;
    return (struct instant){wall.ns - offset_ns};
}
