/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store.c - what the receiver's process stores, and how the next one goes on from it. See sim.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "receiver/judge/receiver.h"
#include "tests/sim/sim.h"

#define CHECKPOINT_CHANCE 0.02 /* of a host at a commit */
#define CHECKPOINT_LEN_MAX 65536

void sim_note_line(struct sim *sim, const struct transition *line)
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
void sim_learn_names(struct sim *sim)
{
    const struct host_table *table = receiver_hosts(sim->receiver);
    for (uint32_t id = sim->store.host_count + 1; id <= table->count; id++)
        memcpy(sim->store.hosts[id].name, table->hosts[id]->name, sizeof sim->store.hosts[id].name);
}

/* ---- storing ---- */

static void check_told_again(struct sim *sim, const struct transition *now, const struct transition *stored)
{
    if (now->at == stored->at && now->state == stored->state && now->cause == stored->cause &&
        now->earliest == stored->earliest && now->latest == stored->latest && now->decided == stored->decided &&
        now->restates == stored->restates)
        return;
    sim_note_line(sim, stored);
    sim_note_line(sim, now);
    sim_fail(sim, "the replay tells line %u of %s (decided at %lld) in another way (decided at %lld)", now->number,
             sim->store.hosts[now->host].name, (long long)(stored->decided - SIM_EPOCH_S),
             (long long)(now->decided - SIM_EPOCH_S));
}

/* Lines that are stored already are told again by a replay, and must be the same. */
void sim_store_lines(struct sim *sim, const struct line_list *lines, bool only_check)
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

/* Whether the next host has its turn: by chance, and without asking chance for each. */
static bool is_turn(struct sim *sim)
{
    if (sim->checkpoint_skip-- > 0)
        return false;
    double chance = sim->options.checkpoints > 0 ? sim->options.checkpoints : CHECKPOINT_CHANCE;
    sim->checkpoint_skip = sim_random_exponential(&sim->receiver_random, (int64_t)(1 / chance));
    return true;
}

/* Checkpoints of some hosts; they contain every fact so far, also those that this commit is about to store. */
static void take_checkpoints(struct sim *sim)
{
    const struct host_table *table = receiver_hosts(sim->receiver);
    for (uint32_t id = 1; id <= table->count; id++) {
        struct host *host = table->hosts[id];
        averages_drop_rows(&host->averages, host->averages.row_count);
        if (!is_turn(sim))
            continue;
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

void sim_receiver_commit(struct sim *sim)
{
    struct sim_store *store = &sim->store;
    struct receiver_output out;
    sim_learn_names(sim);
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
        sim_store_lines(sim, &out.lines, false);
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

struct receiver *sim_load(struct sim *sim)
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
    size_t known = store->absence_count; /* not from facts that are about to be replayed */
    while (known > 0 && store->entry_count > 0 && store->absences[known - 1].fact >= store->entries[0].first)
        known--;
    for (size_t i = known > RECEIVER_ABSENCES_LOADED ? known - RECEIVER_ABSENCES_LOADED : 0; i < known && rc == 0; i++)
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
    sim_receiver_commit(sim);
    struct sim_random random = sim->receiver_random; /* looking changes nothing */
    struct receiver *loaded = sim_load(sim);
    sim->receiver_random = random;
    sim_store_lines(sim, receiver_lines(loaded), true);
    for (uint32_t id = 1; id <= sim->store.host_count; id++) {
        struct host *host = receiver_hosts(loaded)->hosts[id];
        averages_drop_rows(&host->averages, host->averages.row_count);
        struct host *live = receiver_hosts(sim->receiver)->hosts[id];
        averages_drop_rows(&live->averages, live->averages.row_count);
        /* How far the files are is no fact: it is written down with the next checkpoint only. */
        host->settled_to = live->settled_to;
        host->written_to = live->written_to;
        host->changed_from = live->changed_from;
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
    free(store->away);
    free(store->quiets);
}
