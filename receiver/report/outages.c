/* SPDX-License-Identifier: GPL-2.0-or-later */
/* outages.c - see outages.h. */
#include "receiver/report/outages.h"

static void outage_fill(struct outage *out, const struct timeline_span *span, const struct timeline_span *next,
                        int64_t limit)
{
    *out = (struct outage){.number = span->first_number,
                           .state = span->state,
                           .told = span->told,
                           .relabel = span->relabel,
                           .cause = span->cause,
                           .open = next == NULL,
                           .from = span->from,
                           .from_earliest = span->earliest,
                           .from_latest = span->latest};
    if (next) {
        out->to = next->from;
        out->to_earliest = next->earliest;
        out->to_latest = next->latest;
    }
    int64_t end = next ? next->from : limit;
    out->seconds = end > span->from ? end - span->from : 0;
}

bool outages_next(const struct timeline *timeline, int64_t from, int64_t to, int64_t limit, size_t *index,
                  struct outage *out)
{
    while (*index < timeline->count) {
        const struct timeline_span *span = &timeline->spans[*index];
        const struct timeline_span *next = *index + 1 < timeline->count ? span + 1 : NULL;
        ++*index;
        if (span->from >= to)
            return false;
        if (span->told == STATE_UP || (next && next->from <= from))
            continue;
        outage_fill(out, span, next, limit);
        return true;
    }
    return false;
}
