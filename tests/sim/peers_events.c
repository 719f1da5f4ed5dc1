/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peers_events.c - see peers_events.h.
 *
 * Each run: everybody is heard until every rhythm is known; then the event, which lasts until every verdict was due; then all
 * is well again, but of the hosts that died half stay away. In between each receiver is asked for each host that it judges,
 * at the moment at which its second expectation lapses and 2 s later at the latest. In the end the record of each host at each
 * receiver must be right, and a replay of what was stored must tell the same. */
#include "tests/sim/peers_events.h"

#include <stdlib.h>
#include <string.h>

#define S WORLD_S
#define WAIT_NS (2 * S)
#define PEER_OFF_NS (3600 * S)
#define UP (1U << STATE_UP)
#define DOWN (1U << STATE_DOWN)
#define UNKNOWN (1U << STATE_UNKNOWN)

const struct peers_event peers_events[EVENT_COUNT] = {
    [ISOLATED_GATEWAY] = {"receiver isolated, gateway or interface lost", STATE_UNKNOWN, {0, 0, 0}, 0},
    [ISOLATED_UPSTREAM] = {"receiver isolated upstream, gateway answers", STATE_UNKNOWN, {0.1, 0, 0}, 7},
    [HALF_ISOLATED] = {"half isolated, 20-80 % still heard", STATE_UNKNOWN, {99.8, 0, 0}, 99.8},
    [PATH_LOST] = {"path to one site lost, the peer hears it", STATE_UP, {99.4, 0, 0}, 99.4},
    [SITE_DIES] = {"data centre dies, 10-90 % of hosts", STATE_DOWN, {0.5, 0, 0}, 24},
    [SITE_AND_PEER_DIE] = {"same, with the peer inside", STATE_DOWN, {0.4, 100, 0}, 24},
    [ALL_DIE] = {"every host dies, the peer lives", STATE_DOWN, {99.9, 0, 0}, 99.9},
    [ALL_AND_PEER_DIE] = {"every host and the peer die", STATE_DOWN, {99.9, 100, 0}, 99.9},
    [ONE_DIES] = {"one host dies", STATE_DOWN, {0, 0, 0}, 0},
    [ONE_DIES_PEER_OFF] = {"one host dies, the peer off for an hour", STATE_DOWN, {0, 0, 0}, 0},
};

struct question {
    int64_t at;
    size_t node, host;
};

struct story {
    struct world *world;
    const struct peers_run *run;
    int64_t longest_ns; /* interval */
    int64_t began, ended;
    bool stopped[WORLD_NODES_MAX];
    struct question *questions;
    size_t question_count;
};

static bool hosts_die(enum peers_event_kind kind)
{
    return kind >= SITE_DIES;
}

static bool is_isolated(enum peers_event_kind kind)
{
    return kind <= HALF_ISOLATED;
}

/* Whose verdicts count. */
static bool judges(const struct story *story, size_t node)
{
    return story->world->nodes[node].receiver && (node == 0 || hosts_die(story->run->kind));
}

/* ---- the event ---- */

static void choose_affected(struct story *story)
{
    struct world *world = story->world;
    enum peers_event_kind kind = story->run->kind;
    double share = 0.2 + 0.6 * sim_random_unit(&world->random);
    if (kind == SITE_DIES || kind == SITE_AND_PEER_DIE)
        share = 0.1 + 0.8 * sim_random_unit(&world->random);
    if (kind == ISOLATED_GATEWAY || kind == ISOLATED_UPSTREAM || kind == ALL_DIE || kind == ALL_AND_PEER_DIE)
        share = 1;
    if (kind == ONE_DIES || kind == ONE_DIES_PEER_OFF)
        share = 0;
    for (size_t i = 0; i < world->host_count; i++) {
        world->hosts[i].affected = share >= 1 || sim_random_chance(&world->random, share);
        world->hosts[i].returns = sim_random_chance(&world->random, 0.5);
    }
    size_t one = (size_t)sim_random_between(&world->random, 0, (int64_t)world->host_count - 1);
    world->hosts[one].affected = true;
}

static void stop(struct story *story, size_t node)
{
    story->stopped[node] = true;
    world_stop_node(story->world, node, true);
}

/* What the machine of the receiver notices of its isolation, within some seconds. */
static void notice_isolation(struct world *world, bool lost)
{
    world_run(world, world->now + sim_random_between(&world->random, 100 * WORLD_MS, 5 * S));
    struct world_node *node = &world->nodes[0];
    if (world->seed % 2)
        receiver_isolated(node->receiver, world_instant(node, world->now), lost);
    else
        receiver_gateway(node->receiver, world_instant(node, world->now), lost);
    world_turn(world, 0);
}

static void begin(struct story *story)
{
    struct world *world = story->world;
    enum peers_event_kind kind = story->run->kind;
    choose_affected(story);
    story->began = world->now;
    for (size_t i = 0; i < world->host_count; i++) {
        if (world->hosts[i].affected && hosts_die(kind))
            world_kill_host(world, i);
        else if (world->hosts[i].affected)
            world_cut_host(world, i, 0, true);
    }
    if (is_isolated(kind))
        world_cut_peers(world, 0, true);
    if ((kind == SITE_AND_PEER_DIE || kind == ALL_AND_PEER_DIE) && world->node_count > 1)
        stop(story, 1);
    if (kind == ISOLATED_GATEWAY)
        notice_isolation(world, true);
}

static void end(struct story *story)
{
    struct world *world = story->world;
    story->ended = world->now;
    for (size_t i = 0; i < world->host_count; i++) {
        struct world_host *host = &world->hosts[i];
        world_cut_host(world, i, 0, false);
        if (!host->alive && host->returns)
            world_boot_host(world, i);
    }
    if (is_isolated(story->run->kind))
        world_cut_peers(world, 0, false);
    for (size_t i = 0; i < world->node_count; i++)
        if (story->stopped[i])
            world_start_node(world, i);
    if (story->run->kind == ISOLATED_GATEWAY)
        notice_isolation(world, false);
}

/* ---- live verdicts ---- */

static int earlier(const void *a, const void *b)
{
    const struct question *first = a, *second = b;
    return (first->at > second->at) - (first->at < second->at);
}

/* Lists when each verdict is due. */
static void plan_questions(struct story *story)
{
    struct world *world = story->world;
    story->questions = calloc(world->host_count * world->node_count, sizeof *story->questions);
    for (size_t node = 0; node < world->node_count; node++) {
        for (size_t i = 0; i < world->host_count && judges(story, node); i++) {
            if (!world->hosts[i].affected)
                continue;
            const struct host *host = world_judged(world, node, i);
            if (!host)
                world_fail(world, "%s was never heard", world->hosts[i].name);
            int64_t at = host->deadline[1].ns - world_instant(&world->nodes[node], 0).ns;
            story->questions[story->question_count++] = (struct question){at + WAIT_NS, node, i};
        }
    }
    qsort(story->questions, story->question_count, sizeof *story->questions, earlier);
}

/* Whether there is no verdict yet, since the host was given more time: the receiver was deaf for a while. Then it is due later. */
static bool put_off(struct story *story, struct question *question)
{
    const struct host *host = world_judged(story->world, question->node, question->host);
    const struct silence *s = host->silence && !host->silence->facts.ended ? &host->silence->facts : NULL;
    int64_t at = host->deadline[1].ns - world_instant(&story->world->nodes[question->node], 0).ns + WAIT_NS;
    if (s && s->by_path && s->late && !s->judged) /* its next beat is asked for just now */
        at = question->at + WAIT_NS;
    if (!s || (s->by_path && !s->late) || s->judged || host->waiting || host->state == STATE_UNKNOWN ||
        at <= question->at)
        return false;
    question->at = at;
    return true;
}

static void ask(struct story *story, struct peers_tally *tally)
{
    struct world *world = story->world;
    for (size_t i = 0; i < story->question_count;) {
        struct question *question = &story->questions[i];
        world_run(world, question->at);
        if (put_off(story, question)) {
            tally->late++;
            qsort(question, story->question_count - i, sizeof *question, earlier);
            continue;
        }
        enum state state = host_live_state(world_judged(world, question->node, question->host));
        tally->verdicts++;
        tally->wrong += state != peers_events[story->run->kind].right;
        i++;
    }
    tally->runs++;
}

/* ---- the record ---- */

/* What may be recorded in the middle of the event. */
static unsigned right_states(const struct story *story, size_t node, const struct world_host *host)
{
    enum peers_event_kind kind = story->run->kind;
    size_t nodes = story->world->node_count;
    bool few = story->world->host_count < 10, lone = nodes == 1;
    if (story->stopped[node])
        return UNKNOWN;
    if (!host->affected || (node != 0 && !hosts_die(kind)))
        return UP;
    switch (kind) {
    case ISOLATED_GATEWAY: return UNKNOWN | UP;
    case ISOLATED_UPSTREAM: return UNKNOWN | UP | (lone && few ? DOWN : 0);
    case HALF_ISOLATED: return lone ? UNKNOWN | DOWN : UNKNOWN | UP;
    case PATH_LOST: return lone ? UNKNOWN | DOWN : UP;
    case SITE_DIES:
    case ALL_DIE: return lone ? UNKNOWN | DOWN : DOWN;
    case SITE_AND_PEER_DIE:
    case ALL_AND_PEER_DIE: return nodes <= 2 ? UNKNOWN | DOWN : DOWN;
    default: return DOWN;
    }
}

/* Who is heard all the time is never called anything else, not even for a while. */
static void check_never_doubted(const struct story *story, size_t node, size_t index)
{
    const struct world_node *judge = &story->world->nodes[node];
    bool restarts = story->run->restarts && node == 0;
    for (uint32_t id = 1; id <= judge->host_count; id++) {
        const struct world_log *log = &judge->logs[id];
        for (size_t i = 0; i < log->count && world_index(log->name) == index; i++)
            if (log->lines[i].state == STATE_DOWN || (log->lines[i].state != STATE_UP && !restarts))
                world_fail_about(story->world, node, index, "it was heard all the time");
    }
}

static bool anybody_alive(const struct world *world)
{
    for (size_t i = 0; i < world->host_count; i++)
        if (world->hosts[i].alive)
            return true;
    return false;
}

static void check_record(const struct story *story, size_t node, size_t index)
{
    struct world *world = story->world;
    const struct world_host *host = &world->hosts[index];
    int64_t interval_ns = host->interval_ns;
    unsigned right = right_states(story, node, host);
    if (story->run->restarts && node == 0)
        right |= UNKNOWN;
    if (story->run->unsure && node == 0)
        right |= DOWN;
    if (!story->stopped[node] && (!host->affected || (node != 0 && !hosts_die(story->run->kind))))
        check_never_doubted(story, node, index);
    int64_t core_from = story->began + interval_ns + 2 * S, core_to = story->ended - 2 * S;
    world_expect(world, node, index, core_from, core_to, right, "during the event it should be otherwise");
    bool deaf = story->run->kind == ALL_DIE || story->run->kind == ALL_AND_PEER_DIE;
    if (hosts_die(story->run->kind) && !deaf && host->affected && host->returns && !story->stopped[node] &&
        world->host_count >= 50)
        world_expect(world, node, index, core_to - 30 * S, core_to, DOWN, "it came back with another boot");
    int64_t settled = story->ended + 5 * interval_ns / 2 + 60 * S;
    if (world->node_count > 1 || anybody_alive(world)) /* else it is deaf, for all it knows */
        world_expect(world, node, index, settled, world->now, host->alive ? UP : DOWN, "all is well again");
}

static void check_records(const struct story *story)
{
    struct world *world = story->world;
    for (size_t node = 0; node < world->node_count; node++) {
        world_check_replay(world, node);
        for (size_t i = 0; i < world->host_count; i++)
            check_record(story, node, i);
    }
}

/* ---- a run ---- */

static int64_t longest_interval(const struct world *world)
{
    int64_t longest_ns = 0;
    for (size_t i = 0; i < world->host_count; i++)
        if (world->hosts[i].interval_ns > longest_ns)
            longest_ns = world->hosts[i].interval_ns;
    return longest_ns;
}

void peers_run(const struct peers_run *run, struct peers_tally *tally)
{
    struct world_options options = run->options;
    if (!options.story)
        options.story = peers_events[run->kind].name;
    struct story story = {.run = run, .world = world_create(&options)};
    struct world *world = story.world;
    uint64_t before = 0;
    if (run->prepare)
        run->prepare(world);
    story.longest_ns = longest_interval(world);
    int64_t at = story.longest_ns * 11 / 2 + 30 * S + sim_random_between(&world->random, 0, story.longest_ns);
    world_run(world, at);
    if (run->kind == ONE_DIES_PEER_OFF && world->node_count > 1) {
        stop(&story, 1);
        if (world->node_count > 2 && world->seed % 2)
            stop(&story, 2);
        world_run(world, world->now + PEER_OFF_NS);
    }
    before = world->nodes[0].datagrams;
    begin(&story);
    world_run(world, story.began + S);
    if (world->now < story.began + 6 * S && run->kind == ISOLATED_GATEWAY)
        world_run(world, story.began + 6 * S);
    plan_questions(&story);
    if (run->trouble)
        run->trouble(world);
    ask(&story, tally);
    if (tally->most_in_second < world->nodes[0].most_in_second)
        tally->most_in_second = world->nodes[0].most_in_second;
    tally->datagrams += world->nodes[0].datagrams - before;
    if (!run->brief) {
        world_run(world, story.began + 4 * story.longest_ns + 100 * S);
        end(&story);
        world_run(world, story.ended + 5 * story.longest_ns / 2 + 120 * S);
        check_records(&story);
    }
    free(story.questions);
    world_destroy(world);
}
