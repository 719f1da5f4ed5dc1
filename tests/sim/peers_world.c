/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peers_world.c - see peers_world.h: the hosts, the network, and what is looked at. */
#include "tests/sim/peers_world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define DELAY_NS (20 * NS_PER_MS)
#define JITTER_NS (5 * NS_PER_MS)

enum datagram_kind { HOST_DUE, BEAT, CHALLENGE, PEER };

struct world_datagram {
    enum datagram_kind kind;
    size_t host, from, node; /* `node` is where it goes, or who challenges */
    uint32_t boots, number;
    uint64_t session, counter;
    int64_t due_at;
    uint8_t echo[ECHO_LEN];
    uint8_t *payload; /* of a peer; owned */
    size_t len;
    struct world_datagram *next_free;
};

struct world_flight {
    int64_t at;
    uint64_t order;
    struct world_datagram *datagram;
};

/* ---- what is on its way ---- */

static bool flies_before(const struct world_flight *a, const struct world_flight *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void fly(struct world *world, const struct world_datagram *datagram, int64_t at)
{
    struct world_datagram *copy = world->free_list;
    if (copy)
        world->free_list = copy->next_free;
    else
        copy = malloc(sizeof *copy);
    *copy = *datagram;
    world->flights = sim_grow(world->flights, &world->flight_capacity, world->flight_count, sizeof *world->flights);
    struct world_flight flight = {at, world->sent++, copy};
    size_t i = world->flight_count++;
    for (; i > 0 && flies_before(&flight, &world->flights[(i - 1) / 2]); i = (i - 1) / 2)
        world->flights[i] = world->flights[(i - 1) / 2];
    world->flights[i] = flight;
}

static struct world_datagram *take_flight(struct world *world)
{
    struct world_datagram *datagram = world->flights[0].datagram;
    struct world_flight last = world->flights[--world->flight_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= world->flight_count)
            break;
        if (child + 1 < world->flight_count && flies_before(&world->flights[child + 1], &world->flights[child]))
            child++;
        if (!flies_before(&world->flights[child], &last))
            break;
        world->flights[i] = world->flights[child];
        i = child;
    }
    if (world->flight_count > 0)
        world->flights[i] = last;
    return datagram;
}

static int64_t delay(struct world *world)
{
    return DELAY_NS + sim_random_exponential(&world->network, JITTER_NS);
}

/* ---- hosts ---- */

static void send_beat(struct world *world, size_t index, size_t node)
{
    struct world_host *host = &world->hosts[index];
    struct world_datagram datagram = {.kind = BEAT, .host = index, .node = node, .boots = host->boots};
    datagram.number = host->number;
    datagram.session = host->to[node].session;
    datagram.counter = ++host->to[node].counter;
    datagram.due_at = host->due_at;
    memcpy(datagram.echo, host->to[node].echo, ECHO_LEN);
    int64_t at = world->now + delay(world);
    if (!host->to[node].cut)
        fly(world, &datagram, at);
}

static void beat(struct world *world, size_t index, uint32_t boots)
{
    struct world_host *host = &world->hosts[index];
    if (!host->alive || host->boots != boots)
        return;
    host->number++;
    host->due_at = world->now;
    for (size_t node = 0; node < world->node_count; node++)
        send_beat(world, index, node);
    struct world_datagram next = {.kind = HOST_DUE, .host = index, .boots = boots};
    fly(world, &next, world->now + host->interval_ns);
}

static void begin_run(struct world *world, size_t index, int64_t at)
{
    struct world_host *host = &world->hosts[index];
    host->alive = true;
    host->boots++;
    host->number = 0;
    host->booted_at = at;
    for (size_t node = 0; node < world->node_count; node++) {
        host->to[node].session = sim_random_next(&world->random) | 1;
        host->to[node].counter = 0;
    }
    struct world_datagram next = {.kind = HOST_DUE, .host = index, .boots = host->boots};
    fly(world, &next, at);
}

void world_kill_host(struct world *world, size_t host)
{
    world->hosts[host].alive = false;
}

void world_boot_host(struct world *world, size_t host)
{
    begin_run(world, host, world->now);
}

/* ---- what arrives ---- */

static void hear_beat(struct world *world, const struct world_datagram *d)
{
    struct world_node *node = &world->nodes[d->node];
    const struct world_host *host = &world->hosts[d->host];
    if (!node->receiver)
        return;
    struct beat heard = {.session = d->session, .counter = d->counter, .number = d->number, .oldest_kept = d->number};
    heard.age_ms = (uint32_t)((world->now - d->due_at) / NS_PER_MS);
    if (heard.age_ms < 500)
        heard.age_ms = 0; /* it was sent at once, and nobody knows how long it took */
    heard.interval_ms = (uint32_t)(host->interval_ns / NS_PER_MS);
    heard.agent_start = ((uint64_t)d->host << 32) + d->boots;
    memcpy(heard.boot_id, &heard.agent_start, sizeof heard.agent_start);
    heard.uptime_ms = heard.run_ms = (uint64_t)((d->due_at - host->booted_at) / NS_PER_MS);
    memcpy(heard.echo, d->echo, ECHO_LEN);
    for (size_t i = 0; i < METRIC_COUNT; i++)
        heard.metrics[i] = __builtin_nan("");
    struct receiver_answer answer =
        receiver_hear_beat(node->receiver, world_instant(node, world->now), host->name, strlen(host->name), &heard);
    if (answer.type == ANSWER_CHALLENGE && !host->to[d->node].cut) {
        struct world_datagram back = {.kind = CHALLENGE, .host = d->host, .node = d->node, .boots = d->boots};
        back.session = d->session;
        memcpy(back.echo, answer.challenge.value, ECHO_LEN);
        fly(world, &back, world->now + delay(world));
    }
    world_turn(world, d->node);
}

static void hear_challenge(struct world *world, const struct world_datagram *d)
{
    struct world_host *host = &world->hosts[d->host];
    if (!host->alive || host->boots != d->boots)
        return;
    memcpy(host->to[d->node].echo, d->echo, ECHO_LEN);
    send_beat(world, d->host, d->node);
}

static void fly_peer(struct world *world, size_t from, size_t to, const uint8_t *payload, size_t len, int64_t delay_ns)
{
    struct world_datagram datagram = {.kind = PEER, .from = from, .node = to, .len = len};
    datagram.payload = malloc(len);
    memcpy(datagram.payload, payload, len);
    fly(world, &datagram, world->now + delay_ns);
}

void world_inject(struct world *world, size_t from, size_t to, const uint8_t *payload, size_t len, int64_t delay_ns)
{
    fly_peer(world, from, to, payload, len, delay_ns);
}

void world_send_peer(struct world *world, size_t from, size_t to, const uint8_t *payload, size_t len)
{
    struct world_node *node = &world->nodes[from];
    uint8_t sent[PEER_PAYLOAD_MAX];
    int64_t second = world->now / NS_PER_S;
    node->in_second = second == node->second ? node->in_second + 1 : 1;
    node->second = second;
    node->most_in_second = node->in_second > node->most_in_second ? node->in_second : node->most_in_second;
    node->datagrams++;
    node->bytes += len;
    memcpy(sent, payload, len);
    if (world->hook && (len = world->hook(world, from, to, sent, len)) == 0)
        return;
    if (world->peer_cut[from][to] || sim_random_chance(&world->network, world->peer_loss))
        return;
    int64_t jitter_ns = sim_random_exponential(&world->network, world->peer_delay_ns[from][to] / 4);
    fly_peer(world, from, to, sent, len, world->peer_delay_ns[from][to] + jitter_ns);
}

static void hear_peer(struct world *world, const struct world_datagram *d)
{
    struct world_node *node = &world->nodes[d->node];
    uint8_t answer[PEER_PAYLOAD_MAX];
    if (!node->receiver)
        return;
    size_t len = receiver_hear_peer(node->receiver, world_instant(node, world->now), (unsigned)node->place[d->from],
                                    d->payload, d->len, answer);
    if (len > d->len)
        world_fail(world, "%s answers %zu bytes with %zu", node->name, d->len, len);
    if (len > 0)
        world_send_peer(world, d->node, d->from, answer, len);
    world_turn(world, d->node);
}

static void arrive(struct world *world, struct world_datagram *datagram)
{
    switch (datagram->kind) {
    case HOST_DUE: beat(world, datagram->host, datagram->boots); break;
    case BEAT: hear_beat(world, datagram); break;
    case CHALLENGE: hear_challenge(world, datagram); break;
    case PEER: hear_peer(world, datagram); break;
    }
    free(datagram->payload);
    datagram->payload = NULL;
    datagram->next_free = world->free_list;
    world->free_list = datagram;
}

void world_run(struct world *world, int64_t until)
{
    for (;;) {
        size_t first = 0;
        for (size_t i = 1; i < world->node_count; i++)
            if (world->nodes[i].next_turn < world->nodes[first].next_turn)
                first = i;
        int64_t turn = world->nodes[first].next_turn;
        int64_t flight = world->flight_count > 0 ? world->flights[0].at : INT64_MAX;
        if (turn > until && flight > until)
            break;
        world->now = flight <= turn ? flight : turn;
        if (flight <= turn)
            arrive(world, take_flight(world));
        else
            world_turn(world, first);
    }
    world->now = until;
}

/* ---- making ---- */

static int64_t mixed_interval(struct sim_random *random)
{
    double chance = sim_random_unit(random);
    return (chance < 0.1 ? 10 : chance < 0.9 ? 60 : 300) * NS_PER_S;
}

struct world *world_create(const struct world_options *options)
{
    struct world *world = calloc(1, sizeof *world);
    world->seed = options->seed;
    world->story = options->story;
    world->checkpoints = 0.002;
    sim_random_init(&world->random, options->seed, 1);
    sim_random_init(&world->network, options->seed, 2);
    world->host_count = options->hosts;
    world->node_count = options->nodes;
    world->hosts = calloc(options->hosts, sizeof *world->hosts);
    for (size_t i = 0; i < options->nodes; i++) {
        struct world_node *node = &world->nodes[i];
        (void)snprintf(node->name, sizeof node->name, "r%zu", i);
        node->clock_ns = sim_random_between(&world->random, 0, 30 * 86400 * NS_PER_S);
        node->wall_s = SIM_EPOCH_S + sim_random_between(&world->random, -6 * 3600, 6 * 3600);
        node->logs = calloc(options->hosts + 1, sizeof *node->logs);
        for (size_t to = 0; to < options->nodes; to++)
            world->peer_delay_ns[i][to] = sim_random_between(&world->random, 1, 80) * NS_PER_MS;
        node->next_turn = INT64_MAX;
    }
    for (size_t i = 0; i < options->nodes; i++)
        world_start_node(world, i);
    for (size_t i = 0; i < options->hosts; i++) {
        struct world_host *host = &world->hosts[i];
        (void)snprintf(host->name, sizeof host->name, "h%05zu", i);
        host->interval_ns = options->interval_ns ? options->interval_ns : mixed_interval(&world->random);
        int64_t spread_ns = options->spread_ns ? options->spread_ns : host->interval_ns;
        begin_run(world, i, sim_random_between(&world->random, 0, spread_ns - 1));
        host->booted_at = -3600 * NS_PER_S;
    }
    return world;
}

void world_destroy(struct world *world)
{
    for (size_t i = 0; i < world->node_count; i++) {
        struct world_node *node = &world->nodes[i];
        receiver_destroy(node->receiver);
        for (size_t id = 0; id <= world->host_count; id++) {
            free(node->logs[id].lines);
            free(node->logs[id].checkpoint);
        }
        for (size_t k = 0; k < node->entry_count; k++)
            free(node->entries[k].facts);
        free(node->logs);
        free(node->entries);
    }
    while (world->flight_count > 0) {
        struct world_datagram *datagram = take_flight(world);
        free(datagram->payload);
        free(datagram);
    }
    for (struct world_datagram *next; world->free_list; world->free_list = next) {
        next = world->free_list->next_free;
        free(world->free_list);
    }
    free(world->context);
    free(world->flights);
    free(world->hosts);
    free(world);
}

void world_cut_host(struct world *world, size_t host, size_t node, bool cut)
{
    world->hosts[host].to[node].cut = cut;
}

void world_cut_peers(struct world *world, size_t node, bool cut)
{
    for (size_t i = 0; i < world->node_count; i++)
        world->peer_cut[node][i] = world->peer_cut[i][node] = cut;
}

/* ---- looking ---- */

struct instant world_instant(const struct world_node *node, int64_t at)
{
    return (struct instant){86400 * NS_PER_S + node->clock_ns + at};
}

int64_t world_second(const struct world_node *node, int64_t at)
{
    return node->wall_s + at / NS_PER_S;
}

size_t world_index(const char *name)
{
    return strtoul(name + 1, NULL, 10);
}

const struct host *world_judged(const struct world *world, size_t node, size_t host)
{
    const char *name = world->hosts[host].name;
    return host_table_find(receiver_hosts(world->nodes[node].receiver), name, strlen(name));
}

void world_timeline(const struct world *world, size_t node, size_t host, struct timeline *out)
{
    *out = (struct timeline){0};
    for (uint32_t id = 1; id <= world->nodes[node].host_count; id++) {
        const struct world_log *log = &world->nodes[node].logs[id];
        if (world_index(log->name) != host)
            continue;
        for (size_t i = 0; i < log->count; i++)
            (void)timeline_add(out, &log->lines[i]);
    }
}

void world_expect(struct world *world, size_t node, size_t host, int64_t from, int64_t to, unsigned states,
                  const char *what)
{
    struct timeline timeline;
    const struct world_node *judge = &world->nodes[node];
    world_timeline(world, node, host, &timeline);
    for (size_t i = 0; i < timeline.count; i++) {
        const struct timeline_span *span = &timeline.spans[i];
        int64_t end = i + 1 < timeline.count ? timeline.spans[i + 1].from : INT64_MAX;
        if (end <= world_second(judge, from) || span->from >= world_second(judge, to) ||
            (states & 1U << span->state) != 0)
            continue;
        world_fail_about(world, node, host, "%s, and %s is %s %s", what, world->hosts[host].name,
                         state_token(span->state), cause_token(span->cause));
    }
    if (timeline.count == 0)
        world_fail_about(world, node, host, "nothing is recorded");
    timeline_free(&timeline);
}

__attribute__((format(printf, 2, 0))) static _Noreturn void fail(const struct world *world, const char *format,
                                                                 va_list arguments)
{
    printf("FAILED at %.3f s: %s, %zu hosts, %zu receivers, seed %" PRIu64 ": ", (double)world->now / (double)NS_PER_S,
           world->story, world->host_count, world->node_count, world->seed);
    (void)vprintf(format, arguments);
    printf("\n");
    (void)fflush(stdout);
    _Exit(1);
}

_Noreturn void world_fail(const struct world *world, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail(world, format, arguments);
}

_Noreturn void world_fail_about(const struct world *world, size_t node, size_t host, const char *format, ...)
{
    const struct world_node *judge = &world->nodes[node];
    va_list arguments;
    printf("%s at %s, every %.0f s:\n", world->hosts[host].name, judge->name,
           (double)world->hosts[host].interval_ns / (double)NS_PER_S);
    for (uint32_t id = 1; id <= judge->host_count; id++) {
        const struct world_log *log = &judge->logs[id];
        for (size_t i = 0; i < log->count && world_index(log->name) == host; i++)
            printf("  [%5lld] line %u: %s %s from %lld\n", (long long)(log->lines[i].decided - judge->wall_s),
                   log->lines[i].number, state_token(log->lines[i].state), cause_token(log->lines[i].cause),
                   (long long)(log->lines[i].at - judge->wall_s));
    }
    va_start(arguments, format);
    fail(world, format, arguments);
}
