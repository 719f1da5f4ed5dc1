/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peers_trouble.c - see peers_trouble.h. Each trouble is laid upon events of the table: what is said at once and what is recorded
 * must be as without it, or at least no worse than what a receiver alone would say. */
#include "tests/sim/peers_trouble.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/peers_events.h"
#include "tests/sim/sim.h"

#define S WORLD_S

/* ---- what is done to datagrams ---- */

static void lose_some(struct world *world)
{
    world->peer_loss = 0.2;
}

static void delay_all(struct world *world, int64_t delay_ns)
{
    for (size_t from = 0; from < world->node_count; from++)
        for (size_t to = 0; to < world->node_count; to++)
            world->peer_delay_ns[from][to] = delay_ns;
}

static void delay_some(struct world *world)
{
    delay_all(world, 2 * S);
}

static void delay_much(struct world *world)
{
    delay_all(world, 30 * S);
}

/* Nobody hears the first receiver, which hears all. */
static void mute_first(struct world *world)
{
    for (size_t to = 1; to < world->node_count; to++)
        world->peer_cut[0][to] = true;
}

/* The first receiver hears no other one, though they hear it. */
static void deafen_first(struct world *world)
{
    for (size_t from = 1; from < world->node_count; from++)
        world->peer_cut[from][0] = true;
}

static size_t put_item(uint8_t *out, uint8_t type, const uint8_t *body, uint16_t len)
{
    out[0] = type;
    out[1] = (uint8_t)(len >> 8);
    out[2] = (uint8_t)len;
    memcpy(out + PEER_ITEM_HEAD_LEN, body, len);
    return PEER_ITEM_HEAD_LEN + (size_t)len;
}

/* As a newer version may say it: items of unknown types between the known ones, and more behind each list of answers. */
static size_t speak_newer(struct world *world, size_t from, size_t to, uint8_t payload[PEER_PAYLOAD_MAX], size_t len)
{
    static const uint8_t strange[20] = {0xff, 1, 2, 3};
    uint8_t out[2 * PEER_PAYLOAD_MAX + 64];
    size_t at = PEER_HEAD_LEN, out_len = PEER_HEAD_LEN;
    (void)to;
    if (from == 0)
        return len;
    memcpy(out, payload, PEER_HEAD_LEN);
    out_len += put_item(out + out_len, 200, strange, sizeof strange);
    while (at + PEER_ITEM_HEAD_LEN <= len && payload[at] != 0) {
        uint8_t type = payload[at];
        uint16_t body_len = (uint16_t)(payload[at + 1] << 8 | payload[at + 2]);
        uint8_t body[PEER_PAYLOAD_MAX + sizeof strange];
        if (at + PEER_ITEM_HEAD_LEN + body_len > len)
            world_fail(world, "an item of %u bytes in %zu", body_len, len);
        memcpy(body, payload + at + PEER_ITEM_HEAD_LEN, body_len);
        at += PEER_ITEM_HEAD_LEN + (size_t)body_len;
        uint16_t more = type == PEER_ANSWERS ? 7 : 0;
        memcpy(body + body_len, strange, more);
        out_len += put_item(out + out_len, type, body, (uint16_t)(body_len + more));
        out_len += put_item(out + out_len, 77, strange, 1);
    }
    if (out_len > PEER_PAYLOAD_MAX)
        return len; /* there is no room for more */
    memcpy(payload, out, out_len);
    return out_len;
}

static void newer_version(struct world *world)
{
    world->hook = speak_newer;
}

/* ---- somebody who sends what was recorded ---- */

enum { RECORDED_MAX = 400 };

/* What the second receiver said to the first one. */
struct recording {
    uint8_t payload[RECORDED_MAX][PEER_PAYLOAD_MAX];
    size_t len[RECORDED_MAX], count;
};

static size_t record(struct world *world, size_t from, size_t to, uint8_t payload[PEER_PAYLOAD_MAX], size_t len)
{
    struct recording *recording = world->context;
    if (from == 1 && to == 0 && recording->count < RECORDED_MAX) {
        memcpy(recording->payload[recording->count], payload, len);
        recording->len[recording->count++] = len;
    }
    return len;
}

/* One session is recorded, then each of both begins another one. */
static void record_session(struct world *world)
{
    world->context = calloc(1, sizeof(struct recording));
    world->hook = record;
    world_run(world, 200 * S);
    for (size_t node = 0; node < 2; node++) {
        world_stop_node(world, node, false);
        world_run(world, world->now + S);
        world_start_node(world, node);
        world_run(world, world->now + 60 * S);
    }
}

/* All of it comes again and again: nobody may be believed to be heard by that. */
static void play_recording(struct world *world)
{
    const struct peer *peer = receiver_peers(world->nodes[0].receiver)->peers[world->nodes[0].place[1]];
    const struct recording *recording = world->context;
    uint64_t before = peer->datagrams;
    struct instant heard_at = peer->heard_at;
    world->hook = NULL;
    if (recording->count < 20)
        world_fail(world, "only %zu datagrams were recorded", recording->count);
    for (int i = 0; i < 10; i++)
        for (size_t k = 0; k < recording->count; k++)
            world_inject(world, 1, 0, recording->payload[k], recording->len[k],
                         (int64_t)(i * 40) * S + (int64_t)k * 90 * WORLD_MS);
    world_run(world, world->now + 5 * S);
    if (peer->datagrams != before || peer->heard_at.ns != heard_at.ns)
        world_fail(world, "a recording is taken for the other receiver");
}

/* ---- a receiver that is killed and comes back in the middle ---- */

static void restart_first(struct world *world)
{
    world_run(world, world->now + 3 * S);
    world_check_replay(world, 0);
    world_stop_node(world, 0, true);
    world_run(world, world->now + 2 * S);
    world_start_node(world, 0);
    world_run(world, world->now + 3 * S);
    world_check_replay(world, 0);
}

/* ---- the list ---- */

struct trouble {
    const char *name;
    double worst; /* percent of the live verdicts that may be wrong */
    struct peers_run run;
};

#define TROUBLE(name, worst, event, receivers, ...)                     \
    {                                                                   \
        name, worst,                                                    \
        {                                                               \
            .kind = event, .options = {.nodes = receivers}, __VA_ARGS__ \
        }                                                               \
    }

/* clang-format off */
static const struct trouble troubles[] = {
    TROUBLE("20 % loss, isolated upstream", 0, ISOLATED_UPSTREAM, 2, .prepare = lose_some),
    TROUBLE("20 % loss, half isolated", 0, HALF_ISOLATED, 3, .prepare = lose_some),
    TROUBLE("20 % loss, path lost", 0, PATH_LOST, 2, .prepare = lose_some),
    TROUBLE("20 % loss, site dies", 0, SITE_DIES, 2, .prepare = lose_some),
    TROUBLE("20 % loss, site and peer die", 0, SITE_AND_PEER_DIE, 3, .prepare = lose_some),
    TROUBLE("2 s of delay, half isolated", 0, HALF_ISOLATED, 2, .prepare = delay_some),
    TROUBLE("2 s of delay, path lost", 0, PATH_LOST, 2, .prepare = delay_some),
    TROUBLE("2 s of delay, site dies", 0, SITE_DIES, 2, .prepare = delay_some),
    TROUBLE("30 s of delay, half isolated", 15, HALF_ISOLATED, 2, .prepare = delay_much, .unsure = true),
    TROUBLE("30 s of delay, path lost", 100, PATH_LOST, 2, .prepare = delay_much),
    TROUBLE("30 s of delay, site dies", 30, SITE_DIES, 2, .prepare = delay_much),
    TROUBLE("the other does not hear it, one host dies", 0, ONE_DIES, 2, .prepare = mute_first),
    TROUBLE("the other does not hear it, site dies", 0, SITE_DIES, 2, .prepare = mute_first),
    TROUBLE("it does not hear the other, one host dies", 0, ONE_DIES, 2, .prepare = deafen_first),
    TROUBLE("it does not hear the other, site dies", 0, SITE_DIES, 2, .prepare = deafen_first),
    TROUBLE("a newer version, path lost", 0, PATH_LOST, 2, .prepare = newer_version),
    TROUBLE("a newer version, site dies", 0, SITE_DIES, 3, .prepare = newer_version),
    TROUBLE("a newer version, half isolated", 0, HALF_ISOLATED, 2, .prepare = newer_version),
    TROUBLE("a recording, isolated upstream", 0, ISOLATED_UPSTREAM, 2, .prepare = record_session, .trouble = play_recording),
    TROUBLE("a recording, half isolated", 0, HALF_ISOLATED, 2, .prepare = record_session, .trouble = play_recording),
    TROUBLE("a recording, every host and the peer die", 100, ALL_AND_PEER_DIE, 2, .prepare = record_session, .trouble = play_recording),
    TROUBLE("killed in between, path lost", 0, PATH_LOST, 2, .trouble = restart_first, .restarts = true),
    TROUBLE("killed in between, site dies", 0, SITE_DIES, 3, .trouble = restart_first, .restarts = true),
    TROUBLE("killed in between, half isolated", 10, HALF_ISOLATED, 2, .trouble = restart_first, .restarts = true), /* one is up: path */
    TROUBLE("a beat a second, half isolated", 0, HALF_ISOLATED, 2, .options.interval_ns = S),
    TROUBLE("a beat a second, path lost", 0, PATH_LOST, 2, .options.interval_ns = S),
    TROUBLE("a beat a second, site dies", 0, SITE_DIES, 2, .options.interval_ns = S),
    TROUBLE("a beat a second, site and peer die", 0, SITE_AND_PEER_DIE, 3, .options.interval_ns = S),
};
/* clang-format on */

static int try_trouble(const struct trouble *trouble, uint64_t times)
{
    struct peers_tally tally = {0};
    for (uint64_t seed = 1; seed <= times; seed++) {
        struct peers_run run = trouble->run;
        run.options.seed = seed;
        run.options.hosts = 50;
        run.options.story = trouble->name;
        peers_run(&run, &tally);
    }
    double wrong = 100.0 * (double)tally.wrong / (double)tally.verdicts;
    bool worse = wrong > trouble->worst;
    printf("%s: %" PRIu64 " verdicts, %.3g %% wrong%s, %" PRIu64 " put off, %" PRIu64 " datagrams, at most %" PRIu64
           " a second\n",
           trouble->name, tally.verdicts, wrong, worse ? " WORSE" : "", tally.late, tally.datagrams,
           tally.most_in_second);
    return worse;
}

/* Ten thousand hosts whose beats come within a second are lost in the same one: the questions are bounded, and no verdict waits. */
static int try_many(enum peers_event_kind kind)
{
    enum {
        MANY = 10000,
        MOST_A_SECOND = 2 * (400 + 400)
    }; /* questions and answers: those saved up, and those of the second */
    struct peers_tally tally = {0};
    struct peers_run run = {.kind = kind, .brief = true};
    run.options = (struct world_options){
        .seed = 1, .hosts = MANY, .nodes = 2, .interval_ns = 60 * S, .spread_ns = S, .story = "ten thousand hosts"};
    peers_run(&run, &tally);
    bool worse = tally.wrong > 0 || tally.late > 0 || tally.most_in_second > MOST_A_SECOND;
    printf("%d hosts at once, %s: %" PRIu64 " verdicts, %" PRIu64 " wrong, %" PRIu64 " put off, %" PRIu64
           " datagrams, at most %" PRIu64 " a second%s\n",
           MANY, peers_events[kind].name, tally.verdicts, tally.wrong, tally.late, tally.datagrams,
           tally.most_in_second, worse ? " WORSE" : "");
    return worse;
}

int peers_trouble(uint64_t times)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++)
        failed |= try_trouble(&troubles[i], times);
    failed |= try_many(ALL_DIE);
    if (times > 1)
        failed |= try_many(PATH_LOST);
    (void)fflush(stdout);
    if (failed)
        printf("FAILED: a trouble does more harm than it may\n");
    return failed;
}
