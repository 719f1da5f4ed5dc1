/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_common_datagram.c - every length, every changed byte, and the nonce. Contents are checked by test_vectors.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <sodium.h>
#include <string.h>

#include "common/datagram.h"

static const struct key key = {{1, 2, 3}};
static const uint8_t fresh[DATAGRAM_RANDOM_LEN] = {9};

static size_t seal(uint8_t out[DATAGRAM_LEN_MAX], const char *name, const uint8_t *payload, size_t payload_len)
{
    return datagram_seal(out, DATAGRAM_BEAT, 3, name, strlen(name), payload, payload_len, &key, fresh);
}

/* Copies to a block of just that size, so that reading past the end is seen. */
static int open_exact(uint8_t *out, size_t *out_len, const uint8_t *bytes, size_t len)
{
    uint8_t *copy = test_malloc(len + 1);
    struct datagram datagram;
    memcpy(copy + 1, bytes, len);
    int rc = -2;
    if (datagram_parse(&datagram, copy + 1, len) == DATAGRAM_OK)
        rc = datagram_open(out, out_len, &datagram, &key);
    test_free(copy);
    return rc;
}

static void test_sizes(void **state)
{
    char longest[NAME_LEN_MAX + 1] = {0};
    memset(longest, 'a', NAME_LEN_MAX);
    const char *const names[] = {"a", "web1", longest};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t name_len = strlen(names[i]), room = DATAGRAM_PAYLOAD_MAX + 1 - name_len;
        const size_t lens[] = {0, 1, 63, 64, room};
        for (size_t j = 0; j < sizeof lens / sizeof lens[0]; j++) {
            uint8_t payload[DATAGRAM_PAYLOAD_MAX], opened[DATAGRAM_PAYLOAD_MAX], bytes[DATAGRAM_LEN_MAX];
            size_t opened_len = 0;
            memset(payload, (int)j, sizeof payload);
            size_t len = seal(bytes, names[i], payload, lens[j]);
            assert_int_equal(len, DATAGRAM_HEADER_LEN + name_len + lens[j] + DATAGRAM_TAG_LEN);
            assert_int_equal(open_exact(opened, &opened_len, bytes, len), 0);
            assert_int_equal(opened_len, lens[j]);
            assert_memory_equal(opened, payload, opened_len);
        }
    }
}

/* A datagram that was cut or changed anywhere is refused by one of the two steps. */
static void test_changes(void **state)
{
    uint8_t bytes[DATAGRAM_LEN_MAX + 1], opened[DATAGRAM_PAYLOAD_MAX];
    size_t opened_len;
    size_t len = seal(bytes, "web1", (const uint8_t *)"payload", 7);
    (void)state;
    for (size_t cut = 0; cut < len; cut++)
        assert_int_not_equal(open_exact(opened, &opened_len, bytes, cut), 0);
    for (size_t at = 0; at < len; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[at] ^= (uint8_t)(1u << bit);
            assert_int_not_equal(open_exact(opened, &opened_len, bytes, len), 0);
            bytes[at] ^= (uint8_t)(1u << bit);
        }
    assert_int_equal(open_exact(opened, &opened_len, bytes, len), 0);
    memset(bytes + len, 0, sizeof bytes - len);
    assert_int_equal(open_exact(opened, &opened_len, bytes, len + 1), -1);
    assert_int_equal(open_exact(opened, &opened_len, bytes, sizeof bytes), -2);
}

static void test_faults(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
        enum datagram_fault fault;
    } rows[] = {
        {3, 2, DATAGRAM_BAD_VERSION},
        {0, 'x', DATAGRAM_BAD_VERSION},
        {4, 0, DATAGRAM_BAD_HEADER},
        {4, 4, DATAGRAM_BAD_HEADER},
        {4, 6, DATAGRAM_OK},
        {4, 255, DATAGRAM_BAD_HEADER},
        {5, 0, DATAGRAM_BAD_HEADER},
        {6, 0, DATAGRAM_BAD_HEADER},
        {6, 100, DATAGRAM_BAD_LENGTH},
        {7, 1, DATAGRAM_BAD_HEADER},
        {32, '.', DATAGRAM_BAD_HEADER},
        {4, 2, DATAGRAM_OK},
        {5, 255, DATAGRAM_OK},
        {8, 0xff, DATAGRAM_OK},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[DATAGRAM_LEN_MAX];
        struct datagram datagram;
        size_t len = seal(bytes, "web1", (const uint8_t *)"payload", 7);
        bytes[rows[i].at] = rows[i].value;
        assert_int_equal(datagram_parse(&datagram, bytes, len), rows[i].fault);
    }
}

/* The same text under the same key is the same datagram, anything else another nonce. */
static void test_nonce(void **state)
{
    static const uint8_t other_fresh[DATAGRAM_RANDOM_LEN] = {10};
    static const struct key other_key = {{7}};
    uint8_t a[DATAGRAM_LEN_MAX], b[DATAGRAM_LEN_MAX];
    const uint8_t *text = (const uint8_t *)"text", *text2 = (const uint8_t *)"tex2";
    size_t len = seal(a, "web1", text, 4);
    (void)state;
    assert_int_equal(seal(b, "web1", text, 4), len);
    assert_memory_equal(a, b, len);
    seal(b, "web1", text2, 4);
    assert_memory_not_equal(a + 8, b + 8, DATAGRAM_NONCE_LEN);
    datagram_seal(b, DATAGRAM_BEAT, 3, "web1", 4, text, 4, &key, other_fresh);
    assert_memory_not_equal(a + 8, b + 8, DATAGRAM_NONCE_LEN);
    datagram_seal(b, DATAGRAM_BEAT, 3, "web1", 4, text, 4, &other_key, fresh);
    assert_memory_not_equal(a + 8, b + 8, DATAGRAM_NONCE_LEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes), cmocka_unit_test(test_changes),
                                       cmocka_unit_test(test_faults), cmocka_unit_test(test_nonce)};
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
