/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_agent_core.c - when the agent says what, on a clock that the test turns: PROTOCOL.md sections 4 and 5.
 *
 * What the core sends is written down as text, one word a datagram: "2.1:500 s3 e7" is counter 2 with beat 1 at the age
 * of 500 ms in session 3 with an echo of sevens; "bye2" stands in place of a beat. Sessions are numbered because the
 * random bytes here count. Every beat tells its due instant as its run time, so that the text shows it. */
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
#define TRACE_SIZE 65536

struct rig {
    struct agent_core *core;
    struct agent_actions actions;
    struct instant now;
    uint64_t drawn;
    struct agent_message last[AGENT_RECEIVER_MAX]; /* the latest datagram to each receiver */
    unsigned sent[AGENT_RECEIVER_MAX];
    char trace[TRACE_SIZE]; /* of receiver 0 */
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

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(rig.trace + rig.trace_len, TRACE_SIZE - rig.trace_len, format, args);
    va_end(args);
    assert_in_range(n, 0, TRACE_SIZE - rig.trace_len - 1);
    rig.trace_len += (size_t)n;
}

static void note_message(const struct agent_message *message)
{
    const uint8_t *echo = message->is_bye ? message->bye.echo : message->beat.echo;
    if (message->is_bye)
        note("%u.bye%u:%u s%u", (unsigned)message->bye.counter, message->bye.reason, message->bye.age_ms,
             (unsigned)message->bye.session);
    else
        note("%u.%u:%u s%u", (unsigned)message->beat.counter, message->beat.number, message->beat.age_ms,
             (unsigned)message->beat.session);
    if (echo[0])
        note(" e%u", echo[0]);
    note("; ");
}

/* Carries actions out: takes the sample, keeps what was sent. */
static void act(void)
{
    if (rig.actions.sample) {
        struct agent_sample sample = {.uptime_ms = (uint64_t)(rig.actions.due.ns / MS) + 5000,
                                      .run_ms = (uint64_t)(rig.actions.due.ns / MS)};
        sample.metrics[METRIC_LOAD1] = 0.25;
        agent_sampled(rig.core, rig.now, &sample, &rig.actions);
    }
    for (size_t i = 0; i < rig.actions.message_count; i++) {
        const struct agent_message *message = &rig.actions.messages[i];
        rig.last[message->receiver] = *message;
        rig.sent[message->receiver]++;
        if (message->receiver == 0)
            note_message(message);
    }
}

/* Wakes the core as it asks, until `age_ns` after the start. */
static void run_until(int64_t age_ns)
{
    struct instant end = {START_NS + age_ns};
    for (int guard = 0; rig.actions.wake.ns <= end.ns && !rig.actions.done; guard++) {
        assert_in_range(guard, 0, 100000);
        rig.now = instant_later(rig.now, rig.actions.wake);
        agent_wake(rig.core, rig.now, &rig.actions);
        act();
    }
    rig.now = end;
}

static void begin_many(int64_t interval_ns, size_t receivers)
{
    agent_destroy(rig.core);
    memset(&rig, 0, sizeof rig);
    struct agent_options options = {.interval_ns = interval_ns,
                                    .receiver_count = receivers,
                                    .keep = AGENT_KEEP_MAX,
                                    .agent_start = 77,
                                    .previous_end = PREVIOUS_DIED,
                                    .random = counting_random,
                                    .random_context = &rig};
    memset(options.boot_id, 0xb0, sizeof options.boot_id);
    rig.core = agent_create(&options);
    assert_non_null(rig.core);
    rig.now = (struct instant){START_NS};
    agent_wake(rig.core, rig.now, &rig.actions);
    act();
}

static void begin(int64_t interval_ns)
{
    begin_many(interval_ns, 1);
}

/* Answers the latest datagram to a receiver, or an earlier one. */
static bool ack_safe(size_t receiver, unsigned back, uint32_t safe)
{
    const struct agent_message *last = &rig.last[receiver];
    struct ack ack = {.session = last->is_bye ? last->bye.session : last->beat.session,
                      .counter = (last->is_bye ? last->bye.counter : last->beat.counter) - back,
                      .safe = safe};
    bool counts = agent_ack(rig.core, receiver, rig.now, &ack, &rig.actions);
    act();
    return counts;
}

/* By a receiver that has stored all the beats so far. */
static bool ack_earlier(size_t receiver, unsigned back)
{
    const struct agent_message *last = &rig.last[receiver];
    return ack_safe(receiver, back, last->is_bye ? 0 : last->beat.number);
}

static void ack(size_t receiver)
{
    assert_true(ack_earlier(receiver, 0));
}

static bool challenge_with(size_t receiver, uint64_t session, uint64_t counter, uint8_t value)
{
    struct challenge challenge = {.session = session, .counter = counter};
    memset(challenge.value, value, sizeof challenge.value);
    bool counts = agent_challenge(rig.core, receiver, rig.now, &challenge, &rig.actions);
    act();
    return counts;
}

static void challenge(size_t receiver, uint8_t value)
{
    const struct agent_message *last = &rig.last[receiver];
    assert_true(challenge_with(receiver, last->is_bye ? last->bye.session : last->beat.session,
                               last->is_bye ? last->bye.counter : last->beat.counter, value));
}

static void clear_trace(void)
{
    rig.trace_len = 0;
    rig.trace[0] = '\0';
}

/* Compares what was sent to receiver 0 since the last call. */
static void expect(const char *trace)
{
    assert_string_equal(rig.trace, trace);
    clear_trace();
}

static int teardown(void **state)
{
    (void)state;
    agent_destroy(rig.core);
    rig.core = NULL;
    return 0;
}

/* --- When --------------------------------------------------------------------------------------------------------- */

struct schedule_row {
    int64_t interval_ns;
    const char *first;  /* ages of the first beat, nothing acked */
    const char *second; /* ages of the next one */
};

/* The ages at which datagrams leave until `end_ns` after the start. */
static void ages_until(char *out, size_t size, int64_t end_ns)
{
    size_t len = 0;
    out[0] = '\0';
    clear_trace();
    run_until(end_ns);
    for (const char *at = rig.trace; *at; at = strchr(at, ';') + 2)
        len +=
            (size_t)snprintf(out + len, size - len, "%s%d", len ? " " : "", (int)strtol(strchr(at, ':') + 1, NULL, 10));
}

static void test_schedule(void **state)
{
    static const struct schedule_row rows[] = {
        {60 * S, "1000 3000 7000 15000 31000",
         "0 500 1000 1500 2000 2500 3000 3500 4000 4500 5000 5500 6000 6500 7000 7500 15000 31000"},
        {30 * S, "500 1500 3500 7500 15500",
         "0 250 500 750 1000 1250 1500 1750 2000 2250 2500 2750 3000 3250 3500 3750 7500 15500"},
        {10 * S, "200 600 1400 3000", "0 100 200 300 400 500 600 700 800 900 1000 1100 1200 1400 3000"},
        {2 * S, "200 600", "0 100 200 600"}, /* 7R is beyond 0.55 T */
        {1 * S, "200", "0 100 200"},
        {250 * MS, "", "0"},
        {400 * MS, "200", "0 200"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char ages[512];
        begin(rows[i].interval_ns);
        ages_until(ages, sizeof ages, rows[i].interval_ns - 1);
        assert_string_equal(ages, rows[i].first);
        ages_until(ages, sizeof ages, 2 * rows[i].interval_ns - 1);
        assert_string_equal(ages, rows[i].second);
    }
}

/* The longest interval: R is 1 s, and the burst lasts an eighth of the interval. */
static void test_schedule_long(void **state)
{
    (void)state;
    begin(AGENT_INTERVAL_MAX_NS);
    run_until(AGENT_INTERVAL_MAX_NS - 1);
    expect("1.1:0 s1; 2.1:1000 s1; 3.1:3000 s1; 4.1:7000 s1; 5.1:15000 s1; 6.1:31000 s1; ");
    run_until(2 * AGENT_INTERVAL_MAX_NS - 1);
    assert_int_equal(rig.sent[0],
                     6 + 1 + 60 + 1); /* half a minute in steps of 0.5 s, which hold the later ones but the last */
}

static void test_acked_beat_is_not_repeated(void **state)
{
    (void)state;
    begin(60 * S);
    run_until(3500 * MS);
    ack(0);
    run_until(60 * S);
    ack_earlier(0, 0);
    run_until(119 * S);
    expect("1.1:0 s1; 2.1:1000 s1; 3.1:3000 s1; 4.2:0 s1; ");
}

static void test_ack_of_any_transmission_counts(void **state)
{
    (void)state;
    begin(60 * S);
    run_until(16 * S);
    clear_trace();
    assert_true(ack_earlier(0, 4)); /* the very first */
    run_until(70 * S);
    expect("6.2:0 s1; 7.2:1000 s1; 8.2:3000 s1; 9.2:7000 s1; "); /* and there is no burst */
}

static void test_ack_of_older_beat_does_not_stop_this_one(void **state)
{
    (void)state;
    begin(10 * S);
    run_until(10 * S);
    clear_trace();
    assert_true(ack_earlier(0, 1));
    run_until(10200 * MS);
    expect("7.2:100 s1; 8.2:200 s1; ");
}

/* An answer may come so late that its counter is forgotten: somebody listens, but which beat it was is unknown. */
static void test_forgotten_counter(void **state)
{
    (void)state;
    begin(AGENT_INTERVAL_MAX_NS);
    run_until(AGENT_INTERVAL_MAX_NS + 29500 * MS);
    unsigned sent = rig.sent[0];
    assert_true(ack_earlier(0, 65)); /* the very first of 66: no longer known what it carried */
    run_until(AGENT_INTERVAL_MAX_NS + 30400 * MS);
    assert_int_equal(rig.sent[0], sent + 1);
    assert_true(ack_earlier(0, 10));
    run_until(AGENT_INTERVAL_MAX_NS + 40 * S);
    assert_int_equal(rig.sent[0], sent + 1);
}

static void test_due_on_the_grid(void **state)
{
    (void)state;
    begin(10 * S);
    for (int beat = 1; beat <= 5; beat++) {
        assert_int_equal(rig.last[0].beat.number, beat);
        assert_int_equal(rig.last[0].beat.run_ms, START_NS / MS + (beat - 1) * 10000);
        ack(0);
        rig.now = instant_add(rig.actions.wake, 37 * MS); /* the loop is always a little late */
        agent_wake(rig.core, rig.now, &rig.actions);
        act();
        assert_int_equal(rig.last[0].beat.age_ms, 37);
    }
}

static void test_stall_gives_one_late_beat(void **state)
{
    (void)state;
    begin(10 * S);
    ack(0);
    rig.now = (struct instant){START_NS + 53 * S};
    agent_wake(rig.core, rig.now, &rig.actions);
    act();
    expect("1.1:0 s1; 2.2:3000 s1; ");
    assert_int_equal(rig.last[0].beat.run_ms, (START_NS + 50 * S) / MS);
    assert_int_equal(rig.last[0].beat.uptime_ms, (START_NS + 50 * S) / MS + 5000);
    ack(0);
    run_until(60 * S);
    expect("3.3:0 s1; ");
}

static void test_replaced_beat_is_not_repeated(void **state)
{
    (void)state;
    begin(10 * S);
    rig.now = (struct instant){START_NS + 10 * S}; /* all tries of the first beat are overdue */
    agent_wake(rig.core, rig.now, &rig.actions);
    assert_int_equal(rig.actions.message_count, 0);
    act();
    expect("1.1:0 s1; 2.2:0 s1; ");
}

static void test_late_retry_is_one(void **state)
{
    (void)state;
    begin(60 * S);
    clear_trace();
    rig.now = (struct instant){START_NS + 8 * S}; /* missed 1, 3 and 7 s */
    agent_wake(rig.core, rig.now, &rig.actions);
    act();
    expect("2.1:8000 s1; ");
    assert_int_equal(rig.actions.wake.ns, START_NS + 15 * S);
}

static void test_early_wake_does_nothing(void **state)
{
    (void)state;
    begin(60 * S);
    clear_trace();
    for (int i = 1; i < 100; i++) {
        rig.now = (struct instant){START_NS + i * 9 * MS};
        agent_wake(rig.core, rig.now, &rig.actions);
        act();
    }
    expect("");
    assert_int_equal(rig.actions.wake.ns, START_NS + 1 * S);
}

/* --- What --------------------------------------------------------------------------------------------------------- */

static void test_contents(void **state)
{
    (void)state;
    begin(60 * S);
    run_until(60 * S);
    const struct beat *beat = &rig.last[0].beat;
    assert_int_equal(beat->number, 2);
    assert_int_equal(beat->oldest_kept, 1);
    assert_int_equal(beat->interval_ms, 60000);
    assert_int_equal(beat->agent_start, 77);
    assert_int_equal(beat->previous_end, PREVIOUS_DIED);
    assert_int_equal(beat->boot_id[15], 0xb0);
    assert_int_equal(beat->flags, 0);
    assert_true(beat->metrics[METRIC_LOAD1] > 0.2);
}

static void test_receivers_have_their_own_sessions(void **state)
{
    (void)state;
    begin_many(60 * S, 3);
    assert_int_equal(rig.actions.message_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(rig.last[i].beat.session, i + 1);
        assert_int_equal(rig.last[i].beat.counter, 1);
        assert_int_equal(rig.last[i].beat.number, 1);
    }
    ack(1);
    run_until(60 * S);
    assert_int_equal(rig.sent[0], 7);
    assert_int_equal(rig.sent[1], 2);
    assert_int_equal(rig.last[1].beat.counter, 2);
    assert_int_equal(rig.last[2].beat.counter, 7);
    assert_int_equal(rig.last[1].beat.number, rig.last[2].beat.number);
}

/* --- Challenges and sessions -------------------------------------------------------------------------------------- */

static void test_challenge_is_answered_at_once(void **state)
{
    (void)state;
    begin(60 * S);
    rig.now = instant_add(rig.now, 40 * MS);
    challenge(0, 7);
    rig.now = instant_add(rig.now, 40 * MS);
    ack(0);
    run_until(60 * S);
    expect("1.1:0 s1; 2.1:40 s1 e7; 3.2:0 s1 e7; ");
}

static void test_same_value_once_a_beat(void **state)
{
    (void)state;
    begin(60 * S);
    challenge(0, 7);
    challenge(0, 7);
    challenge(0, 8);
    challenge(0, 8);
    expect("1.1:0 s1; 2.1:0 s1 e7; 3.1:0 s1 e8; ");
    ack(0);
    run_until(60 * S);
    challenge(0, 8);
    challenge(0, 8);
    expect("4.2:0 s1 e8; 5.2:0 s1 e8; ");
}

/* Two receivers behind one address would keep this up for ever. */
static void test_challenges_in_turn_end(void **state)
{
    (void)state;
    begin(60 * S);
    for (uint8_t i = 0; i < 100; i++)
        challenge(0, 7 + i % 2);
    assert_in_range(rig.sent[0], 3, 20);
}

static void test_answers_that_are_none(void **state)
{
    (void)state;
    begin_many(60 * S, 2);
    run_until(3 * S);
    clear_trace();
    struct ack wrong[] = {{.session = 1, .counter = 0},
                          {.session = 1, .counter = 4},
                          {.session = 2, .counter = 1},
                          {.session = 1, .counter = UINT64_MAX},
                          {.session = 0, .counter = 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(agent_ack(rig.core, 0, rig.now, &wrong[i], &rig.actions));
        assert_int_equal(rig.actions.message_count, 0);
        assert_false(challenge_with(0, wrong[i].session, wrong[i].counter, 9));
    }
    run_until(7 * S);
    expect("4.1:7000 s1; ");
}

static void test_challenges_without_ack_end_the_session(void **state)
{
    (void)state;
    begin(1 * S);
    challenge(0, 7);
    run_until(999 * MS);
    expect("1.1:0 s1; 2.1:0 s1 e7; 3.1:200 s1 e7; ");
    run_until(1 * S);
    expect("1.2:0 s2; "); /* nothing of the old session is left */
    assert_false(challenge_with(0, 1, 1, 7));
    challenge(0, 8);
    ack(0);
    run_until(2 * S);
    expect("2.2:0 s2 e8; 3.3:0 s2 e8; ");
}

/* What was heard counts for one beat only. */
static void test_old_answers_do_not_keep_the_session(void **state)
{
    (void)state;
    begin(250 * MS);
    challenge(0, 7);
    ack(0);
    run_until(250 * MS);
    challenge(0, 8);
    run_until(500 * MS);
    expect("1.1:0 s1; 2.1:0 s1 e7; 3.2:0 s1 e7; 4.2:0 s1 e8; 1.3:0 s2; ");
    challenge(0, 9);
    ack(0);
    run_until(1250 * MS);
    expect("2.3:0 s2 e9; 3.4:0 s2 e9; 4.5:0 s2 e9; 1.6:0 s3; ");
}

static void test_two_silent_beats_end_the_session(void **state)
{
    (void)state;
    begin(250 * MS);
    run_until(1500 * MS);
    expect("1.1:0 s1; 2.2:0 s1; 1.3:0 s2; 2.4:0 s2; 1.5:0 s3; 2.6:0 s3; 1.7:0 s4; ");
    assert_int_equal(agent_silent_beats(rig.core, 0), 6);
    ack(0);
    assert_int_equal(agent_silent_beats(rig.core, 0), 0);
}

static void test_one_answer_in_two_beats_keeps_the_session(void **state)
{
    (void)state;
    begin(250 * MS);
    for (int i = 0; i < 6; i++) {
        run_until(i * 250 * MS);
        if (i % 2)
            ack_earlier(0, 1); /* late, for the beat before */
    }
    expect("1.1:0 s1; 2.2:0 s1; 3.3:0 s1; 4.4:0 s1; 5.5:0 s1; 6.6:0 s1; ");
}

static void test_new_interval_new_sessions(void **state)
{
    (void)state;
    begin_many(60 * S, 2);
    challenge(0, 7);
    ack(0);
    run_until(20 * S);
    clear_trace();
    agent_set_interval(rig.core, rig.now, 60 * S, &rig.actions);
    assert_int_equal(rig.actions.wake.ns, START_NS + 31 * S); /* the same one: nothing but receiver 1's next try */
    agent_set_interval(rig.core, rig.now, 1 * S, &rig.actions);
    assert_int_equal(rig.actions.wake.ns, rig.now.ns);
    run_until(22 * S);
    expect("1.2:0 s3; 2.2:200 s3; 3.3:0 s3; 4.3:100 s3; 5.3:200 s3; 1.4:0 s5; ");
    assert_int_equal(rig.last[0].beat.interval_ms, 1000);
    assert_int_equal(rig.last[0].beat.run_ms, START_NS / MS + 22000);
}

/* --- Receivers ---------------------------------------------------------------------------------------------------- */

static void test_receivers_come_and_go(void **state)
{
    static const int swapped[] = {1, -1, 0};
    (void)state;
    begin_many(60 * S, 2);
    ack(0);
    run_until(10 * S);
    clear_trace();
    agent_set_receivers(rig.core, rig.now, swapped, 3, &rig.actions);
    memset(rig.sent, 0, sizeof rig.sent);
    run_until(59 * S);
    expect("5.1:15000 s2; 6.1:31000 s2; "); /* what was receiver 1 goes on as receiver 0 */
    assert_int_equal(rig.sent[1], 0);
    assert_int_equal(rig.sent[2], 0);
    run_until(60 * S);
    assert_int_equal(rig.last[1].beat.session, 3);
    assert_int_equal(rig.last[1].beat.counter, 1);
    assert_int_equal(rig.last[1].beat.number, 2);
    assert_int_equal(rig.last[2].beat.session, 1);
    assert_int_equal(rig.last[2].beat.counter, 2);
    assert_int_equal(agent_silent_beats(rig.core, 0), 1);
    assert_int_equal(agent_silent_beats(rig.core, 1), 0);
}

static void test_changed_receiver_gets_the_beat_again(void **state)
{
    (void)state;
    begin(60 * S);
    run_until(40 * S);
    clear_trace();
    agent_receiver_changed(rig.core, 0, rig.now, &rig.actions);
    act();
    ack(0);
    agent_receiver_changed(rig.core, 0, rig.now, &rig.actions);
    act();
    run_until(59 * S);
    expect("7.1:40000 s1; ");
}

/* --- Bye ---------------------------------------------------------------------------------------------------------- */

static void stop(enum bye_reason reason)
{
    agent_stop(rig.core, rig.now, reason, &rig.actions);
    act();
}

static void test_bye_is_repeated_for_two_seconds(void **state)
{
    (void)state;
    begin(10 * S);
    run_until(9900 * MS);
    clear_trace();
    stop(BYE_SHUTDOWN);
    stop(BYE_STOPPING); /* only the first counts */
    run_until(60 * S);  /* and no beat any more */
    assert_true(rig.actions.done);
    expect("6.bye2:0 s1; 7.bye2:200 s1; 8.bye2:400 s1; 9.bye2:600 s1; 10.bye2:800 s1; 11.bye2:1000 s1; "
           "12.bye2:1200 s1; 13.bye2:1400 s1; 14.bye2:1600 s1; 15.bye2:1800 s1; ");
    assert_int_equal(rig.last[0].bye.agent_start, 77);
}

static void test_bye_ends_with_the_last_ack(void **state)
{
    (void)state;
    begin_many(60 * S, 2);
    stop(BYE_STOPPING);
    assert_false(rig.actions.done);
    assert_true(ack_earlier(0, 1)); /* of a beat */
    ack(1);
    assert_false(rig.actions.done);
    run_until(1 * S);
    ack(0);
    assert_true(rig.actions.done);
    expect("1.1:0 s1; 2.bye1:0 s1; 3.bye1:1000 s1; ");
    assert_int_equal(rig.sent[1], 2);
}

static void test_bye_answers_a_challenge(void **state)
{
    (void)state;
    begin(60 * S);
    challenge(0, 7);
    ack(0);
    clear_trace();
    stop(BYE_STOPPING);
    rig.now = instant_add(rig.now, 30 * MS);
    challenge(0, 7); /* the receiver was started anew and draws the same: one more answer for the bye */
    challenge(0, 8);
    challenge(0, 8);
    assert_false(rig.actions.done); /* though the last beat was acked */
    ack(0);
    assert_true(rig.actions.done);
    expect("3.bye1:0 s1 e7; 4.bye1:30 s1 e7; 5.bye1:30 s1 e8; ");
}

/* A session of its own, which ends the one before at the receiver; a whole day, for the way may be cut. */
static void test_moving_away(void **state)
{
    (void)state;
    begin(60 * S);
    challenge(0, 7);
    ack(0);
    clear_trace();
    stop(BYE_MOVED);
    challenge(0, 8);
    run_until(6 * 60 * S);
    expect("1.bye3:0 s2; 2.bye3:0 s2 e8; 3.bye3:1000 s2 e8; 4.bye3:61000 s2 e8; 5.bye3:121000 s2 e8; "
           "6.bye3:181000 s2 e8; 7.bye3:241000 s2 e8; 8.bye3:301000 s2 e8; ");
    ack(0);
    assert_true(rig.actions.done);
}

static void test_moving_away_is_given_up(void **state)
{
    (void)state;
    begin(3600 * S);
    stop(BYE_MOVED);
    run_until(24 * 3600 * S - 1 * S);
    assert_false(rig.actions.done);
    run_until(24 * 3600 * S);
    assert_true(rig.actions.done);
    assert_int_equal(rig.sent[0], 1 + 2 + 23); /* the beat, 0 and 1 s, then hourly */
}

static void test_sample_after_stop_is_dropped(void **state)
{
    struct agent_sample sample = {.run_ms = 1};
    (void)state;
    begin(60 * S);
    ack(0);
    rig.now = (struct instant){START_NS + 60 * S};
    agent_wake(rig.core, rig.now, &rig.actions);
    assert_true(rig.actions.sample);
    stop(BYE_STOPPING);
    agent_sampled(rig.core, rig.now, &sample, &rig.actions);
    assert_int_equal(rig.actions.message_count, 0);
    expect("1.1:0 s1; 2.bye1:0 s1; ");
}

#define TEST(name)                               \
    {                                            \
#name, test_##name, NULL, teardown, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(schedule),
        TEST(schedule_long),
        TEST(acked_beat_is_not_repeated),
        TEST(ack_of_any_transmission_counts),
        TEST(ack_of_older_beat_does_not_stop_this_one),
        TEST(forgotten_counter),
        TEST(due_on_the_grid),
        TEST(stall_gives_one_late_beat),
        TEST(replaced_beat_is_not_repeated),
        TEST(late_retry_is_one),
        TEST(early_wake_does_nothing),
        TEST(contents),
        TEST(receivers_have_their_own_sessions),
        TEST(challenge_is_answered_at_once),
        TEST(same_value_once_a_beat),
        TEST(challenges_in_turn_end),
        TEST(answers_that_are_none),
        TEST(challenges_without_ack_end_the_session),
        TEST(old_answers_do_not_keep_the_session),
        TEST(two_silent_beats_end_the_session),
        TEST(one_answer_in_two_beats_keeps_the_session),
        TEST(new_interval_new_sessions),
        TEST(receivers_come_and_go),
        TEST(changed_receiver_gets_the_beat_again),
        TEST(bye_is_repeated_for_two_seconds),
        TEST(bye_ends_with_the_last_ack),
        TEST(bye_answers_a_challenge),
        TEST(moving_away),
        TEST(moving_away_is_given_up),
        TEST(sample_after_stop_is_dropped),
    };
    return cmocka_run_group_tests_name("agent core", tests, NULL, NULL);
}
