/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_peers.c - two or three receiver cores that talk to each other, their datagrams handed over in memory.
 *
 * Hosts beat to each of them unless a test says otherwise; links between the cores can be cut in either direction. After each second
 * the record of a core is stored and, now and then, a fresh core is made of it, which must be the same to the byte, and tell the same
 * lines (shelf.h sees to that). What is recorded is compared as one string: FROM state/cause, in seconds of the scene. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "receiver/record/timeline.h"
#include "tests/lib/shelf.h"
#include "tests/lib/speaker.h"

enum { CORES = 3, HOSTS = 4, STEP_MS = 250, INTERVAL_S = 10 };

struct scene {
    struct instant now;
    unsigned cores;
    struct receiver *core[CORES];
    struct shelf shelf[CORES];
    struct speaker speaker[HOSTS][CORES];
    uint32_t number[HOSTS];
    bool silent[HOSTS];          /* it does not beat at all */
    bool unheard[HOSTS][CORES];  /* it does, but is not heard there */
    bool unknown[HOSTS][CORES];  /* that core is no receiver of it */
    bool cut[CORES][CORES];      /* from, to */
    bool off[CORES];             /* it does not run */
    uint64_t sessions;           /* drawn so far */
    uint64_t sent[CORES][CORES]; /* datagrams, from, to; answers among them */
    uint64_t asked[CORES][CORES];
    size_t longest_gap; /* by how many bytes an answer was shorter than its question, at least */
    bool no_reload;
};

static const char *const core_names[CORES] = {"one", "two", "three"};
static const char *const host_names[HOSTS] = {"a", "b", "c", "d"};

#define ZERO_S INT64_C(10000)
#define LABEL_ZERO INT64_C(1700000000)

static struct wall wall_of(const struct scene *scene)
{
    return (struct wall){LABEL_ZERO * NS_PER_S + scene->now.ns - ZERO_S * NS_PER_S};
}

/* The place of core `other` at core `me`: peers are added in order, itself left out. */
static unsigned place_of(unsigned me, unsigned other)
{
    return other < me ? other : other - 1;
}

static unsigned core_at(unsigned me, unsigned place)
{
    return place < me ? place : place + 1;
}

static const struct peer *peer_of(const struct scene *scene, unsigned me, unsigned other)
{
    return receiver_peers(scene->core[me])->peers[place_of(me, other)];
}

static void start_core(struct scene *scene, unsigned me)
{
    scene->shelf[me].options = (struct receiver_options){.secret = {(uint8_t)(me + 1), (uint8_t)++scene->sessions},
                                                         .planned_limit_ns = 1800 * NS_PER_S,
                                                         .host_count_max = 20000};
    if (scene->core[me])
        receiver_destroy(scene->core[me]);
    scene->core[me] = shelf_load(&scene->shelf[me]);
    assert_non_null(scene->core[me]);
    for (unsigned other = 0; other < scene->cores; other++)
        if (other != me)
            assert_int_equal(receiver_add_peer(scene->core[me], core_names[other], 1000 + ++scene->sessions),
                             place_of(me, other));
    struct instant alive = scene->shelf[me].alive; /* it has been off since then */
    shelf_store(&scene->shelf[me], scene->core[me], scene->now);
    scene->shelf[me].alive = alive;
    shelf_start(&scene->shelf[me], scene->core[me], scene->now, wall_of(scene));
    scene->off[me] = false;
}

static void open_scene(struct scene *scene, unsigned cores)
{
    memset(scene, 0, sizeof *scene);
    scene->now.ns = ZERO_S * NS_PER_S;
    scene->cores = cores;
    scene->longest_gap = SIZE_MAX;
    for (unsigned h = 0; h < HOSTS; h++)
        for (unsigned i = 0; i < CORES; i++)
            speaker_init(&scene->speaker[h][i], host_names[h], scene->now, INTERVAL_S * 1000);
}

static void close_scene(struct scene *scene)
{
    for (unsigned i = 0; i < scene->cores; i++) {
        if (scene->core[i])
            receiver_destroy(scene->core[i]);
        assert_null(scene->shelf[i].fault);
        shelf_free(&scene->shelf[i]);
    }
}

/* Hands a payload over, and the answers back and forth, as long as the links carry them. */
static void hand_over(struct scene *scene, unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
    uint8_t payload[PEER_PAYLOAD_MAX], answer[PEER_PAYLOAD_MAX];
    memcpy(payload, bytes, len);
    for (int turn = 0; len > 0; turn++) {
        assert_true(turn < 6); /* they do not answer each other for ever */
        scene->sent[from][to]++;
        scene->asked[from][to] += len > PEER_HEAD_LEN && payload[PEER_HEAD_LEN] == PEER_QUESTION;
        if (scene->cut[from][to] || scene->off[to] || !scene->core[to])
            return;
        size_t answer_len = receiver_hear_peer(scene->core[to], scene->now, place_of(to, from), payload, len, answer);
        assert_true(answer_len <= len);
        if (answer_len > PEER_HEAD_LEN && len - answer_len < scene->longest_gap)
            scene->longest_gap = len - answer_len;
        memcpy(payload, answer, answer_len);
        len = answer_len;
        unsigned back = from;
        from = to;
        to = back;
    }
}

/* What the loop of the daemon does in each turn. */
static void turn(struct scene *scene, unsigned me)
{
    uint8_t payload[PEER_PAYLOAD_MAX];
    unsigned place;
    size_t len;
    receiver_judge(scene->core[me], scene->now);
    while ((len = receiver_tell_peer(scene->core[me], scene->now, payload, &place)) > 0)
        hand_over(scene, me, core_at(me, place), payload, len);
}

static void beat(struct scene *scene, unsigned h)
{
    scene->number[h]++;
    for (unsigned i = 0; i < scene->cores; i++) {
        if (scene->unheard[h][i] || scene->unknown[h][i] || scene->off[i] || !scene->core[i])
            continue;
        scene->speaker[h][i].number = scene->number[h] - 1;
        assert_int_equal(speaker_tell(&scene->speaker[h][i], scene->core[i], scene->now).type, ANSWER_ACK);
    }
}

static void store(struct scene *scene, unsigned me, bool reload, bool checkpoint)
{
    struct shelf *shelf = &scene->shelf[me];
    shelf_store(shelf, scene->core[me], scene->now);
    assert_null(shelf->fault);
    for (uint32_t id = 1; checkpoint && id <= shelf->host_count; id += 2) /* of some hosts only */
        shelf_checkpoint(shelf, scene->core[me], id, scene->now);
    if (!reload)
        return;
    struct receiver *fresh = shelf_load(shelf);
    assert_non_null(fresh);
    if (!shelf_same(fresh, scene->core[me]))
        fail_msg("at %lld a restart would not find the hosts of %s as they were",
                 (long long)(scene->now.ns / NS_PER_S - ZERO_S), core_names[me]);
    receiver_destroy(fresh);
}

static int64_t second_of(const struct scene *scene)
{
    return scene->now.ns / NS_PER_S - ZERO_S;
}

/* Runs until that second of the scene. Hosts beat at whole intervals, host n n seconds later. */
static void run_to(struct scene *scene, int64_t second)
{
    while (second_of(scene) < second) {
        bool whole = scene->now.ns % NS_PER_S == 0;
        int64_t s = second_of(scene);
        for (unsigned h = 0; h < HOSTS && whole; h++)
            if (s % INTERVAL_S == h && !scene->silent[h])
                beat(scene, h);
        for (unsigned i = 0; i < scene->cores; i++)
            if (scene->core[i] && !scene->off[i])
                turn(scene, i);
        for (unsigned i = 0; i < scene->cores && whole; i++)
            if (scene->core[i] && !scene->off[i])
                store(scene, i, !scene->no_reload && s % 7 == 0, s % 37 == 0);
        scene->now = instant_add(scene->now, STEP_MS * NS_PER_MS);
    }
}

/* ---- what is recorded ---- */

static const char *record_of(const struct scene *scene, unsigned me, unsigned h)
{
    static char text[2][512];
    static unsigned which;
    char *out = text[which++ % 2];
    size_t len = 0;
    out[0] = '\0';
    const struct host *host = host_table_find(receiver_hosts(scene->core[me]), host_names[h], 1);
    struct timeline timeline = {0};
    for (size_t i = 0; host && i < scene->shelf[me].line_count; i++)
        if (scene->shelf[me].lines[i].host == host->id)
            assert_int_equal(timeline_add(&timeline, &scene->shelf[me].lines[i]), 0);
    for (size_t i = 0; i < timeline.count && len < sizeof text[0]; i++)
        len += (size_t)snprintf(out + len, sizeof text[0] - len, "%s%lld %s%s%s", i ? ", " : "",
                                (long long)(timeline.spans[i].from - LABEL_ZERO), state_token(timeline.spans[i].state),
                                timeline.spans[i].cause ? "/" : "", cause_token(timeline.spans[i].cause));
    timeline_free(&timeline);
    return out;
}

static void check_record(const struct scene *scene, unsigned me, unsigned h, const char *wanted)
{
    const char *got = record_of(scene, me, h);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s of host %s:\n  is        %s\n  should be %s", core_names[me], host_names[h], got, wanted);
}

/* When a core first told that the host is in that state; -1: never. */
static int64_t decided(const struct scene *scene, unsigned me, unsigned h, enum state state)
{
    const struct host *host = host_table_find(receiver_hosts(scene->core[me]), host_names[h], 1);
    for (size_t i = 0; host && i < scene->shelf[me].line_count; i++)
        if (scene->shelf[me].lines[i].host == host->id && scene->shelf[me].lines[i].state == state)
            return scene->shelf[me].lines[i].decided - LABEL_ZERO;
    return -1;
}

static bool met(const struct scene *scene, unsigned a, unsigned b)
{
    return peer_of(scene, a, b)->proven && peer_is_heard(peer_of(scene, a, b), scene->now) &&
           peer_of(scene, b, a)->proven && peer_is_heard(peer_of(scene, b, a), scene->now);
}

/* ---- sessions ---- */

static void test_contact(void **state)
{
    (void)state;
    for (int order = 0; order < 3; order++) {
        struct scene scene;
        open_scene(&scene, 2);
        unsigned first = order == 1;
        start_core(&scene, first);
        if (order < 2) /* the other one comes seconds later */
            run_to(&scene, 12);
        start_core(&scene, !first);
        uint64_t before = scene.sent[0][1] + scene.sent[1][0];
        turn(&scene, !first);
        assert_true(met(&scene, 0, 1)); /* at once, by whoever speaks first */
        assert_in_range(scene.sent[0][1] + scene.sent[1][0] - before, 3, 5);
        turn(&scene, first);
        run_to(&scene, 40);
        assert_true(instant_since(scene.now, peer_of(&scene, 0, 1)->contact_at) <= 10 * NS_PER_S);
        assert_true(instant_since(scene.now, peer_of(&scene, 1, 0)->contact_at) <= 10 * NS_PER_S);
        assert_in_range(scene.sent[0][1], 5, 20);
        close_scene(&scene);
    }
}

static void test_restart(void **state)
{
    struct scene scene;
    uint8_t recorded[PEER_PAYLOAD_MAX], answer[PEER_PAYLOAD_MAX];
    unsigned place;
    (void)state;
    open_scene(&scene, 2);
    start_core(&scene, 0);
    start_core(&scene, 1);
    run_to(&scene, 30);
    size_t len = 0;
    while (len == 0) {
        scene.now = instant_add(scene.now, NS_PER_S);
        len = receiver_tell_peer(scene.core[1], scene.now, recorded, &place);
    }
    assert_int_equal(receiver_hear_peer(scene.core[0], scene.now, 0, recorded, len, answer), 0);
    uint64_t heard = peer_of(&scene, 0, 1)->datagrams;
    /* Again, and again after both have begun anew: nothing but a challenge comes of it. */
    assert_int_equal(receiver_hear_peer(scene.core[0], scene.now, 0, recorded, len, answer), 0);
    assert_int_equal(peer_of(&scene, 0, 1)->datagrams, heard);
    start_core(&scene, 1);
    turn(&scene, 1);
    assert_true(met(&scene, 0, 1));
    heard = peer_of(&scene, 0, 1)->datagrams;
    assert_int_equal(receiver_hear_peer(scene.core[0], scene.now, 0, recorded, len, answer), PEER_HEAD_LEN);
    assert_int_equal(peer_of(&scene, 0, 1)->datagrams, heard);
    start_core(&scene, 0);
    assert_int_equal(receiver_hear_peer(scene.core[0], scene.now, 0, recorded, len, answer), PEER_HEAD_LEN);
    assert_false(peer_of(&scene, 0, 1)->proven);
    assert_false(peer_is_heard(peer_of(&scene, 0, 1), scene.now));
    turn(&scene, 0);
    assert_true(met(&scene, 0, 1));
    close_scene(&scene);
}

/* Recordings of former sessions, a thousand a second: both ask and tell each other as ever. */
static void test_recordings(void **state)
{
    struct scene scene;
    uint8_t recorded[2][PEER_PAYLOAD_MAX], answer[PEER_PAYLOAD_MAX];
    unsigned place;
    (void)state;
    open_scene(&scene, 2);
    for (unsigned i = 0; i < 2; i++) {
        start_core(&scene, i);
        assert_int_equal(receiver_tell_peer(scene.core[i], scene.now, recorded[i], &place), PEER_HEAD_LEN);
    }
    for (unsigned i = 0; i < 2; i++)
        start_core(&scene, i);
    run_to(&scene, 100);
    scene.unheard[0][0] = true;
    while (second_of(&scene) < 200) {
        for (int n = 0; n < 1000; n++) {
            recorded[n % 2][7] = (uint8_t)n; /* of many sessions */
            assert_true(receiver_hear_peer(scene.core[n % 2], scene.now, 0, recorded[!(n % 2)], PEER_HEAD_LEN,
                                           answer) <= PEER_HEAD_LEN);
        }
        run_to(&scene, second_of(&scene) + 1);
        assert_true(met(&scene, 0, 1));
    }
    check_record(&scene, 0, 0, "0 up, 95 up/path");
    assert_true(instant_since(scene.now, peer_of(&scene, 0, 1)->contact_at) <= 10 * NS_PER_S);
    assert_true(instant_since(scene.now, peer_of(&scene, 1, 0)->contact_at) <= 10 * NS_PER_S);
    close_scene(&scene);
}

static void test_lost(void **state)
{
    struct scene scene;
    (void)state;
    open_scene(&scene, 2);
    start_core(&scene, 0);
    start_core(&scene, 1);
    run_to(&scene, 100);
    scene.cut[1][0] = true; /* in one direction only: two still hears one */
    run_to(&scene, 108);
    assert_true(peer_is_heard(peer_of(&scene, 0, 1), scene.now));
    run_to(&scene, 116);
    assert_false(peer_is_heard(peer_of(&scene, 0, 1), scene.now));
    assert_true(peer_is_heard(peer_of(&scene, 1, 0), scene.now));
    run_to(&scene, 200);
    uint64_t asked = scene.asked[0][1], sent = scene.sent[0][1];
    scene.silent[0] = true; /* its last beat was at 200 or 190 */
    run_to(&scene, 260);
    assert_int_equal(scene.asked[0][1], asked);          /* who is not heard is not asked */
    assert_true(scene.sent[0][1] >= sent + 11);          /* but told */
    check_record(&scene, 0, 0, "0 up, 195 down/silent"); /* lost long before: as if there were none */
    check_record(&scene, 1, 0, "0 up, 195 down/silent");
    assert_in_range(decided(&scene, 0, 0, STATE_DOWN), 210, 212);
    close_scene(&scene);
}

/* ---- verdicts ---- */

static void open_met(struct scene *scene, unsigned cores)
{
    open_scene(scene, cores);
    for (unsigned i = 0; i < cores; i++)
        start_core(scene, i);
    run_to(scene, 100);
    for (unsigned i = 1; i < cores; i++)
        assert_true(met(scene, 0, i));
}

/* Heard elsewhere: up, and never told otherwise. */
static void test_path(void **state)
{
    struct scene scene;
    (void)state;
    open_met(&scene, 2);
    scene.unheard[0][0] = true;
    run_to(&scene, 300);
    check_record(&scene, 0, 0, "0 up, 95 up/path");
    scene.unheard[0][0] = false;
    run_to(&scene, 400);
    check_record(&scene, 0, 0, "0 up, 95 up/path, 300 up");
    assert_int_equal(decided(&scene, 0, 0, STATE_DOWN), -1);
    check_record(&scene, 1, 0, "0 up");
    for (unsigned h = 1; h < HOSTS; h++)
        check_record(&scene, 0, h, h == 1 ? "1 up" : h == 2 ? "2 up" : "3 up");
    assert_int_not_equal(scene.asked[0][1], 0);
    close_scene(&scene);
}

/* It dies while only the other one hears it: down there and here. It comes back there: up here, too. */
static void test_path_then_down(void **state)
{
    struct scene scene;
    (void)state;
    open_met(&scene, 2);
    scene.unheard[0][0] = true;
    run_to(&scene, 200);
    scene.silent[0] = true;
    run_to(&scene, 300);
    check_record(&scene, 1, 0, "0 up, 195 down/silent");
    check_record(&scene, 0, 0, "0 up, 95 up/path, 195 down/silent");
    assert_in_range(decided(&scene, 0, 0, STATE_DOWN), 211, 222);
    scene.silent[0] = false;
    run_to(&scene, 400);
    check_record(&scene, 1, 0, "0 up, 195 down/unreachable, 300 up");
    check_record(&scene, 0, 0, "0 up, 95 up/path, 195 down/unreachable, 300 up/path");
    close_scene(&scene);
}

static void test_agreed(void **state)
{
    struct scene scene;
    (void)state;
    open_met(&scene, 3);
    scene.silent[0] = true;
    run_to(&scene, 200);
    for (unsigned i = 0; i < 3; i++) {
        check_record(&scene, i, 0, "0 up, 95 down/silent");
        assert_in_range(decided(&scene, i, 0, STATE_DOWN), 110, 112); /* no later than alone */
    }
    scene.silent[0] = false;
    run_to(&scene, 230);
    for (unsigned i = 0; i < 3; i++)
        check_record(&scene, i, 0, "0 up, 95 down/unreachable, 200 up");
    close_scene(&scene);
}

/* The second of three hears it no more than the first; the third does. */
static void test_third(void **state)
{
    struct scene scene;
    (void)state;
    open_met(&scene, 3);
    scene.unheard[0][0] = scene.unheard[0][1] = true;
    run_to(&scene, 300);
    check_record(&scene, 0, 0, "0 up, 95 up/path");
    check_record(&scene, 1, 0, "0 up, 95 up/path");
    check_record(&scene, 2, 0, "0 up");
    close_scene(&scene);
}

/* Nobody else knows it: judged as alone, even when the others are lost together with it. */
static void test_not_mine(void **state)
{
    struct scene scene;
    (void)state;
    open_scene(&scene, 2);
    scene.unknown[0][1] = true;
    start_core(&scene, 0);
    start_core(&scene, 1);
    run_to(&scene, 100);
    scene.silent[0] = true;
    run_to(&scene, 200);
    check_record(&scene, 0, 0, "0 up, 95 down/silent");
    assert_in_range(decided(&scene, 0, 0, STATE_DOWN), 110, 112);
    close_scene(&scene);
}

/* Cuts core 0 off from everybody, for the time from 100 to 200; host 0 dies at 100 if `dies`, and all come back at 200. */
static void cut_off(struct scene *scene, bool dies, bool comes_back)
{
    open_met(scene, 2);
    scene->cut[0][1] = scene->cut[1][0] = true;
    for (unsigned h = 0; h < HOSTS; h++)
        scene->unheard[h][0] = true;
    scene->silent[0] = dies;
    run_to(scene, 200);
    assert_int_equal(scene->shelf[0].fault != NULL, 0);
    for (unsigned h = 0; h < HOSTS; h++)
        assert_int_equal(decided(scene, 0, h, STATE_DOWN), -1);
    scene->cut[0][1] = scene->cut[1][0] = false;
    for (unsigned h = 0; h < HOSTS; h++)
        scene->unheard[h][0] = false;
    scene->silent[0] = dies && !comes_back;
    run_to(scene, 300);
}

static void test_cut_off(void **state)
{
    struct scene scene;
    (void)state;
    cut_off(&scene, false, true);
    check_record(&scene, 1, 0, "0 up");
    check_record(&scene, 0, 1, "1 up, 93 unknown/receiver_isolated, 191 up/path, 201 up");
    close_scene(&scene);
    /* It died together with the contact, so of two receivers neither can tell why, until contact is back. */
    cut_off(&scene, true, false);
    check_record(&scene, 1, 0, "0 up, 95 unknown/receiver_isolated, 204 down/silent");
    check_record(&scene, 0, 0, "0 up, 93 unknown/receiver_isolated, 201 down/silent");
    close_scene(&scene);
}

/* One host and the peer are lost together; the others are still heard, so it is not the receiver that is deaf. */
static void lose_together(struct scene *scene, bool dies)
{
    open_met(scene, 2);
    scene->cut[0][1] = scene->cut[1][0] = true;
    scene->unheard[0][0] = true;
    scene->silent[0] = dies;
    run_to(scene, 200);
    check_record(scene, 0, 0, "0 up, 95 unknown/receiver_isolated");
    check_record(scene, 1, 0, dies ? "0 up, 95 unknown/receiver_isolated" : "0 up");
    check_record(scene, 0, 1, "1 up");
}

static void test_lost_together(void **state)
{
    struct scene scene;
    (void)state;
    /* Contact returns, the host is still heard there only. */
    lose_together(&scene, false);
    scene.cut[0][1] = scene.cut[1][0] = false;
    run_to(&scene, 300);
    check_record(&scene, 0, 0, "0 up, 95 up/path");
    close_scene(&scene);
    /* The host returns first: it ran on, and nobody can tell. */
    lose_together(&scene, false);
    scene.unheard[0][0] = false;
    run_to(&scene, 300);
    check_record(&scene, 0, 0, "0 up, 95 unknown/receiver_isolated, 200 up");
    close_scene(&scene);
    /* It was dead all the time: both say so once they hear of each other. */
    lose_together(&scene, true);
    scene.cut[0][1] = scene.cut[1][0] = false;
    run_to(&scene, 300);
    check_record(&scene, 0, 0, "0 up, 95 down/silent");
    check_record(&scene, 1, 0, "0 up, 95 down/silent");
    close_scene(&scene);
    /* It died, and comes back before contact does, with another boot. */
    lose_together(&scene, true);
    scene.silent[0] = scene.unheard[0][0] = false;
    scene.number[0] = 0;
    for (unsigned i = 0; i < 2; i++)
        speaker_reboot(&scene.speaker[0][i], instant_add(scene.now, -5 * NS_PER_S), 0);
    run_to(&scene, 300);
    check_record(&scene, 0, 0, "0 up, 95 down/reboot, 195 up");
    close_scene(&scene);
    /* The peer is taken from the configuration: nobody waits for it any more. */
    lose_together(&scene, true);
    receiver_remove_peer(scene.core[0], scene.now, 0);
    run_to(&scene, 300);
    check_record(&scene, 0, 0, "0 up, 95 unknown/receiver_isolated, 200 down/silent");
    close_scene(&scene);
}

/* A restart in the middle changes nothing but the seconds in which it was off. */
static void test_restart_in_between(void **state)
{
    struct scene scene;
    (void)state;
    open_met(&scene, 2);
    scene.unheard[0][0] = true;
    run_to(&scene, 200);
    scene.off[0] = true;
    run_to(&scene, 220);
    start_core(&scene, 0);
    run_to(&scene, 300);
    check_record(&scene, 0, 0, "0 up, 95 up/path, 199 unknown/receiver_off, 220 up/path");
    assert_int_equal(decided(&scene, 0, 0, STATE_DOWN), -1);
    close_scene(&scene);
    lose_together(&scene, true);
    start_core(&scene, 0);
    scene.cut[0][1] = scene.cut[1][0] = false;
    run_to(&scene, 300);
    check_record(&scene, 0, 0, "0 up, 95 down/silent, 199 unknown/receiver_off, 200 down/silent");
    close_scene(&scene);
}

/* ---- ten thousand at once ---- */

enum { MANY = 10000 };

static void crowd_beats(struct scene *scene, struct speaker *speakers, const bool heard[2])
{
    for (unsigned n = 0; n < MANY; n++) {
        uint32_t number = speakers[n].number;
        for (unsigned i = 0; i < 2; i++) {
            struct speaker *speaker = &speakers[i * MANY + n];
            speaker->number = number;
            if (heard[i])
                (void)speaker_tell(speaker, scene->core[i], scene->now);
            else
                speaker->number++;
        }
    }
}

static void test_many(void **state)
{
    static char names[MANY][8];
    struct scene scene;
    (void)state;
    open_scene(&scene, 2);
    scene.no_reload = true;
    for (unsigned h = 0; h < HOSTS; h++)
        scene.silent[h] = true;
    start_core(&scene, 0);
    start_core(&scene, 1);
    struct speaker *speakers = calloc(2 * MANY, sizeof *speakers);
    assert_non_null(speakers);
    for (unsigned n = 0; n < MANY; n++) {
        (void)snprintf(names[n], sizeof names[n], "h%u", n);
        for (unsigned i = 0; i < 2; i++)
            speaker_init(&speakers[i * MANY + n], names[n], scene.now, 60000);
    }
    const bool both[2] = {true, true}, second_only[2] = {false, true};
    uint64_t most = 0;
    for (int64_t s = 0; s < 300; s++) {
        if (s % 60 == 0)
            crowd_beats(&scene, speakers, s < 180 ? both : second_only);
        uint64_t before = scene.asked[0][1];
        run_to(&scene, s + 1);
        if (scene.asked[0][1] - before > most)
            most = scene.asked[0][1] - before;
    }
    assert_in_range(most, MANY / 44,
                    801); /* datagrams a second: what piled up in a quiet second, and that of this one */
    print_message("%llu datagrams with questions, at most %llu a second; an answer was at least %zu bytes shorter\n",
                  (unsigned long long)scene.asked[0][1], (unsigned long long)most, scene.longest_gap);
    const struct host_table *hosts = receiver_hosts(scene.core[0]);
    assert_int_equal(hosts->count, MANY);
    for (uint32_t id = 1; id <= MANY; id++)
        assert_true(hosts->hosts[id]->state == STATE_UP && hosts->hosts[id]->cause == CAUSE_PATH);
    for (size_t i = 0; i < scene.shelf[0].line_count; i++)
        assert_true(scene.shelf[0].lines[i].state == STATE_UP);
    free(speakers);
    close_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contact), cmocka_unit_test(test_restart),       cmocka_unit_test(test_recordings),
        cmocka_unit_test(test_lost),    cmocka_unit_test(test_path),          cmocka_unit_test(test_path_then_down),
        cmocka_unit_test(test_agreed),  cmocka_unit_test(test_third),         cmocka_unit_test(test_not_mine),
        cmocka_unit_test(test_cut_off), cmocka_unit_test(test_lost_together), cmocka_unit_test(test_restart_in_between),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
