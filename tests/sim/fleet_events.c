/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fleet_events.c - what happens to a fleet, by chance. See fleet.h.
 *
 * Each kind of trouble comes from a process of its own with its own random numbers, so troubles overlap in every way:
 * a host crashes while it is cut off, is shut down in a window that is cancelled, boots twice in a silence of the
 * receiver. */
#include <stdio.h>

#include "tests/sim/fleet.h"

#define S FLEET_S
#define MINUTE FLEET_MINUTE
#define HOUR FLEET_HOUR

enum { PENDING_MAX = 64, LOOP_KILLS = 60, REPLAY_CHECKS = 20 };

/* What a machine will do next. */
enum todo { TODO_EVENT, TODO_BOOT, TODO_AGENT, TODO_AWAKE };

struct life {
    enum todo todo;
    int64_t at;
    int64_t cut_at; /* it is cut off then, or connected again */
    bool cut;
    int64_t interval_at; /* it gets another interval then, or its own again */
    bool fast;
};

struct run {
    const struct fleet_plan *plan;
    struct sim *sim;
    struct sim_random walls, receiver, network, operator;
    struct life lives[FLEET_HOSTS];
    int64_t group_at;
    size_t group_from, group_to; /* these are cut off */
    int64_t receiver_at;
    int loop_kills; /* left in a crash loop */
    int64_t window_at;
    struct { /* windows that somebody will end or cancel */
        size_t window;
        int64_t at;
    } pending[PENDING_MAX];
    size_t pending_count;
    int64_t flush_at, replay_at;
};

static int64_t after(const struct run *run, struct sim_random *random, int64_t mean_ns)
{
    return mean_ns > 0 ? run->sim->now + S + sim_random_exponential(random, mean_ns) : INT64_MAX;
}

/* How long something lasts: from a fraction of an interval to days. */
static int64_t some_time(struct sim_random *random)
{
    static const int64_t means[] = {10 * S, 40 * S, 100 * S, 3 * MINUTE, 20 * MINUTE, 20 * MINUTE, 3 * HOUR, 18 * HOUR};
    int64_t mean_ns = means[sim_random_between(random, 0, (int64_t)(sizeof means / sizeof *means) - 1)];
    return 3 * S + sim_random_exponential(random, mean_ns);
}

/* ---- hosts ---- */

static void begin_event(struct run *run, size_t index, struct life *life)
{
    struct sim *sim = run->sim;
    if (!sim->hosts[index].agent) { /* still saying goodbye */
        life->at = sim->now + S;
        return;
    }
    life->at = sim->now + some_time(&sim->script);
    switch (sim_random_between(&sim->script, 0, 7)) {
    case 0:
    case 1:
    case 2:
        sim_crash(sim, index);
        life->todo = TODO_BOOT;
        return;
    case 3:
    case 4:
        sim_shut_down(sim, index);
        life->todo = TODO_BOOT;
        return;
    case 5:
        sim_stop_agent(sim, index);
        life->todo = TODO_AGENT;
        return;
    case 6:
        sim_kill_agent(sim, index);
        life->todo = TODO_AGENT;
        return;
    default:
        sim_sleep(sim, index);
        life->todo = TODO_AWAKE;
        return;
    }
}

/* The trouble ends, or gets worse. */
static void end_event(struct run *run, size_t index, struct life *life)
{
    struct sim *sim = run->sim;
    struct sim_host *host = &sim->hosts[index];
    bool busy = life->todo == TODO_BOOT ? host->powered : life->todo == TODO_AGENT && host->agent;
    if (busy) { /* shutting down or stopping takes its time */
        life->at = sim->now + S;
        return;
    }
    if (life->todo == TODO_BOOT) {
        sim_boot(sim, index);
        life->todo = TODO_AGENT;
        life->at = sim->now + sim_random_between(&sim->script, 1 * S, 30 * S);
        return;
    }
    if (sim_random_chance(&sim->script, 0.1)) { /* it never comes that far */
        sim_crash(sim, index);
        life->todo = TODO_BOOT;
        life->at = sim->now + some_time(&sim->script);
        return;
    }
    if (life->todo == TODO_AGENT)
        sim_start_agent(sim, index);
    else
        sim_awake(sim, index);
    life->todo = TODO_EVENT;
    /* Now and then the next trouble comes before the third beat. */
    bool soon = sim_random_chance(&sim->script, 0.15);
    life->at = after(run, &sim->script, soon ? 2 * MINUTE : run->plan->host_ns);
}

static void set_cut(struct run *run, size_t index)
{
    bool cut = run->lives[index].cut || (index >= run->group_from && index < run->group_to);
    if (cut != run->sim->hosts[index].cut)
        sim_set_cut(run->sim, index, cut);
}

static void cut_event(struct run *run, size_t index, struct life *life)
{
    life->cut = !life->cut;
    set_cut(run, index);
    life->cut_at = life->cut ? run->sim->now + some_time(&run->network) : after(run, &run->network, run->plan->cut_ns);
}

/* Half of the fleet or all of it. */
static void group_event(struct run *run)
{
    static const size_t groups[][2] = {{0, FLEET_HOSTS / 2}, {FLEET_HOSTS / 2, FLEET_HOSTS}, {0, FLEET_HOSTS}};
    bool begins = run->group_from == run->group_to;
    size_t from = run->group_from, to = run->group_to;
    if (begins) {
        int64_t group = sim_random_between(&run->network, 0, 2);
        run->group_from = from = groups[group][0];
        run->group_to = to = groups[group][1];
        run->group_at = run->sim->now + some_time(&run->network);
    } else {
        run->group_from = run->group_to = 0;
        run->group_at = after(run, &run->network, run->plan->group_ns);
    }
    sim_note(run->sim, "-- a group of %zu is %s", to - from, begins ? "cut off" : "connected");
    for (size_t i = from; i < to; i++)
        set_cut(run, i);
}

/* Some hosts have an interval of 10 s for a while: somebody looks for something. */
static void interval_event(struct run *run, size_t index, struct life *life)
{
    struct sim *sim = run->sim;
    int64_t fast_mean_ns = HOUR;
    if (life->todo != TODO_EVENT || !sim->hosts[index].agent || life->at < sim->now + 10 * S) {
        life->interval_at = sim->now + MINUTE;
        return;
    }
    life->fast = !life->fast;
    sim->hosts[index].interval_ns = life->fast ? 10 * S : MINUTE;
    sim_stop_agent(sim, index);
    life->todo = TODO_AGENT;
    life->at = sim->now + 3 * S;
    int64_t mean_ns = life->fast
                          ? fast_mean_ns
                          : (int64_t)((double)fast_mean_ns * (1 - run->plan->fast_share) / run->plan->fast_share);
    life->interval_at = after(run, &sim->script, mean_ns);
}

/* ---- maintenance ---- */

static void plan_end(struct run *run, size_t window, int64_t at)
{
    if (run->pending_count == PENDING_MAX)
        return;
    run->pending[run->pending_count].window = window;
    run->pending[run->pending_count++].at = at;
}

static void window_event(struct run *run)
{
    struct sim *sim = run->sim;
    struct sim_random *random = &run->operator;
    run->window_at = after(run, random, run->plan->window_ns);
    if (!sim->receiver || sim->stall_until != INT64_MAX || sim->store.window_count + 2 > SIM_WINDOWS_MAX)
        return;
    size_t host = (size_t)sim_random_between(random, 0, FLEET_HOSTS - 1);
    char pattern[16];
    int64_t whom = sim_random_between(random, 0, 9);
    (void)snprintf(pattern, sizeof pattern, "%s", sim->hosts[host].name);
    if (whom == 0)
        (void)snprintf(pattern, sizeof pattern, "*");
    else if (whom <= 2)
        (void)snprintf(pattern, sizeof pattern, "host%d*", (int)(host / 10));
    int64_t kind = sim_random_between(random, 0, 5);
    int64_t from = kind < 3 ? sim->now : sim->now + sim_random_exponential(random, 2 * HOUR);
    int64_t to = from + MINUTE + sim_random_exponential(random, 2 * HOUR);
    size_t window = sim->store.window_count;
    sim_window_add(sim, pattern, from, kind == 0 ? INT64_MAX : to);
    if (kind == 0) /* nobody said until when, and somebody ends it */
        plan_end(run, window, to);
    if (kind == 1 || kind == 4) /* ended early, or cancelled */
        plan_end(run, window, sim->now + sim_random_exponential(random, HOUR));
    if (kind == 5) /* another one overlaps */
        sim_window_add(sim, sim->hosts[host].name, from + (to - from) / 2, to + (to - from) / 2);
    /* It is not planned for nothing: something happens around its beginning. */
    struct life *life = &run->lives[host];
    if (sim_random_chance(random, 0.7) && life->todo == TODO_EVENT)
        life->at = from + sim_random_between(random, 0, MINUTE);
    if (life->at < sim->now)
        life->at = sim->now;
}

static void end_windows(struct run *run)
{
    for (size_t i = run->pending_count; i > 0; i--) {
        if (run->pending[i - 1].at > run->sim->now)
            continue;
        if (!run->sim->receiver || run->sim->stall_until != INT64_MAX) { /* nobody answers: try again */
            run->pending[i - 1].at = run->sim->now + 10 * S;
            continue;
        }
        size_t window = run->pending[i - 1].window;
        if (run->sim->store.windows[window].window.to.ns > sim_instant(run->sim->now).ns)
            sim_window_end(run->sim, window);
        run->pending[i - 1] = run->pending[--run->pending_count];
    }
}

/* ---- the receiver ---- */

static void receiver_starts(struct run *run)
{
    const struct fleet_plan *plan = run->plan;
    sim_receiver_start(run->sim);
    run->receiver_at = after(run, &run->receiver, plan->receiver_ns);
    if (run->loop_kills > 0)
        run->receiver_at = run->sim->now + S / 2;
    else if (sim_random_chance(&run->receiver, 0.1)) /* trouble may come before the first commit */
        run->receiver_at = run->sim->now + S / 20;
}

static void receiver_event(struct run *run)
{
    struct sim *sim = run->sim;
    const struct fleet_plan *plan = run->plan;
    if (!sim->receiver) {
        receiver_starts(run);
        return;
    }
    int64_t off_ns = sim_random_between(&run->receiver, S / 10, S);
    if (sim->stall_until != INT64_MAX && sim_random_chance(&run->receiver, 0.7)) {
        run->receiver_at = sim->stall_until + S;
        return;
    }
    if (!plan->kills_only && run->loop_kills == 0) {
        int64_t kind = sim_random_between(&run->receiver, 0, 9);
        off_ns = S / 10 + sim_random_exponential(&run->receiver, plan->receiver_off_ns);
        if (kind <= 3 && sim->stall_until == INT64_MAX) { /* short, mostly; and one that is longer than any interval */
            bool is_long = sim_random_chance(&run->receiver, 0.1);
            int64_t stall_ns = S / 2 + sim_random_exponential(&run->receiver, is_long ? 5 * MINUTE : 8 * S);
            sim_receiver_stall(sim, stall_ns);
            run->receiver_at = after(run, &run->receiver, plan->receiver_ns);
            return;
        }
        if (kind == 4)
            run->loop_kills = LOOP_KILLS;
        if (kind == 5 && sim->stall_until == INT64_MAX) {
            sim_receiver_stop(sim);
            run->receiver_at = sim->now + off_ns;
            return;
        }
    }
    if (run->loop_kills > 0) {
        run->loop_kills--;
        off_ns = S / 2;
    }
    sim_receiver_kill(sim);
    run->receiver_at = sim->now + off_ns;
}

/* A step of the receiver's wall clock belongs here, once the core is told of it while it runs. */

/* ---- all of it ---- */

static void step_walls(struct run *run)
{
    if (run->plan->step_walls)
        sim_step_wall(run->sim, (size_t)sim_random_between(&run->walls, 0, FLEET_HOSTS - 1),
                      sim_random_between(&run->walls, -86400 * S, 86400 * S));
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When the next thing happens. */
static int64_t next_event(const struct run *run)
{
    int64_t at = smaller(smaller(run->receiver_at, run->group_at), smaller(run->window_at, run->flush_at));
    at = smaller(at, run->replay_at);
    for (size_t i = 0; i < FLEET_HOSTS; i++)
        at = smaller(at, smaller(run->lives[i].at, smaller(run->lives[i].cut_at, run->lives[i].interval_at)));
    for (size_t i = 0; i < run->pending_count; i++)
        at = smaller(at, run->pending[i].at);
    return at;
}

static void step_host(struct run *run, size_t index)
{
    struct life *life = &run->lives[index];
    int64_t now = run->sim->now;
    if (life->cut_at <= now)
        cut_event(run, index, life);
    if (life->interval_at <= now)
        interval_event(run, index, life);
    if (life->at > now)
        return;
    if (life->todo == TODO_EVENT)
        begin_event(run, index, life);
    else
        end_event(run, index, life);
}

static void step(struct run *run, struct fleet_rrd *rrd)
{
    int64_t now = run->sim->now;
    step_walls(run);
    for (size_t i = 0; i < FLEET_HOSTS; i++)
        step_host(run, i);
    if (run->group_at <= now)
        group_event(run);
    if (run->receiver_at <= now)
        receiver_event(run);
    if (run->window_at <= now)
        window_event(run);
    end_windows(run);
    if (run->flush_at <= now) {
        fleet_rrd_flush(rrd, run->sim);
        run->flush_at = after(run, &run->operator, run->plan->flush_ns);
    }
    if (run->replay_at <= now) {
        if (run->sim->receiver && run->sim->stall_until == INT64_MAX)
            sim_check_replay(run->sim);
        run->replay_at = now + run->plan->length_ns / REPLAY_CHECKS;
    }
}

static void begin(struct run *run, bool rrd)
{
    static const int64_t intervals_s[] = {60, 300, 60, 300, 60};
    const struct fleet_plan *plan = run->plan;
    struct sim *sim = run->sim;
    sim_random_init(&run->walls, plan->seed, 9);
    sim_random_init(&run->receiver, plan->seed, 10);
    sim_random_init(&run->network, plan->seed, 11);
    sim_random_init(&run->operator, plan->seed, 12);
    for (size_t i = 0; i < FLEET_HOSTS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "host%02zu", i);
        sim_add_host(sim, name, intervals_s[i % 5] * S);
    }
    sim_receiver_start(sim);
    sim_boot_all(sim);
    for (size_t i = 0; i < FLEET_HOSTS; i++)
        run->lives[i] = (struct life){
            .todo = TODO_EVENT,
            .at = after(run, &sim->script, plan->host_ns),
            .cut_at = after(run, &run->network, plan->cut_ns),
            .interval_at = i % 5 == 0 && plan->fast_share > 0 ? after(run, &sim->script, 6 * HOUR) : INT64_MAX};
    run->group_at = after(run, &run->network, plan->group_ns);
    run->window_at = after(run, &run->operator, plan->window_ns);
    run->receiver_at = after(run, &run->receiver, plan->receiver_ns);
    run->flush_at = rrd ? after(run, &run->operator, plan->flush_ns) : INT64_MAX;
    run->replay_at = sim->now + plan->length_ns / REPLAY_CHECKS;
}

struct sim *fleet_simulate(const struct fleet_plan *plan, struct fleet_rrd *rrd)
{
    struct sim_options options = {.seed = plan->seed,
                                  .to_receiver = plan->link,
                                  .to_agent = plan->link,
                                  .conservative = plan->conservative,
                                  .checkpoints = 0.001,
                                  .keepless = plan->keepless,
                                  .keep = true};
    struct run run = {.plan = plan, .sim = sim_create(&options)};
    struct sim *sim = run.sim;
    begin(&run, rrd != NULL);
    for (int64_t at = next_event(&run); at < plan->length_ns; at = next_event(&run)) {
        sim_run(sim, at);
        step(&run, rrd);
    }
    sim_run(sim, plan->length_ns);
    if (!sim->receiver)
        sim_receiver_start(sim);
    sim_run_for(sim, S);
    if (sim->stall_until != INT64_MAX)
        sim_run(sim, sim->stall_until);
    sim_check_replay(sim);
    sim_receiver_note_quiet(sim, INT64_MAX);
    return sim;
}
