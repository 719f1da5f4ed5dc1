/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_common_codec.c - the bytes of every kind of field, and what happens at the end of the buffer. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "common/codec.h"

/* One of each, as a layout would visit them. */
struct all {
    uint8_t a;
    uint16_t b;
    uint32_t c;
    uint64_t d;
    int64_t e;
    float f;
    double g;
    uint8_t h[3];
};

static void all_visit(struct codec *c, struct all *all)
{
    codec_u8(c, &all->a);
    codec_u16(c, &all->b);
    codec_u32(c, &all->c);
    codec_u64(c, &all->d);
    codec_i64(c, &all->e);
    codec_f32(c, &all->f);
    codec_f64(c, &all->g);
    codec_bytes(c, all->h, sizeof all->h);
}

static const uint8_t all_bytes[] = {
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd,                      /* u8 u16 u32 */
    0x80, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,                /* u64 */
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,                /* -2 */
    0xbf, 0x80, 0x00, 0x00,                                        /* -1.0f */
    0x3f, 0xf8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 'x', 'y', 'z', /* 1.5 */
};

static const struct all all_values = {1, 0x2345, 0x6789abcd, 0x8001020304050607, -2, -1.0f, 1.5, {'x', 'y', 'z'}};

static void test_fixed_write(void **state)
{
    uint8_t out[sizeof all_bytes];
    struct all all = all_values;
    struct codec c = codec_writer(out, sizeof out);
    (void)state;
    all_visit(&c, &all);
    assert_false(c.failed);
    assert_int_equal(codec_left(&c), 0);
    assert_memory_equal(out, all_bytes, sizeof out);
}

static void test_fixed_read(void **state)
{
    struct all all;
    memset(&all, 0x55, sizeof all);
    struct codec c = codec_reader(all_bytes, sizeof all_bytes);
    (void)state;
    all_visit(&c, &all);
    assert_false(c.failed);
    assert_int_equal(all.a, all_values.a);
    assert_int_equal(all.b, all_values.b);
    assert_int_equal(all.c, all_values.c);
    assert_true(all.d == all_values.d && all.e == all_values.e);
    assert_true(all.f >= all_values.f && all.f <= all_values.f && all.g >= all_values.g && all.g <= all_values.g);
    assert_memory_equal(all.h, all_values.h, sizeof all.h);
}

/* Whatever the length of the buffer, nothing outside is touched (the sanitizers look on) and the failure is told. */
static void test_short_buffers(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof all_bytes; len++) {
        uint8_t bytes[sizeof all_bytes];
        struct all all = all_values;
        memset(bytes, 0xee, sizeof bytes);
        struct codec writer = codec_writer(bytes, len);
        all_visit(&writer, &all);
        assert_true(writer.failed);
        for (size_t i = len; i < sizeof bytes; i++)
            assert_int_equal(bytes[i], 0xee);

        struct codec reader = codec_reader(all_bytes, len);
        all_visit(&reader, &all);
        assert_true(reader.failed);
        assert_int_equal(all.h[0], 0); /* the last field is never there */
    }
}

/* After a failure nothing succeeds, although a smaller field would fit. */
static void test_failure_stays(void **state)
{
    const uint8_t one[] = {7};
    uint32_t wide = 1;
    uint8_t narrow = 1;
    struct codec c = codec_reader(one, sizeof one);
    (void)state;
    codec_u32(&c, &wide);
    codec_u8(&c, &narrow);
    assert_true(c.failed);
    assert_int_equal(wide, 0);
    assert_int_equal(narrow, 0);
}

static void test_varint(void **state)
{
    static const struct {
        uint64_t value;
        size_t len;
        uint8_t bytes[10];
    } rows[] = {
        {0, 1, {0}},
        {127, 1, {0x7f}},
        {128, 2, {0x80, 0x01}},
        {300, 2, {0xac, 0x02}},
        {UINT32_MAX, 5, {0xff, 0xff, 0xff, 0xff, 0x0f}},
        {UINT64_MAX, 10, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t out[10];
        uint64_t value = rows[i].value;
        struct codec writer = codec_writer(out, sizeof out);
        codec_varint(&writer, &value);
        assert_false(writer.failed);
        assert_int_equal(writer.pos, rows[i].len);
        assert_memory_equal(out, rows[i].bytes, rows[i].len);

        value = 1;
        struct codec reader = codec_reader(rows[i].bytes, rows[i].len);
        codec_varint(&reader, &value);
        assert_false(reader.failed);
        assert_true(value == rows[i].value);
    }
}

static void test_varint_refused(void **state)
{
    static const struct {
        size_t len;
        uint8_t bytes[11];
    } rows[] = {
        {0, {0}},
        {1, {0x80}},                                                              /* ends in the middle */
        {10, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}},       /* 65 bits */
        {11, {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}}, /* eleven bytes */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value = 1;
        struct codec c = codec_reader(rows[i].bytes, rows[i].len);
        codec_varint(&c, &value);
        assert_true(c.failed);
        assert_true(value == 0);
    }
}

static void test_svarint(void **state)
{
    static const struct {
        int64_t value;
        size_t len;
    } rows[] = {{0, 1}, {-1, 1}, {63, 1}, {-64, 1}, {64, 2}, {-65, 2}, {INT64_MAX, 10}, {INT64_MIN, 10}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[10];
        int64_t value = rows[i].value;
        struct codec writer = codec_writer(bytes, sizeof bytes);
        codec_svarint(&writer, &value);
        assert_int_equal(writer.pos, rows[i].len);
        value = 5;
        struct codec reader = codec_reader(bytes, writer.pos);
        codec_svarint(&reader, &value);
        assert_false(reader.failed);
        assert_true(value == rows[i].value);
    }
}

static void test_nan(void **state)
{
    static const uint8_t bytes[] = {0x7f, 0xf8, 0, 0, 0, 0, 0, 0};
    double value = 0;
    struct codec c = codec_reader(bytes, sizeof bytes);
    (void)state;
    codec_f64(&c, &value);
    assert_true(isnan(value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixed_write),   cmocka_unit_test(test_fixed_read), cmocka_unit_test(test_short_buffers),
        cmocka_unit_test(test_failure_stays), cmocka_unit_test(test_varint),     cmocka_unit_test(test_varint_refused),
        cmocka_unit_test(test_svarint),       cmocka_unit_test(test_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
