/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_averaging.c - beats that come late and out of order give the averages of beats that came in time. The truth is another
 * receiver that heard every beat when it was due, and the bytes that the host really moved. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/lib/shelf.h"
#include "tests/lib/speaker.h"

#define ZERO INT64_C(1700000100) /* a multiple of 300 */
enum { BEATS = 120, INTERVAL_S = 60 };

static struct instant at(int64_t second)
{
    return (struct instant){(ZERO + second) * NS_PER_S};
}

struct scene {
    struct shelf shelf;
    struct receiver *receiver;
    struct speaker host;
    struct beat beats[BEATS + 1]; /* by number; beat n is due at n minutes */
};

/* A host whose counters and gauges run by chance. */
static void open_scene(struct scene *scene, uint64_t seed)
{
    memset(scene, 0, sizeof *scene);
    scene->shelf.options =
        (struct receiver_options){.secret = {1}, .planned_limit_ns = 1800 * NS_PER_S, .host_count_max = 10};
    scene->receiver = receiver_create(&scene->shelf.options);
    assert_non_null(scene->receiver);
    shelf_start(&scene->shelf, scene->receiver, at(0), (struct wall){at(0).ns});
    speaker_init(&scene->host, "one", at(0), INTERVAL_S * 1000);
    double counters[METRIC_COUNT] = {0};
    for (uint32_t n = 1; n <= BEATS; n++) {
        struct beat *beat = &scene->beats[n];
        *beat = speaker_beat(&scene->host, at(n * INTERVAL_S), at(n * INTERVAL_S));
        for (int i = 0; i < METRIC_COUNT; i++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            counters[i] += (double)(seed >> 44);
            beat->metrics[i] = metric_catalogue[i].kind == METRIC_COUNTER ? counters[i] : (double)(seed >> 54);
        }
    }
}

static void close_scene(struct scene *scene)
{
    shelf_store(&scene->shelf, scene->receiver, scene->shelf.alive);
    assert_null(scene->shelf.fault);
    assert_false(receiver_has_failed(scene->receiver));
    receiver_destroy(scene->receiver);
    shelf_free(&scene->shelf);
}

static void send(struct scene *scene, uint32_t number, int64_t second, uint32_t oldest_kept, bool kept)
{
    struct beat beat = scene->beats[number];
    beat.age_ms = (uint32_t)((second - (int64_t)number * INTERVAL_S) * 1000);
    beat.oldest_kept = oldest_kept;
    beat.flags = kept ? BEAT_FLAG_KEPT : 0;
    receiver_judge(scene->receiver, at(second));
    assert_int_equal(speaker_send(&scene->host, scene->receiver, at(second), &beat).type, ANSWER_ACK);
}

/* Beats in time, of an agent that has nothing else to send. */
static void send_all(struct scene *scene, uint32_t from, uint32_t to)
{
    for (uint32_t n = from; n <= to; n++)
        send(scene, n, n * INTERVAL_S, n, false);
}

static const struct host *host_of(const struct scene *scene)
{
    return receiver_hosts(scene->receiver)->hosts[1];
}

static void check_rows(const struct scene *scene, const struct scene *truth)
{
    const struct averages *a = &host_of(scene)->averages, *b = &host_of(truth)->averages;
    assert_int_equal(a->row_count, b->row_count);
    for (uint32_t i = 0; i < a->row_count; i++) {
        assert_int_equal(a->rows[i].at, b->rows[i].at);
        assert_memory_equal(a->rows[i].values, b->rows[i].values, sizeof a->rows[i].values);
    }
    assert_memory_equal(a->sum, b->sum, sizeof a->sum);
    assert_memory_equal(a->bytes, b->bytes, sizeof a->bytes);
    assert_null(host_of(scene)->unaveraged);
}

/* Bytes in all rows and the period that is being filled, against what the counters moved between two beats. */
static void check_total(const struct scene *scene, uint32_t first, uint32_t last)
{
    const struct averages *a = &host_of(scene)->averages;
    double sum = a->bytes[0];
    for (uint32_t i = 0; i < a->row_count; i++)
        if (!isnan(a->rows[i].values[METRIC_NET_IN]))
            sum += (double)a->rows[i].values[METRIC_NET_IN] * AVERAGES_PERIOD_S * a->rows[i].periods;
    double moved = scene->beats[last].metrics[METRIC_NET_IN] - scene->beats[first].metrics[METRIC_NET_IN];
    assert_true(fabs(sum - moved) <= 1e-6 * moved); /* rows are floats */
}

/* Ten minutes cut off, the rest as given: each line is {number, second, oldest kept, kept}. */
static void test_gap(void **state)
{
    uint64_t seed = *(uint64_t *)(*state);
    struct scene scene, truth;
    open_scene(&scene, seed);
    open_scene(&truth, seed);
    send_all(&truth, 1, 60);
    send_all(&scene, 1, 20);
    send(&scene, 31, 31 * 60, 21, false);
    assert_int_equal(host_of(&scene)->averages.last.ns, at(20 * 60).ns); /* it waits */
    assert_true(host_of(&scene)->averages.latest[METRIC_LOAD1] == (float)scene.beats[31].metrics[METRIC_LOAD1]);
    for (uint32_t n = 21; n <= 30; n++) { /* three before each newer one */
        send(&scene, n, 31 * 60 + (n - 20) * 20, n + 1 > 30 ? 31 : n, true);
        if ((n - 20) % 3 == 0)
            send(&scene, 31 + (n - 20) / 3, (31 + (n - 20) / 3) * 60, n + 1, false);
    }
    send_all(&scene, 35, 60);
    check_rows(&scene, &truth);
    check_total(&scene, 1, 60);
    close_scene(&scene);
    close_scene(&truth);
}

/* Kept beats come in any order, more than once, and the receiver is killed in between. */
static void test_any_order(void **state)
{
    uint64_t seed = *(uint64_t *)(*state);
    struct scene scene, truth;
    open_scene(&scene, seed);
    open_scene(&truth, seed);
    send_all(&truth, 1, 60);
    send_all(&scene, 1, 20);
    send(&scene, 40, 40 * 60, 21, false);
    uint32_t order[19];
    for (uint32_t i = 0; i < 19; i++)
        order[i] = 21 + i;
    for (uint32_t i = 18; i > 0; i--) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint32_t k = (uint32_t)(seed >> 33) % (i + 1), other = order[i];
        order[i] = order[k];
        order[k] = other;
    }
    for (int64_t i = 0; i < 19; i++) {
        send(&scene, order[i], 40 * 60 + i, 21, true);
        send(&scene, order[i / 2], 40 * 60 + i, 21, true);
        if (i == 7) {
            shelf_store(&scene.shelf, scene.receiver, at(40 * 60 + i));
            shelf_checkpoint(&scene.shelf, scene.receiver, 1, at(40 * 60 + i));
        }
        if (i == 12) {
            shelf_store(&scene.shelf, scene.receiver, at(40 * 60 + i));
            struct receiver *fresh = shelf_load(&scene.shelf);
            assert_non_null(fresh);
            assert_true(shelf_same(fresh, scene.receiver));
            receiver_destroy(scene.receiver);
            scene.receiver = fresh;
            scene.shelf.options.secret[0]++;
            shelf_start(&scene.shelf, fresh, at(40 * 60 + i), (struct wall){at(40 * 60 + i).ns});
        }
    }
    send_all(&scene, 41, 60);
    check_rows(&scene, &truth);
    close_scene(&scene);
    close_scene(&truth);
}

/* One of them never comes. A quarter of an hour is waited for it, then the gap is as it is, and no byte is lost. */
static void test_one_never_comes(void **state)
{
    struct scene scene;
    open_scene(&scene, *(uint64_t *)(*state));
    send_all(&scene, 1, 20);
    for (uint32_t n = 31; n < 46; n++) {
        send(&scene, n, n * 60, 21, false);
        assert_int_equal(host_of(&scene)->averages.last.ns, at(20 * 60).ns);
    }
    send(&scene, 46, 46 * 60, 21, false);
    assert_int_equal(host_of(&scene)->averages.last.ns, at(46 * 60).ns);
    assert_null(host_of(&scene)->unaveraged);
    check_total(&scene, 1, 46);
    send(&scene, 25, 46 * 60 + 1, 21, true); /* too late: what is newer is averaged */
    assert_int_equal(host_of(&scene)->averages.last.ns, at(46 * 60).ns);
    check_total(&scene, 1, 46);
    close_scene(&scene);
}

/* The agent has let them go, or dies, or starts anew: nobody waits any more. */
static void test_nobody_waits_for_what_is_gone(void **state)
{
    struct scene scene;
    for (int how = 0; how < 3; how++) {
        open_scene(&scene, *(uint64_t *)(*state));
        send_all(&scene, 1, 20);
        send(&scene, 31, 31 * 60, 21, false);
        assert_non_null(host_of(&scene)->unaveraged);
        if (how == 0) {
            send(&scene, 32, 32 * 60, 31, false);
        } else if (how == 1) {
            receiver_judge(scene.receiver, at(31 * 60 + 200));
            assert_int_equal(host_of(&scene)->state, STATE_DOWN);
        } else {
            speaker_restart(&scene.host, PREVIOUS_DIED);
            struct beat beat = speaker_beat(&scene.host, at(32 * 60), at(32 * 60));
            memcpy(beat.metrics, scene.beats[32].metrics, sizeof beat.metrics);
            assert_int_equal(speaker_send(&scene.host, scene.receiver, at(32 * 60), &beat).type, ANSWER_ACK);
        }
        assert_null(host_of(&scene)->unaveraged);
        check_total(&scene, 1, how == 1 ? 31 : 32);
        close_scene(&scene);
    }
}

/* Sends a beat of the second boot: number n is due at minute 24 + n. */
static void send_rebooted(struct scene *scene, const struct beat *beats, uint32_t n, int64_t second, bool kept)
{
    struct beat beat = beats[n];
    beat.age_ms = (uint32_t)((second - (int64_t)(24 + n) * INTERVAL_S) * 1000);
    beat.oldest_kept = kept ? n : 1;
    beat.flags = kept ? BEAT_FLAG_KEPT : 0;
    receiver_judge(scene->receiver, at(second));
    assert_int_equal(speaker_send(&scene->host, scene->receiver, at(second), &beat).type, ANSWER_ACK);
}

/* The host reboots while it is not heard: what the new run kept before its first beat that is heard is averaged, too, from the boot on. */
static void test_reboot_in_gap(void **state)
{
    uint64_t seed = *(uint64_t *)(*state);
    struct scene scenes[2]; /* the first hears everything in time */
    for (int late = 0; late < 2; late++) {
        struct scene *scene = &scenes[late];
        struct beat beats[10];
        open_scene(scene, seed);
        send_all(scene, 1, 20);
        speaker_reboot(&scene->host, at(24 * INTERVAL_S + 10), PREVIOUS_DIED);
        for (uint32_t n = 1; n < 10; n++) {
            beats[n] = speaker_beat(&scene->host, at((24 + n) * INTERVAL_S), at((24 + n) * INTERVAL_S));
            memcpy(beats[n].metrics, scene->beats[n].metrics, sizeof beats[n].metrics);
        }
        for (uint32_t n = 1; n < 5 && !late; n++)
            send_rebooted(scene, beats, n, (24 + n) * INTERVAL_S, false);
        send_rebooted(scene, beats, 5, 29 * INTERVAL_S, false);
        for (uint32_t n = 1; n < 5 && late; n++)
            send_rebooted(scene, beats, n, 29 * INTERVAL_S + n, true);
        for (uint32_t n = 6; n < 10; n++)
            send_rebooted(scene, beats, n, (24 + n) * INTERVAL_S, false);
    }
    check_rows(&scenes[1], &scenes[0]);
    close_scene(&scenes[0]);
    close_scene(&scenes[1]);
}

int main(void)
{
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_gap, &seed),
        cmocka_unit_test_prestate(test_any_order, &seed),
        cmocka_unit_test_prestate(test_one_never_comes, &seed),
        cmocka_unit_test_prestate(test_reboot_in_gap, &seed),
        cmocka_unit_test_prestate(test_nobody_waits_for_what_is_gone, &seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
