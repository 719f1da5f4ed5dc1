/* SPDX-License-Identifier: GPL-2.0-or-later */
/* process.c - the receiver as a process: what it stores, and what is left of it when it is killed. See sim.h.
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
#define ABSENCES_LOADED 100
#define CHECKPOINT_CHANCE 0.02 /* of a host at a commit */
#define CHECKPOINT_LEN_MAX 65536

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

static void note_line(struct sim *sim, const struct transition *line)
{
    char restates[32] = "";
    if (line->restates)
        (void)snprintf(restates, sizeof restates, ", instead of line %u", line->restates);
    const char *cause = cause_token(line->cause);
    sim_note(sim, "%s line %u: %s%s%s from %lld (%lld to %lld)%s", sim->store.hosts[line->host].name, line->number,
             state_token(line->state), *cause ? " " : "", cause, (long long)(line->at - SIM_EPOCH_S),
             (long long)(line->earliest - SIM_EPOCH_S), (long long)(line->latest - SIM_EPOCH_S), restates);
}

/* Hosts get their place in the store as soon as they have an id: only their name counts before the commit. */
static void learn_names(struct sim *sim)
{
    const struct host_table *table = receiver_hosts(sim->receiver);
    for (uint32_t id = sim->store.host_count + 1; id <= table->count; id++)
        memcpy(sim->store.hosts[id].name, table->hosts[id]->name, sizeof sim->store.hosts[id].name);
}

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
        learn_names(sim);
    if (sim->options.trace)
        note_states(sim);
    for (; sim->lines_seen < lines->count; sim->lines_seen++) {
        const struct transition *line = &lines->lines[sim->lines_seen];
        note_line(sim, line);
        if (line->state == STATE_DOWN && line->cause == CAUSE_SILENT) {
            sim->downs++;
            sim->down_at = sim->now;
        }
    }
}

/* ---- storing ---- */

static void check_told_again(struct sim *sim, const struct transition *now, const struct transition *stored)
{
    if (now->at == stored->at && now->state == stored->state && now->cause == stored->cause &&
        now->earliest == stored->earliest && now->latest == stored->latest && now->decided == stored->decided &&
        now->restates == stored->restates)
        return;
    note_line(sim, stored);
    note_line(sim, now);
    sim_fail(sim, "the replay tells line %u of %s (decided at %lld) in another way (decided at %lld)", now->number,
             sim->store.hosts[now->host].name, (long long)(stored->decided - SIM_EPOCH_S),
             (long long)(now->decided - SIM_EPOCH_S));
}

/* Lines that are stored already are told again by a replay, and must be the same. */
static void store_lines(struct sim *sim, const struct line_list *lines, bool only_check)
{
    for (size_t i = 0; i < lines->count; i++) {
        const struct transition *line = &lines->lines[i];
        struct sim_stored_host *host = &sim->store.hosts[line->host];
        if (line->number <= host->line_count) {
            check_told_again(sim, line, &host->lines[line->number - 1]);
            continue;
        }
        if (only_check || line->number != host->line_count + 1)
            sim_fail(sim, "%s: line %u after line %zu", host->name, line->number, host->line_count);
        host->lines = sim_grow(host->lines, &host->line_capacity, host->line_count, sizeof *host->lines);
        host->lines[host->line_count++] = *line;
    }
}

static void store_facts(struct sim_store *store, struct receiver_output *out)
{
    if (out->facts_len == 0)
        return;
    for (size_t i = 0; i < out->facts_len; i++)
        store->digest = (store->digest ^ out->facts[i]) * UINT64_C(1099511628211);
    store->entries = sim_grow(store->entries, &store->entry_capacity, store->entry_count, sizeof *store->entries);
    struct sim_entry *entry = &store->entries[store->entry_count++];
    *entry = (struct sim_entry){malloc(out->facts_len), out->facts_len, out->first_fact};
    memcpy(entry->facts, out->facts, out->facts_len);
}

static void store_heard(struct sim *sim)
{
    for (size_t i = 0; i < sim->heard_count; i++) {
        struct sim_stored_host *host = &sim->store.hosts[sim->heard[i].host];
        host->heard = sim_grow(host->heard, &host->heard_capacity, host->heard_count, sizeof *host->heard);
        host->heard[host->heard_count++] = sim->heard[i];
    }
    sim->heard_count = 0;
}

/* Checkpoints of some hosts; they contain every fact so far, also those that this commit is about to store. */
static void take_checkpoints(struct sim *sim)
{
    const struct host_table *table = receiver_hosts(sim->receiver);
    for (uint32_t id = 1; id <= table->count; id++) {
        if (!sim_random_chance(&sim->receiver_random, CHECKPOINT_CHANCE))
            continue;
        struct host *host = table->hosts[id];
        averages_drop_rows(&host->averages, host->averages.row_count);
        struct sim_stored_host *stored = &sim->store.hosts[id];
        size_t len_max = host_checkpoint_len_max(host);
        free(stored->checkpoint);
        stored->checkpoint = malloc(len_max);
        struct codec codec = codec_writer(stored->checkpoint, len_max);
        host_visit(&codec, host);
        if (codec.failed)
            sim_fail(sim, "%s: no room for the checkpoint", host->name);
        stored->checkpoint_len = codec.pos;
        stored->position = host->position = receiver_last_fact(sim->receiver);
    }
}

/* Drops the entries that every checkpoint contains. */
static void trim(struct sim_store *store)
{
    uint64_t lowest = UINT64_MAX;
    for (uint32_t id = 1; id <= store->host_count; id++)
        if (store->hosts[id].position < lowest)
            lowest = store->hosts[id].position;
    size_t drop = 0;
    while (drop + 1 < store->entry_count && store->entries[drop + 1].first <= lowest + 1)
        free(store->entries[drop++].facts);
    if (drop == 0)
        return;
    store->entry_count -= drop;
    memmove(store->entries, store->entries + drop, store->entry_count * sizeof *store->entries);
}

static void store_labels(struct sim_store *store, const struct receiver_output *out)
{
    for (size_t i = 0; i < out->part_count; i++) {
        if (store->part_count == LABELS_MAX)
            memmove(&store->parts[0], &store->parts[1], --store->part_count * sizeof store->parts[0]);
        store->parts[store->part_count++] = out->parts[i];
    }
    for (size_t i = 0; i < out->moved_count; i++)
        store->windows[out->moved[i].id - 1].window = out->moved[i].window;
}

static void store_absences(struct sim_store *store, const struct receiver_output *out)
{
    for (size_t i = 0; i < out->absence_count; i++) {
        struct absence *last = store->absence_count ? &store->absences[store->absence_count - 1] : NULL;
        if (last && last->from.ns == out->absences[i].from.ns) { /* it has ended */
            last->to = out->absences[i].to;
            continue;
        }
        store->absences =
            sim_grow(store->absences, &store->absence_capacity, store->absence_count, sizeof *store->absences);
        store->absences[store->absence_count++] = out->absences[i];
    }
}

static void commit(struct sim *sim)
{
    struct sim_store *store = &sim->store;
    struct receiver_output out;
    learn_names(sim);
    store->host_count = receiver_hosts(sim->receiver)->count;
    if (sim->options.keep) {
        take_checkpoints(sim);
    } else {
        for (uint32_t id = 1; id <= store->host_count; id++) {
            struct host *host = receiver_hosts(sim->receiver)->hosts[id];
            averages_drop_rows(&host->averages, host->averages.row_count);
        }
    }
    receiver_take(sim->receiver, &out);
    sim->lines_seen = 0;
    if (sim->options.keep) {
        store_lines(sim, &out.lines, false);
        store_facts(store, &out);
        store_heard(sim);
        store_labels(store, &out);
        store_absences(store, &out);
        trim(store);
    }
    receiver_stored(sim->receiver, out.heard, out.heard_count);
    receiver_output_free(&out);
    sim->committed_at = store->alive = sim->now;
    sim->commit_at = INT64_MAX;
}

static void plan_commit(struct sim *sim)
{
    if (sim->commit_at != INT64_MAX || !receiver_has_output(sim->receiver))
        return;
    int64_t at = sim->committed_at + COMMIT_NS;
    sim->commit_at = tick_after(at > sim->now ? at : sim->now);
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
static void check_safe(struct sim *sim, const struct beat *beat, const struct receiver_answer *answer)
{
    const struct sim_stored_host *host = &sim->store.hosts[answer->host->id];
    for (uint32_t number = beat->oldest_kept; number <= answer->ack.safe; number++)
        if (!is_stored(host, beat->agent_start, number))
            sim_fail(sim, "%s: beat %u is called safe, and is not stored", answer->host->name, number);
}

static void remember_heard(struct sim *sim, const struct sim_datagram *datagram, const struct receiver_answer *answer)
{
    const struct beat *beat = &datagram->message.beat;
    sim->heard = sim_grow(sim->heard, &sim->heard_capacity, sim->heard_count, sizeof *sim->heard);
    sim->heard[sim->heard_count++] = (struct sim_heard){datagram->due, sim->now,         beat->agent_start,
                                                        beat->number,  answer->host->id, beat->flags & BEAT_FLAG_KEPT};
}

/* The loop is back: the core learns of the stall first, then of what waited in the socket. */
static void end_stall(struct sim *sim)
{
    if (sim->stall_until > sim->now)
        return;
    int64_t overslept_ns = sim->now - sim->stall_from - TICK_NS;
    sim->stall_until = INT64_MAX;
    if (overslept_ns >= STALL_MIN_NS)
        receiver_stalled(sim->receiver, sim_instant(sim->now - overslept_ns), sim_instant(sim->now));
    sim->drained_at = sim->now;
}

void sim_receiver_hear(struct sim *sim, const struct sim_datagram *datagram)
{
    if (!sim->receiver)
        return;
    if (sim->stall_until != INT64_MAX && sim->now < sim->stall_until) {
        sim_network_put_off(sim, datagram, sim->stall_until);
        return;
    }
    end_stall(sim);
    const struct sim_host *host = &sim->hosts[datagram->host];
    size_t index = datagram->host;
    struct receiver_answer answer;
    if (datagram->message.is_bye) {
        answer = receiver_hear_bye(sim->receiver, sim_instant(sim->now), host->name, strlen(host->name),
                                   &datagram->message.bye);
    } else {
        uint64_t beats = receiver_statistics(sim->receiver)[RECEIVER_BEATS];
        answer = receiver_hear_beat(sim->receiver, sim_instant(sim->now), host->name, strlen(host->name),
                                    &datagram->message.beat);
        if (sim->options.keep && answer.type == ANSWER_ACK) {
            if (receiver_statistics(sim->receiver)[RECEIVER_BEATS] > beats)
                remember_heard(sim, datagram, &answer);
            check_safe(sim, &datagram->message.beat, &answer);
        }
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
    if (sim->commit_at <= sim->now)
        commit(sim);
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

static struct receiver *load(struct sim *sim)
{
    struct sim_store *store = &sim->store;
    struct receiver_options options = {.planned_limit_ns = sim->options.planned_limit_ns,
                                       .conservative = sim->options.conservative,
                                       .host_count_max = SIM_HOSTS_MAX};
    sim_random_fill(&sim->receiver_random, options.secret, sizeof options.secret);
    struct receiver *receiver = receiver_create(&options);
    int rc = receiver ? 0 : -1;
    for (size_t i = 0; i < store->part_count && rc == 0; i++)
        rc = receiver_load_label(receiver, &store->parts[i]);
    size_t first = store->absence_count > ABSENCES_LOADED ? store->absence_count - ABSENCES_LOADED : 0;
    for (size_t i = first; i < store->absence_count && rc == 0; i++)
        rc = receiver_load_absence(receiver, &store->absences[i]);
    for (size_t i = 0; i < store->window_count && rc == 0; i++)
        rc = receiver_load_window(receiver, (int64_t)i + 1, store->windows[i].pattern, store->windows[i].window);
    for (uint32_t id = 1; id <= store->host_count && rc == 0; id++) {
        const struct sim_stored_host *host = &store->hosts[id];
        rc = receiver_load_host(receiver, id, host->name, host->checkpoint, host->checkpoint_len, host->position);
    }
    for (size_t i = 0; i < store->entry_count && rc == 0; i++)
        rc = receiver_replay(receiver, store->entries[i].facts, store->entries[i].len, store->entries[i].first);
    if (rc != 0)
        sim_fail(sim, "what is stored cannot be loaded");
    return receiver;
}

static void begin_run(struct sim *sim)
{
    struct sim_store *store = &sim->store;
    /* The mark moves with the first commit: that one also holds the absence which has just ended. */
    if (!store->has_run)
        store->alive = sim->now;
    store->has_run = true;
}

void sim_receiver_start(struct sim *sim)
{
    struct instant now = sim_instant(sim->now);
    struct wall wall = {now.ns + sim->wall_step_ns};
    sim_note(sim, "-- receiver starts");
    sim->receiver = load(sim);
    store_lines(sim, receiver_lines(sim->receiver), true);
    sim->lines_seen = receiver_lines(sim->receiver)->count;
    receiver_start(sim->receiver, now, wall, sim->store.has_run ? sim_instant(sim->store.alive) : INSTANT_NEVER);
    begin_run(sim);
    observe(sim);
    sim->committed_at = INT64_MIN / 2;
    sim->drained_at = -1;
    sim->first_commit = sim->commit_at = tick_after(sim->now + 1);
}

/* It commits once a second also if there is nothing to store but the mark: that is not simulated, only its result. */
static void mark_alive(struct sim *sim)
{
    if (sim->now <= sim->first_commit)
        return;
    int64_t marked = sim->now - (sim->now - sim->first_commit) % COMMIT_NS;
    if (sim->stall_until != INT64_MAX && marked > sim->stall_from)
        return;
    if (marked > sim->store.alive)
        sim->store.alive = marked;
}

static void end_process(struct sim *sim)
{
    receiver_destroy(sim->receiver);
    sim->receiver = NULL;
    sim->commit_at = sim->stall_until = INT64_MAX;
    sim->heard_count = sim->lines_seen = 0;
}

void sim_receiver_stop(struct sim *sim)
{
    sim_note(sim, "-- receiver stops");
    commit(sim);
    end_process(sim);
}

void sim_receiver_kill(struct sim *sim)
{
    sim_note(sim, "-- receiver is killed");
    mark_alive(sim);
    end_process(sim);
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
    commit(sim); /* a request is answered when it is stored */
}

void sim_window_end(struct sim *sim, size_t index)
{
    struct sim_window *window = &sim->store.windows[index];
    sim_note(sim, "-- maintenance of %s ends", window->pattern);
    window->window.to = sim_instant(sim->now);
    if (receiver_end_window(sim->receiver, sim_instant(sim->now), (int64_t)index + 1) != 0)
        sim_fail(sim, "no such window");
    observe(sim);
    commit(sim);
}

/* ---- looking ---- */

const struct sim_stored_host *sim_stored(const struct sim *sim, size_t host)
{
    for (uint32_t id = 1; id <= sim->store.host_count; id++)
        if (strcmp(sim->store.hosts[id].name, sim->hosts[host].name) == 0)
            return &sim->store.hosts[id];
    return NULL;
}

const struct host *sim_judged(const struct sim *sim, size_t host)
{
    const char *name = sim->hosts[host].name;
    return sim->receiver ? host_table_find(receiver_hosts(sim->receiver), name, strlen(name)) : NULL;
}

void sim_timeline(const struct sim *sim, size_t host, struct timeline *out)
{
    const struct sim_stored_host *stored = sim_stored(sim, host);
    *out = (struct timeline){0};
    for (size_t i = 0; stored && i < stored->line_count; i++)
        (void)timeline_add(out, &stored->lines[i]);
}

static size_t visit(struct sim *sim, struct host *host, uint8_t *out)
{
    struct codec codec = codec_writer(out, CHECKPOINT_LEN_MAX);
    host_visit(&codec, host);
    if (codec.failed)
        sim_fail(sim, "%s: checkpoint too long to be compared", host->name);
    return codec.pos;
}

void sim_check_replay(struct sim *sim)
{
    static const char *const parts[] = {"state", "length"};
    uint8_t *live_bytes = malloc(CHECKPOINT_LEN_MAX), *loaded_bytes = malloc(CHECKPOINT_LEN_MAX);
    commit(sim);
    struct sim_random random = sim->receiver_random; /* looking changes nothing */
    struct receiver *loaded = load(sim);
    sim->receiver_random = random;
    store_lines(sim, receiver_lines(loaded), true);
    for (uint32_t id = 1; id <= sim->store.host_count; id++) {
        struct host *host = receiver_hosts(loaded)->hosts[id];
        averages_drop_rows(&host->averages, host->averages.row_count);
        struct host *live = receiver_hosts(sim->receiver)->hosts[id];
        averages_drop_rows(&live->averages, live->averages.row_count);
        size_t len = visit(sim, live, live_bytes);
        size_t loaded_len = visit(sim, host, loaded_bytes);
        size_t same = 0;
        while (same < len && same < loaded_len && live_bytes[same] == loaded_bytes[same])
            same++;
        if (len != loaded_len || same < len)
            sim_fail(sim, "%s: a replay gives another %s (byte %zu of %zu)", host->name, parts[len != loaded_len], same,
                     len);
    }
    receiver_destroy(loaded);
    free(live_bytes);
    free(loaded_bytes);
}

void sim_note_record(struct sim *sim)
{
    for (size_t i = 0; i < sim->host_count; i++) {
        struct timeline timeline;
        struct timeline_seconds seconds;
        sim_timeline(sim, i, &timeline);
        if (timeline.count == 0)
            continue;
        int64_t end = SIM_EPOCH_S + sim->now / NS_PER_S;
        timeline_count(&timeline, timeline.spans[0].from, end, &seconds);
        sim_note(sim, "%s record: up %lld s, down %lld s (unreachable %lld s), admin %lld s, unknown %lld s",
                 sim->hosts[i].name, (long long)seconds.state[STATE_UP], (long long)seconds.state[STATE_DOWN],
                 (long long)seconds.unreachable, (long long)seconds.state[STATE_ADMIN],
                 (long long)seconds.state[STATE_UNKNOWN]);
        for (size_t k = 0; k < timeline.count; k++) {
            const struct timeline_span *span = &timeline.spans[k];
            const char *cause = cause_token(span->cause);
            sim_note(sim, "%s   from %lld: %s%s%s", sim->hosts[i].name, (long long)(span->from - SIM_EPOCH_S),
                     state_token(span->state), *cause ? " " : "", cause);
        }
        timeline_free(&timeline);
    }
}

void sim_store_free(struct sim *sim)
{
    struct sim_store *store = &sim->store;
    for (uint32_t id = 1; id <= SIM_HOSTS_MAX; id++) {
        free(store->hosts[id].checkpoint);
        free(store->hosts[id].lines);
        free(store->hosts[id].heard);
    }
    for (size_t i = 0; i < store->entry_count; i++)
        free(store->entries[i].facts);
    free(store->entries);
    free(store->absences);
}
