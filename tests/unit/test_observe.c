/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_observe.c - when silence says more about the receiver than about the host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "receiver/judge/observe.h"

static struct instant at(double second)
{
    return (struct instant){INT64_C(1700000000) * NS_PER_S + (int64_t)(second * (double)NS_PER_S)};
}

struct scene {
    struct host_table hosts;
    struct observation *observation;
};

/* Adds hosts of one interval that were heard until second 0. */
static void add_hosts(struct scene *scene, int count, double interval_s)
{
    for (int i = 0; i < count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "host%u", scene->hosts.count + 1);
        struct host *host = host_table_add(&scene->hosts, scene->hosts.count + 1, name, strlen(name));
        assert_non_null(host);
        int64_t interval_ns = (int64_t)(interval_s * (double)NS_PER_S);
        host->heard = true;
        for (uint32_t beat = 1; beat <= 10; beat++)
            (void)expectation_observe(&host->expectation, at((beat - 10.0) * interval_s), 1, beat, interval_ns, false);
        host->deadline[0] = expectation_lapse(&host->expectation, 1);
        host->deadline[1] = expectation_lapse(&host->expectation, 2);
    }
}

static void open_scene(struct scene *scene)
{
    memset(scene, 0, sizeof *scene);
    scene->observation = calloc(1, sizeof *scene->observation);
    assert_non_null(scene->observation);
    observe_begin(scene->observation, at(-100000));
}

static void close_scene(struct scene *scene)
{
    host_table_free(&scene->hosts);
    free(scene->observation);
}

/* `heard` beats of others between the expectations of host 1, at whose second one is asked; `dropped_before` seconds before that the
 * kernel dropped `drops` datagrams of 100 and so many (0: never). */
static enum doubt doubt_of(struct scene *scene, int heard, double dropped_before, int drops)
{
    const struct host *host = scene->hosts.hosts[1];
    struct instant from = host->deadline[0], now = host->deadline[1];
    for (int i = 0; i < 5; i++) /* before: does not count */
        observe_heard(scene->observation, at(0));
    struct instant dropped = instant_add(now, -(int64_t)(dropped_before * (double)NS_PER_S));
    if (dropped_before > 0)
        observe_took(scene->observation, dropped, 100, (uint64_t)(drops ? drops : 1));
    for (int i = 0; i < heard; i++)
        observe_heard(scene->observation,
                      instant_add(from, NS_PER_S + instant_since(now, from) * (i + 1) / (heard + 1) * 9 / 10));
    return observe_doubt(scene->observation, &scene->hosts, host, now);
}

static void test_table(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        int hosts;
        double interval_s;
        int others;
        double others_interval_s;
        int heard;
        double dropped_before;
        enum doubt doubt;
        int dropped; /* of a hundred and so many datagrams */
    } cases[] = {
        {"three hosts, nobody heard", 3, 60, 0, 0, 0, 0, DOUBT_DEAF, 0},
        {"two hosts prove nothing", 2, 60, 0, 0, 0, 0, DOUBT_NONE, 0},
        {"one is heard", 3, 60, 0, 0, 1, 0, DOUBT_NONE, 0},
        {"the others were not due", 1, 60, 2, 3600, 0, 0, DOUBT_NONE, 0},
        {"many of whom a few were due", 1, 60, 400, 3600, 0, 0, DOUBT_DEAF, 0},
        {"one beat due on average, but of nobody for certain", 1, 1, 61, 60, 0, 0, DOUBT_NONE, 0},
        {"every second, three of them", 3, 1, 0, 0, 0, 0, DOUBT_DEAF, 0},
        {"drops, and little is heard", 21, 60, 0, 0, 15, 1, DOUBT_OVERLOADED, 0},
        {"drops, but nearly all is heard", 21, 60, 0, 0, 19, 1, DOUBT_NONE, 0},
        {"little is heard, without drops", 21, 60, 0, 0, 15, 0, DOUBT_NONE, 0},
        {"drops that are over", 21, 60, 0, 0, 15, 10, DOUBT_NONE, 0},
        {"drops before it was missed", 21, 1, 0, 0, 3, 1.5, DOUBT_NONE, 0},
        {"drops, too few hosts to tell", 5, 60, 0, 0, 1, 1, DOUBT_NONE, 0},
        {"a tenth is dropped", 5, 60, 0, 0, 1, 1, DOUBT_NONE, 11},
        {"more than a tenth is dropped", 5, 60, 0, 0, 1, 1, DOUBT_OVERLOADED, 12},
        {"... though the others are heard", 21, 60, 0, 0, 20, 1, DOUBT_OVERLOADED, 12},
        {"... of which one alone cannot tell", 1, 60, 0, 0, 0, 1, DOUBT_OVERLOADED, 12},
        {"... but that is over", 5, 60, 0, 0, 1, 1.1, DOUBT_NONE, 12},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene scene;
        open_scene(&scene);
        add_hosts(&scene, cases[i].hosts, cases[i].interval_s);
        add_hosts(&scene, cases[i].others, cases[i].others_interval_s);
        enum doubt doubt = doubt_of(&scene, cases[i].heard, cases[i].dropped_before, cases[i].dropped);
        if (doubt != cases[i].doubt)
            fail_msg("%s: %d instead of %d", cases[i].what, (int)doubt, (int)cases[i].doubt);
        close_scene(&scene);
    }
}

/* A receiver in a crash loop has heard nobody yet: that must not put the verdict off each time. */
static void test_fresh_process(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    add_hosts(&scene, 4, 1);
    const struct host *host = scene.hosts.hosts[1];
    observe_begin(scene.observation, instant_add(host->deadline[1], -NS_PER_S / 4));
    assert_int_equal(observe_doubt(scene.observation, &scene.hosts, host, host->deadline[1]), DOUBT_NONE);
    assert_int_equal(observe_doubt(scene.observation, &scene.hosts, host, instant_add(host->deadline[1], 2 * NS_PER_S)),
                     DOUBT_DEAF);
    close_scene(&scene);
}

/* Who is down, or took leave, is not missed. */
static void test_silent_hosts_do_not_count(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    add_hosts(&scene, 4, 60);
    for (uint32_t id = 2; id <= 3; id++) {
        scene.hosts.hosts[id]->silence = calloc(1, sizeof(struct silence_record));
        assert_non_null(scene.hosts.hosts[id]->silence);
    }
    scene.hosts.hosts[2]->silence->facts.judged = true;
    scene.hosts.hosts[3]->silence->facts.goodbye = GOODBYE_SHUTDOWN;
    assert_int_equal(doubt_of(&scene, 0, 0, 0), DOUBT_NONE);
    close_scene(&scene);
}

static void test_count(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    struct observation *o = scene.observation;
    for (int second = 0; second < 3 * OBSERVED_S; second++)
        observe_heard(o, at(second + 0.5));
    struct instant now = at(3 * OBSERVED_S - 0.4);
    assert_int_equal(observe_count(o, at(3 * OBSERVED_S - 10.5), now), 10);
    assert_int_equal(observe_count(o, at(3 * OBSERVED_S - 100), now), 99); /* whole seconds after it */
    assert_int_equal(observe_count(o, now, now), 0);
    assert_in_range(observe_count(o, at(0), now), OBSERVED_S - 1, OBSERVED_S); /* no longer memory than that */
    observe_heard(o, at(10.0 * OBSERVED_S));
    assert_int_equal(observe_count(o, at(10.0 * OBSERVED_S - 50), at(10.0 * OBSERVED_S)), 1);
    assert_int_equal(observe_count(o, at(-200000), at(10.0 * OBSERVED_S)),
                     3 * OBSERVED_S + 1); /* all of this process */
    close_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_fresh_process),
                                       cmocka_unit_test(test_silent_hosts_do_not_count), cmocka_unit_test(test_count)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
