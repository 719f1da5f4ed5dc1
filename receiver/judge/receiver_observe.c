/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receiver_observe.c - times in which the receiver could not observe, or could not tell the time: they are noted as facts, so that
 * nobody goes down by them. Whether it can be trusted is found out in observe.c and, for the clock, in labels.c. */
#include "receiver/judge/receiver_internal.h"

/* ---- absences ---- */

const struct absence *receiver_absence(const struct receiver *receiver)
{
    const struct absence *last = receiver->absence_count ? &receiver->absences[receiver->absence_count - 1] : NULL;
    return last && !instant_before(last->to, INSTANT_NEVER) ? last : NULL;
}

struct instant receiver_started(const struct receiver *receiver)
{
    return receiver->observation.began;
}

/* Notes an absence, in the journal and for the table of absences. `now` is its end, or when it was noticed. */
static void note_absence(struct receiver *receiver, struct instant now, const struct absence *absence)
{
    struct receiver_output *out = &receiver->output;
    void *absences = out->absences;
    if (!receiver_grow(&absences, &out->absence_capacity, out->absence_count, sizeof *out->absences)) {
        receiver->failed = true;
        return;
    }
    out->absences = absences;
    struct fact fact = {.type = FACT_ABSENCE, .now = now};
    fact.absence = (struct fact_absence){absence->from, absence->to, absence->cause};
    receiver_note(receiver, &fact);
    out->absences[out->absence_count] = *absence;
    out->absences[out->absence_count++].fact = receiver->last_fact;
}

/* An absence begins, whose end is not known yet. */
static void open_absence(struct receiver *receiver, struct instant now, struct instant from, enum cause cause)
{
    if (receiver->absence_count) /* they do not overlap */
        from = instant_later(from, receiver->absences[receiver->absence_count - 1].to);
    struct absence absence = {.from = instant_earlier(from, now), .to = INSTANT_NEVER, .cause = cause};
    note_absence(receiver, now, &absence);
}

static void close_absence(struct receiver *receiver, struct instant now)
{
    struct absence absence = *receiver_absence(receiver);
    /* What was judged at this very instant was judged within it, also when it is replayed and its end is known. */
    absence.to = instant_add(instant_later(now, absence.from), 1);
    receiver->observation.deaf = false;
    note_absence(receiver, absence.to, &absence);
}

void receiver_stalled(struct receiver *receiver, struct instant from, struct instant to)
{
    if (receiver_absence(receiver))
        return; /* not observed anyway */
    struct absence absence = {.from = from, .to = to, .cause = CAUSE_RECEIVER_OVERLOADED};
    note_absence(receiver, to, &absence);
}

void receiver_took(struct receiver *receiver, struct instant now, uint64_t taken, uint64_t dropped)
{
    struct observation *o = &receiver->observation;
    struct fact fact = {.type = FACT_DROPS, .now = now};
    observe_took(o, now, taken, dropped);
    if (!o->drops_unnoted || instant_since(now, o->drops_noted_at) < NS_PER_S)
        return;
    o->drops_unnoted = false;
    o->drops_noted_at = now;
    receiver_note(receiver, &fact);
}

void receiver_isolated(struct receiver *receiver, struct instant now, bool isolated)
{
    const struct absence *open = receiver_absence(receiver);
    if (isolated && open && open->cause == CAUSE_RECEIVER_OVERLOADED) {
        close_absence(receiver, now);
        open = NULL;
    }
    if (isolated && !open)
        open_absence(receiver, now, now, CAUSE_RECEIVER_ISOLATED);
    else if (!isolated && open && open->cause == CAUSE_RECEIVER_ISOLATED && !receiver->observation.deaf)
        close_absence(receiver, now);
    if (isolated)
        receiver->observation.deaf = false; /* known for sure: it does not end with a beat of this very machine */
}

void receiver_observe_heard(struct receiver *receiver, const struct host *host, struct instant now)
{
    /* In a flood nothing is judged until a host is heard again. That must not be taken for what it missed meanwhile. */
    if (observe_drops(&receiver->observation, now) && verdict_is_pending(host, now))
        receiver_distrust(receiver, now);
    observe_heard(&receiver->observation, now);
    if (receiver->observation.deaf)
        close_absence(receiver, now);
}

void receiver_observe_contact(struct receiver *receiver, struct instant now)
{
    if (receiver->observation.deaf)
        close_absence(receiver, now);
}

/* The first host about to be judged down whose silence says more about us, and what; looks at all that are due. */
static enum doubt find_doubt(struct receiver *receiver, struct instant now)
{
    const struct deadlines *deadlines = &receiver->deadlines;
    /* In a heap, what is due are the entries that hang together from the first one on. */
    for (size_t i = 0; i < deadlines->count;) {
        const struct host *host = receiver->hosts.hosts[deadlines->entries[i].host];
        bool due = !instant_before(now, deadlines->entries[i].at);
        if (due && verdict_is_pending(host, now) && !receiver_is_vouched_for(receiver, host)) {
            enum doubt doubt = observe_doubt(&receiver->observation, &receiver->hosts, host, now);
            if (doubt != DOUBT_NONE)
                return doubt;
        }
        i = deadlines_walk(deadlines, i, due);
    }
    return DOUBT_NONE;
}

void receiver_distrust(struct receiver *receiver, struct instant now)
{
    struct observation *o = &receiver->observation;
    const struct absence *open = receiver_absence(receiver);
    if (open) {
        if (open->cause == CAUSE_RECEIVER_OVERLOADED &&
            (observe_drops_ended(o, now) ||
             (!observe_floods(o, now) && !observe_hears_little(o, &receiver->hosts, now))))
            close_absence(receiver, now);
        return;
    }
    if (instant_before(now, deadlines_next(&receiver->deadlines)))
        return;
    enum doubt doubt = find_doubt(receiver, now);
    if (doubt == DOUBT_DEAF) {
        open_absence(receiver, now, o->last_heard, CAUSE_RECEIVER_ISOLATED);
        o->deaf = true;
    } else if (doubt == DOUBT_OVERLOADED) {
        open_absence(receiver, now, o->dropped_from, CAUSE_RECEIVER_OVERLOADED);
    }
}

/* ---- many hosts lost at once ---- */

#define MINUTE_NS (60 * NS_PER_S)
enum { LOST_MIN = 3, LOST_LOOKS_MAX = 16 /* a second */ };

int64_t receiver_together_ns(int64_t interval_ns)
{
    return interval_ns > MINUTE_NS ? interval_ns : MINUTE_NS;
}

void receiver_look_for_lost(struct receiver *receiver, struct instant now, const struct host *back)
{
    struct observation *o = &receiver->observation;
    const struct silence *s = &back->silence->facts;
    if (s->lost_with_many || s->agreed || s->by_path)
        return; /* told; or others tell more than we do */
    if (o->lost_looked_at.ns == 0 || instant_since(now, o->lost_looked_at) >= NS_PER_S) {
        o->lost_looked_at = now;
        o->lost_looks = 0;
    }
    /* Each look is at every host, so there are not many; but those with long intervals see more than others, so there are some. */
    if (++o->lost_looks > LOST_LOOKS_MAX)
        return;
    int64_t apart_ns = receiver_together_ns(s->interval_ns);
    struct fact_lost lost = {instant_add(s->last, -apart_ns), instant_add(s->last, apart_ns)};
    uint32_t lost_count = 0, heard_count = 0;
    for (uint32_t id = 1; id <= receiver->hosts.count; id++) {
        const struct host *host = receiver->hosts.hosts[id];
        if (!host || !host->heard)
            continue;
        const struct silence *other = host->silence ? &host->silence->facts : NULL;
        bool silent = other && !other->ended && (other->judged || other->by_path || other->goodbye != GOODBYE_NONE);
        /* One that is back already, a moment ago, was lost with them all the same. */
        bool together = other && other->judged && !other->agreed && !other->by_path && other->goodbye == GOODBYE_NONE &&
                        verdict_is_among_lost(other->last, other->interval_ns, lost.from, lost.to);
        lost_count += together;
        heard_count += together || !silent;
    }
    if (lost_count < LOST_MIN || 2 * lost_count < heard_count)
        return;
    struct fact fact = {.type = FACT_LOST, .now = now, .lost = lost};
    receiver_note(receiver, &fact);
}

/* ---- the wall clock ---- */

/* Hands out the newest part of the labels, to be stored. */
static void note_part(struct receiver *receiver)
{
    struct receiver_output *out = &receiver->output;
    void *parts = out->parts;
    if (!receiver_grow(&parts, &out->part_capacity, out->part_count, sizeof *out->parts)) {
        receiver->failed = true;
        return;
    }
    out->parts = parts;
    out->parts[out->part_count++] = receiver->labels.parts[receiver->labels.count - 1];
}

/* The instant to come at which the wall clock says what it was to say at `t`, by the labels of old. */
static struct instant move_instant(struct instant t, int64_t moved_ns, struct instant now)
{
    if (!instant_before(now, t) || !instant_is_sane(t) || !instant_is_sane((struct instant){moved_ns}))
        return t;
    return instant_later(instant_add(t, -moved_ns), now);
}

/* Maintenance to come was planned in wall time. True if any was moved. */
static bool move_windows(struct receiver *receiver, struct instant now, int64_t moved_ns)
{
    struct receiver_output *out = &receiver->output;
    bool any = false;
    for (size_t i = 0; i < receiver->planned_count; i++) {
        struct planned *planned = &receiver->planned[i];
        struct window window = {move_instant(planned->window.from, moved_ns, now),
                                move_instant(planned->window.to, moved_ns, now)};
        if (window.from.ns == planned->window.from.ns && window.to.ns == planned->window.to.ns)
            continue;
        void *moved = out->moved;
        if (!receiver_grow(&moved, &out->moved_capacity, out->moved_count, sizeof *out->moved)) {
            receiver->failed = true;
            return any;
        }
        out->moved = moved;
        planned->window = window;
        out->moved[out->moved_count++] = (struct moved_window){planned->id, window};
        any = true;
    }
    return any;
}

/* The labels have changed at `now`: windows to come move, and seconds that the wall clock left out are unknown. */
static void labels_changed(struct receiver *receiver, struct instant now, int64_t offset_before_ns,
                           enum labels_change change)
{
    if (change == LABELS_SAME)
        return;
    note_part(receiver);
    int64_t offset_ns = receiver->labels.parts[receiver->labels.count - 1].offset_ns;
    struct absence jump = {.from = now, .to = instant_add(now, 1), .cause = CAUSE_CLOCK_STEP};
    struct instant after = change == LABELS_FORWARD ? jump.to : now;
    /* Windows first: a replay knows them from its beginning as they are now. */
    bool moved = move_windows(receiver, after, offset_ns - offset_before_ns);
    if (change == LABELS_FORWARD)
        note_absence(receiver, after, &jump);
    if (moved) {
        struct fact fact = {.type = FACT_WINDOWS, .now = after};
        receiver_note(receiver, &fact);
    }
}

static int64_t offset_of(const struct labels *labels, int64_t otherwise_ns)
{
    return labels->count ? labels->parts[labels->count - 1].offset_ns : otherwise_ns;
}

enum labels_change receiver_see_wall(struct receiver *receiver, struct instant now, struct wall wall)
{
    int64_t before_ns = offset_of(&receiver->labels, wall.ns - now.ns);
    enum labels_change change = labels_look(&receiver->labels, now, wall);
    if (change == LABELS_FORWARD && receiver_absence(receiver))
        close_absence(receiver, now);
    labels_changed(receiver, now, before_ns, change);
    return change;
}

/* Before anything is told of the time in which the receiver was off. */
static void forget_as_asked(struct receiver *receiver, struct instant at)
{
    for (uint32_t id = 1; id <= receiver->hosts.count; id++) {
        struct host *host = receiver->hosts.hosts[id];
        if (host && host->to_forget)
            (void)receiver_forget(receiver, at, id, at);
        if (host)
            host->to_forget = false;
    }
}

void receiver_cut(struct receiver *receiver, struct instant now, struct wall to)
{
    forget_as_asked(receiver, now);
    int64_t before_ns = offset_of(&receiver->labels, 0);
    struct label_part part = {.from = instant_add(now, 1), .offset_ns = to.ns - now.ns - 1, .base = to};
    labels_load(&receiver->labels, &part);
    note_part(receiver);
    (void)move_windows(receiver, now, part.offset_ns - before_ns);
    receiver_tell_cut(receiver, now, wall_seconds(to));
}

enum labels_change receiver_start(struct receiver *receiver, struct instant now, struct wall wall,
                                  struct instant off_from)
{
    receiver->options = receiver->configured; /* a replay judges by the settings of its time */
    observe_begin(&receiver->observation, now);
    for (uint32_t id = 1; id <= receiver->hosts.count; id++)
        if (receiver->hosts.hosts[id])
            numbers_store_all(&receiver->hosts.hosts[id]->numbers);
    receiver->peers.cut_off = true; /* hosts may wait for contact since the last run */
    peers_resume(&receiver->peers, off_from);
    int64_t before_ns = offset_of(&receiver->labels, wall.ns - now.ns);
    forget_as_asked(receiver, instant_earlier(off_from, now));
    enum labels_change change = labels_start(&receiver->labels, now, wall);
    const struct absence *open = receiver_absence(receiver);
    if (open) /* this process knows nothing of it */
        close_absence(receiver, instant_earlier(off_from, now));
    if (instant_before(off_from, now)) {
        struct absence off = {.from = off_from, .to = now, .cause = CAUSE_RECEIVER_OFF};
        if (receiver->absence_count)
            off.from = instant_later(off.from, receiver->absences[receiver->absence_count - 1].to);
        if (instant_before(off.from, off.to))
            note_absence(receiver, now, &off);
    }
    labels_changed(receiver, now, before_ns, change);
    return change;
}
