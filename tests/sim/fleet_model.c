/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fleet_model.c - what the record of one gap between two beats must be. See fleet.h.
 *
 * This is the table of states once more, written from its words and not from receiver/judge: for an instant it is asked
 * what the record says there, row by row in order of precedence. The instants at which the answer can change are few,
 * so the answers between them are the whole record. */
#include <stdlib.h>

#include "tests/sim/fleet.h"

#define S FLEET_S
#define NEVER INT64_MAX

enum { CHANGES_MAX = FLEET_PIECES_MAX, STALLS_MOVING = 2 };

/* What follows from the gap for one interval and margin. */
struct view {
    const struct fleet_gap *gap;
    const struct fleet_world *world;
    int64_t interval_ns, margin_ns;
    int64_t expected;  /* the first expectation, as if the receiver had always been there */
    bool late, judged; /* the first, the second lapsed in the silence */
    bool unobserved;
    int64_t start, end; /* of the outage */
    int64_t start_slack_ns;
    int64_t limit; /* of what the goodbye excuses */
    int64_t froze; /* NEVER: it did not */
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool has_bye(const struct fleet_gap *gap)
{
    return gap->bye != FLEET_NO_BYE && !gap->bye_lost;
}

struct lapses {
    int64_t first, second;
    bool late;       /* the first lapsed before it could be moved */
    bool unobserved; /* the second lapsed while the receiver knew that it could not observe */
};

/* When the expectations lapse. What the receiver misses moves them: the first restart, long stall or isolation gives a
 * fresh chance, others add their length, short stalls at most twice. A verdict that is made is not taken back. */
static struct lapses find_lapses(const struct view *view)
{
    const struct fleet_gap *gap = view->gap;
    struct lapses lapses = {.first = gap->last + view->interval_ns + view->margin_ns};
    lapses.second = lapses.first + view->interval_ns;
    bool fresh = false;
    int moves = 0;
    for (size_t i = 0; i < view->world->away_count; i++) {
        const struct sim_away *away = &view->world->away[i];
        int64_t decided = has_bye(gap) ? lapses.first : lapses.second;
        bool stalled = away->cause == CAUSE_RECEIVER_OVERLOADED, cut_off = away->cause == CAUSE_RECEIVER_ISOLATED;
        if (away->to <= gap->last_arrival || (away->to > gap->next_arrival && away->to != NEVER))
            continue;
        lapses.late = lapses.late || lapses.first <= (cut_off ? smaller(away->to, gap->now) : away->from);
        if (decided <= away->from || (cut_off && gap->judged_early && decided <= away->to))
            break;
        if (cut_off && decided <= away->to) {
            lapses.unobserved = !has_bye(gap);
            if (away->to == NEVER && !has_bye(gap))
                lapses.second = NEVER;
        }
        if (away->to == NEVER)
            break;
        if (away->cause != CAUSE_RECEIVER_OFF && away->to < lapses.first)
            continue; /* nothing was due in it */
        int64_t length_ns = away->to - away->from;
        bool is_long = !stalled || length_ns > view->interval_ns / 4;
        if (is_long && !fresh) {
            fresh = true;
            lapses.first = larger(lapses.first, away->to + view->interval_ns + view->margin_ns);
            lapses.second = larger(lapses.second, away->to + 2 * view->interval_ns + view->margin_ns);
        } else if (is_long || moves < STALLS_MOVING) {
            moves += !is_long;
            lapses.first += length_ns;
            lapses.second += length_ns;
        }
    }
    return lapses;
}

int64_t fleet_judged_at(const struct fleet_gap *gap, const struct fleet_world *world, int64_t interval_ns,
                        int64_t margin_ns)
{
    struct view view = {.gap = gap, .world = world, .interval_ns = interval_ns, .margin_ns = margin_ns};
    return has_bye(gap) ? NEVER : find_lapses(&view).second;
}

/* Whether the time away is told as unknown: an expectation lapsed before its end, and no beat came that was due before. */
static bool is_unknown(const struct view *view, const struct sim_away *away)
{
    if (away->cause == CAUSE_RECEIVER_OVERLOADED && away->to - away->from <= view->interval_ns / 4)
        return false;
    return away->from < view->gap->now && away->to > view->gap->last && view->expected < away->to &&
           view->expected < view->gap->next;
}

/* Where an outage begins that nobody announced. */
static int64_t estimate_start(const struct view *view)
{
    const struct fleet_gap *gap = view->gap;
    const struct fleet_world *world = view->world;
    int64_t latest = gap->last + view->interval_ns;
    latest = smaller(latest, gap->new_boot ? gap->boot : gap->next);
    int64_t start = world->conservative ? gap->last : gap->last + (latest - gap->last) / 2;
    /* While the receiver is away, a beat that is not heard is not missed. */
    int64_t missed = gap->new_boot ? gap->last + view->interval_ns : view->expected;
    for (size_t i = 0; i < world->away_count && missed < (gap->new_boot ? gap->boot : gap->next); i++)
        if (world->away[i].from <= missed && missed < world->away[i].to)
            start = larger(start, world->away[i].from);
    /* Nothing was missed before a window in which the first missing beat fell due. */
    for (size_t i = 0; i < world->window_count; i++) {
        int64_t from = world->windows[i].from.ns, to = world->windows[i].to.ns;
        if (start < from && from <= latest && latest < to)
            start = from;
    }
    return start;
}

static int64_t excuse_limit(const struct view *view)
{
    for (size_t i = 0; i < view->world->window_count; i++)
        if (view->world->windows[i].from.ns <= view->start && view->start < view->world->windows[i].to.ns)
            return view->world->windows[i].to.ns;
    return view->start + view->world->planned_limit_ns;
}

static void settle(struct view *view)
{
    const struct fleet_gap *gap = view->gap;
    int64_t heard = smaller(gap->next_arrival, gap->now);
    view->expected = gap->last + view->interval_ns + view->margin_ns;
    struct lapses lapses = find_lapses(view);
    view->late = lapses.late || larger(lapses.first, view->expected) <= heard;
    view->judged = lapses.second <= heard && !has_bye(gap);
    view->unobserved = lapses.unobserved;
    view->start = has_bye(gap) ? gap->last : estimate_start(view);
    view->start_slack_ns = has_bye(gap) ? S : S + (gap->interval_most_ns - gap->interval_least_ns) / 2;
    /* A boot before the last sign of life, which waited in the socket meanwhile, is no edge. */
    bool has_edge = gap->new_boot && gap->boot > gap->last;
    view->end = has_edge && !view->world->conservative ? smaller(gap->boot, gap->next) : gap->next;
    view->limit = gap->bye == FLEET_NO_BYE ? NEVER : excuse_limit(view);
    int64_t gap_ns = gap->next == NEVER ? 0 : gap->next - gap->last;
    bool froze = !gap->new_boot && !gap->ended_by_bye && gap->bye == FLEET_NO_BYE && view->late && gap_ns > 0 &&
                 gap->frozen_ns > larger(5 * S, gap_ns / 2000);
    view->froze = froze ? gap->next - smaller(gap->frozen_ns, gap_ns) : NEVER;
}

struct answer {
    enum state state;
    enum cause cause;
};

/* What the host's own facts say. */
static struct answer base_answer(const struct view *view, int64_t t)
{
    static const struct answer up = {STATE_UP, CAUSE_NONE};
    const struct fleet_gap *gap = view->gap;
    enum cause ran_on = gap->next == NEVER ? CAUSE_SILENT : gap->new_start ? CAUSE_AGENT_DIED : CAUSE_UNREACHABLE;
    if (t < gap->last || t >= view->end)
        return up;
    if (view->froze != NEVER && t >= view->froze)
        return (struct answer){STATE_DOWN, CAUSE_FROZEN};
    if (view->froze != NEVER && view->expected + view->interval_ns >= view->froze)
        return up; /* it was not missed before it froze */
    if (t < view->start)
        return up;
    if (gap->bye_lost && gap->new_boot && gap->boot <= gap->last)
        return up; /* what that boot reports was before the last sign of life */
    if (gap->bye == FLEET_SHUTDOWN)
        return (struct answer){t < view->limit ? STATE_ADMIN : STATE_DOWN, CAUSE_SHUTDOWN};
    if (gap->new_boot && gap->boot > gap->last)
        return (struct answer){STATE_DOWN, CAUSE_REBOOT};
    if (gap->bye == FLEET_STOPPED && view->late)
        return (struct answer){t < view->limit ? STATE_UNKNOWN : STATE_DOWN, CAUSE_AGENT_STOPPED};
    if (gap->bye == FLEET_STOPPED || !view->judged)
        return up;
    if (gap->lost && ran_on == CAUSE_UNREACHABLE)
        return (struct answer){STATE_UNKNOWN, CAUSE_RECEIVER_PATH};
    return (struct answer){STATE_DOWN, ran_on};
}

/* What the record says at an instant: the receiver's own absence, then maintenance, then the host's facts. */
static struct answer answer_at(const struct view *view, int64_t t)
{
    const struct fleet_gap *gap = view->gap;
    const struct fleet_world *world = view->world;
    bool decided = gap->next != NEVER || view->judged || view->unobserved || gap->bye == FLEET_SHUTDOWN ||
                   (gap->bye == FLEET_STOPPED && view->late);
    for (size_t i = 0; i < world->away_count && decided; i++) {
        const struct sim_away *away = &world->away[i];
        if (away->from <= t && t < away->to && t >= gap->last && t < gap->next && is_unknown(view, away))
            return (struct answer){STATE_UNKNOWN, away->cause};
    }
    struct answer base = base_answer(view, t);
    for (size_t i = 0; i < world->window_count && base.state != STATE_UP; i++)
        if (world->windows[i].from.ns <= t && t < world->windows[i].to.ns)
            return (struct answer){STATE_ADMIN, CAUSE_MAINTENANCE};
    return base;
}

/* ---- the record of a gap ---- */

struct change {
    int64_t at, slack_ns;
};

struct changes {
    struct change at[CHANGES_MAX];
    size_t count;
    int64_t from, to;
};

static void add_change(struct changes *changes, int64_t at, int64_t slack_ns)
{
    if (at > changes->from && at < changes->to && changes->count < CHANGES_MAX)
        changes->at[changes->count++] = (struct change){at, slack_ns};
}

static int compare_changes(const void *a, const void *b)
{
    int64_t first = ((const struct change *)a)->at, second = ((const struct change *)b)->at;
    return (first > second) - (first < second);
}

static void collect_changes(const struct view *view, struct changes *changes)
{
    const struct fleet_gap *gap = view->gap;
    const struct fleet_world *world = view->world;
    add_change(changes, view->start, view->start_slack_ns);
    add_change(changes, view->limit, view->start_slack_ns);
    add_change(changes, view->froze, S + gap->uncertain_ns);
    add_change(changes, view->end, S + gap->uncertain_ns);
    for (size_t i = 0; i < world->window_count; i++) {
        add_change(changes, world->windows[i].from.ns, S);
        add_change(changes, world->windows[i].to.ns, S);
    }
    for (size_t i = 0; i < world->away_count; i++) {
        add_change(changes, world->away[i].from, S);
        add_change(changes, world->away[i].to, S);
    }
    qsort(changes->at, changes->count, sizeof *changes->at, compare_changes);
}

size_t fleet_expect(const struct fleet_gap *gap, const struct fleet_world *world, int64_t interval_ns,
                    int64_t margin_ns, struct fleet_piece pieces[FLEET_PIECES_MAX])
{
    struct view view = {.gap = gap, .world = world, .interval_ns = interval_ns, .margin_ns = margin_ns};
    struct changes changes = {.from = gap->last, .to = smaller(gap->next, gap->now)};
    settle(&view);
    collect_changes(&view, &changes);
    size_t count = 0;
    struct change from = {gap->last, S};
    for (size_t i = 0; i <= changes.count; i++) {
        struct change to = i < changes.count ? changes.at[i] : (struct change){changes.to, S};
        if (to.at <= from.at) {
            from.slack_ns = larger(from.slack_ns, to.slack_ns);
            continue;
        }
        struct answer answer = answer_at(&view, from.at + (to.at - from.at) / 2);
        if (count == 0 || pieces[count - 1].state != answer.state || pieces[count - 1].cause != answer.cause)
            pieces[count++] = (struct fleet_piece){from.at, from.slack_ns, answer.state, answer.cause};
        from = to;
    }
    return count;
}
