/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_unsaved.c - a database that cannot be written for long: facts are given up, and nothing is lost by that. */
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
#define HOSTS 4

static struct instant at(int64_t second)
{
    return (struct instant){(1000000 + second) * NS_PER_S};
}

struct fixture {
    struct shelf shelf;
    struct receiver *receiver;
    struct speaker speakers[HOSTS];
    struct receiver_answer answer; /* to the first of them */
};

/* Beats each minute; host i falls silent at `ends[i]`. */
static void run(struct fixture *f, int64_t from, int64_t to, const int64_t ends[HOSTS])
{
    for (int64_t t = from; t < to; t += 60) {
        for (int i = 0; i < HOSTS; i++) {
            struct receiver_answer answer = {0};
            if (t < ends[i])
                answer = speaker_tell(&f->speakers[i], f->receiver, at(t));
            if (i == 0)
                f->answer = answer;
        }
        receiver_judge(f->receiver, at(t));
    }
}

static int64_t unknown_seconds(const struct fixture *f, uint32_t host, int64_t from, int64_t to)
{
    struct timeline timeline = {0};
    struct timeline_seconds seconds;
    for (size_t i = 0; i < f->shelf.line_count; i++)
        if (f->shelf.lines[i].host == host)
            assert_int_equal(timeline_add(&timeline, &f->shelf.lines[i]), 0);
    timeline_count(&timeline, ZERO + from, ZERO + to, &seconds);
    timeline_free(&timeline);
    return seconds.state[STATE_UNKNOWN];
}

static void test_give_up(void **state)
{
    static const char *const names[HOSTS] = {"web1", "web2", "web3", "web4"};
    static const int64_t ends[HOSTS] = {INT64_MAX, 20000, 41000, INT64_MAX};
    struct fixture f = {.shelf.options = {.planned_limit_ns = 1800 * NS_PER_S, .host_count_max = 10}};
    (void)state;
    f.receiver = receiver_create(&f.shelf.options);
    assert_non_null(f.receiver);
    shelf_start(&f.shelf, f.receiver, at(0), (struct wall){ZERO * NS_PER_S});
    for (int i = 0; i < HOSTS; i++)
        speaker_init(&f.speakers[i], names[i], at(0), 60000);
    run(&f, 0, 10020, ends);
    shelf_store(&f.shelf, f.receiver, at(10020));

    /* The disk is full. Hosts die, the receiver is cut off for an hour, and all of that is given up twice. */
    run(&f, 10020, 22020, ends);
    receiver_isolated(f.receiver, at(22000), true);
    receiver_isolated(f.receiver, at(25600), false);
    run(&f, 25620, 30000, ends);
    assert_true(receiver_unsaved(f.receiver) > 10000);
    receiver_give_up_facts(f.receiver, at(30000));
    assert_true(receiver_unsaved(f.receiver) < 100);
    run(&f, 30000, 40020, ends);
    receiver_give_up_facts(f.receiver, at(40000));
    run(&f, 40020, 45000, ends);

    /* It is free again. */
    receiver_hear_again(f.receiver);
    for (uint32_t id = 1; id <= HOSTS; id++)
        shelf_checkpoint(&f.shelf, f.receiver, id, at(45000));
    shelf_trim(&f.shelf);
    assert_int_equal(f.shelf.entry_count, 1);
    f.speakers[0].oldest_kept = f.speakers[0].number - 255;
    run(&f, 45000, 45060, ends);
    assert_int_equal(f.answer.type, ANSWER_ACK);
    assert_int_equal(f.answer.ack.safe, f.speakers[0].number - 1);

    /* Everybody's verdict is in the log, and a replay comes to the same. */
    shelf_store(&f.shelf, f.receiver, at(45060));
    assert_null(f.shelf.fault);
    struct receiver *fresh = shelf_load(&f.shelf);
    assert_non_null(fresh);
    assert_true(shelf_same(fresh, f.receiver));
    assert_int_equal(receiver_hosts(fresh)->hosts[2]->state, STATE_DOWN);
    assert_int_equal(receiver_hosts(fresh)->hosts[3]->state, STATE_DOWN);
    assert_int_equal(receiver_hosts(fresh)->hosts[4]->state, STATE_UP);
    receiver_destroy(fresh);

    /* A silence that goes on is settled from the same facts. */
    struct receiver *again = shelf_load(&f.shelf);
    assert_non_null(again);
    receiver_destroy(f.receiver);
    f.receiver = again;
    shelf_start(&f.shelf, f.receiver, at(45100), (struct wall){(ZERO + 45100) * NS_PER_S});
    run(&f, 45120, 50000, (const int64_t[HOSTS]){INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX});
    shelf_store(&f.shelf, f.receiver, at(50000));
    assert_null(f.shelf.fault);
    assert_in_range(unknown_seconds(&f, 2, 22000, 25600), 3600, 3600);
    assert_in_range(unknown_seconds(&f, 2, 26000, 40000), 0, 0);
    for (uint32_t id = 1; id <= HOSTS; id++)
        assert_int_equal(receiver_hosts(f.receiver)->hosts[id]->state, STATE_UP);
    receiver_destroy(f.receiver);
    shelf_free(&f.shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_give_up)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
