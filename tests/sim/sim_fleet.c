/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_fleet.c - days of a whole fleet in which everything goes wrong by chance, and what must hold all the same.
 *
 * After each run the record is held against the truth that only the simulator knows:
 *   - the lines of each host fold into spans in order, and the seconds of the four states sum to the time that passed;
 *   - between two beats of one run of an agent that came in time, the record says up;
 *   - a machine that was off is not recorded as up, except at the edges that the bounds tell of;
 *   - the true start of an outage lies within the bounds that the record gives for it;
 *   - what is stored, loaded into a fresh receiver, gives the very state of the one that runs (checked at random
 *     times);
 *   - a receiver that is killed and comes back at once leaves the same record as one that never died, but for
 *     outages that begin or end around a kill;
 *   - no beat is called safe that a kill can take away (checked with each ack, in process.c);
 *   - the same seed gives the same bytes, whatever the wall clocks of the hosts do meanwhile. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define S NS_PER_S
#define HOSTS 20
#define MINUTE (60 * S)

/* What a run is made of. */
struct plan {
    uint64_t seed;
    int64_t length_ns;
    double loss;
    int64_t event_ns;        /* mean time between two events of a host */
    int64_t receiver_ns;     /* mean time between two events of the receiver; 0: none */
    int64_t receiver_off_ns; /* how long it is off at most */
    bool gentle;             /* the receiver is killed only, and nothing else goes on */
    bool step_walls;
};

/* What a host will do next. */
enum todo { TODO_EVENT, TODO_BOOT, TODO_AGENT, TODO_JOIN, TODO_AWAKE };

struct life {
    enum todo todo;
    int64_t at;
};

struct run {
    const struct plan *plan;
    struct sim *sim;
    struct sim_random walls, receiver; /* apart, so that hosts live the same lives without these events */
    struct life lives[HOSTS];
    int64_t receiver_at;
    int64_t window_ends[SIM_HOSTS_MAX]; /* planned ones end by themselves */
};

static int64_t soon(const struct run *run, struct sim_random *random, int64_t mean_ns)
{
    return run->sim->now + MINUTE + sim_random_exponential(random, mean_ns);
}

/* Something happens to a host that runs. */
static void begin_event(struct run *run, size_t index, struct life *life)
{
    struct sim *sim = run->sim;
    struct sim_host *host = &sim->hosts[index];
    if (!host->agent) { /* still saying goodbye */
        life->at = sim->now + S;
        return;
    }
    int64_t away_ns =
        sim_random_exponential(&sim->script, sim_random_chance(&sim->script, 0.5) ? 3 * MINUTE : 40 * MINUTE);
    life->at = sim->now + 10 * S + away_ns;
    switch (sim_random_between(&sim->script, 0, 6)) {
    case 0:
    case 1:
        sim_crash(sim, index);
        life->todo = TODO_BOOT;
        return;
    case 2:
        sim_shut_down(sim, index);
        life->todo = TODO_BOOT;
        return;
    case 3:
        sim_stop_agent(sim, index);
        life->todo = TODO_AGENT;
        return;
    case 4:
        sim_kill_agent(sim, index);
        life->todo = TODO_AGENT;
        return;
    case 5:
        sim_sleep(sim, index);
        life->todo = TODO_AWAKE;
        return;
    default:
        sim_set_cut(sim, index, true);
        life->todo = TODO_JOIN;
        return;
    }
}

static void end_event(struct run *run, size_t index, struct life *life)
{
    struct sim *sim = run->sim;
    struct sim_host *host = &sim->hosts[index];
    if (life->todo == TODO_BOOT) {
        if (host->powered) { /* the shutdown takes its time */
            life->at = sim->now + S;
            return;
        }
        sim_boot(sim, index);
        life->todo = TODO_AGENT;
        life->at = sim->now + sim_random_between(&sim->script, 1 * S, 20 * S);
        return;
    }
    if (life->todo == TODO_AGENT) {
        if (host->agent) {
            life->at = sim->now + S;
            return;
        }
        sim_start_agent(sim, index);
    } else if (life->todo == TODO_JOIN) {
        sim_set_cut(sim, index, false);
    } else {
        sim_awake(sim, index);
    }
    life->todo = TODO_EVENT;
    life->at = soon(run, &sim->script, run->plan->event_ns);
}

static void receiver_event(struct run *run)
{
    struct sim *sim = run->sim;
    const struct plan *plan = run->plan;
    if (!sim->receiver) {
        sim_receiver_start(sim);
        run->receiver_at = soon(run, &run->receiver, plan->receiver_ns);
        if (sim_random_chance(&run->receiver, 0.1)) /* trouble may come before the first commit */
            run->receiver_at = sim->now + NS_PER_S / 20;
        return;
    }
    int kind = plan->gentle ? 0 : (int)sim_random_between(&run->receiver, 0, 9);
    if (kind <= 5) {
        if (kind <= 3)
            sim_receiver_kill(sim);
        else
            sim_receiver_stop(sim);
        run->receiver_at = sim->now + sim_random_between(&run->receiver, S / 10, plan->receiver_off_ns);
        return;
    }
    if (kind == 6)
        sim_receiver_stall(sim, sim_random_between(&run->receiver, S / 2, 20 * S));
    if (kind == 7 && sim->store.window_count < SIM_HOSTS_MAX) {
        size_t host = (size_t)sim_random_between(&run->receiver, 0, HOSTS - 1);
        sim_window_add(sim, sim->hosts[host].name, sim->now + S,
                       sim->now + sim_random_between(&run->receiver, MINUTE, 120 * MINUTE));
    }
    if (kind >= 8)
        sim_check_replay(sim);
    run->receiver_at = soon(run, &run->receiver, plan->receiver_ns);
}

static void step_walls(struct run *run)
{
    if (run->plan->step_walls)
        sim_step_wall(run->sim, (size_t)sim_random_between(&run->walls, 0, HOSTS - 1),
                      sim_random_between(&run->walls, -86400 * S, 86400 * S));
}

static struct sim *simulate(const struct plan *plan)
{
    static const int64_t intervals_s[] = {60, 60, 60, 10, 300};
    struct sim_link link = {.loss = plan->loss,
                            .delay_ns = 20 * NS_PER_MS,
                            .jitter_ns = plan->gentle ? 0 : 5 * NS_PER_MS,
                            .duplicate = plan->gentle ? 0 : 0.01};
    struct sim_options options = {.seed = plan->seed, .to_receiver = link, .to_agent = link, .keep = true};
    struct run run = {.plan = plan, .sim = sim_create(&options)};
    struct sim *sim = run.sim;
    sim_random_init(&run.walls, plan->seed, 9);
    sim_random_init(&run.receiver, plan->seed, 10);
    for (size_t i = 0; i < HOSTS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "host%02zu", i + 1);
        sim_add_host(sim, name, intervals_s[i % 5] * S);
    }
    sim_receiver_start(sim);
    sim_boot_all(sim);
    for (size_t i = 0; i < HOSTS; i++)
        run.lives[i] = (struct life){TODO_EVENT, soon(&run, &sim->script, plan->event_ns)};
    run.receiver_at = plan->receiver_ns > 0 ? soon(&run, &run.receiver, plan->receiver_ns) : INT64_MAX;
    while (sim->now < plan->length_ns) {
        int64_t at = run.receiver_at;
        size_t next = HOSTS;
        for (size_t i = 0; i < HOSTS; i++)
            if (run.lives[i].at < at) {
                at = run.lives[i].at;
                next = i;
            }
        sim_run(sim, at < plan->length_ns ? at : plan->length_ns);
        if (at >= plan->length_ns)
            break;
        step_walls(&run);
        if (next == HOSTS)
            receiver_event(&run);
        else if (run.lives[next].todo == TODO_EVENT)
            begin_event(&run, next, &run.lives[next]);
        else
            end_event(&run, next, &run.lives[next]);
    }
    if (!sim->receiver)
        sim_receiver_start(sim);
    sim_run_for(sim, S);
    if (sim->stall_until != INT64_MAX)
        sim_run(sim, sim->stall_until);
    sim_check_replay(sim);
    return sim;
}

/* ---- what must hold ---- */

static int64_t second_of(int64_t at)
{
    return SIM_EPOCH_S + at / S;
}

static void check_sums(struct sim *sim, size_t index, const struct timeline *timeline)
{
    struct timeline_seconds seconds;
    int64_t sum = 0;
    int64_t begin = timeline->spans[0].from, end = second_of(sim->now);
    for (size_t i = 1; i < timeline->count; i++)
        if (timeline->spans[i].from <= timeline->spans[i - 1].from)
            sim_fail(sim, "%s: spans out of order", sim->hosts[index].name);
    if (timeline->spans[timeline->count - 1].from > end)
        sim_fail(sim, "%s: a span begins in the future", sim->hosts[index].name);
    timeline_count(timeline, begin, end, &seconds);
    for (int state = 0; state < STATE_COUNT; state++)
        sum += seconds.state[state];
    if (sum != end - begin || seconds.state[STATE_LATE] != 0)
        sim_fail(sim, "%s: the states sum to %lld of %lld s", sim->hosts[index].name, (long long)sum,
                 (long long)(end - begin));
}

static const char *describe(const struct timeline_span *span)
{
    static char text[64];
    (void)snprintf(text, sizeof text, "%s %s from %lld", state_token(span->state), cause_token(span->cause),
                   (long long)(span->from - SIM_EPOCH_S));
    return text;
}

/* The first span in [from, to) that is not up, or NULL. */
static const struct timeline_span *not_up(const struct timeline *timeline, int64_t from, int64_t to)
{
    for (size_t i = 0; i < timeline->count; i++) {
        int64_t end = i + 1 < timeline->count ? timeline->spans[i + 1].from : INT64_MAX;
        if (timeline->spans[i].state != STATE_UP && timeline->spans[i].from < to && end > from)
            return &timeline->spans[i];
    }
    return NULL;
}

static bool overlaps_absence(const struct sim *sim, int64_t from, int64_t to)
{
    for (size_t i = 0; i < sim->store.absence_count; i++) {
        const struct absence *a = &sim->store.absences[i];
        if (a->from.ns < sim_instant(to).ns && a->to.ns > sim_instant(from).ns)
            return true;
    }
    return false;
}

/* When the receiver could take note of a beat: when it was due, or when the receiver was back. */
static int64_t noted(const struct sim *sim, const struct sim_heard *beat)
{
    int64_t due = beat->due;
    if (overlaps_absence(sim, beat->due, beat->at)) /* lost at first, and then it waited in the socket */
        return beat->at;
    for (size_t i = 0; i < sim->store.absence_count; i++) {
        const struct absence *a = &sim->store.absences[i];
        if (a->from.ns < sim_instant(due + S).ns && a->to.ns > sim_instant(due).ns)
            due = a->to.ns - SIM_EPOCH_S * S;
    }
    return due;
}

/* Two beats of one run, each in time: up between them; unknown if the second one was missed by a receiver that was
 * away. */
static void check_heard(struct sim *sim, size_t index, const struct timeline *timeline)
{
    const struct sim_stored_host *stored = sim_stored(sim, index);
    int64_t interval_ns = sim->hosts[index].interval_ns;
    const struct sim_heard *a = NULL, *b = NULL;
    for (size_t i = 0; i < stored->heard_count; i++) {
        if (stored->heard[i].kept)
            continue;
        a = b;
        b = &stored->heard[i];
        if (!a || a->agent_start != b->agent_start || b->due - a->due > interval_ns + interval_ns / 100 ||
            b->due <= a->due)
            continue;
        const struct timeline_span *span = not_up(timeline, second_of(noted(sim, a)) + 2, second_of(b->due) - 1);
        bool away = overlaps_absence(sim, a->due + interval_ns, b->due + interval_ns);
        if (span && !(span->state == STATE_UNKNOWN && away))
            sim_fail(sim, "%s: heard at %.1f and %.1f in time, but recorded %s", sim->hosts[index].name,
                     (double)a->due / (double)S, (double)b->due / (double)S, describe(span));
    }
}

/* When the last beat before `before` was due. */
static int64_t last_heard(const struct sim *sim, size_t index, int64_t before)
{
    const struct sim_stored_host *stored = sim_stored(sim, index);
    size_t i = stored->heard_count;
    while (i > 0 && (stored->heard[i - 1].kept || stored->heard[i - 1].due > before))
        i--;
    return i > 0 ? stored->heard[i - 1].due : 0;
}

/* A machine that was off from `off` to `on`: the record must not say up, but for the edges. */
static void check_off(struct sim *sim, size_t index, const struct timeline *timeline, int64_t off, int64_t on)
{
    const struct sim_host *host = &sim->hosts[index];
    int64_t interval_ns = host->interval_ns;
    /* Still judged: an outage at the end of the run needs its verdict, after a restart of the receiver later. */
    if (on == INT64_MAX) {
        on = sim->now;
        if (sim->now - off < 3 * interval_ns || overlaps_absence(sim, off - 2 * interval_ns, sim->now))
            return;
    }
    /* A beat that fell due while the receiver was away proves nothing, so the host counts as up until then. */
    int64_t missed = last_heard(sim, index, off) + interval_ns;
    bool unproven = overlaps_absence(sim, missed - S, missed + S);
    int64_t edge_ns = unproven ? interval_ns : interval_ns / 2 + interval_ns / 50;
    int64_t from = second_of(off + edge_ns) + 2, to = second_of(on) - 2;
    for (size_t i = 0; i < timeline->count; i++) {
        int64_t end = i + 1 < timeline->count ? timeline->spans[i + 1].from : INT64_MAX;
        if (timeline->spans[i].state == STATE_UP && timeline->spans[i].from < to && end > from)
            sim_fail(sim, "%s was off from %.1f to %.1f, but recorded %s", host->name, (double)off / (double)S,
                     (double)on / (double)S, describe(&timeline->spans[i]));
    }
}

/* Whether nothing happened to the host for a while before its truth number `i`. */
static bool was_calm(const struct sim_host *host, size_t i)
{
    return i == 0 || host->truth[i - 1].at < host->truth[i].at - 3 * host->interval_ns;
}

/* The true start of an outage lies within the bounds of the first span that tells of it. */
static void check_start(struct sim *sim, size_t index, const struct timeline *timeline, int64_t off, int64_t on)
{
    const struct sim_host *host = &sim->hosts[index];
    /* With loss the beat before may have been lost, and its repetitions cut short by the crash. */
    int64_t slack_s = sim->options.to_receiver.loss > 0 ? host->interval_ns / S : 0;
    const struct timeline_span *span = not_up(timeline, second_of(off), second_of(on));
    if (!span || span->state != STATE_DOWN || (span->cause != CAUSE_REBOOT && span->cause != CAUSE_SILENT))
        return;
    /* What hides the start has bounds of its own. */
    if (overlaps_absence(sim, off - 2 * host->interval_ns, off + 3 * host->interval_ns))
        return;
    if (span->earliest > second_of(off) + 1 || span->latest + 1 + slack_s < second_of(off))
        sim_fail(sim, "%s went off at %.1f, but recorded %s with bounds %lld to %lld", host->name,
                 (double)off / (double)S, describe(span), (long long)(span->earliest - SIM_EPOCH_S),
                 (long long)(span->latest - SIM_EPOCH_S));
}

static void check_outages(struct sim *sim, size_t index, const struct timeline *timeline)
{
    const struct sim_host *host = &sim->hosts[index];
    int64_t first = (timeline->spans[0].from - SIM_EPOCH_S) * S;
    for (size_t i = 0; i < host->truth_count; i++) {
        if (host->truth[i].what != SIM_OFF || host->truth[i].at < first)
            continue;
        int64_t off = host->truth[i].at, on = INT64_MAX;
        for (size_t k = i + 1; k < host->truth_count && on == INT64_MAX; k++)
            if (host->truth[k].what == SIM_BOOT)
                on = host->truth[k].at;
        /* The first beat of the new boot must have been heard, else nobody knows of it yet. */
        bool heard = false;
        const struct sim_stored_host *stored = sim_stored(sim, index);
        for (size_t k = stored->heard_count; k > 0 && !heard && stored->heard[k - 1].due > off; k--)
            heard = stored->heard[k - 1].due > on;
        if (on != INT64_MAX && !heard)
            continue;
        check_off(sim, index, timeline, off, on);
        if (was_calm(host, i))
            check_start(sim, index, timeline, off, on < sim->now ? on : sim->now);
    }
}

static void check_record(struct sim *sim)
{
    for (size_t i = 0; i < sim->host_count; i++) {
        struct timeline timeline;
        sim_timeline(sim, i, &timeline);
        if (timeline.count == 0)
            sim_fail(sim, "%s has no record", sim->hosts[i].name);
        check_sums(sim, i, &timeline);
        check_heard(sim, i, &timeline);
        check_outages(sim, i, &timeline);
        timeline_free(&timeline);
    }
}

/* ---- the runs ---- */

struct totals {
    uint64_t lines, datagrams, absences;
    double days;
};

static uint64_t digest_of(const struct sim *sim)
{
    return sim->store.digest ^ sim->datagrams;
}

static uint64_t run_and_check(const struct plan *plan, struct totals *totals)
{
    struct sim *sim = simulate(plan);
    check_record(sim);
    for (uint32_t id = 1; id <= sim->store.host_count; id++)
        totals->lines += sim->store.hosts[id].line_count;
    totals->datagrams += sim->datagrams;
    totals->absences += sim->store.absence_count;
    totals->days += (double)sim->now / 86400e9;
    uint64_t digest = digest_of(sim);
    sim_destroy(sim);
    return digest;
}

/* How many edges of the record of `a` have been compared with the one of `b`; fails where one is missing. Edges near
 * an absence may differ: a kill loses what was heard in the second before it. */
static unsigned compare_edges(struct sim *a, const struct sim *b, const struct sim *killed, size_t index)
{
    struct timeline ta, tb;
    sim_timeline(a, index, &ta);
    sim_timeline(b, index, &tb);
    int64_t near_s = 3 * a->hosts[index].interval_ns / S;
    int64_t tolerance_s = 1 + near_s / 100; /* the rhythm was not learned from the very same beats */
    unsigned compared = 0;
    for (size_t i = 1; i < ta.count; i++) {
        const struct timeline_span *span = &ta.spans[i];
        int64_t calm_from = ta.spans[i - 1].state == STATE_UP ? span->from : ta.spans[i - 1].from;
        if (overlaps_absence(killed, (calm_from - near_s - SIM_EPOCH_S) * S, (span->from + near_s - SIM_EPOCH_S) * S))
            continue;
        /* A margin learned from other beats may spare a short silence the verdict. */
        const struct timeline_span *silence = span->state == STATE_UP ? span - 1 : span;
        int64_t silence_end = silence + 1 < ta.spans + ta.count ? silence[1].from : INT64_MAX;
        if (silence->cause != CAUSE_REBOOT && silence->cause != CAUSE_SHUTDOWN && silence_end - silence->from < near_s)
            continue;
        bool found = false;
        for (size_t k = 0; k < tb.count && !found; k++)
            found = llabs(tb.spans[k].from - span->from) <= tolerance_s && tb.spans[k].state == span->state &&
                    tb.spans[k].cause == span->cause;
        if (!found)
            sim_fail(a, "%s: only the receiver that %s says %s", a->hosts[index].name,
                     a == killed ? "was killed" : "was never killed", describe(span));
        compared++;
    }
    timeline_free(&ta);
    timeline_free(&tb);
    return compared;
}

/* One receiver is killed now and then and is back before anything was missed, the other one never is. */
static unsigned compare_killed(uint64_t seed, int64_t length_ns)
{
    struct plan plan = {.seed = seed, .length_ns = length_ns, .event_ns = 120 * MINUTE, .gentle = true};
    struct sim *spared = simulate(&plan);
    plan.receiver_ns = 30 * MINUTE;
    plan.receiver_off_ns = S;
    struct sim *killed = simulate(&plan);
    check_record(killed);
    unsigned compared = 0;
    for (size_t i = 0; i < HOSTS; i++)
        compared += compare_edges(killed, spared, killed, i) + compare_edges(spared, killed, killed, i);
    sim_destroy(killed);
    sim_destroy(spared);
    return compared;
}

int main(int argc, char **argv)
{
    bool is_long = argc > 1 && strcmp(argv[1], "--long") == 0;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t seeds = argc > 2 ? 1 : is_long ? 200 : 4;
    struct totals totals = {0};
    unsigned compared = 0;
    for (uint64_t last = seed + seeds; seed < last; seed++) {
        struct plan plan = {.seed = seed,
                            .length_ns = (is_long ? 20 : 1) * 43200 * S,
                            .loss = seed % 2 ? 0.05 : 0,
                            .event_ns = 240 * MINUTE,
                            .receiver_ns = seed % 4 < 2 ? 60 * MINUTE : 0,
                            .receiver_off_ns = 10 * MINUTE};
        uint64_t digest = run_and_check(&plan, &totals);
        plan.step_walls = true;
        if (seed % 10 == 1 && run_and_check(&plan, &totals) != digest) {
            printf("FAILED: seed %" PRIu64 " gives other bytes when hosts set their wall clocks\n", seed);
            return 1;
        }
        compared += compare_killed(seed, plan.length_ns / 4);
    }
    printf("seeds up to %" PRIu64 ": %.0f days of %d hosts, %" PRIu64 " lines, %" PRIu64 " datagrams, %" PRIu64
           " absences of the receiver; %u edges alike with and without kills\n",
           seed - 1, totals.days, HOSTS, totals.lines, totals.datagrams, totals.absences, compared);
    return 0;
}
