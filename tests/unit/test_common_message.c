/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_common_message.c - lengths and values that are refused or ignored. The layouts are checked by test_vectors.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "common/message.h"

#define BEAT_LEN (BEAT_FIXED_LEN + 8 * METRIC_COUNT)

static size_t some_beat(uint8_t out[BEAT_LEN_MAX])
{
    struct beat beat = {.session = 1, .counter = 2, .number = 3, .flags = BEAT_FLAG_KEPT};
    for (size_t i = 0; i < METRIC_COUNT; i++)
        beat.metrics[i] = 1 + (double)i;
    memset(out, 0, BEAT_LEN_MAX);
    return beat_encode(&beat, out);
}

static void test_beat_lengths(void **state)
{
    uint8_t bytes[BEAT_LEN_MAX + 8];
    struct beat beat;
    memset(bytes, 0, sizeof bytes);
    (void)state;
    assert_int_equal(some_beat(bytes), BEAT_LEN);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        bool right = len >= BEAT_FIXED_LEN && (len - BEAT_FIXED_LEN) % 8 == 0 && len <= BEAT_LEN_MAX;
        assert_int_equal(beat_decode(&beat, bytes, len), right ? 0 : -1);
        for (size_t i = 0; right && i < METRIC_COUNT; i++) {
            bool there = len >= BEAT_FIXED_LEN + 8 * (i + 1);
            assert_int_equal(isnan(beat.metrics[i]), !there);
            assert_true(!there || fabs(beat.metrics[i] - 1 - (double)i) < 1e-9);
        }
    }
}

static void test_beat_values(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
        int rc;
    } rows[] = {
        {15, 0, -1},                /* counter 0 */
        {19, 0, -1},                /* number 0 */
        {68, 3, 0},    {68, 4, -1}, /* previous end */
        {89, 0xff, 0},              /* flags of a later version */
        {7, 0, 0},                  /* any session */
        {27, 1, 0},                 /* any interval: the judge bounds it */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[BEAT_LEN_MAX];
        struct beat beat;
        size_t len = some_beat(bytes);
        bytes[rows[i].at] = rows[i].value;
        assert_int_equal(beat_decode(&beat, bytes, len), rows[i].rc);
    }
}

static void test_ack(void **state)
{
    const struct ack ack = {.session = 5, .counter = UINT64_MAX, .safe = 7};
    uint8_t bytes[BEAT_LEN_MAX];
    struct ack again;
    (void)state;
    memset(bytes, 0xaa, sizeof bytes);
    assert_int_equal(ack_encode(&ack, bytes), 20);
    assert_int_equal(bytes[20], 0xaa);
    for (size_t len = 0; len < 30; len++)
        assert_int_equal(ack_decode(&again, bytes, len), len < 20 ? -1 : 0);
    assert_memory_equal(&again, &ack, offsetof(struct ack, safe) + sizeof ack.safe);
    memset(bytes + 8, 0, 8);
    assert_int_equal(ack_decode(&again, bytes, 20), -1);
}

static void test_challenge(void **state)
{
    const struct challenge challenge = {.session = 5, .counter = 6, .value = {1, 2, 3}};
    uint8_t bytes[BEAT_LEN_MAX] = {0};
    struct challenge again;
    (void)state;
    assert_int_equal(challenge_encode(&challenge, bytes), 32);
    for (size_t len = 0; len < 40; len++)
        assert_int_equal(challenge_decode(&again, bytes, len), len < 32 ? -1 : 0);
    assert_memory_equal(again.value, challenge.value, ECHO_LEN);
}

static void test_bye(void **state)
{
    const struct bye bye = {.session = 5, .counter = 6, .age_ms = 7, .agent_start = 8, .reason = BYE_SHUTDOWN};
    uint8_t bytes[BEAT_LEN_MAX];
    struct bye again;
    (void)state;
    memset(bytes, 0xaa, sizeof bytes);
    assert_int_equal(bye_encode(&bye, bytes), 48);
    assert_memory_equal(bytes + 45, "\0\0\0", 3);
    for (size_t len = 0; len < 60; len++)
        assert_int_equal(bye_decode(&again, bytes, len), len < 48 ? -1 : 0);
    assert_int_equal(again.age_ms, 7);
    assert_int_equal(again.reason, BYE_SHUTDOWN);
    for (unsigned reason = 0; reason < 256; reason++) {
        bytes[44] = (uint8_t)reason;
        bytes[45] = reason & 4 ? 0xfe : 0; /* of flags to come nothing is known */
        assert_int_equal(bye_decode(&again, bytes, 48), reason == 1 || reason == 2 ? 0 : -1);
    }
}

/* A receiver that does not know the flag takes the agent as stopped. */
static void test_bye_moved(void **state)
{
    const struct bye bye = {.session = 5, .counter = 6, .agent_start = 8, .reason = BYE_MOVED};
    uint8_t bytes[BEAT_LEN_MAX];
    struct bye again;
    (void)state;
    assert_int_equal(bye_encode(&bye, bytes), 48);
    assert_memory_equal(bytes + 44, "\1\1\0\0", 4);
    assert_int_equal(bye_decode(&again, bytes, 48), 0);
    assert_int_equal(again.reason, BYE_MOVED);
    bytes[44] = BYE_SHUTDOWN; /* who goes down moves nowhere */
    assert_int_equal(bye_decode(&again, bytes, 48), 0);
    assert_int_equal(again.reason, BYE_SHUTDOWN);
    bytes[44] = 3;
    assert_int_equal(bye_decode(&again, bytes, 48), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_beat_lengths), cmocka_unit_test(test_beat_values),
                                       cmocka_unit_test(test_ack),          cmocka_unit_test(test_challenge),
                                       cmocka_unit_test(test_bye),          cmocka_unit_test(test_bye_moved)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
