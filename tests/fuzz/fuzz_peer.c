/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_peer.c - whatever other receivers say, proven or not, between beats, judgements, restarts and time.
 *
 * The input is a list of events: a byte that chooses one, a parameter, and for payloads the bytes themselves. Two neighbours talk to a
 * core with three hosts. Checked: what is not proven leads to no fact and changes no host; no answer is longer than its
 * question; nothing is answered to a recording; the log stays in order and tells of no future; a restart finds every host as it was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "receiver/record/timeline.h"
#include "tests/lib/neighbour.h"
#include "tests/lib/shelf.h"
#include "tests/fuzz/require.h"
#include "tests/lib/speaker.h"

#define HOSTS 3
#define NEIGHBOURS 2
#define LABEL_ZERO INT64_C(1700000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct scene {
    const uint8_t *data;
    size_t left;
    struct shelf shelf;
    struct receiver *receiver;
    struct speaker speakers[HOSTS];
    struct neighbour neighbours[NEIGHBOURS];
    uint64_t sessions; /* drawn so far */
    struct instant now;
    size_t lines_seen;
};

static const char *const host_names[HOSTS] = {"a", "b", "c"};
static const char *const peer_names[NEIGHBOURS] = {"left", "right"};
static const int64_t pauses_ms[16] = {0,    1,     10,    100,   250,   1000,   2000,   5000,
                                      9000, 15000, 16000, 30000, 60000, 150000, 600000, 3600000};

static uint8_t next_byte(struct scene *scene)
{
    if (scene->left == 0)
        return 0;
    scene->left--;
    return *scene->data++;
}

static uint32_t next_u32(struct scene *scene)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value = value << 8 | next_byte(scene);
    return value;
}

static struct wall wall_now(const struct scene *scene)
{
    return (struct wall){LABEL_ZERO * NS_PER_S + scene->now.ns};
}

/* ---- what must hold ---- */

static void look(struct scene *scene)
{
    const struct line_list *lines = receiver_lines(scene->receiver);
    for (; scene->lines_seen < lines->count; scene->lines_seen++) {
        const struct transition *line = &lines->lines[scene->lines_seen];
        REQUIRE(line->state != STATE_LATE && line->state < STATE_COUNT && line->cause < CAUSE_COUNT, "no such state");
        REQUIRE(line->at <= line->decided, "a line tells of the future");
        REQUIRE(line->earliest <= line->latest, "bounds the wrong way round");
    }
    REQUIRE(!receiver_has_failed(scene->receiver), "failed");
}

static void store(struct scene *scene)
{
    look(scene);
    shelf_store(&scene->shelf, scene->receiver, scene->now);
    scene->lines_seen = 0;
    REQUIRE(!scene->shelf.fault, scene->shelf.fault);
}

static void check_log(const struct scene *scene)
{
    const struct host_table *hosts = receiver_hosts(scene->receiver);
    for (uint32_t id = 1; id <= hosts->count; id++) {
        struct timeline timeline = {0};
        for (size_t i = 0; i < scene->shelf.line_count; i++)
            if (scene->shelf.lines[i].host == id)
                REQUIRE(timeline_add(&timeline, &scene->shelf.lines[i]) == 0, "out of memory");
        for (size_t i = 1; i < timeline.count; i++)
            REQUIRE(timeline.spans[i - 1].from < timeline.spans[i].from, "spans out of order");
        if (timeline.count > 0)
            REQUIRE(timeline.spans[timeline.count - 1].state == hosts->hosts[id]->state,
                    "the log is not what the host is");
        timeline_free(&timeline);
    }
}

/* All hosts as bytes. */
static uint8_t *hosts_now(const struct scene *scene, size_t *len)
{
    uint8_t *all = NULL;
    const struct host_table *hosts = receiver_hosts(scene->receiver);
    *len = 0;
    for (uint32_t id = 1; id <= hosts->count; id++) {
        size_t one_len;
        uint8_t *one = shelf_bytes(hosts->hosts[id], &one_len);
        uint8_t *grown = realloc(all, *len + one_len);
        REQUIRE(grown, "out of memory");
        memcpy(grown + *len, one, one_len);
        free(one);
        all = grown;
        *len += one_len;
    }
    return all;
}

/* ---- events ---- */

/* Hands a payload to the core, the answer to the neighbour, and so on, until one is silent. */
static void hand_over(struct scene *scene, unsigned place, const uint8_t *payload, size_t len)
{
    uint8_t question[PEER_PAYLOAD_MAX], answer[PEER_PAYLOAD_MAX];
    memcpy(question, payload, len);
    for (int turn = 0; len > 0; turn++) {
        REQUIRE(turn < 5, "two receivers answer each other without an end");
        size_t answer_len = receiver_hear_peer(scene->receiver, scene->now, place, question, len, answer);
        REQUIRE(answer_len <= len, "an answer that is longer than its question");
        struct neighbour *neighbour = &scene->neighbours[place];
        struct peer *peer = neighbour->peers.peers[0];
        if (answer_len > 0)
            (void)neighbour_hear(neighbour, scene->now, answer, answer_len);
        len = answer_len > 0 && (peer->echo_is_new || peer->challenge_is_new)
                  ? neighbour_say(neighbour, scene->now, NULL, 0, question)
                  : 0;
    }
}

static size_t next_bytes(struct scene *scene, size_t max, const uint8_t **bytes)
{
    size_t len = (size_t)next_byte(scene) * 5;
    len = len < max ? len : max;
    len = len < scene->left ? len : scene->left;
    *bytes = scene->data;
    scene->data += len;
    scene->left -= len;
    return len;
}

/* As from somebody with the key, but not the neighbour: no session of it can be proven, since it hears no answer. */
static void say_unproven(struct scene *scene, unsigned place)
{
    uint8_t payload[PEER_PAYLOAD_MAX] = {0}, answer[PEER_PAYLOAD_MAX];
    const uint8_t *bytes;
    size_t len = next_bytes(scene, PEER_PAYLOAD_MAX, &bytes), before_len, after_len;
    if (len > 0)
        memcpy(payload, bytes, len);
    payload[0] |= 0x80; /* never a session of the neighbour */
    uint64_t fact = receiver_last_fact(scene->receiver);
    uint8_t *before = hosts_now(scene, &before_len);
    size_t answer_len = receiver_hear_peer(scene->receiver, scene->now, place, payload, len, answer);
    uint8_t *after = hosts_now(scene, &after_len);
    REQUIRE(answer_len <= len && (answer_len == 0 || answer_len == PEER_HEAD_LEN),
            "what is not proven gets a head at most");
    REQUIRE(fact == receiver_last_fact(scene->receiver), "not proven, yet a fact");
    REQUIRE(before_len == after_len && (before_len == 0 || memcmp(before, after, before_len) == 0),
            "not proven, yet it changed a host");
    free(before);
    free(after);
}

static void say(struct scene *scene, unsigned place, const uint8_t *items, size_t items_len, bool repeat)
{
    uint8_t payload[PEER_PAYLOAD_MAX], answer[PEER_PAYLOAD_MAX];
    size_t len = neighbour_say(&scene->neighbours[place], scene->now, items, items_len, payload);
    const struct peer *peer = receiver_peers(scene->receiver)->peers[place];
    hand_over(scene, place, payload, len);
    if (!repeat || !peer->proven || peer->their_session != scene->neighbours[place].peers.peers[0]->session)
        return;
    if (peer->echo_is_new || peer->challenge_is_new || peer->heard == 0)
        return;
    uint64_t fact = receiver_last_fact(scene->receiver);
    size_t again = receiver_hear_peer(scene->receiver, scene->now, place, payload, len, answer);
    REQUIRE(again == 0 && fact == receiver_last_fact(scene->receiver), "a recording was answered, or believed");
}

static void answer_questions(struct scene *scene, unsigned place, uint8_t parameter)
{
    uint8_t items[PEER_PAYLOAD_MAX];
    struct peer_answer answer = {.kind = parameter & 7, .age_ms = next_u32(scene), .back_ms = next_u32(scene)};
    answer.state = next_byte(scene);
    answer.cause = next_byte(scene);
    if (parameter & 8) /* what is likely */
        answer.age_ms %= 100000;
    if (parameter & 0x10)
        answer.back_ms = parameter & 0x20 ? UINT32_MAX : answer.back_ms % 100000;
    size_t len = neighbour_answer(&scene->neighbours[place], &answer, items);
    say(scene, place, items, len, parameter & 0x40);
}

static void ask(struct scene *scene, unsigned place, uint8_t parameter)
{
    uint8_t items[PEER_PAYLOAD_MAX], type = PEER_QUESTION;
    struct codec codec = codec_writer(items, sizeof items);
    for (int i = 0; i <= (parameter & 3); i++) {
        uint8_t about = next_byte(scene);
        struct peer_question question = {.agent_start = 100 + (about >> 7), .number = about >> 2 & 0xf, .name_len = 1};
        question.age_ms = next_u32(scene);
        question.name[0] = (char)('a' + about % 4);
        uint16_t len = PEER_QUESTION_FIXED_LEN + 1;
        peer_item_visit(&codec, &type, &len);
        peer_question_visit(&codec, &question, len);
    }
    say(scene, place, items, codec.pos, parameter & 0x40);
}

static void send_all(struct scene *scene, bool lost)
{
    uint8_t payload[PEER_PAYLOAD_MAX];
    unsigned place;
    size_t len;
    int count = 0;
    while ((len = receiver_tell_peer(scene->receiver, scene->now, payload, &place)) > 0) {
        REQUIRE(++count < 2000, "questions without an end");
        REQUIRE(place < NEIGHBOURS && len <= PEER_PAYLOAD_MAX, "no such place, or too long");
        if (!lost)
            (void)neighbour_hear(&scene->neighbours[place], scene->now, payload, len);
    }
}

static void add_peers(struct scene *scene)
{
    for (unsigned i = 0; i < NEIGHBOURS; i++)
        REQUIRE(receiver_add_peer(scene->receiver, peer_names[i], ++scene->sessions) == (int)i, "another place");
}

static void restart(struct scene *scene, uint8_t parameter)
{
    if (scene->shelf.part_count == SHELF_PARTS_MAX)
        return;
    if (parameter & 0x10)
        store(scene);
    scene->shelf.options.secret[0]++;
    struct receiver *fresh = shelf_load(&scene->shelf);
    REQUIRE(fresh, "refused what it wrote itself");
    REQUIRE(!(parameter & 0x10) || shelf_same(fresh, scene->receiver),
            "a restart does not find the hosts as they were");
    receiver_destroy(scene->receiver);
    scene->receiver = fresh;
    scene->lines_seen = 0;
    add_peers(scene);
    shelf_store(&scene->shelf, fresh, scene->now);
    REQUIRE(!scene->shelf.fault, scene->shelf.fault);
    scene->now = instant_add(scene->now, 1 + pauses_ms[parameter & 0xf] * NS_PER_MS);
    shelf_start(&scene->shelf, scene->receiver, scene->now, wall_now(scene));
    scene->now.ns += 2;
}

static void trouble(struct scene *scene, unsigned place, uint8_t parameter)
{
    struct instant from = scene->now;
    switch (parameter & 7) {
    case 0: receiver_gateway(scene->receiver, scene->now, parameter & 8); break;
    case 1: receiver_isolated(scene->receiver, scene->now, parameter & 8); break;
    case 2: neighbour_restart(&scene->neighbours[place], ++scene->sessions); break;
    case 3: /* it is taken from the configuration, and put there again */
        receiver_remove_peer(scene->receiver, scene->now, place);
        REQUIRE(receiver_add_peer(scene->receiver, peer_names[place], ++scene->sessions) == (int)place,
                "another place");
        break;
    case 4:
        scene->now = instant_add(scene->now, 1 + pauses_ms[parameter >> 4] * NS_PER_MS);
        receiver_stalled(scene->receiver, from, scene->now);
        break;
    case 5: receiver_took(scene->receiver, scene->now, 100, parameter >> 3); break;
    case 6:
        store(scene);
        if (scene->shelf.host_count > 0)
            shelf_checkpoint(&scene->shelf, scene->receiver, 1 + (parameter >> 3) % (uint32_t)scene->shelf.host_count,
                             scene->now);
        if (parameter & 0x80)
            shelf_trim(&scene->shelf);
        break;
    default:
        look(scene);
        scene->now.ns +=
            2; /* a command never comes in the very nanosecond of a judgement, or of the end of an absence */
        if (scene->shelf.window_count < 8) {
            shelf_add_window(
                &scene->shelf, scene->receiver, scene->now, (int64_t)scene->shelf.window_count + 1, "[ab]",
                (struct window){scene->now, instant_add(scene->now, pauses_ms[parameter >> 4] * NS_PER_MS)});
            scene->lines_seen = 0;
        }
    }
}

static void speak(struct scene *scene, uint8_t parameter)
{
    struct speaker *speaker = &scene->speakers[parameter % HOSTS];
    int64_t ago_ns = pauses_ms[parameter >> 4] * NS_PER_MS;
    switch (parameter >> 2 & 3) {
    case 1: speaker_reboot(speaker, instant_add(scene->now, -ago_ns), 0); break;
    case 2: {
        struct bye bye = speaker_bye(speaker, parameter & 0x10 ? BYE_SHUTDOWN : BYE_STOPPING);
        (void)speaker_send_bye(speaker, scene->receiver, scene->now, &bye);
        return;
    }
    case 3: speaker->number += 2; break; /* some were heard elsewhere only */
    default: break;
    }
    (void)speaker_tell(speaker, scene->receiver, scene->now);
}

static void happen(struct scene *scene)
{
    const uint8_t *items;
    uint8_t event = next_byte(scene), parameter = next_byte(scene);
    unsigned place = event >> 4 & 1;
    switch (event & 0xf) {
    case 0: say_unproven(scene, place); break;
    case 1: {
        size_t len = next_bytes(scene, PEER_PAYLOAD_MAX - PEER_HEAD_LEN, &items);
        say(scene, place, items, len, parameter & 1);
        break;
    }
    case 2:
    case 3: answer_questions(scene, place, parameter); break;
    case 4: ask(scene, place, parameter); break;
    case 5: say(scene, place, NULL, 0, parameter & 1); break;
    case 6: trouble(scene, place, parameter); break;
    case 7: restart(scene, parameter); break;
    case 8: send_all(scene, parameter & 1); break;
    case 9: receiver_judge(scene->receiver, scene->now); break;
    case 10:
    case 11: speak(scene, parameter); break;
    default: /* time passes as in the daemon: judged, and asked, in each turn */
        for (int i = 0; i <= (event >> 5); i++) {
            scene->now = instant_add(scene->now, pauses_ms[parameter & 0xf] * NS_PER_MS);
            receiver_judge(scene->receiver, scene->now);
            look(scene);
            send_all(scene, parameter & 0x10);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t intervals_ms[HOSTS] = {1000, 5000, 60000};
    struct scene scene = {.data = data, .left = size};
    scene.now.ns = 10000 * NS_PER_S;
    scene.shelf.options =
        (struct receiver_options){.secret = {7}, .planned_limit_ns = 1800 * NS_PER_S, .host_count_max = 10};
    scene.receiver = receiver_create(&scene.shelf.options);
    REQUIRE(scene.receiver, "out of memory");
    shelf_start(&scene.shelf, scene.receiver, scene.now, wall_now(&scene));
    add_peers(&scene);
    for (size_t i = 0; i < HOSTS; i++)
        speaker_init(&scene.speakers[i], host_names[i], scene.now, intervals_ms[i]);
    for (unsigned i = 0; i < NEIGHBOURS; i++)
        neighbour_init(&scene.neighbours[i], ++scene.sessions);
    for (int i = 0; i < 1000 && scene.left > 0; i++) {
        happen(&scene);
        look(&scene);
    }
    store(&scene);
    check_log(&scene);
    struct receiver *fresh = shelf_load(&scene.shelf);
    REQUIRE(fresh && shelf_same(fresh, scene.receiver), "a restart would not find the hosts as they were");
    receiver_destroy(fresh);
    receiver_destroy(scene.receiver);
    for (unsigned i = 0; i < NEIGHBOURS; i++)
        neighbour_free(&scene.neighbours[i]);
    shelf_free(&scene.shelf);
    return 0;
}
