/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_fact.c - every fact comes back as it was written, and what makes no sense is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>

#include "receiver/judge/fact.h"

static struct fact some_beat(bool same_run)
{
    struct fact fact = {.type = FACT_BEAT, .now = {5000 * NS_PER_S}, .host = 70000};
    struct fact_beat *beat = &fact.beat;
    *beat = (struct fact_beat){.at = {4999 * NS_PER_S + 17},
                               .kept = true,
                               .same_run = same_run,
                               .number = UINT32_MAX,
                               .oldest_kept = 1,
                               .uptime_ms = FACT_UPTIME_MS_MAX,
                               .run_ms = 3};
    if (!same_run) {
        beat->session = UINT64_MAX;
        beat->agent_start = 9;
        beat->previous_end = 2;
        beat->interval_ms = 60000;
        memset(beat->boot_id, 0xab, sizeof beat->boot_id);
    }
    for (int i = 0; i < METRIC_COUNT; i++)
        beat->metrics[i] = i % 5 ? 1.1 * i : NAN;
    fact_round_metrics(beat->metrics);
    return fact;
}

static void check_beat(const struct fact_beat *a, const struct fact_beat *b)
{
    assert_int_equal(a->at.ns, b->at.ns);
    assert_int_equal(a->kept, b->kept);
    assert_int_equal(a->same_run, b->same_run);
    assert_int_equal(a->session, b->session);
    assert_memory_equal(a->boot_id, b->boot_id, sizeof a->boot_id);
    assert_int_equal(a->agent_start, b->agent_start);
    assert_int_equal(a->previous_end, b->previous_end);
    assert_int_equal(a->interval_ms, b->interval_ms);
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->oldest_kept, b->oldest_kept);
    assert_int_equal(a->uptime_ms, b->uptime_ms);
    assert_int_equal(a->run_ms, b->run_ms);
    for (int i = 0; i < METRIC_COUNT; i++)
        assert_true(isnan(a->metrics[i]) ? isnan(b->metrics[i]) : fabs(a->metrics[i] - b->metrics[i]) < 1e-12);
}

static size_t write_all(struct fact *facts, size_t count, uint8_t *bytes, size_t size)
{
    struct codec writer = codec_writer(bytes, size);
    struct instant previous = {0};
    for (size_t i = 0; i < count; i++) {
        size_t begin = writer.pos;
        fact_visit(&writer, &facts[i], &previous);
        assert_true(writer.pos - begin <= FACT_LEN_MAX);
    }
    assert_false(writer.failed);
    return writer.pos;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct fact facts[] = {
        some_beat(false),
        some_beat(true),
        {.type = FACT_BYE, .now = {5001 * NS_PER_S}, .host = 2, .bye = {{5000 * NS_PER_S}, 9, 2}},
        {.type = FACT_JUDGED, .now = {5002 * NS_PER_S}},
        {.type = FACT_ABSENCE,
         .now = {5003 * NS_PER_S},
         .absence = {{5002 * NS_PER_S}, {5003 * NS_PER_S}, CAUSE_RECEIVER_OFF}},
        {.type = FACT_DROPS, .now = {5003 * NS_PER_S}},
        {.type = FACT_WINDOWS, .now = {5004 * NS_PER_S}},
        {.type = FACT_SETTINGS, .now = {5004 * NS_PER_S}, .settings = {1800 * NS_PER_S, true}},
        {.type = FACT_FORGOTTEN, .now = {5005 * NS_PER_S}, .host = 7, .forgotten = {{4990 * NS_PER_S}}},
    };
    size_t count = sizeof facts / sizeof *facts;
    uint8_t bytes[4096];
    struct fact written[sizeof facts / sizeof *facts]; /* a visit may touch what it writes */
    memcpy(written, facts, sizeof facts);
    size_t len = write_all(written, count, bytes, sizeof bytes);
    struct codec reader = codec_reader(bytes, len);
    struct instant previous = {0};
    for (size_t i = 0; i < count; i++) {
        struct fact fact = {0};
        fact_visit(&reader, &fact, &previous);
        assert_false(reader.failed);
        assert_int_equal(fact.type, facts[i].type);
        assert_int_equal(fact.now.ns, facts[i].now.ns);
        assert_int_equal(fact.host, facts[i].host);
        if (fact.type == FACT_BEAT)
            check_beat(&facts[i].beat, &fact.beat);
        else if (fact.type == FACT_BYE)
            assert_int_equal(fact.bye.agent_start * 10 + fact.bye.reason, 92);
        else if (fact.type == FACT_ABSENCE)
            assert_int_equal(instant_since(fact.absence.to, fact.absence.from), NS_PER_S);
        else if (fact.type == FACT_FORGOTTEN)
            assert_int_equal(fact.forgotten.at.ns, facts[i].forgotten.at.ns);
        else if (fact.type == FACT_SETTINGS)
            assert_int_equal(fact.settings.planned_limit_ns / NS_PER_S * 10 + fact.settings.conservative, 18001);
    }
    assert_int_equal(codec_left(&reader), 0);
}

static bool reads(const uint8_t *bytes, size_t len)
{
    struct codec reader = codec_reader(bytes, len);
    struct instant previous = {0};
    struct fact fact = {0};
    fact_visit(&reader, &fact, &previous);
    return !reader.failed;
}

static void test_refused(void **state)
{
    (void)state;
    uint8_t bytes[FACT_LEN_MAX];
    struct fact beat = some_beat(false);
    size_t len = write_all(&beat, 1, bytes, sizeof bytes);
    assert_true(reads(bytes, len));
    for (size_t cut = 0; cut < len; cut++)
        assert_false(reads(bytes, cut));
    for (unsigned type = 0; type < 256; type++) {
        uint8_t short_fact[2] = {(uint8_t)type, 0};
        assert_int_equal(reads(short_fact, 2),
                         type == FACT_JUDGED || type == FACT_DROPS || type == FACT_WINDOWS || type == FACT_CONTACT);
    }
    /* Times that no clock tells, and an absence that ends before it begins. */
    static const uint8_t far[] = {FACT_JUDGED, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1};
    assert_false(reads(far, sizeof far));
    struct fact absence = {.type = FACT_ABSENCE, .absence = {{2}, {3}, CAUSE_RECEIVER_OFF}};
    len = write_all(&absence, 1, bytes, sizeof bytes);
    assert_true(reads(bytes, len));
    bytes[len - 1] = CAUSE_COUNT;
    assert_false(reads(bytes, len));
    bytes[len - 1] = CAUSE_RECEIVER_OFF;
    bytes[len - 2] = 2;
    assert_false(reads(bytes, len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
