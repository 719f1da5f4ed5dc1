/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peers_node.c - the process of a receiver among others: turns, commits, starts, replays. See peers_world.h.
 *
 * As the loop of the daemon does: what has arrived is taken, then hosts are judged, then the others are spoken to, at most
 * 64 datagrams a turn; without datagrams a turn comes with each tick of 100 ms at which something is due. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/peers_world.h"
#include "tests/sim/sim.h"

#define TICK_NS (100 * NS_PER_MS)
#define COMMIT_NS (2 * NS_PER_S)
#define CHECKPOINT_LEN_MAX 65536

enum { DATAGRAMS_PER_TURN = 64 };

/* The tick at or after an instant. */
static int64_t tick_after(const struct world *world, const struct world_node *node, struct instant t)
{
    if (!instant_before(t, INSTANT_NEVER))
        return INT64_MAX;
    int64_t at = t.ns - world_instant(node, 0).ns;
    at = (at + TICK_NS - 1) / TICK_NS * TICK_NS;
    return at > world->now ? at : (world->now / TICK_NS + 1) * TICK_NS;
}

/* When it has to say something to the others: their next beat, or the next question. */
static struct instant peers_due(const struct peers *peers, struct instant now)
{
    struct instant due = INSTANT_NEVER;
    if (!peers_any(peers))
        return due;
    due = deadlines_next(&peers->inquiries);
    if (peers->batch.count > 0)
        due = now;
    for (unsigned i = 0; i < PEERS_MAX; i++)
        if (peers->peers[i])
            due = instant_earlier(due, peer_is_due(peers->peers[i], now) ? now : peers->peers[i]->beat_at);
    return due;
}

static void speak(struct world *world, size_t index)
{
    struct world_node *node = &world->nodes[index];
    uint8_t payload[PEER_PAYLOAD_MAX];
    unsigned place = 0;
    for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
        size_t len = receiver_tell_peer(node->receiver, world_instant(node, world->now), payload, &place);
        if (len == 0)
            return;
        for (size_t to = 0; to < world->node_count; to++)
            if (to != index && node->place[to] == (int)place)
                world_send_peer(world, index, to, payload, len);
    }
}

void world_turn(struct world *world, size_t index)
{
    struct world_node *node = &world->nodes[index];
    struct instant now = world_instant(node, world->now);
    if (!instant_before(now, receiver_due(node->receiver)))
        receiver_judge(node->receiver, now);
    speak(world, index);
    if (receiver_has_failed(node->receiver))
        world_fail(world, "%s says that memory ran out", node->name);
    if (world->now >= node->commit_at)
        world_commit(world, index);
    struct instant due = instant_earlier(receiver_due(node->receiver), peers_due(receiver_peers(node->receiver), now));
    node->next_turn = tick_after(world, node, due);
    if (node->commit_at < node->next_turn)
        node->next_turn = node->commit_at;
}

/* ---- storing ---- */

/* A line that is told again must be the one that is stored. */
static void take_line(struct world *world, struct world_node *node, const struct transition *line, bool only_check)
{
    struct world_log *log = &node->logs[line->host];
    if (line->number <= log->count) {
        const struct transition *stored = &log->lines[line->number - 1];
        if (stored->at != line->at || stored->state != line->state || stored->cause != line->cause ||
            stored->earliest != line->earliest || stored->latest != line->latest || stored->decided != line->decided ||
            stored->restates != line->restates)
            world_fail_about(world, (size_t)(node - world->nodes), world_index(log->name),
                             "a replay tells line %u as %s %s from %lld (decided at %lld)", line->number,
                             state_token(line->state), cause_token(line->cause), (long long)line->at,
                             (long long)line->decided);
        return;
    }
    if (only_check || line->number != log->count + 1)
        world_fail(world, "%s, host %u: line %u after line %zu", node->name, line->host, line->number, log->count);
    log->lines = sim_grow(log->lines, &log->capacity, log->count, sizeof *log->lines);
    log->lines[log->count++] = *line;
}

static void take_checkpoint(struct world *world, struct world_node *node, struct host *host)
{
    struct world_log *log = &node->logs[host->id];
    size_t len_max = host_checkpoint_len_max(host);
    free(log->checkpoint);
    log->checkpoint = malloc(len_max);
    struct codec codec = codec_writer(log->checkpoint, len_max);
    host_visit(&codec, host);
    if (codec.failed)
        world_fail(world, "%s: no room for the checkpoint of %s", node->name, host->name);
    log->checkpoint_len = codec.pos;
    log->position = host->position = receiver_last_fact(node->receiver);
}

void world_commit(struct world *world, size_t index)
{
    struct world_node *node = &world->nodes[index];
    struct receiver_output out;
    const struct host_table *table = receiver_hosts(node->receiver);
    node->host_count = table->count;
    for (uint32_t id = 1; id <= table->count; id++) {
        averages_drop_rows(&table->hosts[id]->averages, table->hosts[id]->averages.row_count);
        memcpy(node->logs[id].name, table->hosts[id]->name, sizeof node->logs[id].name);
        if (sim_random_chance(&world->random, world->checkpoints))
            take_checkpoint(world, node, table->hosts[id]);
    }
    receiver_take(node->receiver, &out);
    for (size_t i = 0; i < out.lines.count; i++)
        take_line(world, node, &out.lines.lines[i], false);
    for (size_t i = 0; i < out.part_count; i++)
        node->parts[node->part_count++ % LABELS_MAX] = out.parts[i];
    if (out.facts_len > 0) {
        node->entries = sim_grow(node->entries, &node->entry_capacity, node->entry_count, sizeof *node->entries);
        uint8_t *facts = malloc(out.facts_len);
        memcpy(facts, out.facts, out.facts_len);
        node->entries[node->entry_count++] = (struct world_entry){facts, out.facts_len, out.first_fact};
    }
    receiver_stored(node->receiver, out.heard, out.heard_count);
    receiver_output_free(&out);
    node->alive = world_instant(node, world->now);
    node->commit_at = world->now + COMMIT_NS;
}

/* ---- starting and ending ---- */

static struct receiver *load(struct world *world, struct world_node *node)
{
    struct receiver_options options = {.planned_limit_ns = 1800 * NS_PER_S,
                                       .host_count_max = (uint32_t)world->host_count};
    sim_random_fill(&world->random, options.secret, sizeof options.secret);
    struct receiver *receiver = receiver_create(&options);
    int rc = receiver ? 0 : -1;
    for (size_t i = 0; i < node->part_count && rc == 0; i++)
        rc = receiver_load_label(receiver, &node->parts[i]);
    for (uint32_t id = 1; id <= node->host_count && rc == 0; id++)
        rc = receiver_load_host(receiver, id, node->logs[id].name, node->logs[id].checkpoint,
                                node->logs[id].checkpoint_len, node->logs[id].position);
    for (size_t i = 0; i < node->entry_count && rc == 0; i++)
        rc = receiver_replay(receiver, node->entries[i].facts, node->entries[i].len, node->entries[i].first);
    if (rc != 0)
        world_fail(world, "%s: what is stored cannot be loaded", node->name);
    return receiver;
}

static void check_lines(struct world *world, struct world_node *node, const struct receiver *loaded)
{
    const struct line_list *lines = receiver_lines(loaded);
    for (size_t i = 0; i < lines->count; i++)
        take_line(world, node, &lines->lines[i], true);
}

void world_start_node(struct world *world, size_t index)
{
    struct world_node *node = &world->nodes[index];
    struct instant now = world_instant(node, world->now);
    struct receiver_output told;
    node->receiver = load(world, node);
    check_lines(world, node, node->receiver);
    receiver_take(node->receiver, &told); /* they are stored */
    receiver_output_free(&told);
    struct wall wall = {(node->wall_s * NS_PER_S) + world->now};
    for (size_t to = 0; to < world->node_count; to++)
        if (to != index)
            node->place[to] = receiver_add_peer(node->receiver, world->nodes[to].name, sim_random_next(&world->random));
    (void)receiver_start(node->receiver, now, wall, node->has_run ? node->alive : INSTANT_NEVER);
    receiver_gateway(node->receiver, now, false);
    node->has_run = true;
    node->alive = now;
    node->commit_at = world->now + COMMIT_NS;
    world_turn(world, index);
}

void world_stop_node(struct world *world, size_t index, bool killed)
{
    struct world_node *node = &world->nodes[index];
    if (!killed)
        world_commit(world, index);
    receiver_destroy(node->receiver);
    node->receiver = NULL;
    node->next_turn = INT64_MAX;
}

static size_t visit(struct world *world, struct host *host, uint8_t *out)
{
    struct codec codec = codec_writer(out, CHECKPOINT_LEN_MAX);
    averages_drop_rows(&host->averages, host->averages.row_count);
    host_visit(&codec, host);
    if (codec.failed)
        world_fail(world, "%s: checkpoint too long to be compared", host->name);
    return codec.pos;
}

void world_check_replay(struct world *world, size_t index)
{
    struct world_node *node = &world->nodes[index];
    if (!node->receiver)
        return;
    world_commit(world, index);
    struct sim_random random = world->random; /* looking changes nothing */
    struct receiver *loaded = load(world, node);
    world->random = random;
    check_lines(world, node, loaded);
    uint8_t *live_bytes = malloc(CHECKPOINT_LEN_MAX), *loaded_bytes = malloc(CHECKPOINT_LEN_MAX);
    for (uint32_t id = 1; id <= node->host_count; id++) {
        struct host *host = receiver_hosts(loaded)->hosts[id], *live = receiver_hosts(node->receiver)->hosts[id];
        /* How far the files are is no fact. */
        host->settled_to = live->settled_to;
        host->written_to = live->written_to;
        host->changed_from = live->changed_from;
        size_t len = visit(world, live, live_bytes);
        if (len != visit(world, host, loaded_bytes) || memcmp(live_bytes, loaded_bytes, len) != 0)
            world_fail_about(world, index, world_index(host->name), "a replay gives another state");
    }
    free(live_bytes);
    free(loaded_bytes);
    receiver_destroy(loaded);
}
