/* SPDX-License-Identifier: GPL-2.0-or-later */
/* path.c - see path.h. */
#include "receiver/judge/path.h"

#include "receiver/judge/averaging.h"
#include "receiver/judge/telling.h"

/* The host is expected again as if it had been heard here at `at`. */
static void expect_from(struct host *host, struct instant at)
{
    int64_t grace_ns = expectation_grace_ns(&host->expectation);
    host->deadline[1] = instant_add(at, grace_ns);
    host->deadline[0] = instant_add(host->deadline[1], -expectation_interval_ns(&host->expectation));
}

/* The silence that goes on; it begins now if both expectations lapsed at once. NULL: out of memory, or the host is not expected. */
static struct silence *silence_of(struct host *host, const struct verdict_context *c)
{
    if (host_open_silence(host))
        return host_open_silence(host);
    if (!host->heard || instant_before(c->now, host->deadline[0]) ||
        !verdict_begin_silence(host, host->expectation.last, c))
        return NULL;
    telling_begin(host, c);
    host->silence->facts.late = true;
    return &host->silence->facts;
}

void path_heard(struct host *host, const struct fact_path *path, const struct verdict_context *c)
{
    struct silence *s = host_open_silence(host);
    if (!s || !instant_before(s->last, path->at))
        return;
    s->ended = s->path = true;
    s->broken = path->broken && instant_before(s->last, path->back) && !instant_before(path->at, path->back);
    s->broken_state = s->broken ? path->state : STATE_UNKNOWN;
    s->broken_cause = s->broken ? path->cause : CAUSE_NONE;
    s->beat_at = s->broken ? path->back : path->at;
    telling_update(host, c);
    if (!verdict_begin_silence(host, path->at, c))
        return;
    /* Who hears of it late has no fewer chances for that: the next beat may be on its way here, too. */
    struct instant timely = instant_add(c->now, -expectation_interval_ns(&host->expectation));
    expect_from(host, path->late ? path->at : instant_later(path->at, timely));
    s = &host->silence->facts;
    s->by_path = true;
    s->expected = instant_add(path->at, expectation_grace_ns(&host->expectation) - s->interval_ns);
    host->moves = 0;
    host->restarted = host->recovered = host->waiting = false;
    telling_begin(host, c);
    telling_update(host, c); /* it may lie in a maintenance window, the end of which must not be missed */
}

void path_agreed(struct host *host, const struct verdict_context *c)
{
    struct silence *s = silence_of(host, c);
    if (!s || s->agreed)
        return;
    s->agreed = true;
    if (s->cut_off && !s->judged) {
        s->judged = true;
        host->waiting = false;
        averaging_give_up(host, c);
    }
    telling_update(host, c);
}

void path_cut_off(struct host *host, const struct verdict_context *c)
{
    struct silence *s = silence_of(host, c);
    if (!s || s->judged || (s->cut_off && !instant_before(s->contact_at, INSTANT_NEVER)))
        return;
    s->cut_off = host->waiting = true;
    s->contact_at = INSTANT_NEVER;
    telling_update(host, c);
}

void path_contact(struct host *host, const struct verdict_context *c)
{
    struct silence *s = host_open_silence(host);
    if (!s || !s->cut_off || s->judged || instant_before(s->contact_at, INSTANT_NEVER))
        return;
    s->contact_at = c->now;
    host->waiting = false;
    expect_from(host, c->now);
}
