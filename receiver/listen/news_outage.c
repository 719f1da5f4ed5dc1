/* SPDX-License-Identifier: GPL-2.0-or-later */
/* news_outage.c - see news_outage.h. */
#include "receiver/listen/news_outage.h"

#include <stdlib.h>
#include <string.h>

#include "receiver/record/log_reader.h"

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

bool outage_is_meant(const struct timeline *log, size_t index, const struct outage_wish *wish)
{
    const struct timeline_span *span = &log->spans[index];
    if (span->told == STATE_UP)
        return false;
    int64_t to = index + 1 < log->count ? log->spans[index + 1].from : later(wish->now, span->from + 1);
    int64_t wish_from = wish->from - wish->margin_s, wish_to = wish->to;
    if (wish_to == INT64_MAX) { /* nobody could speak of what came after that */
        wish_to = wish->entered;
        to = earlier(to, wish_to + wish->margin_s);
    }
    int64_t common = earlier(to, wish_to + wish->margin_s) - later(span->from, wish_from);
    return common > 0 && 2 * common >= to - span->from;
}

/* One outage can be several spans; what the log told of it last counts. */
static bool is_last_of_outage(const struct timeline *log, size_t index)
{
    for (size_t i = index + 1; i < log->count; i++)
        if (log->spans[i].told != STATE_UP && log->spans[i].first_number == log->spans[index].first_number)
            return false;
    return true;
}

/* What was said of this very outage, or reaches it. */
static bool has_later_word(const struct timeline_span *span, const struct outage_wish *wish)
{
    return span->relabel && span->relabel->entered > wish->entered;
}

int outage_find(struct timeline *log, const struct outage_wish *wish, struct outage_found found[OUTAGE_FOUND_MAX],
                bool *any)
{
    char reason[] = "";
    int count = 0;
    *any = false;
    for (size_t i = 0; i < log->count && count < OUTAGE_FOUND_MAX; i++) {
        if (!outage_is_meant(log, i, wish) || !is_last_of_outage(log, i))
            continue;
        *any = true;
        if (has_later_word(&log->spans[i], wish))
            continue;
        struct timeline_relabel relabel = {.state = wish->state, .entered = wish->entered, .reason = reason};
        bool open;
        if (timeline_say(log, i, &relabel, &open) != 0)
            return -1;
        found[count++] = (struct outage_found){relabel.number, relabel.to_end, open};
    }
    return count;
}

/* ---- on a thread ---- */

static void run(uv_work_t *request)
{
    struct outage_lookup *lookup = (struct outage_lookup *)request;
    struct timeline log = {0};
    struct log_reader *reader = log_reader_open(lookup->data, &lookup->error);
    if (!reader)
        return;
    if (log_reader_timeline(reader, lookup->wish.host, &log, &lookup->error) == 0)
        lookup->count = outage_find(&log, &lookup->wish, lookup->found, &lookup->any);
    timeline_free(&log);
    log_reader_close(reader);
}

static void on_done(uv_work_t *request, int status)
{
    struct outage_lookup *lookup = (struct outage_lookup *)request;
    (void)status;
    lookup->done(lookup);
}

struct outage_lookup *outage_look_up(uv_loop_t *loop, const char *data, const struct outage_wish *wish,
                                     void (*done)(struct outage_lookup *lookup), void *context)
{
    struct outage_lookup *lookup = calloc(1, sizeof *lookup);
    if (!lookup)
        return NULL;
    lookup->data = strdup(data);
    lookup->wish = *wish;
    lookup->count = -1;
    lookup->done = done;
    lookup->context = context;
    if (!lookup->data || uv_queue_work(loop, &lookup->request, run, on_done) != 0) {
        outage_lookup_free(lookup);
        return NULL;
    }
    return lookup;
}

void outage_lookup_free(struct outage_lookup *lookup)
{
    free(lookup->data);
    free(lookup);
}
