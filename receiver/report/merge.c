/* SPDX-License-Identifier: GPL-2.0-or-later */
/* merge.c - see merge.h.
 *
 * The parts are walked together from edge to edge. What lies between two edges of any of them has one rank, that of the
 * best part. Neighbours of the same rank make a stretch; when it ends, the part that told most of it is asked for its
 * spans. So one outage does not fall into pieces because two receivers explain it in turn. */
#include "receiver/report/merge.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

/* A host that was heard comes before one that somebody said was up: the latter stays an outage that is listed. */
enum rank { RANK_UNKNOWN, RANK_DOWN, RANK_ADMIN, RANK_SAID_UP, RANK_UP };

struct walk {
    const struct merge_part *parts;
    size_t count;
    size_t begun[MERGE_PARTS_MAX];  /* spans that began up to now */
    int64_t limit[MERGE_PARTS_MAX]; /* up to which a part is heeded */
    /* The stretch that is being walked through: its beginning, and how much of it each part tells (-1: nothing). */
    bool has_stretch;
    enum rank rank;
    int64_t from;
    int64_t told[MERGE_PARTS_MAX];
    struct merged *out;
};

static enum rank rank_of(const struct timeline_span *span)
{
    switch (span->state) {
    case STATE_UP: return span->told == STATE_UP ? RANK_UP : RANK_SAID_UP;
    case STATE_ADMIN: return RANK_ADMIN;
    case STATE_DOWN: return RANK_DOWN;
    default: return RANK_UNKNOWN;
    }
}

/* The span of a part at an instant up to which it was walked; NULL: it says nothing. */
static const struct timeline_span *span_at(const struct walk *walk, size_t part, int64_t at)
{
    if (walk->begun[part] == 0 || at >= walk->limit[part])
        return NULL;
    return &walk->parts[part].timeline->spans[walk->begun[part] - 1];
}

/* The next edge of any part after `at`; INT64_MAX: none. */
static int64_t next_edge(const struct walk *walk, int64_t at)
{
    int64_t edge = INT64_MAX;
    for (size_t i = 0; i < walk->count; i++) {
        const struct timeline *timeline = walk->parts[i].timeline;
        int64_t from = walk->begun[i] < timeline->count ? timeline->spans[walk->begun[i]].from : INT64_MAX;
        if (from >= walk->limit[i])
            from = walk->begun[i] > 0 && at < walk->limit[i] ? walk->limit[i] : INT64_MAX;
        if (from < edge)
            edge = from;
    }
    return edge;
}

static int push_span(struct merged *out, const struct timeline_span *span, size_t teller)
{
    struct timeline *timeline = &out->timeline;
    if (timeline->count == timeline->capacity) {
        size_t capacity = timeline->capacity ? timeline->capacity * 2 : 4;
        struct timeline_span *spans = realloc(timeline->spans, capacity * sizeof *spans);
        if (!spans)
            return -1;
        timeline->spans = spans;
        size_t *tellers = realloc(out->tellers, capacity * sizeof *tellers);
        if (!tellers)
            return -1;
        out->tellers = tellers;
        timeline->capacity = capacity;
    }
    out->tellers[timeline->count] = teller;
    timeline->spans[timeline->count++] = *span;
    return 0;
}

/* The index of the first span that ends after `at`. */
static size_t first_reaching(const struct timeline *timeline, int64_t at)
{
    size_t begun = timeline_begun(timeline, at);
    return begun > 0 ? begun - 1 : 0;
}

/* The beginning of the stretch is an edge of some part: its bounds are those of that edge. A record that ends has none. */
static void set_edge(const struct walk *walk, struct timeline_span *span)
{
    span->from = span->earliest = span->latest = walk->from;
    for (size_t i = 0; i < walk->count; i++) {
        const struct timeline *timeline = walk->parts[i].timeline;
        size_t index = first_reaching(timeline, walk->from);
        if (index < timeline->count && timeline->spans[index].from == walk->from) {
            span->earliest = timeline->spans[index].earliest;
            span->latest = timeline->spans[index].latest;
            return;
        }
    }
}

/* Adds the spans of the part that tells the stretch. Where that part says something else meanwhile, its span before (at
 * the beginning, the one after) goes on. */
static int end_stretch(struct walk *walk, int64_t to)
{
    size_t teller = MERGE_NOBODY;
    for (size_t i = 0; i < walk->count; i++)
        if (walk->told[i] >= 0 && (teller == MERGE_NOBODY || walk->told[i] > walk->told[teller]))
            teller = i;
    struct timeline_span nobody = {.state = STATE_UNKNOWN, .told = STATE_UNKNOWN};
    if (teller == MERGE_NOBODY) {
        set_edge(walk, &nobody);
        return push_span(walk->out, &nobody, teller);
    }
    const struct timeline *timeline = walk->parts[teller].timeline;
    const struct timeline_span *before = NULL;
    for (size_t i = first_reaching(timeline, walk->from); i < timeline->count && timeline->spans[i].from < to; i++) {
        struct timeline_span span = timeline->spans[i];
        if (rank_of(&span) != walk->rank || span.from >= walk->limit[teller])
            continue;
        if (before && before->told == span.told && before->cause == span.cause && before->relabel == span.relabel)
            continue;
        if (!before && span.from != walk->from)
            set_edge(walk, &span);
        if (push_span(walk->out, &span, teller))
            return -1;
        before = &timeline->spans[i];
    }
    assert(before);
    return 0;
}

/* Takes in what all parts say from `at` up to the edge after it. */
static int take_piece(struct walk *walk, int64_t at, int64_t to)
{
    enum rank rank = RANK_UNKNOWN;
    for (size_t i = 0; i < walk->count; i++) {
        const struct timeline_span *span = span_at(walk, i, at);
        if (span && rank_of(span) > rank)
            rank = rank_of(span);
    }
    if (walk->has_stretch && rank != walk->rank) {
        if (end_stretch(walk, at))
            return -1;
        walk->has_stretch = false;
    }
    if (!walk->has_stretch) {
        walk->has_stretch = true;
        walk->rank = rank;
        walk->from = at;
        for (size_t i = 0; i < walk->count; i++)
            walk->told[i] = -1;
    }
    int64_t until = to < walk->out->limit ? to : walk->out->limit;
    for (size_t i = 0; i < walk->count; i++) {
        const struct timeline_span *span = span_at(walk, i, at);
        if (!span || rank_of(span) != rank)
            continue;
        if (at >= walk->out->limit && walk->from < walk->out->limit)
            continue; /* what is said beyond the end explains nothing before it */
        walk->told[i] = (walk->told[i] < 0 ? 0 : walk->told[i]) + (until > at ? until - at : 0);
    }
    return 0;
}

/* Whether the record will say nothing more of the host, which is forgotten there or has moved to other receivers. */
static bool is_left(const struct merge_part *part)
{
    const struct timeline *timeline = part->timeline;
    const struct timeline_span *last = timeline->count > 0 ? &timeline->spans[timeline->count - 1] : NULL;
    return !last || (last->state == STATE_UNKNOWN && (last->cause == CAUSE_FORGOTTEN || last->cause == CAUSE_MOVED));
}

/* The end of the merge: the latest limit of those parts that still have the host, else of those that had it, else of all. */
static int64_t latest_limit(const struct merge_part *parts, size_t count)
{
    int best = -1;
    int64_t limit = 0;
    for (size_t i = 0; i < count; i++) {
        int knows = parts[i].timeline->count == 0 ? 0 : is_left(&parts[i]) ? 1 : 2;
        if (knows > best || (knows == best && parts[i].limit > limit))
            limit = parts[i].limit;
        best = knows > best ? knows : best;
    }
    return limit;
}

int merge_parts(const struct merge_part *parts, size_t count, struct merged *out)
{
    struct walk walk = {.parts = parts, .count = count, .out = out};
    assert(count <= MERGE_PARTS_MAX);
    out->limit = latest_limit(parts, count);
    /* Whoever goes furthest has the last word, as in a record alone: its last span is open. */
    for (size_t i = 0; i < count; i++)
        walk.limit[i] = parts[i].limit >= out->limit ? INT64_MAX : parts[i].limit;
    for (int64_t at = next_edge(&walk, INT64_MIN), to; at != INT64_MAX; at = to) {
        for (size_t i = 0; i < count; i++)
            while (walk.begun[i] < parts[i].timeline->count && parts[i].timeline->spans[walk.begun[i]].from <= at)
                walk.begun[i]++;
        to = next_edge(&walk, at);
        if (take_piece(&walk, at, to))
            return -1;
    }
    return walk.has_stretch ? end_stretch(&walk, INT64_MAX) : 0;
}

void merged_free(struct merged *merged)
{
    timeline_free(&merged->timeline);
    free(merged->tellers);
    *merged = (struct merged){0};
}
