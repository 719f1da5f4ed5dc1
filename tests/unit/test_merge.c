/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_merge.c - several records of one host as one: the best of each second, who tells it, and rows. Random logs are held
 * against the plainest merge there is, second by second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "receiver/report/merge.h"
#include "receiver/report/outages.h"
#include "receiver/report/rows.h"
#include "receiver/report/uptime.h"

#define SECONDS 600
#define PARTS 3

static void add(struct timeline *timeline, int64_t at, enum state state, enum cause cause)
{
    struct transition line = {.number = (uint32_t)(timeline->count + timeline->alias_count) + 1,
                              .at = at,
                              .state = state,
                              .cause = cause,
                              .earliest = at - 3,
                              .latest = at + 2};
    assert_int_equal(timeline_add(timeline, &line), 0);
    timeline_relabel(timeline);
}

/* What a part says of a second, -1: nothing. */
static const struct timeline_span *says(const struct merge_part *part, int64_t at)
{
    const struct timeline_span *found = NULL;
    for (size_t i = 0; i < part->timeline->count && part->timeline->spans[i].from <= at; i++)
        found = &part->timeline->spans[i];
    return at < part->limit ? found : NULL;
}

static enum state best(const struct merge_part *parts, size_t count, int64_t at)
{
    static const enum state order[] = {STATE_UP, STATE_ADMIN, STATE_DOWN};
    for (size_t s = 0; s < sizeof order / sizeof *order; s++)
        for (size_t i = 0; i < count; i++) {
            const struct timeline_span *span = says(&parts[i], at);
            if (span && span->state == order[s])
                return order[s];
        }
    return STATE_UNKNOWN;
}

static void fill_randomly(struct timeline *timeline)
{
    static const enum cause causes[] = {CAUSE_SILENT, CAUSE_UNREACHABLE, CAUSE_REBOOT};
    static const enum state states[] = {STATE_UP, STATE_DOWN, STATE_ADMIN, STATE_UNKNOWN};
    for (int64_t at = rand() % 100; at < SECONDS; at += 1 + rand() % 60) {
        enum state state = states[rand() % 4];
        add(timeline, at, state, state == STATE_UP ? CAUSE_NONE : causes[rand() % 3]);
    }
    if (timeline->count > 1 && rand() % 3 == 0) {
        const struct timeline_span *span = &timeline->spans[1 + (size_t)rand() % (timeline->count - 1)];
        char reason[] = "so";
        struct timeline_relabel relabel = {
            .id = 1, .number = span->first_number, .state = states[rand() % 4], .reason = reason};
        assert_int_equal(timeline_add_relabel(timeline, &relabel), 0);
        timeline_relabel(timeline);
    }
}

/* The teller of a span has that state, with that cause, in a second of it; and neighbours differ. */
static void check_spans(const struct merged *merged, const struct merge_part *parts)
{
    const struct timeline *timeline = &merged->timeline;
    for (size_t i = 0; i < timeline->count; i++) {
        const struct timeline_span *span = &timeline->spans[i];
        int64_t to = i + 1 < timeline->count ? timeline->spans[i + 1].from : SECONDS + 100;
        assert_true(span->earliest <= span->from && span->from <= span->latest && span->from < to);
        if (i > 0)
            assert_false(span[-1].told == span->told && span[-1].state == span->state &&
                         span[-1].cause == span->cause && span[-1].relabel == span->relabel);
        bool found = merged->tellers[i] == MERGE_NOBODY;
        for (int64_t at = span->from; at < to && !found; at++) {
            const struct timeline_span *said = says(&parts[merged->tellers[i]], at);
            found = said && said->state == span->state && said->cause == span->cause && said->number == span->number;
        }
        assert_true(found || span->from >= merged->limit);
    }
}

static void takes_the_best_of_each_second(void **state)
{
    (void)state;
    const char *given = getenv("TWOBEAT_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    printf("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 2000; round++) {
        struct timeline timelines[PARTS] = {{0}};
        struct merge_part parts[PARTS];
        struct merged merged = {0};
        size_t count = 1 + (size_t)rand() % PARTS;
        int64_t limit = -1;
        for (size_t i = 0; i < count; i++) {
            if (rand() % 5)
                fill_randomly(&timelines[i]);
            parts[i] = (struct merge_part){&timelines[i], rand() % 2 ? SECONDS : rand() % SECONDS};
            if (timelines[i].count > 0 && parts[i].limit > limit)
                limit = parts[i].limit;
        }
        assert_int_equal(merge_parts(parts, count, &merged), 0);
        if (limit >= 0)
            assert_int_equal(merged.limit, limit);
        for (int64_t at = -5; at < SECONDS + 5; at++) {
            struct uptime one;
            enum state wanted = best(parts, count, at);
            uptime_count(&merged.timeline, at, at + 1, merged.limit, &one);
            assert_int_equal(wanted == STATE_UP, one.up);
            assert_int_equal(wanted == STATE_DOWN, one.down);
            assert_int_equal(wanted == STATE_ADMIN, one.admin);
        }
        check_spans(&merged, parts);
        merged_free(&merged);
        for (size_t i = 0; i < count; i++)
            timeline_free(&timelines[i]);
    }
}

static void assert_same_span(const struct timeline_span *a, const struct timeline_span *b)
{
    assert_int_equal(a->from, b->from);
    assert_int_equal(a->earliest, b->earliest);
    assert_int_equal(a->latest, b->latest);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->told, b->told);
    assert_int_equal(a->cause, b->cause);
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->first_number, b->first_number);
    assert_ptr_equal(a->relabel, b->relabel);
}

static void one_record_is_the_merge_of_one(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct timeline alone = {0};
        struct merged merged = {0};
        fill_randomly(&alone);
        struct merge_part part = {&alone, rand() % SECONDS};
        assert_int_equal(merge_parts(&part, 1, &merged), 0);
        assert_int_equal(merged.timeline.count, alone.count);
        for (size_t i = 0; i < alone.count; i++)
            assert_same_span(&merged.timeline.spans[i], &alone.spans[i]);
        assert_int_equal(merged.limit, part.limit);
        merged_free(&merged);
        timeline_free(&alone);
    }
}

/* Two saw an outage; the one that saw most of it was off in its middle. */
static void an_outage_is_told_by_one_record(void **state)
{
    (void)state;
    struct timeline first = {0}, second = {0};
    struct merged merged = {0};
    add(&first, 0, STATE_UP, CAUSE_NONE);
    add(&first, 100, STATE_DOWN, CAUSE_UNREACHABLE);
    add(&first, 150, STATE_UNKNOWN, CAUSE_RECEIVER_OFF);
    add(&first, 160, STATE_DOWN, CAUSE_UNREACHABLE);
    add(&first, 205, STATE_UP, CAUSE_NONE);
    add(&second, 0, STATE_UP, CAUSE_NONE);
    add(&second, 104, STATE_DOWN, CAUSE_SILENT);
    add(&second, 165, STATE_UNKNOWN, CAUSE_RECEIVER_OFF);
    add(&second, 200, STATE_UP, CAUSE_NONE);
    struct merge_part parts[] = {{&second, 1000}, {&first, 1000}};
    assert_int_equal(merge_parts(parts, 2, &merged), 0);
    struct outage outage;
    size_t index = 0;
    assert_true(outages_next(&merged.timeline, 0, 1000, merged.limit, &index, &outage));
    assert_int_equal(outage.from, 104); /* until then the second one heard it */
    assert_int_equal(outage.from_earliest, 101);
    assert_int_equal(outage.from_latest, 106);
    assert_int_equal(outage.to, 200);
    assert_int_equal(outage.to_latest, 202);
    assert_int_equal(outage.cause, CAUSE_UNREACHABLE);
    assert_int_equal(merged.tellers[index - 1], 1);
    assert_false(outages_next(&merged.timeline, 0, 1000, merged.limit, &index, &outage));
    merged_free(&merged);
    timeline_free(&first);
    timeline_free(&second);
}

/* What somebody said was up stays an outage that is listed, though another record tells most of the time around it. */
static void what_was_said_to_be_up_is_listed(void **state)
{
    (void)state;
    struct timeline most = {0}, said = {0};
    struct merged merged = {0};
    char reason[] = "so";
    struct timeline_relabel relabel = {.id = 1, .number = 2, .state = STATE_UP, .reason = reason};
    add(&most, 0, STATE_UP, CAUSE_NONE);
    add(&most, 100, STATE_UNKNOWN, CAUSE_RECEIVER_OFF);
    add(&most, 110, STATE_UP, CAUSE_NONE);
    add(&said, 90, STATE_UP, CAUSE_NONE);
    add(&said, 100, STATE_DOWN, CAUSE_SILENT);
    add(&said, 110, STATE_UP, CAUSE_NONE);
    add(&said, 120, STATE_UNKNOWN, CAUSE_RECEIVER_OFF);
    assert_int_equal(timeline_add_relabel(&said, &relabel), 0);
    timeline_relabel(&said);
    struct merge_part parts[] = {{&most, 1000}, {&said, 1000}};
    assert_int_equal(merge_parts(parts, 2, &merged), 0);
    struct outage outage;
    size_t index = 0;
    assert_true(outages_next(&merged.timeline, 0, 1000, merged.limit, &index, &outage));
    assert_int_equal(outage.from, 100);
    assert_int_equal(outage.to, 110);
    assert_int_equal(outage.state, STATE_UP);
    assert_int_equal(outage.told, STATE_DOWN);
    assert_false(outages_next(&merged.timeline, 0, 1000, merged.limit, &index, &outage));
    merged_free(&merged);
    timeline_free(&most);
    timeline_free(&said);
}

/* A copy that is old says nothing of what came after it; a record that never heard the host does not end it. */
static void an_old_copy_is_unknown_and_not_down(void **state)
{
    (void)state;
    struct timeline old = {0}, cut_off = {0}, nothing = {0};
    struct merged merged = {0};
    struct uptime seconds;
    add(&old, 0, STATE_UP, CAUSE_NONE);
    add(&old, 90, STATE_DOWN, CAUSE_SILENT);
    add(&cut_off, 0, STATE_UP, CAUSE_NONE);
    add(&cut_off, 50, STATE_UNKNOWN, CAUSE_RECEIVER_ISOLATED);
    struct merge_part parts[] = {{&old, 100}, {&cut_off, 200}, {&nothing, 900}};
    assert_int_equal(merge_parts(parts, 3, &merged), 0);
    assert_int_equal(merged.limit, 200);
    uptime_count(&merged.timeline, 0, 300, merged.limit, &seconds);
    assert_int_equal(seconds.up, 90);
    assert_int_equal(seconds.down, 10);
    assert_int_equal(seconds.unknown, 200);
    merged_free(&merged);
    timeline_free(&old);
    timeline_free(&cut_off);
}

/* The receiver that a host has left does not end it; what it was told there before still counts. */
static void a_host_that_moved_lives_where_it_went(void **state)
{
    (void)state;
    struct timeline left = {0}, went = {0};
    struct merged merged = {0};
    struct uptime seconds;
    add(&left, 0, STATE_UP, CAUSE_NONE);
    add(&left, 50, STATE_UNKNOWN, CAUSE_MOVED);
    add(&went, 48, STATE_UP, CAUSE_NONE);
    struct merge_part parts[] = {{&left, 300}, {&went, 200}};
    for (size_t count = 2; count >= 1; count--) {
        assert_int_equal(merge_parts(parts, count, &merged), 0);
        assert_int_equal(merged.limit, count == 2 ? 200 : 300);
        assert_int_equal(merged.timeline.count, count == 2 ? 1 : 2);
        uptime_count(&merged.timeline, 0, 300, merged.limit, &seconds);
        assert_int_equal(seconds.up, count == 2 ? 200 : 50);
        merged_free(&merged);
    }
    timeline_free(&left);
    timeline_free(&went);
}

static void rows_are_merged_to_the_larger(void **state)
{
    (void)state;
    struct row rows[] = {{0, 0, 0}, {900, 0, 900}, {450, 450, 900}, {0, 0, 400}, {100.0000001, 0, 899.9999999}};
    const struct row others[] = {{0, 900, 900}, {0, 0, 900}, {900, 0, 900}, {0, 0, 0}, {0, 0, 900}};
    struct uptime sum;
    rows_merge(rows, others, 5);
    rows_count(rows, 5, 900, &sum);
    assert_int_equal(sum.up, 900 + 900 + 100);
    assert_int_equal(sum.admin, 900);
    assert_int_equal(sum.down, 400 + 800);
    assert_int_equal(sum.unknown, 500);
    struct timeline timeline = {0};
    add(&timeline, 1000, STATE_UP, CAUSE_NONE);
    add(&timeline, 1700, STATE_DOWN, CAUSE_SILENT);
    rows_from_timeline(&timeline, 1900, 900, 900, rows, 2);
    assert_float_equal(rows[0].up, 700, 0);
    assert_float_equal(rows[0].known, 800, 0);
    assert_float_equal(rows[1].known, 100, 0); /* up to the limit */
    timeline_free(&timeline);
}

static void rows_of_a_log_hold_its_seconds(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        enum { ROWS = 50 };
        struct timeline timeline = {0};
        struct row rows[ROWS];
        fill_randomly(&timeline);
        int64_t limit = rand() % SECONDS, from = rand() % 100 - 50, row_s = 1 + rand() % 30;
        rows_from_timeline(&timeline, limit, from, row_s, rows, ROWS);
        for (size_t i = 0; i < ROWS; i++) {
            struct uptime seconds;
            int64_t begin = from + (int64_t)i * row_s;
            uptime_count(&timeline, begin, begin + row_s, limit, &seconds);
            assert_int_equal((int64_t)rows[i].up, seconds.up);
            assert_int_equal((int64_t)rows[i].admin, seconds.admin);
            assert_int_equal((int64_t)rows[i].known, seconds.up + seconds.admin + seconds.down);
        }
        timeline_free(&timeline);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_best_of_each_second),    cmocka_unit_test(one_record_is_the_merge_of_one),
        cmocka_unit_test(an_outage_is_told_by_one_record),  cmocka_unit_test(an_old_copy_is_unknown_and_not_down),
        cmocka_unit_test(rows_are_merged_to_the_larger),    cmocka_unit_test(rows_of_a_log_hold_its_seconds),
        cmocka_unit_test(what_was_said_to_be_up_is_listed), cmocka_unit_test(a_host_that_moved_lives_where_it_went),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
