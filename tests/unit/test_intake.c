/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_intake.c - datagrams as they come from the network: what each fault counts, and that no answer is longer
 * than its question. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "common/message.h"
#include "receiver/listen/intake.h"

struct scene {
    struct receiver *receiver;
    struct intake *intake;
    struct key site;
    uint8_t question[DATAGRAM_LEN_MAX], answer[DATAGRAM_LEN_MAX];
    size_t len, answer_len;
    uint8_t echo[ECHO_LEN];
    uint64_t counter;
};

static const struct instant now = {1000 * NS_PER_S};

static int open_scene(void **state)
{
    static struct scene scene;
    static const struct receiver_options options = {.planned_limit_ns = NS_PER_S, .host_count_max = 10};
    static const struct revocation revoked[] = {{"stolen", 0}, {"old", 1}};
    static struct intake_keys keys = {.site_count = 2, .revoked = revoked, .revoked_count = 2};
    memset(&scene, 0, sizeof scene);
    keys.sites[0].bytes[0] = 1;
    keys.sites[1].bytes[0] = 2;
    keys.generations[1] = keys.generations[2] = 1;
    scene.site = keys.sites[1];
    scene.receiver = receiver_create(&options);
    scene.intake = intake_create(scene.receiver);
    *state = &scene;
    return scene.intake && intake_set_keys(scene.intake, &keys) == 0 ? 0 : -1;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    intake_destroy(scene->intake);
    receiver_destroy(scene->receiver);
    return 0;
}

static void seal(struct scene *scene, enum datagram_type type, uint8_t generation, const char *name,
                 const uint8_t *payload, size_t len)
{
    struct key host, agent;
    uint8_t fresh[DATAGRAM_RANDOM_LEN] = {5};
    key_derive_host(&host, &scene->site, generation, name, strlen(name));
    key_derive_agent(&agent, &host);
    scene->len = datagram_seal(scene->question, type, generation, name, strlen(name), payload, len, &agent, fresh);
}

static void seal_beat(struct scene *scene, uint8_t generation, const char *name)
{
    uint8_t payload[BEAT_LEN_MAX];
    struct beat beat = {.session = 7, .counter = ++scene->counter, .number = 1, .agent_start = 3, .oldest_kept = 1};
    memcpy(beat.echo, scene->echo, ECHO_LEN);
    seal(scene, DATAGRAM_BEAT, generation, name, payload, beat_encode(&beat, payload));
}

static void seal_bye(struct scene *scene, const char *name)
{
    uint8_t payload[64];
    struct bye bye = {.session = 7, .counter = ++scene->counter, .agent_start = 3, .reason = BYE_STOPPING};
    memcpy(bye.echo, scene->echo, ECHO_LEN);
    seal(scene, DATAGRAM_BYE, 1, name, payload, bye_encode(&bye, payload));
}

static void ask(struct scene *scene)
{
    memset(scene->answer, 0, sizeof scene->answer);
    scene->answer_len = intake_datagram(scene->intake, now, scene->question, scene->len, scene->answer);
    assert_true(scene->answer_len <= scene->len);
}

/* Exactly this counter moved, RECEIVED beside it, and there was no answer. */
static void check_dropped(struct scene *scene, enum intake_statistic which)
{
    uint64_t before[INTAKE_STATISTIC_COUNT];
    memcpy(before, intake_statistics(scene->intake), sizeof before);
    uint64_t heard[RECEIVER_STATISTIC_COUNT];
    memcpy(heard, receiver_statistics(scene->receiver), sizeof heard);
    ask(scene);
    assert_int_equal(scene->answer_len, 0);
    for (int i = 0; i < INTAKE_STATISTIC_COUNT; i++)
        assert_int_equal(intake_statistics(scene->intake)[i] - before[i], i == (int)which || i == INTAKE_RECEIVED);
    assert_memory_equal(heard, receiver_statistics(scene->receiver), sizeof heard);
    assert_false(receiver_has_output(scene->receiver));
}

/* Opens the answer with the key of the host. */
static struct datagram open_answer(struct scene *scene, const char *name, uint8_t *payload, size_t *len)
{
    struct key host, ack;
    struct datagram datagram;
    assert_int_equal(datagram_parse(&datagram, scene->answer, scene->answer_len), DATAGRAM_OK);
    key_derive_host(&host, &scene->site, datagram.generation, name, strlen(name));
    key_derive_ack(&ack, &host);
    assert_int_equal(datagram_open(payload, len, &datagram, &ack), 0);
    return datagram;
}

static void prove(struct scene *scene, const char *name)
{
    uint8_t payload[DATAGRAM_PAYLOAD_MAX];
    size_t len;
    struct challenge challenge;
    seal_beat(scene, 1, name);
    ask(scene);
    assert_int_equal(open_answer(scene, name, payload, &len).type, DATAGRAM_CHALLENGE);
    assert_int_equal(challenge_decode(&challenge, payload, len), 0);
    assert_int_equal(challenge.counter, scene->counter);
    memcpy(scene->echo, challenge.value, ECHO_LEN);
}

static void test_conversation(void **state)
{
    struct scene *scene = *state;
    uint8_t payload[DATAGRAM_PAYLOAD_MAX];
    size_t len;
    struct ack ack;
    prove(scene, "one");
    seal_beat(scene, 1, "one");
    ask(scene);
    assert_int_equal(open_answer(scene, "one", payload, &len).type, DATAGRAM_ACK);
    assert_int_equal(ack_decode(&ack, payload, len), 0);
    assert_int_equal(ack.counter, scene->counter);
    ask(scene); /* the same bytes once more: silence */
    assert_int_equal(scene->answer_len, 0);
    seal_bye(scene, "one");
    ask(scene);
    assert_int_equal(open_answer(scene, "one", payload, &len).type, DATAGRAM_ACK);
    const uint64_t *counts = intake_statistics(scene->intake);
    assert_int_equal(counts[INTAKE_RECEIVED], 4);
    assert_int_equal(counts[INTAKE_ACKS], 2);
    assert_int_equal(counts[INTAKE_CHALLENGES], 1);
    assert_int_equal(receiver_statistics(scene->receiver)[RECEIVER_REPEATED], 1);
    assert_int_equal(receiver_statistics(scene->receiver)[RECEIVER_BYES], 1);
}

static void test_layout_faults(void **state)
{
    struct scene *scene = *state;
    static const struct {
        size_t at;
        uint8_t value;
        enum intake_statistic which;
    } rows[] = {
        {0, 'x', INTAKE_BAD_VERSION},
        {3, 2, INTAKE_BAD_VERSION},
        {4, 0, INTAKE_BAD_HEADER},
        {4, 7, INTAKE_BAD_HEADER},
        {4, DATAGRAM_ACK, INTAKE_BAD_HEADER},
        {4, DATAGRAM_CHALLENGE, INTAKE_BAD_HEADER},
        {4, DATAGRAM_PEER, INTAKE_BAD_HEADER},
        {5, 0, INTAKE_BAD_HEADER},
        {5, 3, INTAKE_UNKNOWN_KEY},
        {5, 2, INTAKE_BAD_SEAL},
        {7, 1, INTAKE_BAD_HEADER},
        {8, 0xff, INTAKE_BAD_SEAL},
        {32, 'p', INTAKE_BAD_SEAL},
        {32, '-', INTAKE_BAD_HEADER},
        {40, 0xff, INTAKE_BAD_SEAL},
        {4, DATAGRAM_BYE, INTAKE_BAD_SEAL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        seal_beat(scene, 1, "one");
        uint8_t *byte = &scene->question[rows[i].at];
        *byte = rows[i].value == 0xff ? *byte ^ 0xff : rows[i].value; /* 0xff stands for: another one */
        check_dropped(scene, rows[i].which);
    }
    seal_beat(scene, 1, "one");
    scene->len = 20;
    check_dropped(scene, INTAKE_BAD_LENGTH);
    scene->len = 0;
    check_dropped(scene, INTAKE_BAD_LENGTH);
    seal_beat(scene, 1, "one");
    scene->len--;
    check_dropped(scene, INTAKE_BAD_SEAL);
}

static void test_keys(void **state)
{
    struct scene *scene = *state;
    seal_beat(scene, 1, "stolen");
    check_dropped(scene, INTAKE_UNKNOWN_KEY);
    seal_beat(scene, 2, "stolen");
    check_dropped(scene, INTAKE_UNKNOWN_KEY);
    seal_beat(scene, 1, "old");
    check_dropped(scene, INTAKE_UNKNOWN_KEY);
    seal_beat(scene, 2, "old"); /* the next generation of the same name is good */
    ask(scene);
    assert_int_not_equal(scene->answer_len, 0);
    scene->site.bytes[0] = 9;
    seal_beat(scene, 1, "one"); /* of another site */
    check_dropped(scene, INTAKE_BAD_SEAL);
    /* A known host whose key is taken away is not heard any more, though its key was remembered. */
    scene->site.bytes[0] = 1;
    prove(scene, "one");
    seal_beat(scene, 1, "one");
    ask(scene);
    assert_int_not_equal(scene->answer_len, 0);
    struct receiver_output out;
    receiver_take(scene->receiver, &out);
    receiver_output_free(&out);
    struct intake_keys none = {.site_count = 1};
    none.sites[0] = scene->site;
    none.generations[2] = 1;
    assert_int_equal(intake_set_keys(scene->intake, &none), 0);
    seal_beat(scene, 1, "one");
    check_dropped(scene, INTAKE_UNKNOWN_KEY);
}

static void test_payloads(void **state)
{
    struct scene *scene = *state;
    uint8_t payload[BEAT_LEN_MAX] = {0};
    for (size_t len = 0; len < BEAT_FIXED_LEN; len += 7) {
        seal(scene, DATAGRAM_BEAT, 1, "one", payload, len);
        check_dropped(scene, INTAKE_BAD_PAYLOAD);
    }
    seal(scene, DATAGRAM_BYE, 1, "one", payload, 48); /* reason 0 */
    check_dropped(scene, INTAKE_BAD_PAYLOAD);
}

/* Whatever the name, an answer is never longer than its question: also that to the shortest beat and to a bye. */
static void test_never_longer(void **state)
{
    struct scene *scene = *state;
    char name[NAME_LEN_MAX + 1];
    for (size_t len = 1; len <= NAME_LEN_MAX; len += 33) {
        memset(name, 'a', sizeof name);
        name[len] = '\0';
        uint8_t payload[BEAT_LEN_MAX];
        struct beat beat = {.session = 7, .counter = 1, .number = 1};
        (void)beat_encode(&beat, payload);
        seal(scene, DATAGRAM_BEAT, 1, name, payload, BEAT_FIXED_LEN);
        ask(scene);
        assert_int_not_equal(scene->answer_len, 0);
        seal_bye(scene, name);
        ask(scene);
        assert_int_not_equal(scene->answer_len, 0);
    }
    assert_int_equal(receiver_hosts(scene->receiver)->count, 0);
}

static void receiver_take_all(struct scene *scene)
{
    struct receiver_output out;
    receiver_take(scene->receiver, &out);
    receiver_output_free(&out);
}

static void ask_beat(struct scene *scene, const char *name)
{
    seal_beat(scene, 1, name);
    ask(scene);
    assert_int_not_equal(scene->answer_len, 0);
}

/* A datagram that says it is of one name, sealed with the key of the other. */
static void seal_crosswise(struct scene *scene, const char *says, const char *has)
{
    uint8_t payload[BEAT_LEN_MAX], fresh[DATAGRAM_RANDOM_LEN] = {6};
    struct key host, agent;
    struct beat beat = {.session = 7, .counter = ++scene->counter, .number = 9, .agent_start = 3, .oldest_kept = 1};
    memcpy(beat.echo, scene->echo, ECHO_LEN);
    key_derive_host(&host, &scene->site, 1, has, strlen(has));
    key_derive_agent(&agent, &host);
    scene->len = datagram_seal(scene->question, DATAGRAM_BEAT, 1, says, strlen(says), payload,
                               beat_encode(&beat, payload), &agent, fresh);
}

/* Either key opens what comes under its own name, is answered under it, and says nothing under the other. */
static void test_renamed(void **state)
{
    struct scene *scene = *state;
    uint8_t payload[DATAGRAM_PAYLOAD_MAX];
    size_t len;
    static const char *const names[] = {"web", "web1"};
    prove(scene, "web");
    ask_beat(scene, "web");
    receiver_take_all(scene);
    assert_int_equal(receiver_rename(scene->receiver, now, 1, "web1"), RENAME_DONE);
    intake_forget_host(scene->intake, 1);
    receiver_take_all(scene);
    for (int round = 0; round < 3; round++) /* whichever key is remembered */
        for (int i = 0; i < 2; i++) {
            ask_beat(scene, names[i]);
            assert_int_equal(open_answer(scene, names[i], payload, &len).type, DATAGRAM_ACK);
            receiver_take_all(scene);
            seal_crosswise(scene, names[0], names[1]);
            check_dropped(scene, INTAKE_BAD_SEAL);
            seal_crosswise(scene, names[1], names[0]);
            check_dropped(scene, INTAKE_BAD_SEAL);
        }
    assert_int_equal(receiver_hosts(scene->receiver)->count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_conversation, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(test_layout_faults, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(test_keys, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(test_payloads, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(test_never_longer, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(test_renamed, open_scene, close_scene),
    };
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
