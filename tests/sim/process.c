/* SPDX-License-Identifier: GPL-2.0-or-later */
/* process.c - the receiver as a process: it hears, judges, stalls, starts and ends. See sim.h.
 *
 * It does what receiver/listen does around the core: answers at once, looks at deadlines at ticks of 100 ms, commits
 * once a second, and marks itself alive with each commit. A kill leaves what was committed, nothing else. */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "receiver/judge/receiver.h"

#define TICK_NS (100 * NS_PER_MS)
#define COMMIT_NS NS_PER_S
#define STALL_MIN_NS NS_PER_S
#define QUIET_NS (10 * NS_PER_S) /* a shorter one is none */

struct instant sim_instant(int64_t at)
{
    return (struct instant){SIM_EPOCH_S * NS_PER_S + at};
}

static int64_t time_of(struct instant t)
{
    return t.ns - SIM_EPOCH_S * NS_PER_S;
}

/* The tick at or after a time; ticks count from the start of the simulation. */
static int64_t tick_after(int64_t at)
{
    int64_t ticks = (at + TICK_NS - 1) / TICK_NS;
    return ticks * TICK_NS;
}

/* ---- telling ---- */

static void note_states(struct sim *sim)
{
    const struct host_table *table = receiver_hosts(sim->receiver);
    for (uint32_t id = 1; id <= table->count; id++) {
        enum state state = host_live_state(table->hosts[id]);
        if (table->hosts[id]->heard && state != sim->shown[id]) {
            const char *before = sim->shown[id] < STATE_COUNT ? state_token(sim->shown[id]) : "new";
            sim_note(sim, "%s %s -> %s", table->hosts[id]->name, before, state_token(state));
            sim->shown[id] = state;
        }
    }
}

/* Looks at what the core has just said. */
static void observe(struct sim *sim)
{
    const struct line_list *lines = receiver_lines(sim->receiver);
    if (receiver_has_failed(sim->receiver))
        sim_fail(sim, "the receiver says that memory ran out");
    if (sim->lines_seen < lines->count)
        sim_learn_names(sim);
    if (sim->options.trace)
        note_states(sim);
    for (; sim->lines_seen < lines->count; sim->lines_seen++) {
        const struct transition *line = &lines->lines[sim->lines_seen];
        sim_note_line(sim, line);
        if (line->state == STATE_DOWN && line->cause == CAUSE_SILENT) {
            sim->downs++;
            sim->down_at = sim->now;
        }
    }
}

static void plan_commit(struct sim *sim)
{
    if (sim->commit_at != INT64_MAX || !receiver_has_output(sim->receiver))
        return;
    int64_t at = sim->committed_at + COMMIT_NS;
    sim->commit_at = tick_after(at > sim->now ? at : sim->now);
    sim->pending_from = sim->now;
}

/* ---- running ---- */

static void judge(struct sim *sim)
{
    if (time_of(receiver_due(sim->receiver)) <= sim->now)
        receiver_judge(sim->receiver, sim_instant(sim->now));
    observe(sim);
    plan_commit(sim);
}

static bool is_stored(const struct sim_stored_host *host, uint64_t agent_start, uint32_t number)
{
    for (size_t i = host->heard_count; i > 0; i--)
        if (host->heard[i - 1].agent_start == agent_start && host->heard[i - 1].number == number)
            return true;
    return false;
}

/* An ack may call only that safe which a kill cannot take away. */
static void check_safe(struct sim *sim, size_t index, const struct beat *beat, const struct receiver_answer *answer)
{
    const struct sim_shell *shell = sim->options.shell;
    if (shell) {
        shell->acked(shell->context, sim, index, beat, answer->ack.safe);
        return;
    }
    const struct sim_stored_host *host = &sim->store.hosts[answer->host->id];
    for (uint32_t number = beat->oldest_kept; number <= answer->ack.safe; number++)
        if (!is_stored(host, beat->agent_start, number))
            sim_fail(sim, "%s: beat %u is called safe, and is not stored", answer->host->name, number);
}

static struct sim_heard *remember(struct sim *sim, const struct sim_datagram *datagram, uint32_t id, uint32_t age_ms,
                                  int64_t interval_ns)
{
    int64_t age_ns = (int64_t)age_ms * NS_PER_MS;
    sim->heard = sim_grow(sim->heard, &sim->heard_capacity, sim->heard_count, sizeof *sim->heard);
    struct sim_heard *heard = &sim->heard[sim->heard_count++];
    *heard = (struct sim_heard){.due = datagram->due, .arrival = sim->now, .host = (uint8_t)id};
    heard->told = sim->now - (age_ns > interval_ns / 2 ? interval_ns / 2 : age_ns);
    return heard;
}

static void remember_beat(struct sim *sim, const struct sim_datagram *datagram, const struct receiver_answer *answer)
{
    const struct beat *beat = &datagram->message.beat;
    struct sim_heard *heard =
        remember(sim, datagram, answer->host->id, beat->age_ms, (int64_t)beat->interval_ms * NS_PER_MS);
    heard->agent_start = beat->agent_start;
    heard->number = beat->number;
    heard->run_ns = (int64_t)beat->run_ms * NS_PER_MS;
    heard->interval_ms = beat->interval_ms;
    heard->session = (uint32_t)beat->session;
    heard->kind = beat->flags & BEAT_FLAG_KEPT ? SIM_BEAT_KEPT : SIM_BEAT;
    heard->said = beat->previous_end;
}

static void remember_bye(struct sim *sim, const struct sim_datagram *datagram, const struct receiver_answer *answer)
{
    const struct bye *bye = &datagram->message.bye;
    int64_t interval_ns = sim->hosts[datagram->host].interval_ns;
    struct sim_heard *heard = remember(sim, datagram, answer->host->id, bye->age_ms, interval_ns);
    heard->agent_start = bye->agent_start;
    heard->interval_ms = (uint32_t)(interval_ns / NS_PER_MS);
    heard->session = (uint32_t)bye->session;
    heard->kind = SIM_BYE;
    heard->said = bye->reason;
}

static void remember_away(struct sim *sim, int64_t from, enum cause cause)
{
    struct sim_store *store = &sim->store;
    if (!sim->options.keep)
        return;
    store->away = sim_grow(store->away, &store->away_capacity, store->away_count, sizeof *store->away);
    store->away[store->away_count++] = (struct sim_away){from, sim->now, cause};
}

void sim_receiver_note_quiet(struct sim *sim, int64_t to)
{
    struct sim_store *store = &sim->store;
    if (!sim->options.keep || sim->now - sim->heard_at < QUIET_NS)
        return;
    store->quiets = sim_grow(store->quiets, &store->quiet_capacity, store->quiet_count, sizeof *store->quiets);
    store->quiets[store->quiet_count++] = (struct sim_quiet){sim->heard_at, to};
}

/* A start: the process was off since the mark. What an earlier one did after that was lost with it. */
static void remember_off(struct sim *sim)
{
    struct sim_store *store = &sim->store;
    while (store->away_count > 0 && store->away[store->away_count - 1].to > store->alive)
        store->away_count--;
    if (store->has_run && store->alive < sim->now)
        remember_away(sim, store->alive, CAUSE_RECEIVER_OFF);
}

/* The loop is back: the core learns of the stall first, then of what waited in the socket. */
static void end_stall(struct sim *sim)
{
    if (sim->stall_until > sim->now)
        return;
    int64_t overslept_ns = sim->now - sim->stall_from - TICK_NS;
    sim->stall_until = INT64_MAX;
    if (overslept_ns >= STALL_MIN_NS) {
        receiver_stalled(sim->receiver, sim_instant(sim->now - overslept_ns), sim_instant(sim->now));
        remember_away(sim, sim->now - overslept_ns, CAUSE_RECEIVER_OVERLOADED);
    }
    sim->drained_at = sim->now;
}

void sim_receiver_hear(struct sim *sim, const struct sim_datagram *datagram)
{
    if (!sim->receiver || (datagram->waits_for != 0 && datagram->waits_for != sim->starts))
        return; /* a process that is gone took its socket along */
    if (sim->stall_until != INT64_MAX && sim->now < sim->stall_until) {
        sim_network_put_off(sim, datagram, sim->stall_until);
        return;
    }
    end_stall(sim);
    size_t index = datagram->host;
    const char *name = sim->hosts[index].name;
    const struct agent_message *message = &datagram->message;
    struct instant now = sim_instant(sim->now);
    enum receiver_statistic accepted = message->is_bye ? RECEIVER_BYES : RECEIVER_BEATS;
    uint64_t before = receiver_statistics(sim->receiver)[accepted];
    struct receiver_answer answer = message->is_bye
                                        ? receiver_hear_bye(sim->receiver, now, name, strlen(name), &message->bye)
                                        : receiver_hear_beat(sim->receiver, now, name, strlen(name), &message->beat);
    bool is_new = receiver_statistics(sim->receiver)[accepted] > before;
    if (answer.type == ANSWER_ACK) {
        sim_receiver_note_quiet(sim, sim->now);
        sim->heard_at = sim->now;
    }
    if (sim->options.keep && message->is_bye && is_new)
        remember_bye(sim, datagram, &answer);
    if (sim->options.keep && !message->is_bye && answer.type == ANSWER_ACK) {
        if (is_new)
            remember_beat(sim, datagram, &answer);
        check_safe(sim, index, &message->beat, &answer);
    }
    sim_network_answer(sim, index, &answer);
    if (sim->now > sim->drained_at)
        judge(sim);
    else
        observe(sim); /* there may be more in the socket */
}

int64_t sim_receiver_due(const struct sim *sim)
{
    if (!sim->receiver)
        return INT64_MAX;
    if (sim->stall_until != INT64_MAX)
        return sim->stall_until;
    if (sim->drained_at == sim->now)
        return sim->now; /* after the drain, and before time goes on */
    struct instant due = receiver_due(sim->receiver);
    int64_t at = due.ns == INSTANT_NEVER.ns ? INT64_MAX : tick_after(time_of(due));
    return sim->commit_at < at ? sim->commit_at : at;
}

void sim_receiver_turn(struct sim *sim)
{
    end_stall(sim);
    sim->drained_at = -1;
    judge(sim);
    if (sim->commit_at > sim->now)
        return;
    if (!sim->options.shell) {
        sim_receiver_commit(sim);
        return;
    }
    sim->options.shell->tick(sim->options.shell->context, sim_instant(sim->now));
    sim->lines_seen = receiver_lines(sim->receiver)->count; /* none, if they were taken */
    sim->commit_at = tick_after(sim->now + 1);
}

void sim_receiver_stall(struct sim *sim, int64_t ns)
{
    sim_note(sim, "-- receiver stalls for %.1f s", (double)ns / (double)NS_PER_S);
    sim->stall_from = sim->now;
    sim->stall_until = sim->now + ns;
}

void sim_receiver_step_wall(struct sim *sim, int64_t ns)
{
    sim->wall_step_ns += ns;
    sim_note(sim, "-- the receiver's wall clock is set by %+.1f s", (double)ns / (double)NS_PER_S);
    if (!sim->receiver)
        return;
    struct instant now = sim_instant(sim->now);
    (void)receiver_see_wall(sim->receiver, now, (struct wall){now.ns + sim->wall_step_ns});
    observe(sim);
}

void sim_receiver_isolate(struct sim *sim, bool isolated)
{
    sim_note(sim, isolated ? "-- receiver loses its interface" : "-- receiver has its interface again");
    receiver_isolated(sim->receiver, sim_instant(sim->now), isolated);
    for (size_t i = 0; i < sim->host_count; i++)
        sim_set_cut(sim, i, isolated);
    observe(sim);
}

/* ---- starting and ending ---- */

static void begin_run(struct sim *sim)
{
    struct sim_store *store = &sim->store;
    /* The mark moves with the first commit: that one also holds the absence which has just ended. */
    if (!store->has_run)
        store->alive = sim->now;
    store->has_run = true;
}

static struct receiver *start_receiver(struct sim *sim)
{
    struct instant now = sim_instant(sim->now);
    struct wall wall = {now.ns + sim->wall_step_ns};
    if (sim->options.shell)
        return sim->options.shell->start(sim->options.shell->context, sim, now, wall);
    struct receiver *receiver = sim_load(sim);
    sim_store_lines(sim, receiver_lines(receiver), true);
    sim->lines_seen = receiver_lines(receiver)->count;
    receiver_start(receiver, now, wall, sim->store.has_run ? sim_instant(sim->store.alive) : INSTANT_NEVER);
    return receiver;
}

void sim_receiver_start(struct sim *sim)
{
    sim_note(sim, "-- receiver starts");
    sim->receiver = start_receiver(sim);
    if (!sim->receiver)
        return;
    remember_off(sim);
    sim->starts++;
    sim->heard_at = sim->now;
    begin_run(sim);
    observe(sim);
    sim->committed_at = INT64_MIN / 2;
    sim->drained_at = -1;
    sim->first_commit = sim->commit_at = tick_after(sim->now + 1);
    sim->pending_from = sim->now;
}

/* It commits once a second also if there is nothing to store but the mark: that is not simulated, only its result. */
static void mark_alive(struct sim *sim)
{
    if (sim->now <= sim->first_commit)
        return;
    int64_t marked = sim->now - (sim->now - sim->first_commit) % COMMIT_NS;
    if (sim->commit_at != INT64_MAX && marked > sim->pending_from)
        marked = sim->pending_from;
    if (sim->stall_until != INT64_MAX && marked > sim->stall_from)
        return;
    if (marked > sim->store.alive)
        sim->store.alive = marked;
}

static void end_process(struct sim *sim, bool in_order)
{
    sim_receiver_note_quiet(sim, sim->now);
    if (sim->options.shell)
        sim->options.shell->end(sim->options.shell->context, sim_instant(sim->now), in_order);
    else
        receiver_destroy(sim->receiver);
    sim->receiver = NULL;
    sim->commit_at = sim->stall_until = INT64_MAX;
    sim->heard_count = sim->lines_seen = 0;
}

void sim_receiver_stop(struct sim *sim)
{
    sim_note(sim, "-- receiver stops");
    if (!sim->options.shell)
        sim_receiver_commit(sim);
    end_process(sim, true);
}

void sim_receiver_kill(struct sim *sim)
{
    sim_note(sim, "-- receiver is killed");
    if (!sim->options.shell)
        mark_alive(sim);
    end_process(sim, false);
}

void sim_window_add(struct sim *sim, const char *pattern, int64_t from, int64_t to)
{
    struct sim_store *store = &sim->store;
    struct sim_window *added = &store->windows[store->window_count++];
    (void)snprintf(added->pattern, sizeof added->pattern, "%s", pattern);
    added->window = (struct window){sim_instant(from), to == INT64_MAX ? INSTANT_NEVER : sim_instant(to)};
    sim_note(sim, "-- maintenance of %s from %.0f", pattern, (double)from / (double)NS_PER_S);
    if (receiver_add_window(sim->receiver, sim_instant(sim->now), (int64_t)store->window_count, pattern,
                            added->window) != 0)
        sim_fail(sim, "no room for a window");
    observe(sim);
    sim_receiver_commit(sim); /* a request is answered when it is stored */
}

void sim_window_end(struct sim *sim, size_t index)
{
    struct sim_window *window = &sim->store.windows[index];
    sim_note(sim, "-- maintenance of %s ends", window->pattern);
    window->window.to = sim_instant(sim->now);
    if (receiver_end_window(sim->receiver, sim_instant(sim->now), (int64_t)index + 1) != 0)
        sim_fail(sim, "no such window");
    observe(sim);
    sim_receiver_commit(sim);
}
