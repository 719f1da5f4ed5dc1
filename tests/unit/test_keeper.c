/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_keeper.c - a database that cannot be written for long, with the real journal: what waits is bounded, and nothing is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "receiver/listen/keeper.h"
#include "receiver/record/journal.h"
#include "tests/lib/shelf.h"
#include "tests/lib/speaker.h"

#define ZERO INT64_C(1700000000)
#define HOSTS 3
#define UNSAVED_MAX 20000
#define TURNS_MAX 1000

struct fixture {
    char data[64], path[80], away[80];
    uv_loop_t loop;
    struct receiver *receiver;
    struct journal *journal;
    struct keeper *keeper;
    struct speaker speakers[HOSTS];
    int64_t second;
    size_t unsaved_most;
    uint32_t safe; /* of the latest ack to the first of them */
};

static const struct receiver_options options = {.planned_limit_ns = 1800 * NS_PER_S, .host_count_max = 10};

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

static struct instant at(int64_t second)
{
    return (struct instant){(1000000 + second) * NS_PER_S};
}

static void open_all(struct fixture *f)
{
    static const char *const names[HOSTS] = {"web1", "web2", "web3"};
    struct error error;
    struct journal_start start;
    (void)snprintf(f->data, sizeof f->data, "/tmp/twobeat-keeper-XXXXXX");
    assert_non_null(mkdtemp(f->data));
    struct keeper_options keeper = {
        .data = f->data, .flush_interval_ns = 3600 * NS_PER_S, .zone = "UTC", .unsaved_max = UNSAVED_MAX};
    (void)snprintf(f->path, sizeof f->path, "%s/receiver.db", f->data);
    (void)snprintf(f->away, sizeof f->away, "%s/away", f->data);
    f->receiver = receiver_create(&options);
    f->journal = journal_open(f->data, &error);
    assert_non_null(f->receiver);
    assert_non_null(f->journal);
    assert_int_equal(journal_load(f->journal, f->receiver, &start, &error), 0);
    struct wall wall = {ZERO * NS_PER_S};
    (void)receiver_start(f->receiver, at(0), wall, INSTANT_NEVER);
    assert_int_equal(journal_begin_run(f->journal, &start, (const uint8_t[BOOT_ID_LEN]){1}, at(0), 0, wall, &error), 0);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    f->keeper = keeper_create(&f->loop, f->receiver, f->journal, &keeper, &error);
    assert_non_null(f->keeper);
    for (int i = 0; i < HOSTS; i++)
        speaker_init(&f->speakers[i], names[i], at(0), 60000);
}

/* Beats a minute, judgement and the keeper each second; host i falls silent at `ends[i]`. */
static void run(struct fixture *f, int64_t to, const int64_t ends[HOSTS])
{
    for (; f->second < to; f->second++) {
        for (int i = 0; i < HOSTS && f->second % 60 == 0; i++) {
            if (f->second >= ends[i])
                continue;
            struct receiver_answer answer = speaker_tell(&f->speakers[i], f->receiver, at(f->second));
            if (i == 0)
                f->safe = answer.ack.safe;
        }
        receiver_judge(f->receiver, at(f->second));
        if (receiver_unsaved(f->receiver) > f->unsaved_most)
            f->unsaved_most = receiver_unsaved(f->receiver);
        keeper_tick(f->keeper, at(f->second));
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    }
}

/* Whether the next run would have all of it, were this one killed now. */
static bool is_stored(const struct fixture *f)
{
    struct error error;
    struct journal_start start;
    struct receiver *fresh = receiver_create(&options);
    struct journal *journal = journal_open(f->data, &error);
    assert_non_null(fresh);
    assert_non_null(journal);
    assert_int_equal(journal_load(journal, fresh, &start, &error), 0);
    bool same = shelf_same(fresh, f->receiver);
    receiver_destroy(fresh);
    journal_close(journal);
    return same;
}

static void on_turn(uv_timer_t *timer)
{
    (void)timer; /* only so that the loop turns while both threads rest */
}

/* Until everything is in the database, checkpoints of the files written meanwhile included. */
static void settle(struct fixture *f)
{
    bool stored = false;
    uv_timer_t turns;
    assert_int_equal(uv_timer_init(&f->loop, &turns), 0);
    assert_int_equal(uv_timer_start(&turns, on_turn, 2, 2), 0);
    f->second++;
    for (int i = 0; i < TURNS_MAX && !stored; i++) {
        keeper_tick(f->keeper, instant_add(at(f->second), i * 100 * NS_PER_MS));
        (void)uv_run(&f->loop, UV_RUN_ONCE); /* a thread has done its work, or it is the next turn */
        stored = i % 20 == 19 && !receiver_has_output(f->receiver) && is_stored(f);
    }
    assert_true(stored);
    uv_close((uv_handle_t *)&turns, NULL);
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    f->second = (f->second / 60 + 4) * 60;
}

static void test_bounded(void **state)
{
    static const int64_t alive[HOSTS] = {INT64_MAX, INT64_MAX, INT64_MAX};
    static const int64_t one_dies[HOSTS] = {INT64_MAX, 20000, INT64_MAX};
    struct fixture f = {.second = 0};
    (void)state;
    open_all(&f);
    run(&f, 601, alive);
    settle(&f);

    /* A day's facts are many times what may wait. */
    assert_int_equal(rename(f.path, f.away), 0);
    run(&f, 86401, one_dies);
    assert_in_range(f.unsaved_most, UNSAVED_MAX, UNSAVED_MAX + 2000);
    assert_int_equal(receiver_hosts(f.receiver)->hosts[2]->state, STATE_DOWN);
    assert_in_range(f.safe, 0, 20); /* the agent keeps the rest */

    assert_int_equal(rename(f.away, f.path), 0);
    settle(&f);
    f.speakers[0].oldest_kept = f.speakers[0].number - 200;
    struct receiver_answer answer = speaker_tell(&f.speakers[0], f.receiver, at(f.second));
    assert_int_equal(answer.type, ANSWER_ACK);
    assert_int_equal(answer.ack.safe, f.speakers[0].number - 1);
    settle(&f);

    keeper_stop(f.keeper, at(f.second));
    (void)uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f.loop), 0);
    keeper_destroy(f.keeper);
    journal_close(f.journal);
    receiver_destroy(f.receiver);
    (void)nftw(f.data, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
