/* SPDX-License-Identifier: GPL-2.0-or-later */
/* silence.c - see silence.h. First the base: what the host's own facts say. Then the claims that come before it are painted over:
 * maintenance, and over that the receiver's absences. */
#include "receiver/judge/silence.h"

#include <assert.h>

int64_t absence_wait_ns(const struct absence *absences, size_t count, struct instant heard_at)
{
    for (size_t i = count; i > 0; i--) {
        const struct absence *a = &absences[i - 1];
        if (a->cause == CAUSE_RECEIVER_OVERLOADED && a->to.ns == heard_at.ns)
            return instant_since(a->to, a->from);
    }
    return 0;
}

/* The list being painted. Spans are kept in order; each reaches to the next one, the last one to the end of time. */
struct canvas {
    struct silence_span *spans;
    size_t count;
};

static struct instant span_end(const struct canvas *canvas, size_t i)
{
    return i + 1 < canvas->count ? canvas->spans[i + 1].from : INSTANT_NEVER;
}

static void append(struct canvas *canvas, struct silence_span span)
{
    /* A span that begins where the one before does leaves nothing of it. */
    while (canvas->count > 0 && !instant_before(canvas->spans[canvas->count - 1].from, span.from))
        canvas->count--;
    if (canvas->count > 0) {
        const struct silence_span *before = &canvas->spans[canvas->count - 1];
        if (before->state == span.state && before->cause == span.cause)
            return;
    }
    if (canvas->count < SILENCE_SPANS_MAX)
        canvas->spans[canvas->count++] = span;
}

static struct silence_span exactly(struct instant from, enum state state, enum cause cause)
{
    return (struct silence_span){.from = from, .state = state, .cause = cause, .earliest = from, .latest = from};
}

/* The absence in which that instant lies, or NULL. */
static const struct absence *absence_at(const struct circumstances *c, struct instant t)
{
    for (size_t i = 0; i < c->absence_count; i++) {
        const struct absence *a = &c->absences[i];
        if (!instant_before(t, a->from) && instant_before(t, a->to) && instant_before(a->from, c->now))
            return a;
    }
    return NULL;
}

/* The window in which that instant lies, or NULL. */
static const struct window *window_at(const struct circumstances *c, struct instant t)
{
    for (size_t i = 0; i < c->window_count; i++)
        if (!instant_before(t, c->windows[i].from) && instant_before(t, c->windows[i].to))
            return &c->windows[i];
    return NULL;
}

/* If the first missing beat fell due inside a window, nothing was missed before it: what is uncertain is the operator's. */
static struct instant into_window(const struct circumstances *c, struct instant from, struct instant latest)
{
    for (size_t i = 0; i < c->window_count; i++) {
        const struct window *w = &c->windows[i];
        if (instant_before(from, w->from) && !instant_before(latest, w->from) && instant_before(latest, w->to))
            from = w->from;
    }
    return from;
}

/* A boot that began before the last beat of the other one tells no edge: two machines speak with one key. */
static bool has_boot_edge(const struct silence *s)
{
    return s->ended && s->new_boot && instant_before(s->last, s->boot_at);
}

/* Where the outage began: the goodbye, else the middle between the last beat and the first one that is missing. */
static struct silence_span start_edge(const struct silence *s, const struct circumstances *c, enum state state,
                                      enum cause cause)
{
    if (s->goodbye != GOODBYE_NONE && !s->goodbye_reported)
        return exactly(s->goodbye_at, state, cause);
    struct instant latest = instant_add(s->last, s->interval_ns);
    if (s->ended)
        latest = instant_earlier(latest, has_boot_edge(s) ? s->boot_at : s->beat_at);
    latest = instant_later(latest, s->last);
    struct silence_span edge = {.state = state, .cause = cause, .earliest = s->last, .latest = latest};
    edge.from = c->conservative ? s->last : instant_add(s->last, instant_since(latest, s->last) / 2);
    /* A beat that fell due while the receiver was away proves nothing by its absence: nobody could have heard it. With a
     * new boot there is more to go by than the expectation: the beat was missing as soon as it was due. */
    struct instant missed = has_boot_edge(s) ? instant_add(s->last, s->interval_ns) : s->expected;
    bool was_missed = !s->ended || instant_before(missed, has_boot_edge(s) ? s->boot_at : s->beat_at);
    const struct absence *away = was_missed ? absence_at(c, missed) : NULL;
    if (away && instant_before(edge.from, away->from)) {
        edge.from = away->from;
        edge.latest = instant_later(edge.latest, instant_earlier(away->to, c->now)); /* it may go on */
    }
    edge.from = into_window(c, edge.from, latest);
    return edge;
}

/* Where it ended: the boot if the host started anew, else the due instant of the first beat. */
static struct instant end_edge(const struct silence *s, const struct circumstances *c)
{
    if (has_boot_edge(s) && !c->conservative)
        return instant_earlier(s->boot_at, s->beat_at);
    return s->beat_at;
}

/* How long the goodbye excuses. Inside a maintenance window there is no limit but its end. */
static struct instant excuse_end(const struct circumstances *c, struct instant goodbye)
{
    const struct window *window = window_at(c, goodbye);
    if (!window)
        return instant_add(goodbye, c->planned_limit_ns);
    return window->to;
}

static void paint_goodbye(struct canvas *canvas, const struct silence *s, const struct circumstances *c)
{
    bool shutdown = s->goodbye == GOODBYE_SHUTDOWN;
    enum cause cause = shutdown ? CAUSE_SHUTDOWN : CAUSE_AGENT_STOPPED;
    struct silence_span excused = start_edge(s, c, shutdown ? STATE_ADMIN : STATE_UNKNOWN, cause);
    append(canvas, excused);
    struct instant limit = excuse_end(c, excused.from);
    if (instant_before(limit, INSTANT_NEVER))
        append(canvas, exactly(limit, STATE_DOWN, cause));
}

/* What counts as frozen: more than two clocks drift apart (500 ppm), and more than a datagram is delayed. */
#define FROZEN_MIN_NS (5 * NS_PER_S)
#define DRIFT_DIVISOR 2000

/* How long the kernel stood still in a silence that has ended; 0 if it did not. */
static int64_t frozen_ns(const struct silence *s)
{
    if (!s->ended || s->new_boot || !(s->late || s->judged) || s->goodbye != GOODBYE_NONE)
        return 0;
    int64_t gap_ns = instant_since(s->beat_at, s->last);
    int64_t least_ns = gap_ns / DRIFT_DIVISOR > FROZEN_MIN_NS ? gap_ns / DRIFT_DIVISOR : FROZEN_MIN_NS;
    if (s->frozen_ns <= least_ns)
        return 0;
    return s->frozen_ns < gap_ns ? s->frozen_ns : gap_ns;
}

/* Down since it was missed; unknown if it ran on, and was one of many that were lost at once: then the network of the receiver was
 * the likelier cause. */
static void paint_missed(struct canvas *canvas, const struct silence *s, const struct circumstances *c)
{
    bool ran_on = s->ended && !s->new_boot && !s->new_start;
    enum cause cause = !s->ended ? CAUSE_SILENT : s->new_start ? CAUSE_AGENT_DIED : CAUSE_UNREACHABLE;
    if (s->cut_off && !s->agreed && (ran_on || !s->ended)) {
        append(canvas, start_edge(s, c, STATE_UNKNOWN, CAUSE_RECEIVER_ISOLATED));
        if (s->judged)
            append(canvas,
                   exactly(instant_later(s->contact_at, canvas->spans[canvas->count - 1].from), STATE_DOWN, cause));
    } else if (ran_on && s->lost_with_many && !s->agreed) {
        append(canvas, start_edge(s, c, STATE_UNKNOWN, CAUSE_RECEIVER_PATH));
    } else {
        append(canvas, start_edge(s, c, STATE_DOWN, cause));
    }
}

/* Another receiver heard it: up since it was missed here, or since it was back there. If that one cannot tell what it was before, then
 * it is what was made of it here. */
static void paint_path(struct canvas *canvas, const struct silence *s, const struct circumstances *c)
{
    if (s->broken) {
        if (s->broken_state != STATE_UNKNOWN || s->broken_cause == CAUSE_AGENT_STOPPED)
            append(canvas, start_edge(s, c, s->broken_state, s->broken_cause));
        else if (s->judged || s->cut_off)
            paint_missed(canvas, s, c);
        append(canvas, exactly(s->beat_at, STATE_UP, CAUSE_PATH));
    } else if (!s->by_path) {
        append(canvas, start_edge(s, c, STATE_UP, CAUSE_PATH));
    }
}

/* Down while it stood still, told at the end of the silence, though it may have been at any time in it. Before that it ran on,
 * and was missed if two expectations lie there. */
static void paint_frozen(struct canvas *canvas, const struct silence *s, const struct circumstances *c,
                         int64_t length_ns)
{
    struct instant froze = instant_add(s->beat_at, -length_ns);
    if (s->judged && instant_before(instant_add(s->expected, s->interval_ns), froze))
        paint_missed(canvas, s, c);
    append(canvas,
           (struct silence_span){
               .from = froze, .state = STATE_DOWN, .cause = CAUSE_FROZEN, .earliest = s->last, .latest = froze});
}

/* What the host's own facts say, as if the receiver had always been there and nothing was planned. */
static void paint_base(struct canvas *canvas, const struct silence *s, const struct circumstances *c)
{
    append(canvas, exactly(s->last, STATE_UP, s->by_path ? CAUSE_PATH : CAUSE_NONE));
    if (s->path) {
        paint_path(canvas, s, c);
        return;
    }
    int64_t stood_ns = frozen_ns(s);
    bool boot_unannounced = has_boot_edge(s) && s->goodbye != GOODBYE_SHUTDOWN;
    if (stood_ns > 0) {
        paint_frozen(canvas, s, c, stood_ns);
    } else if (boot_unannounced) {
        append(canvas, start_edge(s, c, STATE_DOWN, CAUSE_REBOOT));
    } else if (s->goodbye == GOODBYE_SHUTDOWN) {
        paint_goodbye(canvas, s, c);
    } else if (s->goodbye == GOODBYE_STOPPED) {
        if (s->late)
            paint_goodbye(canvas, s, c);
    } else if (s->judged || s->cut_off) {
        paint_missed(canvas, s, c);
    }
    if (!s->ended)
        return;
    struct silence_span end = exactly(end_edge(s, c), STATE_UP, CAUSE_NONE);
    if (stood_ns > 0)
        end.earliest = instant_add(s->last, stood_ns);
    append(canvas, end);
}

/* Whether a span yields to a claim: maintenance explains silence only, an absence of the receiver hides everything. */
typedef bool span_yields(const struct silence_span *span);

static bool yields_if_silent(const struct silence_span *span)
{
    return span->state != STATE_UP || span->cause == CAUSE_PATH;
}

static bool yields_always(const struct silence_span *span)
{
    (void)span;
    return true;
}

/* Paints [from, to) with a state, where what is there yields. */
static void paint_over(struct canvas *canvas, struct instant from, struct instant to, enum state state,
                       enum cause cause, span_yields *yields)
{
    struct silence_span old_spans[SILENCE_SPANS_MAX];
    size_t first = canvas->count; /* what ends before stays as it is: absences come in order, and there may be many */
    while (first > 0 && instant_before(from, span_end(canvas, first - 1)))
        first--;
    struct canvas old = {old_spans, canvas->count - first};
    for (size_t i = 0; i < old.count; i++)
        old_spans[i] = canvas->spans[first + i];
    canvas->count = first;
    for (size_t i = 0; i < old.count; i++) {
        struct silence_span span = old.spans[i];
        struct instant end = span_end(&old, i);
        struct instant begin = instant_later(from, span.from);
        struct instant stop = instant_earlier(to, end);
        if (!instant_before(begin, stop) || !yields(&span)) {
            append(canvas, span);
            continue;
        }
        if (instant_before(span.from, begin))
            append(canvas, span);
        struct silence_span claim = exactly(begin, state, cause);
        if (begin.ns == span.from.ns) { /* the edge of the span remains as uncertain as it was */
            claim.earliest = span.earliest;
            claim.latest = span.latest;
        }
        append(canvas, claim);
        if (instant_before(stop, end))
            append(canvas, exactly(stop, span.state, span.cause));
    }
}

/* An absence counts if an expectation lapsed before its end and nothing was heard that was due before that. A short
 * stall only delays: datagrams wait in the socket meanwhile. */
static bool absence_counts(const struct absence *a, const struct silence *s, const struct circumstances *c)
{
    if (a->cause == CAUSE_CLOCK_STEP) /* those seconds were lived through by nobody */
        return !instant_before(a->from, s->last) && instant_before(a->from, c->now) &&
               (!s->ended || instant_before(a->from, s->beat_at));
    if (a->cause == CAUSE_RECEIVER_OVERLOADED && instant_since(a->to, a->from) <= s->interval_ns / 4)
        return false;
    return instant_before(a->from, c->now) && instant_before(s->last, a->to) && instant_before(s->expected, a->to) &&
           (!s->ended || instant_before(s->expected, s->beat_at));
}

/* Until something is decided (a verdict, a goodbye, the return) a silence is only late, and an absence in it not yet told. */
static bool is_decided(const struct silence *s)
{
    return s->ended || s->judged || s->cut_off || s->unobserved || s->goodbye == GOODBYE_SHUTDOWN ||
           (s->goodbye == GOODBYE_STOPPED && s->late);
}

size_t silence_spans(const struct silence *silence, const struct circumstances *circumstances,
                     struct silence_span out[SILENCE_SPANS_MAX])
{
    struct canvas canvas = {out, 0};
    paint_base(&canvas, silence, circumstances);
    for (size_t i = 0; i < circumstances->window_count; i++)
        paint_over(&canvas, circumstances->windows[i].from, circumstances->windows[i].to, STATE_ADMIN,
                   CAUSE_MAINTENANCE, yields_if_silent);
    for (size_t i = 0; i < circumstances->absence_count; i++) {
        const struct absence *a = &circumstances->absences[i];
        bool tells = is_decided(silence) || a->cause == CAUSE_CLOCK_STEP;
        if (!tells || !absence_counts(a, silence, circumstances))
            continue;
        struct instant from = instant_later(a->from, silence->last);
        struct instant to = silence->ended ? instant_earlier(a->to, silence->beat_at) : a->to;
        paint_over(&canvas, from, to, STATE_UNKNOWN, a->cause, yields_always);
    }
    assert(canvas.count > 0);
    return canvas.count;
}
