/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fleet_gaps.c - what lies between the beats that the receiver heard of a host, and what it may have known. See fleet.h. */
#include "tests/sim/fleet.h"

#include <stdio.h>
#include <stdlib.h>

#define S FLEET_S
#define NEVER INT64_MAX

enum {
    LOOK_BACK = 500,    /* beats that can still be felt in the margin: it decays by 1/128 a beat */
    FEEL_INTERVAL = 48, /* beats that can still be felt in the interval: 1/8 of an error is learned a beat */
    COLD_SAMPLES = 4,   /* until then the margin is half an interval */
    SETTLE_BEATS = 3
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
    return larger(least, smaller(value, most));
}

static int64_t interval_of(const struct sim_heard *heard)
{
    return (int64_t)heard->interval_ms * NS_PER_MS;
}

/* ---- what was heard ---- */

/* Beats that were overtaken tell nothing of up and down, nor do kept ones; of repeated goodbyes the first counts, and none
 * counts of a run that was not heard. A beat that set out before the goodbye of its run does not take it back. */
static bool is_news(const struct sim_heard *heard, const struct sim_heard *beat, const struct sim_heard *bye)
{
    if (heard->kind == SIM_BEAT_KEPT)
        return false;
    if (!beat)
        return heard->kind == SIM_BEAT;
    bool same_run = heard->agent_start == beat->agent_start;
    if (heard->kind == SIM_BYE)
        return same_run && !bye;
    if (bye && heard->agent_start == bye->agent_start)
        return heard->due > bye->due;
    return !same_run || heard->session != beat->session || heard->number > beat->number;
}

static void build_chain(struct fleet_walk *walk)
{
    const struct sim_stored_host *stored = sim_stored(walk->sim, walk->host);
    const struct sim_heard *beat = NULL, *bye = NULL;
    walk->chain = malloc((stored->heard_count + 1) * sizeof *walk->chain);
    for (size_t i = 0; i < stored->heard_count; i++) {
        if (!is_news(&stored->heard[i], beat, bye))
            continue;
        struct sim_heard *added = &walk->chain[walk->count++];
        *added = stored->heard[i];
        if (walk->count > 1)
            added->told = larger(added->told, added[-1].told); /* the receiver's time does not go back */
        if (added->kind == SIM_BYE) {
            bye = added;
        } else {
            beat = added;
            bye = NULL;
        }
    }
}

/* ---- what the receiver may have learned ---- */

struct rhythm {
    int64_t interval_ns;
    size_t gaps, odd_gaps; /* of the session, as far back as can be felt */
    int64_t latest_ns;     /* the largest lateness */
    int64_t longest_ns;    /* the longest gap */
    int64_t bent_ns;  /* so far an early gap may have bent the interval: what came after it in time was late then */
    double error_ns;  /* how far off the interval may be */
    int64_t other_ns; /* two odd gaps in a row that agree: may have been taken for the interval; 0: none */
};

static void add_gap(struct rhythm *rhythm, const struct sim_heard *a, const struct sim_heard *b, int64_t *previous_ns,
                    double share, double weight)
{
    int64_t steps = (int64_t)b->number - (int64_t)a->number;
    int64_t gap_ns = (b->told - a->told) / steps;
    int64_t error_ns = llabs(gap_ns - rhythm->interval_ns);
    bool is_odd = error_ns > rhythm->interval_ns / 5;
    rhythm->odd_gaps += is_odd;
    rhythm->latest_ns = larger(rhythm->latest_ns, b->told - a->told - steps * rhythm->interval_ns);
    rhythm->longest_ns = larger(rhythm->longest_ns, gap_ns);
    rhythm->error_ns += (double)smaller(error_ns, rhythm->interval_ns) * weight;
    rhythm->bent_ns = larger(rhythm->bent_ns, (int64_t)((double)smaller(error_ns, rhythm->interval_ns) * share));
    if (weight > 0 && is_odd && *previous_ns > 0 && llabs(*previous_ns - gap_ns) < gap_ns / 6)
        rhythm->other_ns = larger(rhythm->other_ns, gap_ns);
    *previous_ns = is_odd ? gap_ns : 0;
}

/* From the beats of the session up to `last`. */
static struct rhythm feel(const struct fleet_walk *walk, size_t last)
{
    const struct sim_heard *chain = walk->chain;
    struct rhythm rhythm = {.interval_ns = interval_of(&chain[last])};
    int64_t previous_ns = 0;
    double decay = 1;
    size_t begin = last;
    while (begin > 0 && last - begin < LOOK_BACK && chain[begin - 1].session == chain[last].session &&
           chain[begin - 1].kind == SIM_BEAT)
        begin--;
    for (size_t i = last; i > begin; i--) {
        size_t sample = i - begin;
        double share = sample <= 2 ? 0.5 : sample <= 6 ? 0.25 : 0.125;
        double weight = last - i < FEEL_INTERVAL ? share * decay : 0;
        add_gap(&rhythm, &chain[i - 1], &chain[i], &previous_ns, share, weight);
        decay *= 7.0 / 8;
    }
    rhythm.gaps = last - begin;
    return rhythm;
}

static void set_learned(const struct fleet_walk *walk, size_t last, struct fleet_gap *gap)
{
    struct rhythm rhythm = feel(walk, last);
    int64_t interval_ns = rhythm.interval_ns;
    int64_t error_ns = (int64_t)rhythm.error_ns + 20 * NS_PER_MS;
    gap->interval_least_ns = interval_ns - error_ns;
    gap->interval_most_ns = larger(interval_ns + error_ns, rhythm.other_ns);
    if (rhythm.gaps - rhythm.odd_gaps < COLD_SAMPLES)
        gap->interval_most_ns = larger(gap->interval_most_ns, rhythm.longest_ns);
    int64_t least_ns = clamp(gap->interval_least_ns / 8, S / 2, 30 * S);
    int64_t most_ns = larger(gap->interval_most_ns / 2, least_ns);
    gap->margin_least_ns = rhythm.gaps < COLD_SAMPLES ? interval_ns / 2 : least_ns;
    gap->margin_most_ns = clamp((rhythm.latest_ns + rhythm.bent_ns + error_ns) * 3 / 2, least_ns, most_ns);
    if (rhythm.gaps - rhythm.odd_gaps < COLD_SAMPLES || rhythm.other_ns > 0)
        gap->margin_most_ns = most_ns;
}

/* ---- the gap ---- */

/* The boot that a time belongs to. */
int64_t fleet_boot_before(const struct sim_host *host, int64_t at)
{
    int64_t boot = 0;
    for (size_t i = 0; i < host->truth_count && host->truth[i].at <= at; i++)
        if (host->truth[i].what == SIM_BOOT)
            boot = host->truth[i].at;
    return boot;
}

bool fleet_is_ordinary(const struct sim_heard *a, const struct sim_heard *b)
{
    return a->kind == SIM_BEAT && b->kind == SIM_BEAT && a->agent_start == b->agent_start &&
           b->told - a->told <= interval_of(a) * 106 / 100;
}

/* What the first beats after the gap tell: the earliest boot and the least time frozen. */
static void settle(const struct fleet_walk *walk, size_t last, size_t next, struct fleet_gap *gap)
{
    const struct sim_heard *chain = walk->chain;
    const struct sim_host *host = &walk->sim->hosts[walk->host];
    int64_t boot = fleet_boot_before(host, chain[next].due);
    int64_t delay_ns = NEVER, frozen_ns = NEVER;
    gap->new_boot = fleet_boot_before(host, chain[last].due) != boot;
    gap->new_start = !gap->new_boot && chain[next].agent_start != chain[last].agent_start;
    for (size_t i = 0; i < SETTLE_BEATS && next + i < walk->count; i++) {
        const struct sim_heard *beat = &chain[next + i];
        bool sure = i == 0 || fleet_is_ordinary(beat - 1, beat);
        int64_t stood_ns = beat->told - chain[last].told - (beat->run_ns - chain[last].run_ns);
        if (beat->kind != SIM_BEAT || beat->agent_start != chain[next].agent_start)
            break;
        if (!sure) { /* a short silence of its own may have begun there, or not */
            if (beat->told - beat->due < delay_ns)
                gap->uncertain_ns = delay_ns - (beat->told - beat->due);
            break;
        }
        delay_ns = smaller(delay_ns, beat->told - beat->due);
        frozen_ns = smaller(frozen_ns, stood_ns);
    }
    gap->boot = boot + delay_ns;
    gap->frozen_ns = larger(frozen_ns, 0);
}

struct fleet_gap fleet_make_gap(const struct fleet_walk *walk, size_t last, size_t next)
{
    const struct sim_heard *a = &walk->chain[last];
    struct fleet_gap gap = {
        .last = a->told, .last_arrival = a->arrival, .next = NEVER, .next_arrival = NEVER, .now = walk->sim->now};
    set_learned(walk, a->kind == SIM_BYE ? last - 1 : last, &gap);
    if (a->kind == SIM_BYE)
        gap.bye = a->said == BYE_SHUTDOWN ? FLEET_SHUTDOWN : FLEET_STOPPED;
    if (next >= walk->count)
        return gap;
    const struct sim_heard *b = &walk->chain[next];
    gap.next = b->told;
    gap.next_arrival = b->arrival;
    gap.ended_by_bye = b->kind == SIM_BYE;
    if (gap.ended_by_bye)
        return gap;
    settle(walk, last, next, &gap);
    if (a->kind == SIM_BEAT && (gap.new_boot || gap.new_start)) {
        gap.bye_lost = b->said == PREVIOUS_STOPPED || b->said == PREVIOUS_SHUTDOWN;
        gap.bye = !gap.bye_lost ? FLEET_NO_BYE : b->said == PREVIOUS_SHUTDOWN ? FLEET_SHUTDOWN : FLEET_STOPPED;
    }
    return gap;
}

void fleet_look_around(const struct fleet_walk *walk, const struct fleet_gap *gap, struct fleet_world *world)
{
    const struct sim_store *store = &walk->sim->store;
    int64_t to = smaller(gap->next_arrival, gap->now);
    size_t low = 0, high = store->away_count; /* they do not overlap */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (store->away[middle].to <= gap->last)
            low = middle + 1;
        else
            high = middle;
    }
    world->away = store->away + low;
    world->away_count = 0;
    while (low + world->away_count < store->away_count && world->away[world->away_count].from < to)
        world->away_count++;
    size_t known = low + world->away_count;
    world->forgotten_to = known > SILENCE_ABSENCES_MAX ? store->away[known - SILENCE_ABSENCES_MAX - 1].to : INT64_MIN;
    world->window_count = 0;
    for (size_t i = 0; i < store->window_count; i++) {
        struct window window = store->windows[i].window;
        window.from = instant_add(window.from, -SIM_EPOCH_S * S);
        if (instant_before(window.to, INSTANT_NEVER))
            window.to = instant_add(window.to, -SIM_EPOCH_S * S);
        if (window.from.ns < window.to.ns && window.from.ns < to && window.to.ns > gap->last &&
            name_matches(store->windows[i].pattern, walk->sim->hosts[walk->host].name))
            world->windows[world->window_count++] = window;
    }
    world->planned_limit_ns = walk->sim->options.planned_limit_ns;
    world->conservative = walk->sim->options.conservative;
}

/* ---- silences, and whether a host was lost with many others ---- */

static void add_silence(struct fleet_walk *walk, size_t last, size_t next, size_t *capacity)
{
    static struct fleet_world world;
    const struct sim_heard *a = &walk->chain[last];
    struct fleet_gap gap = fleet_make_gap(walk, last, next);
    fleet_look_around(walk, &gap, &world);
    struct fleet_silence silence = {.last = gap.last,
                                    .last_arrival = gap.last_arrival,
                                    .until = gap.next_arrival,
                                    .interval_ns = interval_of(a),
                                    .bye = a->kind == SIM_BYE};
    gap.judged_early = true;
    silence.judged_first = fleet_judged_at(&gap, &world, gap.interval_least_ns, gap.margin_least_ns - S);
    gap.judged_early = false;
    silence.judged_last = fleet_judged_at(&gap, &world, gap.interval_most_ns, gap.margin_most_ns + S);
    walk->silences = sim_grow(walk->silences, capacity, walk->silence_count, sizeof *walk->silences);
    walk->silences[walk->silence_count++] = silence;
}

static void find_silences(struct fleet_walk *walk)
{
    size_t capacity = 0;
    for (size_t i = 0; i < walk->count; i++)
        if (i + 1 == walk->count || !fleet_is_ordinary(&walk->chain[i], &walk->chain[i + 1]))
            add_silence(walk, i, i + 1, &capacity);
}

/* The silence that a host was in at `t`, or the last one before; NULL: there was none. */
static const struct fleet_silence *silence_before(const struct fleet_walk *walk, int64_t t)
{
    size_t low = 0, high = walk->silence_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (walk->silences[middle].last_arrival < t)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? &walk->silences[low - 1] : NULL;
}

struct count {
    size_t least, most;                     /* lost together with it */
    size_t elsewhere_least, elsewhere_most; /* silent for another reason: they do not count */
};

/* What the receiver sees when `back` is heard again. */
static struct count count_lost(const struct fleet_walk *walks, size_t count, const struct fleet_silence *back)
{
    struct count counted = {0};
    for (size_t i = 0; i < count; i++) {
        const struct fleet_silence *silence = silence_before(&walks[i], back->until);
        /* Up to its third beat one that is back already counts with the others, too. */
        if (!silence || silence->until < back->until - 4 * silence->interval_ns)
            continue;
        int64_t apart_ns = larger(larger(back->interval_ns, silence->interval_ns), 60 * S);
        int64_t distance_ns = llabs(silence->last - back->last);
        bool still = silence->until > back->until || silence == back;
        bool surely = still && (silence->bye || silence->judged_last <= back->until - S);
        bool maybe = silence->judged_first <= smaller(back->until, silence->until);
        if (silence->bye)
            maybe = silence->until >= back->until;
        counted.least += surely && !silence->bye && distance_ns <= apart_ns - apart_ns / 10;
        counted.most += maybe && !silence->bye && distance_ns <= apart_ns + apart_ns / 10;
        counted.elsewhere_least += surely && (silence->bye || distance_ns > apart_ns + apart_ns / 10);
        counted.elsewhere_most += maybe && (silence->bye || distance_ns > apart_ns - apart_ns / 10);
    }
    return counted;
}

void fleet_find_lost(const struct fleet_walk *walks, size_t count, struct fleet_gap *gap)
{
    bool must = false, may = false;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < walks[i].silence_count; k++) {
            const struct fleet_silence *back = &walks[i].silences[k];
            int64_t apart_ns = larger(larger(back->interval_ns, gap->interval_least_ns), 60 * S);
            int64_t distance_ns = llabs(back->last - gap->last);
            if (back->last > gap->last + 2 * apart_ns)
                break;
            if (back->bye || distance_ns > apart_ns + apart_ns / 10 || back->until == NEVER ||
                back->judged_first > back->until)
                continue;
            struct count counted = count_lost(walks, count, back);
            bool surely = counted.least >= 3 && 2 * counted.least >= count - counted.elsewhere_least &&
                          back->judged_last <= back->until - S && distance_ns <= apart_ns - apart_ns / 10 &&
                          back->until <= gap->next_arrival;
            must = must || surely;
            may = may || (counted.most >= 3 && 2 * counted.most + counted.elsewhere_most >= count);
        }
    }
    gap->lost = must;
    gap->may_be_lost = may && !must;
}

/* ---- the receiver's absences ---- */

static struct sim_away away_of(const struct absence *absence)
{
    bool open = !instant_before(absence->to, INSTANT_NEVER);
    return (struct sim_away){absence->from.ns - SIM_EPOCH_S * S, open ? NEVER : absence->to.ns - SIM_EPOCH_S * S,
                             absence->cause};
}

/* Whether the receiver really was off or stalled then; of what it knew already only the rest is told. */
static bool was_away(const struct sim_store *store, const struct sim_away *told, int64_t told_to)
{
    for (size_t i = 0; i < store->away_count; i++) {
        const struct sim_away *away = &store->away[i];
        if (away->cause == told->cause && away->to == told->to &&
            llabs(told->from - larger(away->from, told_to)) < NS_PER_MS)
            return true;
    }
    return false;
}

/* Whether nobody was heard then. */
static bool was_quiet(const struct sim_store *store, struct sim_away *told)
{
    for (size_t i = 0; i < store->quiet_count; i++) {
        const struct sim_quiet *quiet = &store->quiets[i];
        if (told->from < quiet->from || told->from >= quiet->to ||
            (told->to > quiet->to && told->to - quiet->to > NS_PER_MS))
            continue;
        told->to = smaller(told->to, quiet->to); /* a moment after the beat that ended it */
        return true;
    }
    return false;
}

/* So many hosts that had not said goodbye fell silent no earlier than that, and were not heard for long. */
static size_t count_missing(const struct fleet_walk *walks, size_t count, const struct sim_quiet *quiet)
{
    size_t missing = 0;
    for (size_t i = 0; i < count; i++) {
        const struct fleet_silence *silence = silence_before(&walks[i], quiet->from + S);
        missing += silence && silence->until > quiet->from + S && !silence->bye &&
                   silence->last >= quiet->from - silence->interval_ns;
    }
    return missing;
}

/* Two intervals of the slowest hosts and their margin, from the last beat of anybody until somebody is doubted. */
enum { LONG_QUIET_S = 760, MANY_MISSING = 8 };

void fleet_check_absences(struct sim *sim, const struct fleet_walk *walks, size_t count)
{
    struct sim_store *store = &sim->store;
    struct sim_away *list = calloc(store->absence_count + 1, sizeof *list);
    for (size_t i = 0; i < store->absence_count; i++) {
        list[i] = away_of(&store->absences[i]);
        int64_t told_to = i > 0 ? list[i - 1].to : INT64_MIN;
        bool quiet = list[i].cause == CAUSE_RECEIVER_ISOLATED;
        if (list[i].from < told_to)
            sim_fail(sim, "absences of the receiver overlap");
        if (!(quiet ? was_quiet(store, &list[i]) : was_away(store, &list[i], told_to)))
            sim_fail(sim, "the receiver was not away from %.3f to %.3f: %s", (double)list[i].from / 1e9,
                     (double)list[i].to / 1e9, cause_token(list[i].cause));
    }
    for (size_t i = 0; i < store->quiet_count; i++) {
        const struct sim_quiet *quiet = &store->quiets[i];
        int64_t to = smaller(quiet->to, sim->now), untold_ns = to - quiet->from;
        for (size_t k = 0; k < store->absence_count; k++)
            untold_ns -= larger(0, smaller(list[k].to, to) - larger(list[k].from, quiet->from));
        bool told = untold_ns < LONG_QUIET_S * S || count_missing(walks, count, quiet) < MANY_MISSING;
        for (size_t k = 0; k < store->absence_count && !told; k++)
            if (list[k].from < quiet->to && list[k].to > quiet->from)
                printf("absence %.3f to %.3f: %s\n", (double)list[k].from / 1e9, (double)list[k].to / 1e9,
                       cause_token(list[k].cause));
        for (size_t k = 0; k < count && !told; k++) {
            const struct fleet_silence *silence = silence_before(&walks[k], quiet->from + S);
            if (silence)
                printf("%s was silent from %.1f to %.1f%s\n", sim->hosts[k].name, (double)silence->last / 1e9,
                       (double)silence->until / 1e9, silence->bye ? ", after a goodbye" : "");
        }
        if (!told)
            sim_fail(sim, "nobody was heard from %.3f to %.3f, and the receiver did not doubt itself",
                     (double)quiet->from / 1e9, (double)quiet->to / 1e9);
    }
    free(store->away);
    store->away = list;
    store->away_count = store->absence_count;
}

void fleet_walk_init(struct fleet_walk *walk, struct sim *sim, size_t host)
{
    *walk = (struct fleet_walk){.sim = sim, .host = host};
    sim_timeline(sim, host, &walk->timeline);
    if (walk->timeline.count == 0)
        sim_fail(sim, "%s has no record", sim->hosts[host].name);
    build_chain(walk);
    find_silences(walk);
}

void fleet_walk_free(struct fleet_walk *walk)
{
    timeline_free(&walk->timeline);
    free(walk->chain);
    free(walk->silences);
}
