/* SPDX-License-Identifier: GPL-2.0-or-later */
/* verdict.c - see verdict.h. */
#include "receiver/judge/verdict.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOVES_MAX = 2,    /* of a deadline in one silence, by stalls and drops */
    SETTLE_BEATS = 3, /* beats after a silence until its record is final */
    WINDOWS_MAX = 32  /* of one host that are looked at together */
};
#define SETTLE_MIN_NS (60 * NS_PER_S)

/* ---- telling the log ---- */

static void tell_line(struct host *host, struct told *told, const struct silence_span *span, uint32_t restates,
                      const struct verdict_context *c)
{
    struct line_list *list = c->lines;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        struct transition *lines = realloc(list->lines, capacity * sizeof *lines);
        if (!lines) {
            *c->failed = true;
            return;
        }
        list->lines = lines;
        list->capacity = capacity;
    }
    int64_t latest = wall_seconds((struct wall){labels_of(c->labels, span->latest).ns + NS_PER_S - 1}); /* up */
    list->lines[list->count++] = (struct transition){
        .host = host->id,
        .number = ++host->lines,
        .at = told->at,
        .state = told->state,
        .cause = told->cause,
        .earliest = labels_second(c->labels, span->earliest),
        .latest = latest,
        .decided = labels_second(c->labels, c->now),
        .restates = restates,
        .before = host_live_state(host),
    };
    told->number = host->lines;
    host->state = told->state;
    host->cause = told->cause;
    host->since = told->at;
    if (told->at < host->changed_from)
        host->changed_from = told->at;
}

static struct circumstances circumstances_of(const struct host *host, const struct verdict_context *c,
                                             struct window windows[WINDOWS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < c->planned_count && count < WINDOWS_MAX; i++)
        if (instant_before(host->silence->facts.last, c->planned[i].window.to) &&
            name_matches(c->planned[i].pattern, host->name))
            windows[count++] = c->planned[i].window;
    return (struct circumstances){
        .absences = c->absences,
        .absence_count = c->absence_count,
        .windows = windows,
        .window_count = count,
        .planned_limit_ns = c->planned_limit_ns,
        .conservative = c->conservative,
        .now = c->now,
    };
}

/* The spans that have begun, in whole seconds: of two in one second the later one stays. Sets when the next begins. */
static uint32_t plan(struct host *host, const struct verdict_context *c, struct told *told, struct silence_span *spans)
{
    struct window windows[WINDOWS_MAX];
    struct circumstances circumstances = circumstances_of(host, c, windows);
    size_t span_count = silence_spans(&host->silence->facts, &circumstances, spans);
    host->silence->next_span = INSTANT_NEVER;
    uint32_t count = 0;
    for (size_t i = 0; i < span_count; i++) {
        if (instant_before(c->now, spans[i].from)) {
            host->silence->next_span = spans[i].from;
            break;
        }
        int64_t at = labels_second(c->labels, spans[i].from);
        while (count > 0 && told[count - 1].at >= at)
            count--;
        if (count > 0 && told[count - 1].state == spans[i].state && told[count - 1].cause == spans[i].cause)
            continue;
        told[count] = (struct told){.at = at, .state = spans[i].state, .cause = spans[i].cause};
        spans[count++] = spans[i];
    }
    return count;
}

/* Keeps what was told of the time before the first absence that is still remembered. */
static uint32_t keep_old(const struct silence_record *record, const struct verdict_context *c, struct told *told,
                         struct silence_span *spans, uint32_t count)
{
    if (!instant_before(record->facts.last, c->absences_from))
        return count;
    int64_t from = labels_second(c->labels, c->absences_from);
    struct told merged[SILENCE_SPANS_MAX];
    struct silence_span merged_spans[SILENCE_SPANS_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < record->told_count && record->told[i].at < from && n < SILENCE_SPANS_MAX / 2; i++, n++) {
        merged[n] = record->told[i];
        merged_spans[n] = spans[0]; /* not told again, so its bounds do not matter */
    }
    for (uint32_t i = 0; i < count && n < SILENCE_SPANS_MAX; i++)
        if (told[i].at >= from) {
            merged[n] = told[i];
            merged_spans[n++] = spans[i];
        }
    memcpy(told, merged, n * sizeof *merged);
    memcpy(spans, merged_spans, n * sizeof *merged_spans);
    return n;
}

static bool remember(struct silence_record *record, const struct told *told, uint32_t count)
{
    if (count > record->told_capacity) {
        struct told *grown = realloc(record->told, count * sizeof *grown);
        if (!grown)
            return false;
        record->told = grown;
        record->told_capacity = count;
    }
    if (count > 0)
        memcpy(record->told, told, count * sizeof *told);
    record->told_count = count;
    return true;
}

/* Tells the log where the present view of the silence differs from what was told before. */
static void tell(struct host *host, const struct verdict_context *c)
{
    struct silence_record *record = host->silence;
    struct told told[SILENCE_SPANS_MAX];
    struct silence_span spans[SILENCE_SPANS_MAX];
    uint32_t count = keep_old(record, c, told, spans, plan(host, c, told, spans));
    uint32_t same = 0;
    while (same < count && same < record->told_count && told[same].at == record->told[same].at &&
           told[same].state == record->told[same].state && told[same].cause == record->told[same].cause) {
        told[same].number = record->told[same].number;
        same++;
    }
    for (uint32_t i = same; i < count; i++)
        tell_line(host, &told[i], &spans[i], i < record->told_count ? record->told[i].number : 0, c);
    if (same == count && count < record->told_count && count > 0) { /* less than was told: take the rest back */
        struct told back = told[count - 1];
        back.at = record->told[count].at;
        spans[0] = (struct silence_span){.from = c->now, .earliest = record->facts.last, .latest = c->now};
        tell_line(host, &back, &spans[0], record->told[count].number, c);
        told[count - 1].number = back.number;
    }
    if (!remember(record, told, count))
        *c->failed = true;
}

/* ---- the silence ---- */

static bool begin_silence(struct host *host, const struct verdict_context *c)
{
    host_end_silence(host);
    struct silence_record *record = calloc(1, sizeof *record);
    if (!record) {
        *c->failed = true;
        return false;
    }
    const struct expectation *e = &host->expectation;
    record->facts = (struct silence){
        .last = e->last, .interval_ns = expectation_interval_ns(e), .expected = expectation_lapse(e, 1)};
    record->next_span = INSTANT_NEVER;
    struct told first = {.at = labels_second(c->labels, e->last), .state = STATE_UP, .cause = CAUSE_NONE};
    if (!remember(record, &first, 1))
        *c->failed = true;
    host->silence = record;
    return true;
}

/* A silence that goes on. */
static struct silence *open_silence(const struct host *host)
{
    return host->silence && !host->silence->facts.ended ? &host->silence->facts : NULL;
}

/* Whatever lapses before `t`, lapses: a datagram can come in before its host was judged. */
static void lapse_until(struct host *host, struct instant t, const struct verdict_context *c)
{
    if (instant_before(t, host->deadline[0]) && !open_silence(host))
        return;
    if (!open_silence(host) && !begin_silence(host, c))
        return;
    struct silence *s = &host->silence->facts;
    if (!s->late && !instant_before(t, host->deadline[0]))
        s->late = true;
    if (!s->judged && s->goodbye == GOODBYE_NONE && !instant_before(t, host->deadline[1]))
        s->judged = true;
}

/* Whether the receiver was away at a time when an expectation lapsed that `t` is later than: the deadlines were moved then, but
 * what was not observed is to be told. */
static bool was_unobserved(const struct host *host, struct instant t, const struct verdict_context *c)
{
    struct instant expected = expectation_lapse(&host->expectation, 1);
    return c->absence_count > 0 && instant_before(expected, t) &&
           instant_before(expected, c->absences[c->absence_count - 1].to);
}

static void set_deadlines(struct host *host)
{
    host->deadline[0] = expectation_lapse(&host->expectation, 1);
    host->deadline[1] = expectation_lapse(&host->expectation, 2);
    host->moves = 0;
    host->restarted = false;
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
    if (s->goodbye == GOODBYE_NONE && (new_boot || new_start)) {
        if (beat->previous_end == PREVIOUS_STOPPED)
            s->goodbye = GOODBYE_STOPPED;
        else if (beat->previous_end == PREVIOUS_SHUTDOWN)
            s->goodbye = GOODBYE_SHUTDOWN;
        s->goodbye_reported = s->goodbye != GOODBYE_NONE;
        s->goodbye_at = s->last;
    }
    tell(host, c);
    host->silence->beats_since = 1;
    if (host->silence->told_count == 1 && host->silence->told[0].number == 0)
        host_end_silence(host); /* nothing came of it */
}

/* The second and third beat after a silence can tell of an earlier boot: the first datagram may have been delayed. */
static void settle_further(struct host *host, const struct fact_beat *beat, const struct verdict_context *c)
{
    struct silence *s = &host->silence->facts;
    struct instant boot_at = instant_add(beat->at, -(int64_t)(beat->uptime_ms * (uint64_t)NS_PER_MS));
    if (s->new_boot && instant_before(boot_at, s->boot_at)) {
        s->boot_at = boot_at;
        tell(host, c);
    }
    if (++host->silence->beats_since >= SETTLE_BEATS)
        host_end_silence(host);
}

/* ---- steps ---- */

static void tell_first(struct host *host, struct instant at, const struct verdict_context *c)
{
    struct told told = {.at = labels_second(c->labels, at), .state = STATE_UP, .cause = CAUSE_NONE};
    struct silence_span span = {.from = at, .earliest = at, .latest = at};
    tell_line(host, &told, &span, 0, c);
}

/* Whether the numbers of the beats begin anew: with another run of the agent, or when a new session opens with a number of
 * the past, as an agent restored from a snapshot does. */
static bool begins_anew(const struct host *host, const struct fact_beat *beat)
{
    if (!host->heard || beat->agent_start != host->agent_start)
        return true;
    return !beat->kept && beat->session != host->expectation.session && beat->number <= host->numbers.newest;
}

bool verdict_is_known(const struct host *host, const struct fact_beat *beat)
{
    return !begins_anew(host, beat) && numbers_is_known(&host->numbers, beat->number);
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

static void average(struct host *host, const struct fact_beat *beat, bool new_boot, const struct verdict_context *c)
{
    struct wall boot = labels_of(c->labels, instant_add(beat->at, -(int64_t)(beat->uptime_ms * (uint64_t)NS_PER_MS)));
    int64_t reach_ns = 2 * expectation_interval_ns(&host->expectation);
    if (averages_add(&host->averages, labels_of(c->labels, beat->at), beat->metrics, new_boot ? &boot : NULL,
                     reach_ns) != 0)
        *c->failed = true;
}

void verdict_beat(struct host *host, struct fact_beat *beat, const struct verdict_context *c)
{
    complete(beat, host);
    if (begins_anew(host, beat))
        numbers_init(&host->numbers);
    (void)numbers_hear(&host->numbers, beat->number);
    bool in_order = beat->session != host->expectation.session || beat->number > host->expectation.number;
    if (beat->kept || !in_order)
        return; /* late news of a time that was judged without it */
    bool first = !host->heard;
    bool new_boot = !first && memcmp(beat->boot_id, host->boot_id, sizeof host->boot_id) != 0;
    bool new_start = !first && !new_boot && beat->agent_start != host->agent_start;
    bool was_judged = false;
    if (!first) {
        lapse_until(host, beat->at, c);
        if (!open_silence(host) && (new_boot || new_start || was_unobserved(host, beat->at, c)))
            begin_silence(host, c);
        if (open_silence(host)) {
            was_judged = host->silence->facts.judged;
            end_silence(host, beat, new_boot, new_start, c);
        } else if (host->silence) {
            settle_further(host, beat, c);
        }
    }
    int64_t announced_ns = (int64_t)beat->interval_ms * NS_PER_MS;
    expectation_observe(&host->expectation, beat->at, beat->session, beat->number, announced_ns, was_judged);
    set_deadlines(host);
    memcpy(host->boot_id, beat->boot_id, sizeof host->boot_id);
    host->agent_start = beat->agent_start;
    host->uptime_ms = beat->uptime_ms;
    host->run_ms = beat->run_ms;
    host->heard = true;
    host->heard_at = c->now;
    if (first)
        tell_first(host, beat->at, c);
    average(host, beat, new_boot, c);
}

void verdict_bye(struct host *host, const struct fact_bye *bye, const struct verdict_context *c)
{
    if (!host->heard || bye->agent_start != host->agent_start)
        return; /* of a run that is over */
    struct instant at = instant_later(bye->at, host->expectation.last);
    lapse_until(host, at, c);
    struct silence *s = open_silence(host);
    if (s && s->goodbye != GOODBYE_NONE)
        return;           /* repeated */
    if (s && s->judged) { /* it was there all the time: the silence ends here, and another begins */
        s->ended = true;
        s->beat_at = at;
        tell(host, c);
        s = NULL;
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
    tell(host, c);
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
    if (open_silence(host))
        tell(host, c);
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
    int64_t length_ns = instant_since(absence->to, absence->from);
    bool restart = absence->cause == CAUSE_RECEIVER_OFF;
    bool touched = restart || !instant_before(absence->to, host->deadline[0]);
    struct silence *s = open_silence(host);
    bool decided = s && (s->judged || (s->goodbye != GOODBYE_NONE && s->late));
    if (touched && !decided) {
        bool long_one = restart || length_ns > expectation_interval_ns(&host->expectation) / 4;
        if (long_one && !host->restarted) { /* once in a silence: a fresh chance to be heard */
            int64_t grace_ns = expectation_grace_ns(&host->expectation);
            int64_t interval_ns = expectation_interval_ns(&host->expectation);
            host->deadline[0] = instant_later(host->deadline[0], instant_add(absence->to, grace_ns - interval_ns));
            host->deadline[1] = instant_later(host->deadline[1], instant_add(absence->to, grace_ns));
            host->restarted = true;
        } else if (long_one || host->moves < MOVES_MAX) {
            host->moves = (uint8_t)(host->moves + !long_one);
            host->deadline[0] = moved(host->deadline[0], length_ns);
            host->deadline[1] = moved(host->deadline[1], length_ns);
        }
    }
    if (host->silence)
        tell(host, c);
}

void verdict_refresh(struct host *host, const struct verdict_context *c)
{
    if (open_silence(host))
        tell(host, c);
}

struct instant verdict_due(const struct host *host)
{
    if (!host->heard)
        return INSTANT_NEVER;
    const struct silence *s = open_silence(host);
    if (!s)
        return host->deadline[0];
    struct instant due = host->silence->next_span;
    if (!s->late)
        due = instant_earlier(due, host->deadline[0]);
    if (!s->judged && s->goodbye == GOODBYE_NONE)
        due = instant_earlier(due, host->deadline[1]);
    return due;
}

int64_t verdict_settled_to(struct host *host, const struct verdict_context *c)
{
    if (!host->heard)
        return 0;
    struct instant to = host->expectation.last;
    if (host->silence) {
        to = host->silence->facts.last;
        if (open_silence(host) && host->state != STATE_UP) {
            int64_t wait_ns = 3 * expectation_interval_ns(&host->expectation);
            to = instant_later(to, instant_add(c->now, -(wait_ns > SETTLE_MIN_NS ? wait_ns : SETTLE_MIN_NS)));
        }
    }
    int64_t second = labels_second(c->labels, to);
    if (second > host->settled_to)
        host->settled_to = second;
    return host->settled_to;
}
