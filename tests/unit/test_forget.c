/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_forget.c - hosts that an operator forgets: what the log says, and what opens it again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "receiver/record/timeline.h"
#include "tests/lib/shelf.h"
#include "tests/lib/speaker.h"

#define ZERO INT64_C(1700000000)

struct fixture {
    struct shelf shelf;
    struct receiver *receiver;
    struct speaker speaker;
};

static struct instant at(int64_t second)
{
    return (struct instant){(1000000 + second) * NS_PER_S};
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->shelf.options = (struct receiver_options){.planned_limit_ns = 1800 * NS_PER_S, .host_count_max = 10};
    f->receiver = receiver_create(&f->shelf.options);
    assert_non_null(f->receiver);
    shelf_start(&f->shelf, f->receiver, at(0), (struct wall){ZERO * NS_PER_S});
    speaker_init(&f->speaker, "web1", at(0), 60000);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    assert_null(f->shelf.fault);
    receiver_destroy(f->receiver);
    shelf_free(&f->shelf);
    free(f);
    return 0;
}

static const struct host *the_host(const struct fixture *f)
{
    return receiver_hosts(f->receiver)->hosts[1];
}

/* A beat each minute, the last one at `to`. */
static void beats(struct fixture *f, int64_t from, int64_t to)
{
    for (int64_t t = from; t <= to; t += 60) {
        (void)speaker_tell(&f->speaker, f->receiver, at(t));
        receiver_judge(f->receiver, at(t));
    }
}

static void forget(struct fixture *f, int64_t now)
{
    assert_int_equal(receiver_forget(f->receiver, at(now), 1, at(now)), 0);
    shelf_store(&f->shelf, f->receiver, at(now));
}

struct expected {
    int64_t from;
    enum state state;
    enum cause cause;
};

/* The log folds into these spans. A restart, from the checkpoint or without one, finds the same. */
static void assert_spans(struct fixture *f, int64_t now, const struct expected *expected, size_t count)
{
    struct timeline timeline = {0};
    shelf_store(&f->shelf, f->receiver, at(now));
    for (size_t i = 0; i < f->shelf.line_count; i++)
        assert_int_equal(timeline_add(&timeline, &f->shelf.lines[i]), 0);
    assert_int_equal(timeline.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(timeline.spans[i].from, ZERO + expected[i].from);
        assert_int_equal(timeline.spans[i].state, expected[i].state);
        assert_int_equal(timeline.spans[i].cause, expected[i].cause);
    }
    timeline_free(&timeline);
    for (int round = 0; round < 2; round++) {
        struct receiver *fresh = shelf_load(&f->shelf);
        assert_non_null(fresh);
        assert_true(shelf_same(fresh, f->receiver));
        receiver_destroy(fresh);
        shelf_checkpoint(&f->shelf, f->receiver, 1, at(now));
    }
}

static void test_is_closed_and_opened_again(void **state)
{
    struct fixture *f = *state;
    beats(f, 0, 600);
    forget(f, 630);
    assert_int_equal(host_live_state(the_host(f)), STATE_UNKNOWN);
    assert_false(instant_before(receiver_due(f->receiver), at(90000)) &&
                 instant_before(verdict_due(the_host(f)), INSTANT_NEVER));
    receiver_judge(f->receiver, at(90000));
    receiver_stalled(f->receiver, at(90000), at(90300));
    shelf_add_window(&f->shelf, f->receiver, at(90400), 1, "*", (struct window){at(90400), INSTANT_NEVER});
    receiver_judge(f->receiver, at(200000));
    const struct expected closed[] = {{0, STATE_UP, CAUSE_NONE}, {630, STATE_UNKNOWN, CAUSE_FORGOTTEN}};
    assert_spans(f, 200000, closed, 2);
    assert_int_equal(receiver_forget(f->receiver, at(200001), 1, at(200001)), -1);
    assert_int_equal(receiver_forget(f->receiver, at(200001), 2, at(200001)), -1);

    shelf_end_window(&f->shelf, f->receiver, at(200010), 1);
    beats(f, 300000, 300600);
    receiver_judge(f->receiver, at(310000));
    const struct expected opened[] = {{0, STATE_UP, CAUSE_NONE},
                                      {630, STATE_UNKNOWN, CAUSE_FORGOTTEN},
                                      {300000, STATE_UP, CAUSE_NONE},
                                      {300630, STATE_DOWN, CAUSE_SILENT}};
    assert_spans(f, 310000, opened, 4);
}

/* The silence before is left as it was told, and another boot afterwards tells nothing of it. */
static void test_of_one_that_is_down(void **state)
{
    struct fixture *f = *state;
    beats(f, 0, 600);
    receiver_judge(f->receiver, at(1000));
    assert_int_equal(the_host(f)->state, STATE_DOWN);
    forget(f, 5000);
    receiver_judge(f->receiver, at(9000));
    speaker_reboot(&f->speaker, at(2000), PREVIOUS_SHUTDOWN);
    beats(f, 10000, 10300);
    const struct expected spans[] = {{0, STATE_UP, CAUSE_NONE},
                                     {630, STATE_DOWN, CAUSE_SILENT},
                                     {5000, STATE_UNKNOWN, CAUSE_FORGOTTEN},
                                     {10000, STATE_UP, CAUSE_NONE}};
    assert_spans(f, 10300, spans, 4);
}

static void test_what_does_not_open_it(void **state)
{
    struct fixture *f = *state;
    beats(f, 0, 600);
    forget(f, 630);
    struct bye bye = speaker_bye(&f->speaker, BYE_SHUTDOWN);
    (void)speaker_send_bye(&f->speaker, f->receiver, at(640), &bye);
    struct beat kept = speaker_beat(&f->speaker, at(610), at(650));
    kept.flags = BEAT_FLAG_KEPT;
    assert_int_equal(speaker_send(&f->speaker, f->receiver, at(650), &kept).type, ANSWER_ACK);
    assert_true(the_host(f)->forgotten);
    const struct expected spans[] = {{0, STATE_UP, CAUSE_NONE}, {630, STATE_UNKNOWN, CAUSE_FORGOTTEN}};
    assert_spans(f, 700, spans, 2);
}

/* It was due before the host was forgotten, and comes after: it opens the record, but not before that instant. */
static void test_a_beat_that_was_under_way(void **state)
{
    struct fixture *f = *state;
    beats(f, 0, 600);
    forget(f, 665);
    struct beat beat = speaker_beat(&f->speaker, at(660), at(680));
    assert_int_equal(speaker_send(&f->speaker, f->receiver, at(680), &beat).type, ANSWER_ACK);
    const struct expected spans[] = {{0, STATE_UP, CAUSE_NONE}};
    assert_spans(f, 700, spans, 1);
    assert_false(the_host(f)->forgotten);
    assert_int_equal(the_host(f)->expectation.last.ns, at(665).ns);
    beats(f, 720, 900);
    receiver_judge(f->receiver, at(2000));
    assert_int_equal(the_host(f)->state, STATE_DOWN);
}

/* Forgotten while the receiver was stopped: the record ends where that stopped, and its absence is not told. */
static void test_while_the_receiver_is_off(void **state)
{
    struct fixture *f = *state;
    beats(f, 0, 600);
    shelf_store(&f->shelf, f->receiver, at(610));
    receiver_destroy(f->receiver);
    f->receiver = shelf_load(&f->shelf);
    assert_non_null(f->receiver);
    receiver_load_forgotten(f->receiver, 1);
    shelf_start(&f->shelf, f->receiver, at(4000), (struct wall){(ZERO + 4000) * NS_PER_S});
    receiver_judge(f->receiver, at(9000));
    const struct expected spans[] = {{0, STATE_UP, CAUSE_NONE}, {610, STATE_UNKNOWN, CAUSE_FORGOTTEN}};
    assert_spans(f, 9000, spans, 2);
    assert_int_equal(receiver_settled_to(f->receiver, receiver_hosts(f->receiver)->hosts[1], at(9000)), ZERO + 610);
}

static void move_away(struct fixture *f, int64_t now)
{
    speaker_renew(&f->speaker); /* as agents do: what is still under way in the old session opens nothing */
    struct bye bye = speaker_bye(&f->speaker, BYE_MOVED);
    assert_int_equal(speaker_send_bye(&f->speaker, f->receiver, at(now), &bye).type, ANSWER_ACK);
}

/* The host says itself that it speaks to others: the same, with its own cause. It may say so again, and come back. */
static void test_moved(void **state)
{
    struct fixture *f = *state;
    beats(f, 0, 600);
    struct speaker before = f->speaker;
    move_away(f, 630);
    move_away(f, 640);
    struct beat overtaken = speaker_beat(&before, at(620), at(650));
    overtaken.counter = before.counter + 1;
    assert_int_equal(receiver_hear_beat(f->receiver, at(650), "web1", 4, &overtaken).type, ANSWER_CHALLENGE);
    receiver_judge(f->receiver, at(90000));
    assert_int_equal(receiver_forget(f->receiver, at(90001), 1, at(90001)), -1);
    const struct expected closed[] = {{0, STATE_UP, CAUSE_NONE}, {630, STATE_UNKNOWN, CAUSE_MOVED}};
    assert_spans(f, 90001, closed, 2);
    speaker_renew(&f->speaker);
    beats(f, 100000, 100600);
    receiver_judge(f->receiver, at(101000));
    const struct expected opened[] = {{0, STATE_UP, CAUSE_NONE},
                                      {630, STATE_UNKNOWN, CAUSE_MOVED},
                                      {100000, STATE_UP, CAUSE_NONE},
                                      {100630, STATE_DOWN, CAUSE_SILENT}};
    assert_spans(f, 101000, opened, 4);
}

/* Missed before that: until its goodbye it was not heard, and then it was there. */
static void test_moved_while_down(void **state)
{
    struct fixture *f = *state;
    beats(f, 0, 600);
    receiver_judge(f->receiver, at(1000));
    assert_int_equal(the_host(f)->state, STATE_DOWN);
    move_away(f, 1200);
    receiver_judge(f->receiver, at(9000));
    const struct expected spans[] = {
        {0, STATE_UP, CAUSE_NONE}, {630, STATE_DOWN, CAUSE_UNREACHABLE}, {1200, STATE_UNKNOWN, CAUSE_MOVED}};
    assert_spans(f, 9000, spans, 3);
}

/* Stopped in between, and the next run says it with the agent start of the one before. */
static void test_moved_after_a_goodbye(void **state)
{
    struct fixture *f = *state;
    beats(f, 0, 600);
    struct bye bye = speaker_bye(&f->speaker, BYE_STOPPING);
    (void)speaker_send_bye(&f->speaker, f->receiver, at(640), &bye);
    receiver_judge(f->receiver, at(900));
    move_away(f, 1200);
    receiver_judge(f->receiver, at(9000));
    const struct expected spans[] = {
        {0, STATE_UP, CAUSE_NONE}, {640, STATE_UNKNOWN, CAUSE_AGENT_STOPPED}, {1200, STATE_UNKNOWN, CAUSE_MOVED}};
    assert_spans(f, 9000, spans, 3);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(test_is_closed_and_opened_again), ROW(test_of_one_that_is_down),       ROW(test_what_does_not_open_it),
        ROW(test_a_beat_that_was_under_way),  ROW(test_while_the_receiver_is_off), ROW(test_moved),
        ROW(test_moved_while_down),           ROW(test_moved_after_a_goodbye),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
