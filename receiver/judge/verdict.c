/* SPDX-License-Identifier: GPL-2.0-or-later */
/* verdict.c - see verdict.h. */
#include "receiver/judge/verdict.h"

#include <stdlib.h>
#include <string.h>

#include "receiver/judge/averaging.h"
#include "receiver/judge/clone.h"
#include "receiver/judge/forget.h"
#include "receiver/judge/telling.h"

enum {
    MOVES_MAX = 2,    /* of a deadline in one silence, by stalls and drops */
    SETTLE_BEATS = 3, /* beats after a silence until its record is final */
};
#define SETTLE_MIN_NS (60 * NS_PER_S)
#define DELAY_NS (5 * NS_PER_S) /* of a datagram, at most, and of what clocks drift apart */

/* ---- the silence ---- */

bool verdict_begin_silence(struct host *host, struct instant last, const struct verdict_context *c)
{
    host_end_silence(host);
    struct silence_record *record = calloc(1, sizeof *record);
    if (!record) {
        *c->failed = true;
        return false;
    }
    const struct expectation *e = &host->expectation;
    record->facts = (struct silence){.last = last,
                                     .interval_ns = expectation_interval_ns(e),
                                     .expected = expectation_lapse(e, 1),
                                     .lost_with_many = host->lost_last.ns == last.ns,
                                     .contact_at = INSTANT_NEVER};
    record->next_span = INSTANT_NEVER;
    record->run_ms = host->run_ms;
    host->silence = record;
    return true;
}

static bool begin_silence(struct host *host, const struct verdict_context *c)
{
    if (!verdict_begin_silence(host, host->expectation.last, c))
        return false;
    telling_begin(host, c);
    return true;
}

/* Whether the receiver cannot observe just now, and knows it. */
static bool is_unobservable(const struct verdict_context *c)
{
    for (size_t i = c->absence_count; i > 0; i--) {
        const struct absence *a = &c->absences[i - 1];
        bool known = a->cause == CAUSE_RECEIVER_ISOLATED || a->cause == CAUSE_RECEIVER_OVERLOADED;
        if (known && !instant_before(c->now, a->from) && instant_before(c->now, a->to))
            return true;
        if (instant_before(a->to, c->now))
            return false;
    }
    return false;
}

/* Whatever lapses before `t`, lapses: a datagram can come in before its host was judged. */
static void lapse_until(struct host *host, struct instant t, const struct verdict_context *c)
{
    if (instant_before(t, host->deadline[0]) && !host_open_silence(host))
        return;
    if (!host_open_silence(host) && !begin_silence(host, c))
        return;
    struct silence *s = &host->silence->facts;
    if (!s->late && !instant_before(t, host->deadline[0]))
        s->late = true;
    if (s->judged || s->goodbye != GOODBYE_NONE || instant_before(t, host->deadline[1]))
        return;
    if (is_unobservable(c)) {
        s->unobserved = host->waiting = true;
    } else {
        s->judged = true;
        if (s->cut_off) /* whoever was missing is not coming back: an absence of our own gave the fresh chance */
            s->contact_at = instant_earlier(s->contact_at, t);
        averaging_give_up(host, c);
    }
}

/* Whether the receiver was away at a time when an expectation lapsed that `t` is later than: the deadlines were moved then, but
 * what was not observed is to be told. */
static bool was_unobserved(const struct host *host, struct instant t, const struct verdict_context *c)
{
    struct instant expected = expectation_lapse(&host->expectation, 1);
    return c->absence_count > 0 && instant_before(expected, t) &&
           instant_before(expected, c->absences[c->absence_count - 1].to);
}

/* Whether the receiver stood still at some time between the last beat and `t`. What waits in the socket meanwhile is dated
 * at the end of that, so such gaps tell of us and not of the host's rhythm. */
static bool was_stalled(const struct host *host, struct instant t, const struct verdict_context *c)
{
    for (size_t i = c->absence_count; i > 0; i--) {
        const struct absence *a = &c->absences[i - 1];
        if (instant_before(a->to, host->expectation.last))
            return false;
        if (a->cause == CAUSE_RECEIVER_OVERLOADED && instant_before(a->from, t))
            return true;
    }
    return false;
}

static void set_deadlines(struct host *host)
{
    host->deadline[0] = expectation_lapse(&host->expectation, 1);
    host->deadline[1] = expectation_lapse(&host->expectation, 2);
    host->moves = 0;
    host->restarted = host->recovered = host->waiting = false;
}

static int64_t waited_ns(const struct verdict_context *c, struct instant heard_at)
{
    return absence_wait_ns(c->absences, c->absence_count, heard_at);
}

/* How much longer the silence was than the kernel's own clock ran meanwhile. A clock that went back did not stand still: the
 * machine was restored from a snapshot. */
static int64_t stood_still_ns(const struct host *host, const struct fact_beat *beat, const struct verdict_context *c)
{
    const struct silence_record *record = host->silence;
    if (beat->run_ms < record->run_ms)
        return 0;
    int64_t stood_ns =
        instant_since(beat->at, record->facts.last) - (int64_t)(beat->run_ms - record->run_ms) * NS_PER_MS;
    int64_t waited =
        waited_ns(c, c->now); /* then it was counted that much too late, which says nothing about the host */
    bool says_nothing = stood_ns <= 0 || (waited > 0 && stood_ns <= waited + DELAY_NS);
    return says_nothing ? 0 : stood_ns;
}

static void end_silence(struct host *host, const struct fact_beat *beat, bool new_boot, bool new_start,
                        const struct verdict_context *c)
{
    struct silence *s = &host->silence->facts;
    s->ended = true;
    s->beat_at = beat->at;
    s->new_boot = new_boot;
    s->new_start = new_start;
    s->boot_at = instant_add(beat->at, -(int64_t)(beat->uptime_ms * (uint64_t)NS_PER_MS));
    s->frozen_ns = stood_still_ns(host, beat, c);
    /* Of a boot that began before the last beat (of a clone, or heard late after a stall) the end before is no news of this silence. */
    bool followed = new_start || (new_boot && instant_before(s->last, s->boot_at));
    if (s->goodbye == GOODBYE_NONE && followed) {
        if (beat->previous_end == PREVIOUS_STOPPED)
            s->goodbye = GOODBYE_STOPPED;
        else if (beat->previous_end == PREVIOUS_SHUTDOWN)
            s->goodbye = GOODBYE_SHUTDOWN;
        s->goodbye_reported = s->goodbye != GOODBYE_NONE;
        s->goodbye_at = s->last;
    }
    telling_update(host, c);
    host->silence->beats_since = 1;
    if (host->silence->told_count == 1 && host->silence->told[0].number == 0)
        host_end_silence(host); /* nothing came of it */
}

/* The second and third beat after a silence can tell of an earlier boot, or of less time frozen: the first datagram may have been
 * delayed. */
static void settle_further(struct host *host, const struct fact_beat *beat, const struct verdict_context *c)
{
    struct silence *s = &host->silence->facts;
    struct instant boot_at = instant_add(beat->at, -(int64_t)(beat->uptime_ms * (uint64_t)NS_PER_MS));
    int64_t frozen_ns = stood_still_ns(host, beat, c);
    bool waited = waited_ns(c, c->now) > 0, first_waited = s->frozen_ns == 0 && waited_ns(c, host->heard_at) > 0;
    if (waited || (frozen_ns > s->frozen_ns && !first_waited)) /* it tells less than what is known */
        frozen_ns = s->frozen_ns;
    if ((s->new_boot && instant_before(boot_at, s->boot_at)) || (!s->new_boot && frozen_ns != s->frozen_ns)) {
        s->boot_at = instant_earlier(boot_at, s->boot_at);
        s->frozen_ns = frozen_ns;
        telling_update(host, c);
    }
    if (++host->silence->beats_since >= SETTLE_BEATS && !host->displaced)
        host_end_silence(host);
}

/* Seconds that the wall clock left out after the last beat: nobody lived through them. They are told as part of a silence that lasts
 * until the next beat. */
static void tell_clock_step(struct host *host, const struct verdict_context *c)
{
    for (size_t i = c->absence_count; i > 0 && instant_before(host->expectation.last, c->absences[i - 1].to); i--) {
        if (c->absences[i - 1].cause != CAUSE_CLOCK_STEP || !instant_before(c->absences[i - 1].from, c->now))
            continue;
        if (host_open_silence(host) || begin_silence(host, c))
            telling_update(host, c);
        return;
    }
}

/* ---- steps ---- */

/* Whether the numbers of the beats begin anew: with another run of the agent, or when a new session opens with a number of
 * the past, as an agent restored from a snapshot does. */
static bool begins_anew(const struct host *host, const struct fact_beat *beat)
{
    if (!host->heard || beat->agent_start != host->agent_start)
        return true;
    return !beat->kept && beat->session != host->expectation.session && beat->number <= host->numbers.newest;
}

bool verdict_returns(const struct host *host, const struct fact_beat *beat)
{
    const struct silence *s = host_open_silence(host);
    return s && s->judged && s->goodbye == GOODBYE_NONE && !beat->kept;
}

bool verdict_is_pending(const struct host *host, struct instant now)
{
    const struct silence *s = host_open_silence(host);
    return host->heard && !host->waiting && !instant_before(now, host->deadline[1]) &&
           !(s && (s->judged || s->goodbye != GOODBYE_NONE));
}

bool verdict_is_known(const struct host *host, const struct fact_beat *beat)
{
    return !clone_is_displaced(host, beat) && !begins_anew(host, beat) &&
           numbers_is_known(&host->numbers, beat->number);
}

/* What the encoding leaves out. */
static void complete(struct fact_beat *beat, const struct host *host)
{
    if (!beat->same_run)
        return;
    beat->session = host->expectation.session;
    memcpy(beat->boot_id, host->boot_id, sizeof beat->boot_id);
    beat->agent_start = host->agent_start;
}

/* Whether a beat set out before the goodbye of its run, and came after it: it does not take the goodbye back. */
static bool was_overtaken(const struct host *host, const struct fact_beat *beat)
{
    const struct silence *s = host_open_silence(host);
    return s && s->goodbye != GOODBYE_NONE && !s->goodbye_reported && beat->agent_start == host->agent_start &&
           beat->session == host->expectation.session && instant_before(beat->at, instant_add(s->goodbye_at, DELAY_NS));
}

void verdict_beat(struct host *host, struct fact_beat *beat, const struct verdict_context *c)
{
    complete(beat, host);
    if (clone_is_displaced(host, beat))
        clone_reinstate(host);
    else
        clone_expire(host, beat->at);
    bool afresh = !beat->kept && begins_anew(host, beat);
    if (afresh)
        numbers_init(&host->numbers);
    (void)numbers_hear(&host->numbers, beat->number);
    bool in_order = beat->session != host->expectation.session || beat->number > host->expectation.number;
    if (beat->kept || !in_order || was_overtaken(host, beat)) { /* late news of a time that was judged without it */
        averaging_beat(host, beat, NULL, false, false, c);
        return;
    }
    bool first = !host->heard;
    bool new_boot = !first && memcmp(beat->boot_id, host->boot_id, sizeof host->boot_id) != 0;
    bool new_start = !first && !new_boot && beat->agent_start != host->agent_start;
    bool was_judged = false;
    if (new_boot && !clone_displace(host, beat))
        *c->failed = true;
    if (first) {
        forget_no_more(host);
    } else {
        lapse_until(host, beat->at, c);
        if (!host_open_silence(host) && (new_boot || new_start || was_unobserved(host, beat->at, c)))
            begin_silence(host, c);
        if (host_open_silence(host)) {
            was_judged = host->silence->facts.judged;
            end_silence(host, beat, new_boot, new_start, c);
        } else if (host->silence) {
            settle_further(host, beat, c);
        }
    }
    int64_t announced_ns = (int64_t)beat->interval_ms * NS_PER_MS;
    bool is_odd = was_judged || (!first && was_stalled(host, beat->at, c));
    expectation_observe(&host->expectation, beat->at, beat->session, beat->number, announced_ns, is_odd);
    set_deadlines(host);
    memcpy(host->boot_id, beat->boot_id, sizeof host->boot_id);
    host->agent_start = beat->agent_start;
    host->uptime_ms = beat->uptime_ms;
    host->run_ms = beat->run_ms;
    host->heard = true;
    host->heard_at = c->now;
    /* Unknown without a silence is what a cut of the record left. */
    if (first || (!host->silence && host->state != STATE_UP))
        telling_first(host, beat->at, c);
    tell_clock_step(host, c);
    struct wall boot = labels_of(c->labels, instant_add(beat->at, -(int64_t)(beat->uptime_ms * (uint64_t)NS_PER_MS)));
    averaging_beat(host, beat, new_boot ? &boot : NULL, true, afresh, c);
}

void verdict_bye(struct host *host, const struct fact_bye *bye, const struct verdict_context *c)
{
    if (!host->heard || bye->agent_start != host->agent_start)
        return; /* of a run that is over */
    struct instant at = instant_later(bye->at, host->expectation.last);
    lapse_until(host, at, c);
    /* It may be the first sign of life after a time that was not observed, as a beat would be. */
    if (!host_open_silence(host) && was_unobserved(host, at, c) && !begin_silence(host, c))
        return;
    struct silence *s = host_open_silence(host);
    bool moved = bye->reason == BYE_MOVED;
    if (s && s->goodbye != GOODBYE_NONE && !moved)
        return; /* repeated */
    /* It was there all the time: the silence ends here, and another begins. */
    if (s && (s->judged || s->by_path || s->cut_off || moved)) {
        at = instant_later(at, s->last);
        s->ended = true;
        s->beat_at = at;
        telling_update(host, c);
        s = NULL;
    }
    if (moved) {
        forget_host(host, at, CAUSE_MOVED, c);
        return;
    }
    host->expectation.last = at;
    set_deadlines(host);
    if (!s && !begin_silence(host, c))
        return;
    s = &host->silence->facts;
    s->goodbye = bye->reason == BYE_SHUTDOWN ? GOODBYE_SHUTDOWN : GOODBYE_STOPPED;
    s->goodbye_at = at;
    s->late = false;
    host->heard_at = c->now;
    telling_update(host, c);
}

void verdict_drops(struct host *host)
{
    if (!host->heard || host->moves >= MOVES_MAX)
        return;
    host->moves++;
    int64_t margin_ns = expectation_margin_ns(&host->expectation);
    host->deadline[0] = instant_add(host->deadline[0], margin_ns);
    host->deadline[1] = instant_add(host->deadline[1], margin_ns);
}

void verdict_judge(struct host *host, const struct verdict_context *c)
{
    if (!host->heard || instant_before(c->now, verdict_due(host)))
        return;
    lapse_until(host, c->now, c);
    if (host_open_silence(host))
        telling_update(host, c);
}

/* Absences of a damaged journal, added up, do not overflow. */
static struct instant moved(struct instant deadline, int64_t ns)
{
    return instant_earlier(instant_add(deadline, ns), (struct instant){INSTANT_LIMIT_NS - 1});
}

void verdict_absence(struct host *host, const struct absence *absence, const struct verdict_context *c)
{
    if (!host->heard)
        return;
    if (absence->cause == CAUSE_CLOCK_STEP) {
        tell_clock_step(host, c);
        return;
    }
    if (!instant_before(absence->to, INSTANT_NEVER)) { /* it goes on, and what it means is said at its end */
        if (host->silence)
            telling_update(host, c);
        return;
    }
    int64_t length_ns = instant_since(absence->to, absence->from);
    bool restart = absence->cause == CAUSE_RECEIVER_OFF;
    bool touched = restart || !instant_before(absence->to, host->deadline[0]);
    struct silence *s = host_open_silence(host);
    bool decided = s && (s->judged || (s->goodbye != GOODBYE_NONE && s->late));
    if (touched && !decided) {
        bool long_one = restart || host->waiting || absence->cause == CAUSE_RECEIVER_ISOLATED ||
                        length_ns > expectation_interval_ns(&host->expectation) / 4;
        bool *given = restart ? &host->restarted : &host->recovered;
        if (long_one && !*given) { /* once in a silence for each: a fresh chance to be heard */
            int64_t grace_ns = expectation_grace_ns(&host->expectation);
            int64_t interval_ns = expectation_interval_ns(&host->expectation);
            host->deadline[0] = instant_later(host->deadline[0], instant_add(absence->to, grace_ns - interval_ns));
            host->deadline[1] = instant_later(host->deadline[1], instant_add(absence->to, grace_ns));
            *given = true;
        } else if (long_one || host->moves < MOVES_MAX) {
            host->moves = (uint8_t)(host->moves + !long_one);
            host->deadline[0] = moved(host->deadline[0], length_ns);
            host->deadline[1] = moved(host->deadline[1], length_ns);
        }
    }
    /* That we hear somebody again does not tell of other receivers: who waits for them waits on, unless this is another process. */
    host->waiting = !restart && s && s->cut_off && !s->judged && !instant_before(s->contact_at, INSTANT_NEVER);
    if (host->silence)
        telling_update(host, c);
}

void verdict_refresh(struct host *host, const struct verdict_context *c)
{
    if (host_open_silence(host))
        telling_update(host, c);
}

struct instant verdict_due(const struct host *host)
{
    if (!host->heard)
        return INSTANT_NEVER;
    const struct silence *s = host_open_silence(host);
    if (!s)
        return host->deadline[0];
    struct instant due = host->silence->next_span;
    if (!s->late)
        due = instant_earlier(due, host->deadline[0]);
    if (!s->judged && s->goodbye == GOODBYE_NONE && !host->waiting)
        due = instant_earlier(due, host->deadline[1]);
    return due;
}

int64_t verdict_settled_to(struct host *host, const struct verdict_context *c)
{
    if (!host->heard && !host->forgotten)
        return 0;
    struct instant to = host->expectation.last; /* of a forgotten host: when it was */
    if (host->silence) {
        to = host->silence->facts.last;
        if (host_open_silence(host) && host->state != STATE_UP) {
            int64_t wait_ns = 3 * expectation_interval_ns(&host->expectation);
            to = instant_later(to, instant_add(c->now, -(wait_ns > SETTLE_MIN_NS ? wait_ns : SETTLE_MIN_NS)));
        }
    }
    int64_t second = labels_second(c->labels, to);
    if (second > host->settled_to)
        host->settled_to = second;
    return host->settled_to;
}
