/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_flush_plan.c - whose files are written next, and that no job makes more of them than it may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "receiver/listen/flush_plan.h"
#include "tests/lib/speaker.h"

#define HOSTS 400
#define SLOWLY_NS (365 * 86400 * NS_PER_S)

struct fixture {
    struct receiver *receiver;
    struct flush_plan *plan;
    struct host **hosts; /* by id, from 1 */
    int told;
};

static struct instant at(double second)
{
    return (struct instant){(int64_t)((1000 + second) * 1e9)};
}

/* What a job was given, and as if the RRD thread had written it. */
static size_t one_job(struct fixture *f, double second)
{
    struct waiter *waiters = NULL;
    struct flush_job *job = flush_job_create();
    flush_plan_fill(f->plan, job, at(second), &waiters);
    size_t count = flush_job_count(job);
    for (size_t i = 0; i < count; i++) {
        struct host *host = f->hosts[flush_job_host(job, i)];
        host->in_flush = false;
        host->flushing_from = INT64_MAX;
    }
    waiters_tell(waiters);
    flush_job_destroy(job);
    return count;
}

/* All are heard and written up to a second; none is to be made, and the wheel has passed what it passes at a start. */
static int set_up(void **state)
{
    static const struct receiver_options options = {.planned_limit_ns = 1800 * NS_PER_S, .host_count_max = HOSTS};
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->receiver = receiver_create(&options);
    receiver_start(f->receiver, at(0), (struct wall){1700000000 * NS_PER_S}, INSTANT_NEVER);
    for (int i = 0; i < HOSTS; i++) {
        char name[16];
        struct speaker speaker;
        (void)snprintf(name, sizeof name, "h%d", i + 1);
        speaker_init(&speaker, name, at(0), 60000);
        (void)speaker_tell(&speaker, f->receiver, at(0));
    }
    f->hosts = receiver_hosts(f->receiver)->hosts;
    for (int i = 1; i <= HOSTS; i++) {
        f->hosts[i]->written_to = 1700000000;
        f->hosts[i]->changed_from = INT64_MAX;
    }
    f->plan = flush_plan_create(f->receiver);
    assert_non_null(f->plan);
    flush_plan_set_interval(f->plan, SLOWLY_NS); /* the wheel turns slowly, but where it is tested */
    assert_int_equal(one_job(f, -1), 1);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    flush_plan_destroy(f->plan);
    receiver_destroy(f->receiver);
    free(f);
    return 0;
}

static void tell(void *context)
{
    ((struct fixture *)context)->told++;
}

static void outdate(struct fixture *f, int first, int last)
{
    for (int i = first; i <= last; i++) {
        f->hosts[i]->changed_from = 1699999000;
        flush_plan_queue(f->plan, f->hosts[i]);
        flush_plan_queue(f->plan, f->hosts[i]); /* it is in the queue once */
    }
}

static void test_a_job_makes_so_many(void **state)
{
    struct fixture *f = *state;
    outdate(f, 1, HOSTS);
    f->hosts[3]->changed_from = 1700000001; /* no longer: what is written is not touched by it */
    assert_int_equal(flush_plan_outdated(f->plan), HOSTS - 1);
    assert_int_equal(one_job(f, 0), FLUSH_PLAN_MAKES_PER_S);
    assert_int_equal(one_job(f, 0.1), FLUSH_PLAN_MAKES_PER_S / 10);
    assert_int_equal(one_job(f, 0.1), 0);
    assert_int_equal(one_job(f, 60), FLUSH_PLAN_MAKES_PER_S);
    assert_int_equal(f->hosts[1]->changed_from, INT64_MAX);
    assert_int_equal(f->hosts[HOSTS]->changed_from, 1699999000);
    size_t count = 0;
    for (int i = 1; i <= HOSTS; i++)
        count += one_job(f, 60 + i);
    assert_int_equal(count, HOSTS - 1 - 2 * FLUSH_PLAN_MAKES_PER_S - FLUSH_PLAN_MAKES_PER_S / 10);
    assert_int_equal(flush_plan_outdated(f->plan), 0);
}

static void test_a_checkpoint_tells_what_is_being_written(void **state)
{
    struct fixture *f = *state;
    struct waiter *waiters = NULL;
    outdate(f, 7, 7);
    struct flush_job *job = flush_job_create();
    flush_plan_fill(f->plan, job, at(0), &waiters);
    assert_int_equal(flush_job_count(job), 1);
    assert_int_equal(host_changed_from(f->hosts[7]), 1699999000);
    assert_true(host_is_outdated(f->hosts[7]));
    /* It cannot be written (no thread has looked at it): it stays outdated. */
    assert_false(flush_job_finish(job, 0, f->hosts[7]));
    assert_true(host_is_outdated(f->hosts[7]));
    assert_int_equal(f->hosts[7]->flushing_from, INT64_MAX);
    flush_job_destroy(job);
}

static void test_requests_come_first_and_in_turns(void **state)
{
    struct fixture *f = *state;
    struct fixture other = {0};
    uint32_t all[HOSTS], one[] = {HOSTS};
    for (uint32_t i = 0; i < HOSTS; i++)
        all[i] = i + 1;
    outdate(f, 1, HOSTS);
    assert_int_equal(flush_plan_request(f->plan, all, HOSTS, tell, f), 0);
    assert_int_equal(flush_plan_request(f->plan, one, 1, tell, &other), 0);
    assert_int_equal(one_job(f, 0), FLUSH_PLAN_MAKES_PER_S);
    assert_int_equal(other.told, 1); /* who asks for one does not wait for the rest */
    assert_int_equal(f->told, 0);
    for (int i = 1; i < HOSTS / FLUSH_PLAN_MAKES_PER_S; i++) {
        assert_true(flush_plan_has_requests(f->plan));
        assert_int_equal(f->told, 0);
        (void)one_job(f, i);
    }
    assert_int_equal(f->told, 1);
    assert_false(flush_plan_has_requests(f->plan));
    assert_int_equal(flush_plan_outdated(f->plan), 0);
    /* What needs no making is not counted: all at once. */
    assert_int_equal(flush_plan_request(f->plan, all, HOSTS, tell, f), 0);
    flush_plan_forget(f->plan, f);
    assert_int_equal(one_job(f, 20), HOSTS);
    assert_int_equal(f->told, 1);
}

static void test_the_wheel_makes_nothing(void **state)
{
    struct fixture *f = *state;
    (void)one_job(f, 0);
    flush_plan_set_interval(f->plan, 10 * NS_PER_S);
    for (int i = 1; i <= HOSTS; i++)
        f->hosts[i]->written_to = 0; /* no file yet */
    for (int i = 1; i <= HOSTS; i++)
        f->hosts[i]->changed_from = 1700000000;
    assert_int_equal(one_job(f, 10), HOSTS);
    for (int i = 1; i <= HOSTS; i++) {
        assert_true(f->hosts[i]->in_queue);
        assert_int_equal(f->hosts[i]->changed_from, 1700000000); /* nobody has looked at the log */
    }
    assert_int_equal(flush_plan_outdated(f->plan), 0);
    flush_plan_set_interval(f->plan, SLOWLY_NS);
    assert_int_equal(one_job(f, 11), FLUSH_PLAN_MAKES_PER_S);
    /* After an hour in which nothing ran it turns once, not a hundred times. */
    flush_plan_set_interval(f->plan, 10 * NS_PER_S);
    for (int i = 1; i <= HOSTS; i++)
        f->hosts[i]->written_to = 1700000000;
    assert_int_equal(one_job(f, 3600), HOSTS);
}

static void test_a_restart_fills_it_again(void **state)
{
    struct fixture *f = *state;
    f->hosts[5]->changed_from = HOST_CHANGED_ALL;
    f->hosts[6]->changed_from = 1699999999;
    f->hosts[8]->changed_from = 1700000000; /* not before what is written */
    flush_plan_destroy(f->plan);
    f->plan = flush_plan_create(f->receiver);
    flush_plan_set_interval(f->plan, SLOWLY_NS);
    assert_int_equal(flush_plan_outdated(f->plan), 2);
    assert_int_equal(one_job(f, 0), 3); /* and the one whose turn it is */
}

/* Runs of which none lasts for a turn: each goes on where the one before was. */
static void test_short_runs_pass_all_hosts(void **state)
{
    struct fixture *f = *state;
    static const double runs_s[] = {3, 0.001, 4, 3, 0.001, 3}; /* at 20 hosts a second, and one at each start */
    for (unsigned i = 0; i < HOSTS; i++)                       /* the wheel came to a stand behind host 150 */
        f->hosts[(150 + i) % HOSTS + 1]->position = i + 1;
    uint64_t fact = HOSTS + 1;
    size_t passed = 0;
    for (size_t run = 0; run < sizeof runs_s / sizeof *runs_s; run++) {
        flush_plan_destroy(f->plan);
        f->plan = flush_plan_create(f->receiver);
        flush_plan_set_interval(f->plan, HOSTS / 20 * NS_PER_S);
        uint64_t lowest = UINT64_MAX;
        for (int i = 1; i <= HOSTS; i++)
            lowest = f->hosts[i]->position < lowest ? f->hosts[i]->position : lowest;
        assert_int_equal(flush_plan_trim(f->plan),
                         lowest < receiver_last_fact(f->receiver) ? lowest : receiver_last_fact(f->receiver));
        assert_int_equal(flush_plan_trim(f->plan), 0); /* once */
        for (double at_s = 0; at_s < runs_s[run]; at_s++) {
            struct waiter *waiters = NULL;
            struct flush_job *job = flush_job_create();
            flush_plan_fill(f->plan, job, at(100 * (double)run + at_s), &waiters);
            for (size_t i = 0; i < flush_job_count(job); i++, passed++) {
                uint32_t host = flush_job_host(job, i);
                if (passed < HOSTS)
                    assert_int_equal(host, (150 + passed) % HOSTS + 1);
                f->hosts[host]->in_flush = false;
                f->hosts[host]->position = fact++;
            }
            flush_job_destroy(job);
        }
    }
    assert_true(passed > HOSTS * 3 / 4);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(test_a_job_makes_so_many),
        ROW(test_a_checkpoint_tells_what_is_being_written),
        ROW(test_requests_come_first_and_in_turns),
        ROW(test_the_wheel_makes_nothing),
        ROW(test_a_restart_fills_it_again),
        ROW(test_short_runs_pass_all_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
