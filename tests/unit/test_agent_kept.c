/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_agent_kept.c - which beats an agent keeps, and when it sends them again: PROTOCOL.md section 5.
 *
 * The receivers here are made from PROTOCOL.md as well: they challenge, ack at once and commit a while later. What the
 * first one is sent is written down, one word a datagram: "60000.2" is beat 2, current, 60 s after the start,
 * "60000.k1" is beat 1, kept. Each kept beat is held against what must be true of any. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"

#define MS NS_PER_MS
#define S NS_PER_S
#define START_NS (1000 * S)
#define NUMBERS 2048
#define TRACE_SIZE (1 << 20)

struct model {
    bool away;               /* hears nothing */
    bool stuck;              /* commits nothing any more */
    int64_t commit_ns;       /* from hearing a beat to having it on the disk */
    unsigned lose_kept;      /* so many kept beats are lost on the way to it */
    unsigned lose_current;   /* and so many others */
    uint8_t secret;          /* changes with each process */
    uint64_t session;        /* the proven one, 0: none */
    int64_t stored[NUMBERS]; /* when the beat is on the disk; 0: never */

    uint64_t sent_session, sent_counter;
    struct instant sent_current, sent_kept;
    uint32_t acked;     /* the latest current beat that was acked, in the proven session */
    unsigned kept_sent; /* how many kept beats were sent to it */
    uint32_t oldest_kept;
    int64_t oldest_late; /* the most numbers between a beat and its oldest kept */
};

struct rig {
    struct agent_core *core;
    struct agent_actions actions;
    struct instant now;
    int64_t interval_ns, slept_ns;
    uint64_t drawn;
    size_t count;
    struct model models[AGENT_RECEIVER_MAX];
    char trace[TRACE_SIZE];
    size_t trace_len;
};

static struct rig rig;

static void counting_random(void *context, void *buf, size_t len)
{
    struct rig *r = context;
    r->drawn++;
    memset(buf, 0, len);
    memcpy(buf, &r->drawn, sizeof r->drawn < len ? sizeof r->drawn : len);
}

static int64_t pace_ns(void)
{
    int64_t pace = rig.interval_ns / 60;
    pace = pace < 200 * MS ? 200 * MS : pace > S ? S : pace;
    return pace < rig.interval_ns / 5 ? pace : rig.interval_ns / 5;
}

static void act(void);

static void note(const struct beat *beat)
{
    long long ms = (rig.now.ns - START_NS) / MS;
    rig.trace_len += (size_t)snprintf(rig.trace + rig.trace_len, TRACE_SIZE - rig.trace_len, "%s%lld.%s%u",
                                      rig.trace_len ? " " : "", ms, beat->flags ? "k" : "", beat->number);
    assert_in_range(rig.trace_len, 0, TRACE_SIZE - 1);
}

/* What holds for every kept beat. */
static void check_kept(const struct model *model, const struct beat *beat)
{
    assert_int_equal(beat->flags, BEAT_FLAG_KEPT);
    assert_in_range(beat->number, 1, model->acked - 1); /* the current one was acked before */
    assert_true(rig.now.ns > model->sent_current.ns || model->acked > 0);
    assert_true(rig.now.ns >= model->sent_kept.ns + pace_ns());
    assert_in_range(beat->oldest_kept, 1, beat->number);
    assert_true(beat->metrics[METRIC_LOAD1] == beat->number);
    assert_int_equal(beat->interval_ms, rig.interval_ns / MS);
    assert_int_equal(beat->agent_start, 77);
    assert_int_equal(beat->previous_end, PREVIOUS_DIED);
    assert_int_equal(beat->boot_id[15], 0xb0);
    assert_int_equal(beat->uptime_ms + beat->age_ms, (rig.now.ns + rig.slept_ns) / MS + 5000);
}

static uint32_t safe_of(const struct model *model, uint32_t oldest)
{
    uint32_t safe = 0;
    for (uint32_t n = oldest; n < NUMBERS && model->stored[n] > 0 && model->stored[n] <= rig.now.ns; n++)
        safe = n;
    return safe;
}

static bool is_lost(struct model *model, bool kept)
{
    unsigned *lose = kept ? &model->lose_kept : &model->lose_current;
    bool lost = *lose > 0;
    *lose -= lost;
    return lost || model->away;
}

static void hear_bye(size_t index, const struct bye *bye)
{
    struct ack ack = {bye->session, bye->counter, 0};
    if (is_lost(&rig.models[index], false))
        return;
    assert_true(agent_ack(rig.core, index, rig.now, &ack, &rig.actions));
    act();
}

static void hear(size_t index, const struct beat *beat)
{
    struct model *model = &rig.models[index];
    if (is_lost(model, beat->flags))
        return;
    uint8_t value[ECHO_LEN];
    memset(value, model->secret, sizeof value);
    if (beat->session != model->session && memcmp(beat->echo, value, sizeof value) != 0) {
        struct challenge challenge = {.session = beat->session, .counter = beat->counter};
        memcpy(challenge.value, value, sizeof value);
        model->acked = 0;
        assert_true(agent_challenge(rig.core, index, rig.now, &challenge, &rig.actions));
        act();
        return;
    }
    model->session = beat->session;
    if (model->stored[beat->number] == 0 && !model->stuck)
        model->stored[beat->number] = rig.now.ns + model->commit_ns;
    if (!beat->flags)
        model->acked = beat->number;
    struct ack ack = {beat->session, beat->counter, safe_of(model, beat->oldest_kept)};
    assert_true(agent_ack(rig.core, index, rig.now, &ack, &rig.actions));
    act();
}

static void sent(const struct agent_message *message)
{
    struct model *model = &rig.models[message->receiver];
    const struct beat *beat = &message->beat;
    assert_int_equal(beat->counter, beat->session == model->sent_session ? model->sent_counter + 1 : 1);
    model->sent_session = beat->session;
    model->sent_counter = beat->counter;
    model->oldest_kept = beat->oldest_kept;
    if (beat->flags) {
        check_kept(model, beat);
        model->sent_kept = rig.now;
        model->kept_sent++;
    } else {
        model->sent_current = rig.now;
        if (beat->number - beat->oldest_kept > model->oldest_late)
            model->oldest_late = beat->number - beat->oldest_kept;
    }
    if (message->receiver == 0)
        note(beat);
    hear(message->receiver, beat);
}

/* Carries actions out; what is answered leads back here. */
static void act(void)
{
    if (rig.actions.sample) {
        static uint32_t number;
        int64_t due_ms = rig.actions.due.ns / MS;
        struct agent_sample sample = {.uptime_ms = (uint64_t)(due_ms + rig.slept_ns / MS) + 5000,
                                      .run_ms = (uint64_t)due_ms};
        if (rig.now.ns == START_NS)
            number = 0;
        sample.metrics[METRIC_LOAD1] = ++number;
        agent_sampled(rig.core, rig.now, &sample, &rig.actions);
    }
    size_t count = rig.actions.message_count;
    struct agent_message *messages = malloc((count + 1) * sizeof *messages);
    memcpy(messages, rig.actions.messages, count * sizeof *messages);
    for (size_t i = 0; i < count; i++)
        if (messages[i].is_bye)
            hear_bye(messages[i].receiver, &messages[i].bye);
        else
            sent(&messages[i]);
    free(messages);
}

/* Lets everything happen up to `at_ns` after the start. The wake-up that counts is that of the latest actions. */
static void run_until(int64_t at_ns)
{
    struct instant end = {START_NS + at_ns};
    for (int guard = 0; rig.actions.wake.ns <= end.ns && !rig.actions.done; guard++) {
        assert_in_range(guard, 0, 1000000);
        rig.now = instant_later(rig.now, rig.actions.wake);
        agent_wake(rig.core, rig.now, &rig.actions);
        act();
    }
    rig.now = end;
}

/* Receivers that take `commit_ns` to store. Nothing happens before the first run_until. */
static void begin(int64_t interval_ns, size_t receivers, uint32_t keep, int64_t commit_ns)
{
    agent_destroy(rig.core);
    memset(&rig, 0, sizeof rig);
    rig.interval_ns = interval_ns;
    rig.count = receivers;
    for (size_t i = 0; i < AGENT_RECEIVER_MAX; i++)
        rig.models[i] = (struct model){.commit_ns = commit_ns, .secret = 1};
    struct agent_options options = {.interval_ns = interval_ns,
                                    .receiver_count = receivers,
                                    .keep = keep,
                                    .agent_start = 77,
                                    .previous_end = PREVIOUS_DIED,
                                    .random = counting_random,
                                    .random_context = &rig};
    memset(options.boot_id, 0xb0, sizeof options.boot_id);
    rig.core = agent_create(&options);
    assert_non_null(rig.core);
    rig.now = (struct instant){START_NS};
    rig.actions.wake = rig.now;
}

static void clear_trace(void)
{
    rig.trace_len = 0;
    rig.trace[0] = '\0';
}

static void expect(const char *trace)
{
    assert_string_equal(rig.trace, trace);
    clear_trace();
}

/* The first number from 1 to `last` that the receiver does not have; 0: it has all. */
static uint32_t missing(size_t index, uint32_t last)
{
    for (uint32_t n = 1; n <= last; n++)
        if (rig.models[index].stored[n] == 0)
            return n;
    return 0;
}

/* A new process: it knows what was on the disk. */
static void restart(size_t index)
{
    struct model *model = &rig.models[index];
    for (size_t n = 0; n < NUMBERS; n++)
        if (model->stored[n] > rig.now.ns)
            model->stored[n] = 0;
    model->secret++;
    model->session = 0;
    model->acked = 0;
}

static int teardown(void **state)
{
    (void)state;
    agent_destroy(rig.core);
    rig.core = NULL;
    return 0;
}

/* --- All is well -------------------------------------------------------------------------------------------------- */

/* Nothing is sent twice, however long a receiver takes to store. */
static void test_steady(void **state)
{
    static const int64_t intervals[] = {250 * MS, 1 * S, 10 * S, 60 * S, 4500 * S};
    static const int64_t commits[] = {0, 100 * MS, 1 * S, 2 * S, 2900 * MS};
    (void)state;
    for (size_t i = 0; i < sizeof intervals / sizeof *intervals; i++)
        for (size_t k = 0; k < sizeof commits / sizeof *commits; k++) {
            begin(intervals[i], 2, AGENT_KEEP_MAX, commits[k]);
            run_until(500 * intervals[i]);
            for (size_t r = 0; r < 2; r++) {
                assert_int_equal(rig.models[r].sent_counter, 502); /* and one challenge */
                assert_int_equal(rig.models[r].kept_sent, 0);
                assert_in_range(rig.models[r].oldest_late, 0, 2 + commits[k] / intervals[i]);
                assert_int_equal(missing(r, 501), 0);
            }
        }
}

/* --- What begins a round ------------------------------------------------------------------------------------------ */

/* A receiver that is away for some beats gets them behind the next one that it acks. */
struct away_row {
    int64_t interval_ns, from_ns, to_ns, until_ns;
    const char *sent; /* from the return on */
};

static void test_unacked(void **state)
{
    static const struct away_row rows[] = {
        {60 * S, 30 * S, 70 * S, 119 * S, "75000.2"}, /* in time: not kept */
        {60 * S, 30 * S, 110 * S, 179 * S, "120000.3 120000.k2"},
        {60 * S, 30 * S, 290 * S, 359 * S, "300000.6 300000.6 300000.k2 301000.k3 302000.k4 303000.k5"},
        {1 * S, 500 * MS, 4900 * MS, 6900 * MS,
         "5000.6 5000.6 5000.k2 5200.k3 5400.k4 5600.k5 6000.7"}, /* one beat at a time */
        {250 * MS, 100 * MS, 700 * MS, 1490 * MS, "750.4 750.4 750.k2 800.k3 1000.5 1250.6"},
        {4500 * S, 100 * S, 8900 * S, 13400 * S, "9000000.3 9000000.k2"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct away_row *row = &rows[i];
        begin(row->interval_ns, 1, AGENT_KEEP_MAX, 100 * MS);
        run_until(row->from_ns);
        rig.models[0].away = true;
        run_until(row->to_ns);
        rig.models[0].away = false;
        clear_trace();
        run_until(row->until_ns);
        expect(row->sent);
    }
}

/* One of many beats is lost: only that one is sent again, though those after it are not safe either. */
static void test_one_lost(void **state)
{
    (void)state;
    begin(250 * MS, 1, AGENT_KEEP_MAX, 1 * S);
    run_until(10 * S);
    rig.models[0].away = true;
    run_until(10400 * MS); /* beat 42 */
    rig.models[0].away = false;
    clear_trace();
    run_until(11 * S);
    expect("10500.43 10500.k42 10750.44 11000.45");
    run_until(60 * S);
    assert_int_equal(rig.models[0].kept_sent, 1);
    assert_int_equal(missing(0, 241), 0);
}

/* Another process: what the old one had not committed is sent again, although it was acked. */
static void test_challenge(void **state)
{
    (void)state;
    begin(1 * S, 1, AGENT_KEEP_MAX, 2500 * MS);
    run_until(10100 * MS); /* beat 9, heard at 8 s, is not on the disk yet */
    restart(0);
    clear_trace();
    run_until(13 * S);
    expect("11000.12 11000.12 11000.k9 11200.k10 11400.k11 12000.13 13000.14");
    /* While a round goes on, and before what it sent is stored. */
    rig.models[0].away = true;
    run_until(23500 * MS);
    rig.models[0].away = false;
    clear_trace();
    run_until(24500 * MS);
    expect("24000.25 24000.25 24000.k15 24200.k16 24400.k17");
    restart(0);
    clear_trace();
    run_until(25200 * MS);
    /* The kept beat is challenged; the current one shows who we are, and the round begins anew. */
    expect("24600.k18 24600.25 24800.k15 25000.26 25000.k16 25200.k17");
    run_until(60 * S);
    assert_int_equal(missing(0, 61), 0);
}

/* A kept beat is challenged, and the answer to that is lost: no further one before the current beat is acked. */
static void test_challenge_in_between(void **state)
{
    (void)state;
    begin(60 * S, 1, AGENT_KEEP_MAX, 100 * MS);
    run_until(30 * S);
    rig.models[0].away = true;
    run_until(290 * S);
    rig.models[0].away = false;
    clear_trace();
    run_until(300500 * MS);
    restart(0);
    rig.models[0].lose_current = 3;
    run_until(310 * S);
    expect("300000.6 300000.6 300000.k2 301000.k3 301000.6 301500.6 302000.6 302500.6 302500.k3 303500.k4 304500.k5");
}

/* Acked, but not stored: tried again, and less and less often while nothing becomes safe. */
static void test_not_stored(void **state)
{
    (void)state;
    begin(60 * S, 1, AGENT_KEEP_MAX, 100 * MS);
    run_until(70 * S);
    rig.models[0].stuck = true;
    clear_trace();
    run_until(301 * S); /* 3 is acked at 120 s, and then not safe 60 s later */
    expect("120000.3 180000.4 180000.k3 240000.5 300000.6 300000.k3 301000.k4");
    run_until(8 * 3600 * S);
    unsigned kept_sent = rig.models[0].kept_sent;
    assert_in_range(kept_sent, 50, 1500); /* every second time: 40,000 */
    rig.models[0].stuck = false;
    restart(0);
    clear_trace();
    run_until(8 * 3600 * S + 62 * S);
    expect("28860000.482 28860000.482 28860000.k226 28861000.k227 28862000.k228"); /* all that is kept */
    run_until(9 * 3600 * S);
    assert_int_equal(missing(0, 2), 0);
    for (uint32_t n = 226; n <= 541; n++)
        assert_true(rig.models[0].stored[n] > 0);
}

/* Once it stores again, the next trouble is noticed as soon as the first one. */
static void test_stored_again(void **state)
{
    (void)state;
    begin(10 * S, 1, AGENT_KEEP_MAX, 100 * MS);
    run_until(15 * S);
    rig.models[0].stuck = true;
    run_until(1000 * S);
    rig.models[0].stuck = false;
    run_until(3005 * S);
    assert_int_equal(missing(0, 301), 0);
    rig.models[0].stuck = true;
    clear_trace();
    run_until(3021 * S);
    expect("3010000.302 3020000.303 3020000.k302");
}

/* A receiver that takes 20 s for each commit gets nothing twice as soon as that is known. */
static void test_slow_disk(void **state)
{
    (void)state;
    begin(1 * S, 1, AGENT_KEEP_MAX, 20 * S);
    run_until(200 * S);
    assert_in_range(rig.models[0].kept_sent, 1, 60);
    assert_int_equal(missing(0, 201), 0);
}

/* --- The round ---------------------------------------------------------------------------------------------------- */

/* What is lost is sent again 3 s later, and still before younger ones. */
static void test_kept_beat_is_lost(void **state)
{
    (void)state;
    begin(60 * S, 1, AGENT_KEEP_MAX, 100 * MS);
    run_until(30 * S);
    rig.models[0].away = true;
    run_until(290 * S);
    rig.models[0].away = false;
    rig.models[0].lose_kept = 2;
    clear_trace();
    run_until(370 * S);
    expect("300000.6 300000.6 300000.k2 301000.k3 302000.k4 303000.k2 304000.k3 305000.k5 360000.7");
    assert_int_equal(missing(0, 7), 0);
}

/* No ack of any kept beat for hours: less and less of them, until one is acked. */
static void test_kept_beats_are_not_wanted(void **state)
{
    (void)state;
    begin(60 * S, 1, AGENT_KEEP_MAX, 100 * MS);
    run_until(30 * S);
    rig.models[0].away = true;
    run_until(290 * S);
    rig.models[0].away = false;
    rig.models[0].lose_kept = 1000000;
    run_until(14000 * S);
    assert_in_range(rig.models[0].kept_sent, 100, 200); /* not 13,700 */
    rig.models[0].lose_kept = 0;
    clear_trace();
    run_until(15000 * S);
    assert_int_equal(missing(0, 250), 0);
    assert_non_null(strstr(rig.trace, "k2 "));
}

/* The current beats go first, also in a round that is longer than an interval; the next ack lets it go on. */
static void test_long_round(void **state)
{
    static const int64_t intervals[] = {250 * MS, 1 * S, 60 * S};
    (void)state;
    for (size_t i = 0; i < sizeof intervals / sizeof *intervals; i++) {
        begin(intervals[i], 1, AGENT_KEEP_MAX, 1 * S);
        run_until(10 * intervals[i]);
        rig.models[0].away = true;
        run_until(210 * intervals[i] - intervals[i] / 10);
        rig.models[0].away = false;
        run_until(700 * intervals[i]);
        assert_int_equal(rig.models[0].kept_sent, 199);
        assert_int_equal(missing(0, 701), 0);
    }
}

/* Nothing is kept but what a setting allows, and the oldest go first. */
static void test_overflow(void **state)
{
    static const struct {
        uint32_t keep, first; /* first is the oldest number that arrives, of 2 to 401 */
    } rows[] = {{256, 146}, {255, 147}, {5, 397}, {1, 401}, {0, 402}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(10 * S, 1, rows[i].keep, 100 * MS);
        run_until(5 * S);
        rig.models[0].away = true;
        run_until(4005 * S);
        rig.models[0].away = false;
        run_until(4100 * S);
        for (uint32_t n = 2; n <= 401; n++)
            assert_int_equal(rig.models[0].stored[n] > 0, n >= rows[i].first);
        assert_int_equal(rig.models[0].kept_sent, 402 - rows[i].first);
        assert_in_range(rig.models[0].oldest_kept, 409, 411);
    }
}

/* Silence, new sessions, challenges: what is kept stays. The age tells the time of the sleep as well. */
static void test_sleep(void **state)
{
    (void)state;
    begin(60 * S, 1, AGENT_KEEP_MAX, 100 * MS);
    run_until(30 * S);
    rig.models[0].away = true;
    run_until(130 * S);
    rig.slept_ns = 10000 * S; /* the monotonic clock stood still */
    run_until(400 * S);
    rig.models[0].away = false;
    run_until(490 * S);
    assert_int_equal(rig.models[0].kept_sent, 6); /* check_kept has seen their ages */
    assert_int_equal(missing(0, 9), 0);
}

static void test_no_kept_beat_after_the_bye(void **state)
{
    (void)state;
    begin(60 * S, 2, AGENT_KEEP_MAX, 100 * MS);
    run_until(30 * S);
    rig.models[0].away = true;
    run_until(290 * S);
    rig.models[0].away = false;
    rig.models[1].away = true; /* so that it is not over with the ack of the first one */
    run_until(301500 * MS);
    assert_int_equal(rig.models[0].kept_sent, 2);
    agent_stop(rig.core, rig.now, BYE_STOPPING, &rig.actions);
    act();
    run_until(310 * S);
    assert_true(rig.actions.done);
    assert_int_equal(rig.models[0].kept_sent, 2);
}

/* --- Several receivers -------------------------------------------------------------------------------------------- */

static void test_each_gets_what_it_lacks(void **state)
{
    (void)state;
    begin(60 * S, 3, AGENT_KEEP_MAX, 100 * MS);
    run_until(30 * S);
    rig.models[0].away = true;
    run_until(630 * S);
    rig.models[1].away = true;
    run_until(1250 * S);
    rig.models[0].away = rig.models[1].away = false;
    run_until(1400 * S);
    static const unsigned kept_sent[] = {20, 10, 0};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rig.models[i].kept_sent, kept_sent[i]);
        assert_int_equal(missing(i, 24), 0);
        assert_int_equal(rig.models[i].oldest_kept, 23); /* and the first one's beats are kept no longer */
    }
}

/* A database is replaced by a copy of yesterday: what is still kept for another receiver is sent again. */
static void test_restored_database(void **state)
{
    (void)state;
    begin(60 * S, 2, AGENT_KEEP_MAX, 100 * MS);
    run_until(30 * S);
    rig.models[1].away = true;
    run_until(1230 * S); /* up to beat 21 */
    for (uint32_t n = 11; n <= 21; n++)
        rig.models[0].stored[n] = 0;
    restart(0);
    clear_trace();
    run_until(1263 * S);
    expect("1260000.22 1260000.22 1260000.k11 1261000.k12 1262000.k13 1263000.k14");
    run_until(1400 * S);
    assert_int_equal(rig.models[0].kept_sent, 11);
    assert_int_equal(missing(0, 24), 0);
}

/* Acks the latest transmission to receiver 0, or an earlier one, with any `safe`. */
static void ack_by_hand(unsigned back, uint32_t safe)
{
    const struct model *model = &rig.models[0];
    struct ack ack = {model->sent_session, model->sent_counter - back, safe};
    assert_true(agent_ack(rig.core, 0, rig.now, &ack, &rig.actions));
    act();
}

/* An ack may take back what another one said; one that was overtaken may not, and what never was sent is not safe. */
static void test_lower_safe(void **state)
{
    (void)state;
    begin(60 * S, 2, AGENT_KEEP_MAX, 100 * MS);
    rig.models[0].away = rig.models[1].away = true;
    run_until(580 * S);
    rig.models[0].acked = 10;
    assert_int_equal(rig.models[0].oldest_kept, 1);
    clear_trace();
    ack_by_hand(0, 8);
    expect("580000.k9");
    assert_int_equal(rig.models[0].oldest_kept, 9);
    ack_by_hand(1, 3);
    ack_by_hand(0, 0); /* of beat 9: "not from 9 on" */
    run_until(600 * S);
    assert_int_equal(rig.models[0].oldest_kept, 9);
    ack_by_hand(0, 5);
    run_until(660 * S);
    assert_int_equal(rig.models[0].oldest_kept, 6);
    ack_by_hand(0, 4000000000u);
    run_until(720 * S);
    assert_int_equal(rig.models[0].oldest_kept, 13);
    run_until(780 * S);
    assert_int_equal(rig.models[0].oldest_kept, 13);
}

/* What the process before said counts no more. */
static void test_ack_from_before_the_challenge(void **state)
{
    (void)state;
    begin(60 * S, 2, AGENT_KEEP_MAX, 100 * MS);
    rig.models[0].away = rig.models[1].away = true;
    run_until(580 * S);
    struct challenge challenge = {rig.models[0].sent_session, rig.models[0].sent_counter, {9}};
    assert_true(agent_challenge(rig.core, 0, rig.now, &challenge, &rig.actions));
    act();
    ack_by_hand(1, 8);
    run_until(600 * S);
    assert_int_equal(rig.models[0].oldest_kept, 1);
}

/* --- Reload ------------------------------------------------------------------------------------------------------- */

/* Receiver i becomes number order[i]; the models move along. */
static void set_receivers(const int *previous, size_t count)
{
    struct model *old = malloc(sizeof rig.models);
    memcpy(old, rig.models, sizeof rig.models);
    for (size_t i = 0; i < count; i++)
        rig.models[i] = previous[i] < 0 ? (struct model){.commit_ns = 100 * MS, .secret = 1} : old[previous[i]];
    free(old);
    agent_set_receivers(rig.core, rig.now, previous, count, &rig.actions);
    act();
}

static void test_removed_receiver(void **state)
{
    static const int second_only[] = {1};
    (void)state;
    begin(60 * S, 2, AGENT_KEEP_MAX, 100 * MS);
    run_until(30 * S);
    rig.models[0].away = true;
    run_until(610 * S);
    set_receivers(second_only, 1);
    /* A process that knows nothing: it would be offered whatever is still kept. */
    memset(rig.models[0].stored, 0, sizeof rig.models[0].stored);
    restart(0);
    clear_trace();
    run_until(670 * S);
    expect("660000.12 660000.12 660000.k11");
}

static void test_new_receiver(void **state)
{
    static const int new_one[] = {-1, 1, 0};
    (void)state;
    begin(60 * S, 2, AGENT_KEEP_MAX, 100 * MS);
    run_until(30 * S);
    rig.models[0].away = true;
    run_until(610 * S); /* beat 11 */
    set_receivers(new_one, 3);
    run_until(670 * S);
    assert_int_equal(rig.models[0].oldest_kept, 12);
    restart(0); /* nor is it offered more after a challenge */
    rig.models[2].away = false;
    run_until(1000 * S);
    assert_int_equal(rig.models[0].kept_sent, 0);
    assert_int_equal(missing(2, 17), 0);
    for (uint32_t n = 1; n <= 17; n++)
        assert_int_equal(rig.models[0].stored[n] > 0, n >= 12);
}

static void test_new_interval(void **state)
{
    (void)state;
    begin(60 * S, 1, AGENT_KEEP_MAX, 100 * MS);
    run_until(30 * S);
    rig.models[0].away = true;
    run_until(190 * S);
    rig.models[0].away = false;
    rig.interval_ns = 10 * S;
    clear_trace();
    agent_set_interval(rig.core, rig.now, rig.interval_ns, &rig.actions);
    run_until(199 * S);
    expect("190000.5 190000.5 190000.k2 190200.k3 190400.k4");
}

static void test_new_limit(void **state)
{
    (void)state;
    begin(60 * S, 1, 20, 100 * MS);
    run_until(30 * S);
    rig.models[0].away = true;
    run_until(3610 * S);
    agent_set_keep(rig.core, 3);
    run_until(3670 * S); /* beat 62 */
    agent_set_keep(rig.core, 4);
    run_until(3790 * S);
    rig.models[0].away = false;
    clear_trace();
    run_until(3850 * S);
    expect("3795000.64 3795000.64 3795000.k60 3796000.k61 3797000.k62 3798000.k63 3840000.65");
}

#define TEST(name)                               \
    {                                            \
#name, test_##name, NULL, teardown, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(steady),
        TEST(unacked),
        TEST(one_lost),
        TEST(challenge),
        TEST(challenge_in_between),
        TEST(not_stored),
        TEST(stored_again),
        TEST(slow_disk),
        TEST(kept_beat_is_lost),
        TEST(kept_beats_are_not_wanted),
        TEST(long_round),
        TEST(overflow),
        TEST(sleep),
        TEST(no_kept_beat_after_the_bye),
        TEST(each_gets_what_it_lacks),
        TEST(restored_database),
        TEST(lower_safe),
        TEST(ack_from_before_the_challenge),
        TEST(removed_receiver),
        TEST(new_receiver),
        TEST(new_interval),
        TEST(new_limit),
    };
    return cmocka_run_group_tests_name("agent keeps", tests, NULL, NULL);
}
