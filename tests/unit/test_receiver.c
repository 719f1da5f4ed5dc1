/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_receiver.c - events in, lines of the log out, through receiver.h; and that all of it survives a restart.
 *
 * Times are seconds after the start, whose label is second 1700000000 of Unix time. The log of a host is compared as one
 * string: `FROM state/cause` of each span of its timeline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "receiver/record/timeline.h"
#include "tests/lib/shelf.h"
#include "tests/lib/speaker.h"

#define LABEL_ZERO INT64_C(1700000000)
#define START 5000 /* the judging clock at second 0 */

struct scene {
    struct shelf shelf;
    struct receiver *receiver;
    struct speaker host;
};

static struct instant at(double second)
{
    return (struct instant){START * NS_PER_S + (int64_t)(second * 1e9)};
}

static struct wall wall_at(double second)
{
    return (struct wall){LABEL_ZERO * NS_PER_S + (int64_t)(second * 1e9)};
}

static void scene_open(struct scene *scene)
{
    memset(scene, 0, sizeof *scene);
    scene->shelf.options =
        (struct receiver_options){.secret = {1, 2, 3}, .planned_limit_ns = 1800 * NS_PER_S, .host_count_max = 100};
    scene->receiver = receiver_create(&scene->shelf.options);
    shelf_start(&scene->shelf, scene->receiver, at(0), wall_at(0));
    speaker_init(&scene->host, "one", at(0), 60000);
}

static void scene_close(struct scene *scene)
{
    shelf_store(&scene->shelf, scene->receiver, scene->shelf.alive);
    assert_null(scene->shelf.fault);
    assert_false(receiver_has_failed(scene->receiver));
    receiver_destroy(scene->receiver);
    shelf_free(&scene->shelf);
}

/* Judges second by second, as a running receiver does. */
static void run(struct scene *scene, double from, double to)
{
    for (double t = from; t <= to; t += 1)
        receiver_judge(scene->receiver, at(t));
}

/* Beats every minute from `from` through `to`, judged. */
static void beats(struct scene *scene, double from, double to)
{
    for (double t = from; t <= to; t += 60) {
        assert_int_equal(speaker_tell(&scene->host, scene->receiver, at(t)).type, ANSWER_ACK);
        receiver_judge(scene->receiver, at(t));
    }
}

/* The receiver dies at `from`, having stored all, and starts again at `to`. */
static void restart(struct scene *scene, double from, double to)
{
    shelf_store(&scene->shelf, scene->receiver, at(from));
    struct receiver *fresh = shelf_load(&scene->shelf);
    assert_non_null(fresh);
    assert_true(shelf_same(fresh, scene->receiver));
    receiver_destroy(scene->receiver);
    scene->receiver = fresh;
    shelf_start(&scene->shelf, fresh, at(to), wall_at(to));
}

static void check_log(struct scene *scene, const char *expected)
{
    shelf_store(&scene->shelf, scene->receiver, scene->shelf.alive);
    struct timeline timeline = {0};
    for (size_t i = 0; i < scene->shelf.line_count; i++)
        if (scene->shelf.lines[i].host == 1)
            assert_int_equal(timeline_add(&timeline, &scene->shelf.lines[i]), 0);
    char told[1024] = "";
    size_t len = 0;
    for (size_t i = 0; i < timeline.count; i++)
        len += (size_t)snprintf(told + len, sizeof told - len, "%s%lld %s%s%s", i ? ", " : "",
                                (long long)(timeline.spans[i].from - LABEL_ZERO), state_token(timeline.spans[i].state),
                                timeline.spans[i].cause ? "/" : "", cause_token(timeline.spans[i].cause));
    timeline_free(&timeline);
    assert_string_equal(told, expected);
}

static const struct host *host_of(const struct scene *scene)
{
    return receiver_hosts(scene->receiver)->hosts[1];
}

static uint64_t statistic(const struct scene *scene, enum receiver_statistic which)
{
    return receiver_statistics(scene->receiver)[which];
}

/* ---- beats ---- */

static void test_late_is_live_only(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    run(&scene, 601, 660);
    assert_int_equal(host_live_state(host_of(&scene)), STATE_UP);
    run(&scene, 661, 680);
    assert_int_equal(host_live_state(host_of(&scene)), STATE_LATE);
    assert_int_equal(host_of(&scene)->state, STATE_UP);
    beats(&scene, 681, 681);
    assert_int_equal(host_live_state(host_of(&scene)), STATE_UP);
    check_log(&scene, "0 up");
    scene_close(&scene);
}

static void test_silence_and_return(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    run(&scene, 601, 727);
    check_log(&scene, "0 up"); /* 600 + 2 x 60 + 60/8 */
    run(&scene, 728, 728);
    check_log(&scene, "0 up, 630 down/silent");
    beats(&scene, 1000, 1180);
    check_log(&scene, "0 up, 630 down/unreachable, 1000 up");
    scene_close(&scene);
}

/* What is told at the return begins later than what was told before: nothing of that is left. */
static void test_less_than_was_told(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    run(&scene, 601, 1000);
    check_log(&scene, "0 up, 630 down/silent");
    scene.host.frozen_ns = 500 * NS_PER_S;
    beats(&scene, 1200, 1380);
    check_log(&scene, "0 up, 700 down/frozen, 1200 up");
    scene_close(&scene);
}

/* A beat can come in before its host was judged: what has lapsed by its due instant, has lapsed. */
static void test_beat_before_judgement(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    beats(&scene, 800, 800);
    check_log(&scene, "0 up, 630 down/unreachable, 800 up");
    /* An age does not carry it back beyond half an interval. */
    struct beat beat = speaker_beat(&scene.host, at(1000), at(1000));
    beat.age_ms = 4000000;
    speaker_send(&scene.host, scene.receiver, at(1000), &beat);
    check_log(&scene, "0 up, 630 down/unreachable, 800 up, 830 down/unreachable, 970 up");
    scene_close(&scene);
}

static void test_reboots(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    speaker_reboot(&scene.host, at(630), PREVIOUS_UNKNOWN); /* nothing was missed */
    beats(&scene, 650, 1250);
    check_log(&scene, "0 up, 615 down/reboot, 630 up");
    run(&scene, 1251, 1500);
    speaker_reboot(&scene.host, at(1600), PREVIOUS_UNKNOWN);
    struct beat delayed = speaker_beat(&scene.host, at(1620), at(1620));
    delayed.uptime_ms = 5000; /* the first datagram was held up: it tells of a later boot than there was */
    speaker_send(&scene.host, scene.receiver, at(1620), &delayed);
    check_log(&scene, "0 up, 615 down/reboot, 630 up, 1280 down/reboot, 1615 up");
    beats(&scene, 1680, 1680);
    check_log(&scene, "0 up, 615 down/reboot, 630 up, 1280 down/reboot, 1600 up");
    beats(&scene, 1740, 1740);
    assert_null(host_of(&scene)->silence);
    scene_close(&scene);
}

static void test_agent_restarts(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    speaker_restart(&scene.host, PREVIOUS_DIED);
    beats(&scene, 640, 1240);
    check_log(&scene, "0 up");
    run(&scene, 1241, 1500);
    speaker_restart(&scene.host, PREVIOUS_DIED);
    beats(&scene, 1501, 1700);
    check_log(&scene, "0 up, 1270 down/agent_died, 1501 up");
    scene_close(&scene);
}

/* ---- goodbyes ---- */

static void say_bye(struct scene *scene, double t, uint8_t reason)
{
    struct bye bye = speaker_bye(&scene->host, reason);
    assert_int_equal(speaker_send_bye(&scene->host, scene->receiver, at(t), &bye).type, ANSWER_ACK);
}

static void test_byes(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    say_bye(&scene, 610, BYE_SHUTDOWN);
    say_bye(&scene, 611, BYE_SHUTDOWN); /* sent again: the first one counts */
    run(&scene, 612, 800);
    check_log(&scene, "0 up, 610 admin/shutdown");
    speaker_reboot(&scene.host, at(900), PREVIOUS_SHUTDOWN);
    beats(&scene, 920, 1520);
    check_log(&scene, "0 up, 610 admin/shutdown, 900 up");
    say_bye(&scene, 1530, BYE_STOPPING);
    run(&scene, 1531, 1580);
    check_log(&scene, "0 up, 610 admin/shutdown, 900 up");
    run(&scene, 1581, 4000);
    check_log(&scene, "0 up, 610 admin/shutdown, 900 up, 1530 unknown/agent_stopped, 3330 down/agent_stopped");
    speaker_restart(&scene.host, PREVIOUS_STOPPED);
    beats(&scene, 4001, 4200);
    check_log(&scene, "0 up, 610 admin/shutdown, 900 up, 1530 unknown/agent_stopped, 3330 down/agent_stopped, 4001 up");
    scene_close(&scene);
}

/* The last beat comes after the goodbye that was said after it: the goodbye holds. */
static void test_bye_overtakes(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    struct beat beat = speaker_beat(&scene.host, at(660), at(660.5));
    say_bye(&scene, 661, BYE_SHUTDOWN);
    assert_int_equal(speaker_send(&scene.host, scene.receiver, at(662), &beat).type, ANSWER_ACK);
    run(&scene, 662, 1000);
    check_log(&scene, "0 up, 661 admin/shutdown");
    scene_close(&scene);
}

static void test_bye_in_a_silence(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    run(&scene, 601, 900);
    say_bye(&scene, 900, BYE_SHUTDOWN); /* it was there all the time */
    run(&scene, 901, 1000);
    check_log(&scene, "0 up, 630 down/unreachable, 900 admin/shutdown");
    speaker_reboot(&scene.host, at(1100), PREVIOUS_SHUTDOWN);
    beats(&scene, 1110, 1300);
    check_log(&scene, "0 up, 630 down/unreachable, 900 admin/shutdown, 1100 up");
    scene_close(&scene);
}

static void test_bye_told_later(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    run(&scene, 601, 900);
    speaker_reboot(&scene.host, at(900), PREVIOUS_SHUTDOWN);
    beats(&scene, 910, 1200);
    check_log(&scene, "0 up, 630 admin/shutdown, 900 up");
    /* The first beat spends it: a crash after that is a crash. */
    speaker_reboot(&scene.host, at(1230), PREVIOUS_DIED);
    beats(&scene, 1240, 1500);
    check_log(&scene, "0 up, 630 admin/shutdown, 900 up, 1180 down/reboot, 1230 up");
    scene_close(&scene);
}

static void test_bye_of_strangers(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    struct bye bye = speaker_bye(&scene.host, BYE_SHUTDOWN);
    struct receiver_answer answer = speaker_send_bye(&scene.host, scene.receiver, at(0), &bye);
    assert_int_equal(answer.type, ANSWER_ACK); /* acked, and nothing else */
    assert_null(answer.host);
    assert_int_equal(receiver_hosts(scene.receiver)->count, 0);
    beats(&scene, 60, 660);
    bye.agent_start--; /* of the run before */
    speaker_send_bye(&scene.host, scene.receiver, at(670), &bye);
    run(&scene, 671, 700);
    check_log(&scene, "60 up");
    scene_close(&scene);
}

/* ---- the receiver's own absence ---- */

static void test_restarts(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    restart(&scene, 605, 650); /* no expectation lapsed: no unknown second */
    beats(&scene, 660, 1260);
    check_log(&scene, "0 up");
    restart(&scene, 1270, 1800);
    run(&scene, 1801, 1810);
    beats(&scene, 1815, 2415);
    check_log(&scene, "0 up, 1270 unknown/receiver_off, 1800 up");
    restart(&scene, 2425, 3000); /* and it died meanwhile: 3000 + 2 x 60 + 7.5 */
    run(&scene, 3001, 3127);
    check_log(&scene, "0 up, 1270 unknown/receiver_off, 1800 up");
    run(&scene, 3128, 3200);
    check_log(&scene, "0 up, 1270 unknown/receiver_off, 1800 up, 2425 unknown/receiver_off, 3000 down/silent");
    scene_close(&scene);
}

/* A receiver in a crash loop puts a verdict off once, and after that by the time it was off. */
static void test_crash_loop(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    double t = 610;
    while (host_of(&scene)->state == STATE_UP && t < 3000) {
        restart(&scene, t, t + 1);
        run(&scene, t + 1, t + 9);
        t += 10;
    }
    /* First restart: 611 + 127.5; every further one adds its second. */
    assert_true(t > 740 && t <= 760);
    scene_close(&scene);
}

static void test_down_over_a_restart(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    run(&scene, 601, 900);
    restart(&scene, 900, 1000);
    run(&scene, 1001, 1200);
    check_log(&scene, "0 up, 630 down/silent, 900 unknown/receiver_off, 1000 down/silent");
    beats(&scene, 1300, 1500);
    check_log(&scene, "0 up, 630 down/unreachable, 900 unknown/receiver_off, 1000 down/unreachable, 1300 up");
    scene_close(&scene);
}

static void test_stalls(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    run(&scene, 601, 719);
    receiver_stalled(scene.receiver, at(719), at(729)); /* short: deadline 727.5 + 10 */
    run(&scene, 729, 737);
    check_log(&scene, "0 up");
    receiver_stalled(scene.receiver, at(737), at(739)); /* the second move; there is no third */
    run(&scene, 739, 739);
    receiver_stalled(scene.receiver, at(739), at(740));
    run(&scene, 740, 740);
    check_log(&scene, "0 up, 630 down/silent");
    beats(&scene, 1000, 1600);
    run(&scene, 1601, 1610);
    receiver_stalled(scene.receiver, at(1610), at(2000)); /* long: a fresh chance */
    run(&scene, 2000, 2127);
    check_log(&scene, "0 up, 630 down/unreachable, 1000 up");
    run(&scene, 2128, 2128);
    check_log(&scene, "0 up, 630 down/unreachable, 1000 up, 1610 unknown/receiver_overloaded, 2000 down/silent");
    scene_close(&scene);
}

/* More absences in one silence than are remembered: what is told of the time after each of them is still right. */
static void test_many_absences(void **state)
{
    (void)state;
    struct scene scene;
    struct timeline timeline = {0};
    struct timeline_seconds seconds;
    int64_t unknown = 0;
    scene_open(&scene);
    beats(&scene, 0, 600);
    run(&scene, 601, 1000); /* down since 630 */
    for (int i = 0; i < 3 * SILENCE_ABSENCES_MAX; i++, unknown += 20) {
        double from = 1000 + i * 100;
        receiver_stalled(scene.receiver, at(from), at(from + 20));
        run(&scene, from + 20, from + 99);
    }
    const struct line_list *lines = receiver_lines(scene.receiver);
    for (size_t i = 0; i < lines->count; i++)
        (void)timeline_add(&timeline, &lines->lines[i]);
    int64_t begin = labels_second(receiver_labels(scene.receiver), at(630));
    timeline_count(&timeline, begin, begin + 30370, &seconds);
    assert_int_equal(seconds.state[STATE_UNKNOWN], unknown);
    assert_int_equal(seconds.state[STATE_DOWN], 30370 - unknown);
    timeline_free(&timeline);
    scene_close(&scene);
}

/* A beat that is found in the socket after a stall is heard before the stall is told of: a replay must not
 * know better. */
static void test_heard_within_a_stall(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    run(&scene, 601, 719);
    (void)speaker_tell(&scene.host, scene.receiver, at(1119));
    receiver_stalled(scene.receiver, at(719), at(1119));
    check_log(&scene, "0 up, 630 down/unreachable, 719 unknown/receiver_overloaded, 1119 up");
    restart(&scene, 1120, 1121);
    scene_close(&scene);
}

/* Beats that waited in the socket come all at once: that is no rhythm of the host, least of all of a new one. */
static void test_stall_teaches_nothing(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 120);
    receiver_stalled(scene.receiver, at(121), at(721));
    for (int i = 0; i < 10; i++)
        (void)speaker_tell(&scene.host, scene.receiver, at(721));
    (void)speaker_tell(&scene.host, scene.receiver, at(730));
    assert_in_range(expectation_interval_ns(&host_of(&scene)->expectation), 55 * NS_PER_S, 61 * NS_PER_S);
    receiver_stalled(scene.receiver, at(731), at(1331));
    (void)speaker_tell(&scene.host, scene.receiver, at(1331));
    assert_in_range(expectation_interval_ns(&host_of(&scene)->expectation), 55 * NS_PER_S, 61 * NS_PER_S);
    scene_close(&scene);
}

/* Bounds are whole seconds that hold the instant. */
static void test_bounds_are_rounded_outwards(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    (void)speaker_tell(&scene.host, scene.receiver, at(10.5));
    const struct transition *line = &receiver_lines(scene.receiver)->lines[0];
    assert_int_equal(line->at, LABEL_ZERO + 10);
    assert_int_equal(line->earliest, LABEL_ZERO + 10);
    assert_int_equal(line->latest, LABEL_ZERO + 11);
    scene_close(&scene);
}

/* As long as others are heard the receiver is not deaf, at whatever fraction of a second they beat. */
static void test_one_of_many_falls_silent(void **state)
{
    (void)state;
    const char *const names[] = {"one", "two", "three"};
    for (int phase = 0; phase < 10; phase++) {
        struct scene scene;
        struct speaker hosts[3];
        scene_open(&scene);
        for (int i = 0; i < 3; i++)
            speaker_init(&hosts[i], names[i], at(0), 1000);
        for (int tenth = 0; tenth < 160; tenth++) {
            double t = (phase + tenth) / 10.0;
            for (int i = 0; i < 3; i++)
                if (tenth % 10 == 2 * i && (i > 0 || tenth <= 100))
                    (void)speaker_tell(&hosts[i], scene.receiver, at(t));
            receiver_judge(scene.receiver, at(t));
        }
        check_log(&scene, phase < 5 ? "0 up, 10 down/silent" : "0 up, 11 down/silent");
        scene_close(&scene);
    }
}

static void test_drops(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    receiver_took(scene.receiver, at(620), 100, 1); /* margin 7.5: 727.5 + 7.5 */
    run(&scene, 621, 734);
    check_log(&scene, "0 up");
    run(&scene, 735, 736);
    check_log(&scene, "0 up, 630 down/silent");
    scene_close(&scene);
}

/* More than a tenth of all that comes is dropped: a host that is not heard is unknown, and so is one that is heard again before
 * anything was judged. When that is over, it has 2 T + m. */
static void test_flood(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    for (int t = 601; t <= 800; t++) { /* never drained, so nothing is judged */
        receiver_took(scene.receiver, at(t), 100, 12);
        if (t == 790)
            (void)speaker_tell(&scene.host, scene.receiver, at(t));
    }
    run(&scene, 801, 1000);
    check_log(&scene, "0 up, 601 unknown/receiver_overloaded, 790 up, 820 down/silent");
    scene_close(&scene);

    scene_open(&scene);
    beats(&scene, 0, 600);
    for (int t = 601; t <= 800; t++) {
        receiver_took(scene.receiver, at(t), 100, 12);
        receiver_judge(scene.receiver, at(t));
    }
    run(&scene, 801, 928); /* 801 + 127.5 */
    check_log(&scene, "0 up, 601 unknown/receiver_overloaded, 801 up");
    run(&scene, 929, 929);
    check_log(&scene, "0 up, 601 unknown/receiver_overloaded, 801 down/silent");
    scene_close(&scene);
}

/* Less than a tenth: who is silent then, is. */
static void test_some_drops(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    for (int t = 601; t <= 800; t++) {
        receiver_took(scene.receiver, at(t), 100, 10);
        receiver_judge(scene.receiver, at(t));
    }
    check_log(&scene, "0 up, 630 down/silent");
    scene_close(&scene);
}

/* An agent goes on from a state that is some beats old. Its counters catch up first, since it repeats what is not acked; while its numbers
 * are of the past it gets no answer, so that it takes a new session. */
static void test_set_back(void **state)
{
    (void)state;
    for (int proven = 0; proven <= 1; proven++) { /* 0: the receiver was restarted meanwhile */
        struct scene scene;
        scene_open(&scene);
        beats(&scene, 0, 300);
        struct speaker old = scene.host;
        beats(&scene, 360, 600);
        memcpy(old.echo, scene.host.echo, sizeof old.echo);
        old.counter = scene.host.counter;
        if (!proven)
            restart(&scene, 600, 601);
        assert_int_equal(speaker_tell(&old, scene.receiver, at(660)).type, ANSWER_NONE);
        struct beat kept = speaker_beat(&old, at(360), at(660));
        kept.flags = BEAT_FLAG_KEPT;
        assert_int_equal(speaker_send(&old, scene.receiver, at(661), &kept).type, ANSWER_ACK);
        assert_int_equal(speaker_tell(&old, scene.receiver, at(720)).type, ANSWER_NONE);
        speaker_renew(&old);
        assert_int_equal(speaker_tell(&old, scene.receiver, at(725)).type, ANSWER_ACK);
        run(&scene, 726, 780);
        check_log(&scene, "0 up");
        for (int t = 780; t < 1200; t += 60)
            assert_int_equal(speaker_tell(&old, scene.receiver, at(t)).type, ANSWER_ACK);
        check_log(&scene, "0 up");
        scene_close(&scene);
    }
}

/* ---- maintenance ---- */

static void test_windows(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    run(&scene, 601, 800);
    shelf_add_window(&scene.shelf, scene.receiver, at(800), 1, "o*", (struct window){at(800), INSTANT_NEVER});
    shelf_add_window(&scene.shelf, scene.receiver, at(800), 2, "two", (struct window){at(600), INSTANT_NEVER});
    check_log(&scene, "0 up, 630 down/silent, 800 admin/maintenance");
    run(&scene, 801, 20000);
    check_log(&scene, "0 up, 630 down/silent, 800 admin/maintenance");
    restart(&scene, 20000, 20010);
    shelf_end_window(&scene.shelf, scene.receiver, at(20100), 1);
    run(&scene, 20100, 20110);
    check_log(&scene, "0 up, 630 down/silent, 800 admin/maintenance, 20000 unknown/receiver_off, 20010 "
                      "admin/maintenance, 20100 down/silent");
    size_t count;
    assert_int_equal(receiver_windows(scene.receiver, &count)[0].id, 1);
    assert_int_equal(count, 2);
    assert_int_equal(receiver_end_window(scene.receiver, at(20111), 7), -1);
    scene_close(&scene);
}

/* Adds one on [from, to), entered at `now`. */
static void plan_window(struct scene *scene, double now, int64_t id, double from, double to)
{
    shelf_add_window(&scene->shelf, scene->receiver, at(now), id, "o*", (struct window){at(from), at(to)});
}

static void test_planned_windows(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    plan_window(&scene, 0, 1, 5000, 6000); /* entered out of order, and before the host was heard */
    plan_window(&scene, 0, 2, 1000, 2000);
    beats(&scene, 0, 600);
    run(&scene, 601, 999);
    check_log(&scene, "0 up, 630 down/silent"); /* it is down already when the window begins */
    run(&scene, 1000, 2500);
    check_log(&scene, "0 up, 630 down/silent, 1000 admin/maintenance, 2000 down/silent");
    beats(&scene, 2520, 5040); /* it dies within the other one */
    run(&scene, 5041, 5990);
    check_log(
        &scene,
        "0 up, 630 down/unreachable, 1000 admin/maintenance, 2000 down/unreachable, 2520 up, 5070 admin/maintenance");
    restart(&scene, 5990, 5995);
    run(&scene, 5996, 7000);
    check_log(
        &scene,
        "0 up, 630 down/unreachable, 1000 admin/maintenance, 2000 down/unreachable, 2520 up, 5070 admin/maintenance, "
        "5990 unknown/receiver_off, 5995 admin/maintenance, 6000 down/silent");
    scene_close(&scene);
}

static void test_cancelled_windows(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 600);
    plan_window(&scene, 600, 1, 640, 900); /* where the outage will begin: would draw its edge, had it any effect */
    shelf_end_window(&scene.shelf, scene.receiver, at(610), 1);
    for (int64_t id = 10; id < 300; id++) { /* however many were cancelled */
        plan_window(&scene, 620, id, 1900, 4000);
        shelf_end_window(&scene.shelf, scene.receiver, at(620), id);
    }
    plan_window(&scene, 620, 300, 2000, 3000);
    run(&scene, 621, 1950);
    check_log(&scene, "0 up, 630 down/silent");
    size_t count;
    const struct window first = receiver_windows(scene.receiver, &count)[0].window;
    assert_int_equal(first.to.ns, first.from.ns);
    restart(&scene, 1950, 1950); /* all that time comes from the journal, with windows that have no length */
    check_log(&scene, "0 up, 630 down/silent");
    run(&scene, 1951, 2500);
    shelf_end_window(&scene.shelf, scene.receiver, at(2500), 300);
    run(&scene, 2501, 3500);
    check_log(&scene, "0 up, 630 down/silent, 2000 admin/maintenance, 2500 down/silent");
    scene_close(&scene);
}

/* ---- proofs and numbers ---- */

static void test_challenges_are_stateless(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    shelf_store(&scene.shelf, scene.receiver, at(0)); /* what the start tells */
    struct beat beat = speaker_beat(&scene.host, at(0), at(0));
    struct receiver_answer first = {0};
    beat.counter = 7;
    for (int i = 0; i < 3; i++) {
        struct receiver_answer answer = receiver_hear_beat(scene.receiver, at(i), "one", 3, &beat);
        assert_int_equal(answer.type, ANSWER_CHALLENGE);
        assert_int_equal(answer.challenge.session, beat.session);
        assert_int_equal(answer.challenge.counter, 7);
        if (i > 0)
            assert_memory_equal(answer.challenge.value, first.challenge.value, ECHO_LEN);
        first = answer;
    }
    beat.session++;
    assert_memory_not_equal(receiver_hear_beat(scene.receiver, at(3), "one", 3, &beat).challenge.value,
                            first.challenge.value, ECHO_LEN);
    beat.session--;
    assert_memory_not_equal(receiver_hear_beat(scene.receiver, at(3), "onf", 3, &beat).challenge.value,
                            first.challenge.value, ECHO_LEN);
    assert_false(receiver_has_output(scene.receiver));
    assert_int_equal(receiver_hosts(scene.receiver)->count, 0);
    assert_int_equal(statistic(&scene, RECEIVER_CHALLENGED), 5);
    scene_close(&scene);
}

/* What was said in an old session, or to another process, opens nothing. */
static void test_recordings(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 60);
    struct beat recorded = speaker_beat(&scene.host, at(120), at(120));
    recorded.counter = ++scene.host.counter;
    memcpy(recorded.echo, scene.host.echo, ECHO_LEN);
    assert_int_equal(receiver_hear_beat(scene.receiver, at(120), "one", 3, &recorded).type, ANSWER_ACK);
    assert_int_equal(receiver_hear_beat(scene.receiver, at(121), "one", 3, &recorded).type, ANSWER_NONE);
    assert_int_equal(statistic(&scene, RECEIVER_REPEATED), 1);
    speaker_renew(&scene.host);
    beats(&scene, 180, 240);
    assert_int_equal(receiver_hear_beat(scene.receiver, at(250), "one", 3, &recorded).type, ANSWER_CHALLENGE);
    scene.shelf.options.secret[0]++; /* another process */
    restart(&scene, 250, 260);
    memcpy(recorded.echo, scene.host.echo, ECHO_LEN);
    recorded.session = scene.host.session;
    assert_int_equal(receiver_hear_beat(scene.receiver, at(261), "one", 3, &recorded).type, ANSWER_CHALLENGE);
    assert_int_equal(host_of(&scene)->expectation.last.ns, at(240).ns);
    scene_close(&scene);
}

static void test_known_and_kept(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 60);
    struct beat kept = speaker_beat(&scene.host, at(120), at(400)); /* number 3 is lost */
    kept.flags = BEAT_FLAG_KEPT;
    struct beat current = speaker_beat(&scene.host, at(180), at(180));
    struct receiver_answer answer = speaker_send(&scene.host, scene.receiver, at(180), &current);
    assert_int_equal(answer.ack.safe, 0);
    shelf_store(&scene.shelf, scene.receiver, at(180));
    answer = speaker_send(&scene.host, scene.receiver, at(181), &current);
    assert_int_equal(answer.type, ANSWER_ACK);
    assert_int_equal(answer.ack.safe, 2);
    assert_int_equal(statistic(&scene, RECEIVER_KNOWN), 1);
    assert_false(receiver_has_output(scene.receiver));
    struct host before = *host_of(&scene);
    answer = speaker_send(&scene.host, scene.receiver, at(400), &kept);
    assert_int_equal(answer.ack.safe, 2);
    assert_memory_equal(&before.expectation, &host_of(&scene)->expectation, sizeof before.expectation);
    assert_memory_equal(&before.deadline, &host_of(&scene)->deadline, sizeof before.deadline);
    assert_int_equal(before.heard_at.ns, host_of(&scene)->heard_at.ns);
    shelf_store(&scene.shelf, scene.receiver, at(400));
    answer = speaker_send(&scene.host, scene.receiver, at(401), &kept);
    assert_int_equal(answer.ack.safe, 4);
    current.oldest_kept = 4;
    assert_int_equal(speaker_send(&scene.host, scene.receiver, at(402), &current).ack.safe, 4);
    current.oldest_kept = 9;
    assert_int_equal(speaker_send(&scene.host, scene.receiver, at(402), &current).ack.safe, 0);
    scene_close(&scene);
}

/* An agent restored from a snapshot: the same start, a new session, numbers that were used before. */
static void test_snapshot(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    beats(&scene, 0, 1200);
    shelf_store(&scene.shelf, scene.receiver, at(1200));
    speaker_renew(&scene.host);
    scene.host.number = 5;
    beats(&scene, 1260, 1860);
    check_log(&scene, "0 up");
    assert_int_equal(host_of(&scene)->expectation.number, 16);
    assert_int_equal(host_of(&scene)->expectation.last.ns, at(1860).ns);
    restart(&scene, 1860, 1861);
    beats(&scene, 1920, 1920);
    scene_close(&scene);
}

static void test_no_room(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene);
    scene.shelf.options.host_count_max = 1;
    receiver_destroy(scene.receiver);
    scene.receiver = receiver_create(&scene.shelf.options);
    shelf_start(&scene.shelf, scene.receiver, at(0), wall_at(0));
    beats(&scene, 0, 60);
    struct speaker other;
    speaker_init(&other, "two", at(0), 60000);
    assert_int_equal(speaker_tell(&other, scene.receiver, at(60)).type, ANSWER_NONE);
    assert_int_equal(statistic(&scene, RECEIVER_NO_ROOM), 1);
    assert_int_equal(receiver_hosts(scene.receiver)->count, 1);
    scene_close(&scene);
}

/* ---- everything survives, wherever it is cut ---- */

struct fleet {
    struct speaker speakers[4];
    char names[4][8];
    double now, alive;
    uint64_t seed;
    int64_t windows;
};

static uint32_t draw(struct fleet *fleet, uint32_t below)
{
    fleet->seed = fleet->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(fleet->seed >> 33) % below;
}

static void disturb(struct scene *scene, struct fleet *fleet, struct speaker *speaker)
{
    struct beat beat;
    struct bye bye;
    double from;
    switch (draw(fleet, 14)) {
    case 0: speaker_reboot(speaker, at(fleet->now - 10), (uint8_t)draw(fleet, 4)); break;
    case 1: speaker_restart(speaker, (uint8_t)draw(fleet, 4)); break;
    case 2: speaker_renew(speaker); break;
    case 3:
        speaker_renew(speaker);
        speaker->number /= 2;
        break;
    case 4:
        bye = speaker_bye(speaker, draw(fleet, 2) ? BYE_SHUTDOWN : BYE_STOPPING);
        speaker_send_bye(speaker, scene->receiver, at(fleet->now), &bye);
        break;
    case 5:
        from = fleet->now;
        fleet->now += 1 + draw(fleet, 200);
        receiver_stalled(scene->receiver, at(from), at(fleet->now));
        break;
    case 6: receiver_took(scene->receiver, at(fleet->now), 100, draw(fleet, 40)); break;
    case 7:
        fleet->windows++;
        from = fleet->now + (draw(fleet, 2) ? draw(fleet, 1000) : 0); /* now, or planned */
        shelf_add_window(&scene->shelf, scene->receiver, at(fleet->now), fleet->windows, draw(fleet, 2) ? "*" : "host1",
                         (struct window){at(from), draw(fleet, 2) ? INSTANT_NEVER : at(from + 300)});
        break;
    case 8:
        if (fleet->windows)
            shelf_end_window(&scene->shelf, scene->receiver, at(fleet->now), 1 + draw(fleet, (uint32_t)fleet->windows));
        break;
    case 9:
        beat = speaker_beat(speaker, at(fleet->now - 200), at(fleet->now));
        beat.flags = BEAT_FLAG_KEPT;
        speaker_send(speaker, scene->receiver, at(fleet->now), &beat);
        break;
    case 10: shelf_store(&scene->shelf, scene->receiver, at(fleet->now)); break;
    case 11:
        if (scene->shelf.host_count)
            shelf_checkpoint(&scene->shelf, scene->receiver, 1 + draw(fleet, (uint32_t)scene->shelf.host_count),
                             at(fleet->now));
        break;
    case 12: shelf_trim(&scene->shelf); break;
    default: fleet->now += draw(fleet, 400); break;
    }
}

static void live_a_while(struct scene *scene, struct fleet *fleet)
{
    for (int i = 0; i < 150; i++) {
        struct speaker *speaker = &fleet->speakers[draw(fleet, 4)];
        fleet->now += 1 + draw(fleet, 20);
        if (draw(fleet, 3) == 0) {
            disturb(scene, fleet, speaker);
        } else if (draw(fleet, 4) > 0) {
            struct beat beat = speaker_beat(speaker, at(fleet->now - draw(fleet, 5)), at(fleet->now));
            beat.metrics[0] = draw(fleet, 1000) / 10.0;
            speaker_send(speaker, scene->receiver, at(fleet->now), &beat);
        }
        if (draw(fleet, 3) > 0)
            receiver_judge(scene->receiver, at(fleet->now));
        if (draw(fleet, 60) == 0) {
            shelf_store(&scene->shelf, scene->receiver, at(fleet->now));
            double from = fleet->now;
            fleet->now += 1 + draw(fleet, 300);
            restart(scene, from, fleet->now);
        }
    }
}

static void test_survives_anywhere(void **state)
{
    (void)state;
    uint64_t first = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)first);
    for (uint64_t seed = first; seed < first + 150; seed++) {
        struct scene scene;
        struct fleet fleet = {.seed = seed, .now = 10};
        scene_open(&scene);
        for (size_t i = 0; i < 4; i++) {
            (void)snprintf(fleet.names[i], sizeof fleet.names[i], "host%zu", i);
            speaker_init(&fleet.speakers[i], fleet.names[i], at(0), 1000u << (2 * i));
        }
        for (size_t i = 0; i < 4; i++)
            (void)draw(&fleet, 2);
        live_a_while(&scene, &fleet);
        shelf_store(&scene.shelf, scene.receiver, at(fleet.now));
        struct receiver *fresh = shelf_load(&scene.shelf);
        if (!fresh || !shelf_same(fresh, scene.receiver) || scene.shelf.fault)
            fail_msg("seed %llu: %s", (unsigned long long)seed,
                     scene.shelf.fault ? scene.shelf.fault : "a restart would not find it as it was");
        receiver_destroy(fresh);
        scene_close(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late_is_live_only),
        cmocka_unit_test(test_silence_and_return),
        cmocka_unit_test(test_less_than_was_told),
        cmocka_unit_test(test_beat_before_judgement),
        cmocka_unit_test(test_reboots),
        cmocka_unit_test(test_agent_restarts),
        cmocka_unit_test(test_byes),
        cmocka_unit_test(test_bye_overtakes),
        cmocka_unit_test(test_bye_in_a_silence),
        cmocka_unit_test(test_bye_told_later),
        cmocka_unit_test(test_bye_of_strangers),
        cmocka_unit_test(test_restarts),
        cmocka_unit_test(test_crash_loop),
        cmocka_unit_test(test_down_over_a_restart),
        cmocka_unit_test(test_stalls),
        cmocka_unit_test(test_many_absences),
        cmocka_unit_test(test_heard_within_a_stall),
        cmocka_unit_test(test_stall_teaches_nothing),
        cmocka_unit_test(test_bounds_are_rounded_outwards),
        cmocka_unit_test(test_one_of_many_falls_silent),
        cmocka_unit_test(test_drops),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_set_back),
        cmocka_unit_test(test_some_drops),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_planned_windows),
        cmocka_unit_test(test_cancelled_windows),
        cmocka_unit_test(test_challenges_are_stateless),
        cmocka_unit_test(test_recordings),
        cmocka_unit_test(test_known_and_kept),
        cmocka_unit_test(test_snapshot),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_survives_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
