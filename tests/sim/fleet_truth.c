/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fleet_truth.c - holds the record of every host against the truth, gap for gap. See fleet.h.
 *
 * A gap lies between two beats that the receiver heard and stored. An ordinary one must be recorded as up. For all
 * others the model says span for span what must be recorded, from what really happened in it. What the receiver had
 * learned by then is known to within bounds: the record must fit one interval and one margin between them. Then the true
 * edges, death and boot, suspend and wake-up, are looked for between the bounds that the record gives. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/fleet.h"

#define S FLEET_S
#define NEVER INT64_MAX

enum { INTERVAL_STEPS = 8, MARGIN_STEPS = 96 };

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t second_of(int64_t at)
{
    return SIM_EPOCH_S + at / S;
}

static double seconds(int64_t at)
{
    return (double)at / (double)S;
}

static int64_t interval_of(const struct sim_heard *heard)
{
    return (int64_t)heard->interval_ms * NS_PER_MS;
}

/* The first thing of that kind in (from, to]; NEVER: there was none. */
static int64_t first_of(const struct sim_host *host, enum sim_what what, int64_t from, int64_t to)
{
    for (size_t i = 0; i < host->truth_count && host->truth[i].at <= to; i++)
        if (host->truth[i].at > from && host->truth[i].what == what)
            return host->truth[i].at;
    return NEVER;
}

/* ---- comparing ---- */

static int64_t span_end(const struct timeline *timeline, size_t i)
{
    return i + 1 < timeline->count ? timeline->spans[i + 1].from : INT64_MAX;
}

/* Whether the record says so throughout [from, to), Unix seconds. */
static bool says(const struct fleet_walk *walk, size_t span, int64_t from, int64_t to, enum state state,
                 enum cause cause)
{
    const struct timeline *timeline = &walk->timeline;
    for (; span < timeline->count && timeline->spans[span].from < to; span++)
        if (span_end(timeline, span) > from &&
            (timeline->spans[span].state != state || timeline->spans[span].cause != cause))
            return false;
    return true;
}

static bool is_up_in(const struct fleet_walk *walk, int64_t from, int64_t to)
{
    const struct timeline *timeline = &walk->timeline;
    for (size_t i = walk->span; i < timeline->count && timeline->spans[i].from < to; i++)
        if (timeline->spans[i].state == STATE_UP && span_end(timeline, i) > from && from < to)
            return true;
    return false;
}

/* Where the gap begins in the record: a goodbye that waited in the socket was said before the stall was over, but what the receiver could not
 * observe comes first. */
static int64_t begins(const struct fleet_gap *gap, const struct fleet_world *world)
{
    int64_t from = gap->last;
    for (size_t i = 0; i < world->away_count; i++)
        if (world->away[i].from <= from && world->away[i].to > from && world->away[i].to <= gap->last_arrival + S)
            from = smaller(world->away[i].to, gap->last_arrival);
    return from;
}

/* How far its end is uncertain: of the age of the beat that ends it half an interval is believed, and which one was learned is known
 * within bounds only. */
static int64_t end_slack(const struct fleet_gap *gap)
{
    bool cut_short = gap->next < gap->now && gap->next_arrival - gap->next >= gap->interval_least_ns * 49 / 100;
    return cut_short ? (gap->interval_most_ns - gap->interval_least_ns) / 2 + S : 0;
}

/* Whether the record of the gap are these pieces, each but for its edges, and nothing besides. Of a time whose absences
 * the receiver has forgotten by now (a hundred in one silence) it may still say what it said then. */
static bool fits(const struct fleet_walk *walk, const struct fleet_gap *gap, const struct fleet_world *world,
                 const struct fleet_piece *pieces, size_t count)
{
    const struct timeline *timeline = &walk->timeline;
    size_t changes = 0;
    int64_t from = gap->last, to = smaller(gap->next, gap->now) - end_slack(gap);
    int64_t last_s = second_of(to) - 1; /* what the beat or goodbye itself changed is the next gap's */
    for (size_t i = walk->span; i < timeline->count && timeline->spans[i].from <= last_s; i++)
        changes += timeline->spans[i].from > second_of(begins(gap, world));
    bool forgot = world->forgotten_to > from;
    if (count == 0)
        return true; /* it has no length */
    if (changes + 1 > count + 2 * forgot)
        return false;
    for (size_t i = 0; i < count; i++) {
        int64_t end = i + 1 < count ? pieces[i + 1].from - pieces[i + 1].slack_ns : to;
        int64_t begin = pieces[i].from + (i > 0 ? pieces[i].slack_ns : S);
        if (begin < world->forgotten_to) {
            /* An absence that was forgotten before anything was decided in the silence is not told at all. */
            bool must_tell = pieces[i].state == STATE_DOWN || pieces[i].state == STATE_ADMIN;
            if (must_tell && is_up_in(walk, second_of(begin + 2 * gap->interval_most_ns),
                                      second_of(smaller(end, world->forgotten_to))))
                return false;
            begin = world->forgotten_to + S;
        }
        if (begin < end &&
            !says(walk, walk->span, second_of(begin) + 1, second_of(end), pieces[i].state, pieces[i].cause))
            return false;
    }
    return true;
}

static void print_pieces(const struct fleet_piece *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++)
        printf("expected from %.1f (+-%.1f): %s %s\n", seconds(pieces[i].from), seconds(pieces[i].slack_ns),
               state_token(pieces[i].state), cause_token(pieces[i].cause));
}

static void print_gap(const struct fleet_gap *gap, const struct fleet_world *world)
{
    printf("gap from %.3f (arrived %.3f) to %.3f (arrived %.3f); interval %.2f to %.2f, margin %.2f to %.2f\n",
           seconds(gap->last), seconds(gap->last_arrival), seconds(gap->next), seconds(gap->next_arrival),
           seconds(gap->interval_least_ns), seconds(gap->interval_most_ns), seconds(gap->margin_least_ns),
           seconds(gap->margin_most_ns));
    printf("%s%s%s%s boot %.3f frozen %.3f bye %d%s uncertain %.3f\n", gap->new_boot ? "new boot," : "",
           gap->new_start ? "new start," : "", gap->ended_by_bye ? "ended by a bye," : "",
           gap->lost          ? "lost with many,"
           : gap->may_be_lost ? "perhaps lost with many,"
                              : "",
           seconds(gap->boot), seconds(gap->frozen_ns), (int)gap->bye, gap->bye_lost ? " (lost)" : "",
           seconds(gap->uncertain_ns));
    for (size_t i = 0; i < world->away_count; i++)
        printf("%s %.1f to %.1f\n", cause_token(world->away[i].cause), seconds(world->away[i].from),
               seconds(world->away[i].to));
    for (size_t i = 0; i < world->window_count; i++)
        printf("window %.1f to %.1f\n", seconds(world->windows[i].from.ns), seconds(world->windows[i].to.ns));
}

static _Noreturn void differ(const struct fleet_walk *walk, const struct fleet_gap *gap,
                             const struct fleet_world *world)
{
    static struct fleet_piece pieces[FLEET_PIECES_MAX];
    int64_t end = smaller(gap->next, gap->now);
    print_gap(gap, world);
    print_pieces(pieces, fleet_expect(gap, world, gap->interval_least_ns, gap->margin_least_ns, pieces));
    printf("or, with the other margin:\n");
    print_pieces(pieces, fleet_expect(gap, world, gap->interval_most_ns, gap->margin_most_ns, pieces));
    for (size_t i = walk->span; i < walk->timeline.count && walk->timeline.spans[i].from <= second_of(end); i++) {
        const struct timeline_span *span = &walk->timeline.spans[i];
        printf("recorded from %lld: %s %s (%lld to %lld)\n", (long long)(span->from - SIM_EPOCH_S),
               state_token(span->state), cause_token(span->cause), (long long)(span->earliest - SIM_EPOCH_S),
               (long long)(span->latest - SIM_EPOCH_S));
    }
    sim_fail_about(walk->sim, walk->host, gap->last - 300 * S, end + 1200 * S,
                   "%s: the record from %.1f to %.1f is not what happened", walk->sim->hosts[walk->host].name,
                   seconds(gap->last), seconds(end));
}

/* Whether the record fits some interval and margin between the bounds. Verdicts are made at ticks and stored a moment
 * later, hence a second more each way. */
static bool fits_learned(const struct fleet_walk *walk, const struct fleet_gap *gap, const struct fleet_world *world,
                         bool *is_open)
{
    static struct fleet_piece pieces[FLEET_PIECES_MAX];
    int64_t range_ns = gap->interval_most_ns - gap->interval_least_ns;
    int64_t steps = range_ns > S ? INTERVAL_STEPS : 1;
    for (int64_t i = 0; i <= steps; i++) {
        int64_t interval_ns = gap->interval_least_ns + range_ns * i / steps;
        int64_t least_ns = gap->margin_least_ns - S - S / 5, most_ns = gap->margin_most_ns + S + S / 5;
        for (int64_t k = 0; k <= MARGIN_STEPS; k++) {
            int64_t margin_ns = least_ns + (most_ns - least_ns) * k / MARGIN_STEPS;
            size_t count = fleet_expect(gap, world, interval_ns, margin_ns, pieces);
            if (!fits(walk, gap, world, pieces, count)) {
                *is_open = true;
                continue;
            }
            return true;
        }
    }
    return false;
}

/* The same, where it depends on verdicts about other hosts, too. */
static bool fits_some(const struct fleet_walk *walk, struct fleet_gap gap, const struct fleet_world *world)
{
    bool cut_off = false, is_open = false, found = false;
    for (size_t i = 0; i < world->away_count; i++)
        cut_off = cut_off || world->away[i].cause == CAUSE_RECEIVER_ISOLATED;
    for (int early = 0; early <= cut_off && !found; early++) {
        gap.judged_early = early;
        found = fits_learned(walk, &gap, world, &is_open);
        if (!found && gap.may_be_lost) {
            gap.lost = true;
            found = fits_learned(walk, &gap, world, &is_open);
            gap.lost = false;
        }
    }
    walk->checked->open += is_open;
    return found;
}

/* ---- true edges ---- */

static void check_edge(const struct fleet_walk *walk, const struct timeline_span *span, const char *what, int64_t at,
                       int64_t delay_ns)
{
    int64_t second = second_of(at), late = second_of(at + delay_ns);
    walk->checked->edges++;
    if (span->earliest <= late + 1 && span->latest + 1 >= second)
        return;
    sim_fail_about(walk->sim, walk->host, at - 600 * S, at + 600 * S,
                   "%s: %s at %.1f, but the record says %s %s from %lld, between %lld and %lld",
                   walk->sim->hosts[walk->host].name, what, seconds(at), state_token(span->state),
                   cause_token(span->cause), (long long)(span->from - SIM_EPOCH_S),
                   (long long)(span->earliest - SIM_EPOCH_S), (long long)(span->latest - SIM_EPOCH_S));
}

/* The true edges of what the record calls a reboot, a suspend or silence, within its bounds. An edge that a window or
 * an absence of the receiver gave is theirs. */
static void check_edges(const struct fleet_walk *walk, const struct fleet_gap *gap, const struct fleet_world *world,
                        size_t last, size_t next)
{
    const struct sim_host *host = &walk->sim->hosts[walk->host];
    const struct sim_heard *a = &walk->chain[last];
    const struct timeline *timeline = &walk->timeline;
    int64_t end = smaller(gap->next, gap->now), delay_ns = larger(a->told - a->due, 0);
    if (world->window_count > 0 || a->kind != SIM_BEAT || gap->bye != FLEET_NO_BYE || world->conservative)
        return;
    for (size_t i = walk->span ? walk->span : 1; i < timeline->count && timeline->spans[i].from <= second_of(end);
         i++) {
        const struct timeline_span *span = &timeline->spans[i];
        bool dead = span->cause == CAUSE_REBOOT || span->cause == CAUSE_SILENT;
        bool is_next = span->state != STATE_UP && span->from == second_of(end); /* it belongs to the next gap */
        if (span->from <= second_of(gap->last) || is_next)
            continue;
        int64_t off = first_of(host, SIM_OFF, a->due, end), asleep = first_of(host, SIM_ASLEEP, a->due, end);
        /* A host that lived beyond its next beat was not heard for another reason, which nobody can know. */
        bool missed_none = off <= a->due + interval_of(a);
        if (dead && span[-1].state == STATE_UP && missed_none)
            check_edge(walk, span, "it died", off, delay_ns);
        if (span->state == STATE_UP && span[-1].cause == CAUSE_REBOOT)
            check_edge(walk, span, "it booted", fleet_boot_before(host, walk->chain[next].due),
                       gap->boot - fleet_boot_before(host, walk->chain[next].due) + gap->uncertain_ns);
        if (span->cause == CAUSE_FROZEN && span[-1].state == STATE_UP && asleep != NEVER &&
            walk->chain[next].due > asleep)
            check_edge(walk, span, "it froze", asleep, delay_ns);
    }
}

/* ---- going through ---- */

/* Moves on to the span that holds the beginning of the gap. */
static void find_span(struct fleet_walk *walk, int64_t from)
{
    while (walk->span + 1 < walk->timeline.count && walk->timeline.spans[walk->span + 1].from <= second_of(from))
        walk->span++;
}

static void check_gap(const struct fleet_walk *walks, struct fleet_walk *walk, size_t last, size_t next)
{
    static struct fleet_world world;
    const struct sim_heard *a = &walk->chain[last];
    find_span(walk, a->told);
    if (next < walk->count && fleet_is_ordinary(a, &walk->chain[next])) {
        int64_t to = walk->chain[next].told;
        if (!says(walk, walk->span, second_of(a->told) + 1, second_of(to), STATE_UP, CAUSE_NONE)) {
            struct fleet_gap gap = fleet_make_gap(walk, last, next);
            fleet_look_around(walk, &gap, &world);
            differ(walk, &gap, &world);
        }
        return;
    }
    struct fleet_gap gap = fleet_make_gap(walk, last, next);
    fleet_look_around(walk, &gap, &world);
    fleet_find_lost(walks, walk->sim->host_count, &gap);
    walk->checked->gaps++;
    if (!fits_some(walk, gap, &world))
        differ(walk, &gap, &world);
    check_edges(walk, &gap, &world, last, next);
}

static void check_sums(struct fleet_walk *walk)
{
    const struct timeline *timeline = &walk->timeline;
    struct timeline_seconds counted;
    int64_t sum = 0, begin = timeline->spans[0].from, end = second_of(walk->sim->now);
    const char *name = walk->sim->hosts[walk->host].name;
    if (begin != second_of(walk->chain[0].told))
        sim_fail(walk->sim, "%s: the record does not begin with the first beat", name);
    for (size_t i = 1; i < timeline->count; i++) {
        if (timeline->spans[i].from <= timeline->spans[i - 1].from)
            sim_fail(walk->sim, "%s: spans out of order", name);
        walk->checked->outages += timeline->spans[i].state != STATE_UP;
    }
    if (timeline->spans[timeline->count - 1].from > end)
        sim_fail(walk->sim, "%s: a span begins in the future", name);
    timeline_count(timeline, begin, end, &counted);
    for (int state = 0; state < STATE_COUNT; state++)
        sum += counted.state[state];
    if (sum != end - begin || counted.state[STATE_LATE] != 0)
        sim_fail(walk->sim, "%s: the states sum to %lld of %lld s", name, (long long)sum, (long long)(end - begin));
}

void fleet_check(struct sim *sim, struct fleet_checked *checked)
{
    struct fleet_walk walks[SIM_HOSTS_MAX];
    for (size_t i = 0; i < sim->host_count; i++)
        fleet_walk_init(&walks[i], sim, i);
    fleet_check_absences(sim, walks, sim->host_count);
    for (size_t i = 0; i < sim->host_count; i++) {
        fleet_walk_free(&walks[i]);
        fleet_walk_init(&walks[i], sim, i); /* once more, with the absences that count */
    }
    for (size_t i = 0; i < sim->host_count; i++) {
        walks[i].checked = checked;
        check_sums(&walks[i]);
        for (size_t k = 0; k < walks[i].count; k++)
            check_gap(walks, &walks[i], k, k + 1);
    }
    for (size_t i = 0; i < sim->host_count; i++)
        fleet_walk_free(&walks[i]);
}
