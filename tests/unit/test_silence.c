/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_silence.c - what a silence is recorded as: every row of the table of states, each as one string.
 *
 * Times are whole seconds after the last beat, the interval is 60 and expectation 1 lapses at 90. A span is written
 * `FROM state/cause [EARLIEST..LATEST]`, the bounds only where they are not FROM itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "receiver/judge/silence.h"

#define BASE INT64_C(1000000)
#define NEVER INT64_MAX
#define NOW 1000000 /* unless the row says otherwise: all absences are known */

struct row {
    const char *what;
    struct {
        bool late, judged;
        enum goodbye goodbye;
        int64_t goodbye_at;
        bool reported;
        bool ended;
        int64_t beat_at;
        bool new_boot;
        int64_t boot_at;
        bool new_start;
        int64_t frozen;
    } s;
    struct {
        int64_t from, to;
        enum cause cause;
    } absences[4];
    struct {
        int64_t from, to;
    } windows[2];
    bool conservative;
    int64_t now;
    const char *expected;
};

static struct instant at(int64_t second)
{
    return second == NEVER ? INSTANT_NEVER : (struct instant){(BASE + second) * NS_PER_S};
}

static void print_second(char *out, size_t size, struct instant t)
{
    int64_t ns = t.ns - BASE * NS_PER_S;
    if (ns % NS_PER_S == 0)
        (void)snprintf(out, size, "%lld", (long long)(ns / NS_PER_S));
    else
        (void)snprintf(out, size, "%.1f", (double)ns / 1e9);
}

static void print_spans(char *out, size_t size, const struct silence_span *spans, size_t count)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        char from[32], earliest[32], latest[32];
        print_second(from, sizeof from, spans[i].from);
        print_second(earliest, sizeof earliest, spans[i].earliest);
        print_second(latest, sizeof latest, spans[i].latest);
        len += (size_t)snprintf(out + len, size - len, "%s%s %s%s%s", i ? ", " : "", from, state_token(spans[i].state),
                                spans[i].cause ? "/" : "", cause_token(spans[i].cause));
        if (strcmp(from, earliest) != 0 || strcmp(from, latest) != 0)
            len += (size_t)snprintf(out + len, size - len, " [%s..%s]", earliest, latest);
    }
}

static struct silence silence_of(const struct row *row)
{
    return (struct silence){.last = at(0),
                            .interval_ns = 60 * NS_PER_S,
                            .expected = at(90),
                            .late = row->s.late || row->s.judged,
                            .judged = row->s.judged,
                            .goodbye = row->s.goodbye,
                            .goodbye_at = at(row->s.goodbye_at),
                            .goodbye_reported = row->s.reported,
                            .ended = row->s.ended,
                            .beat_at = at(row->s.beat_at),
                            .new_boot = row->s.new_boot,
                            .boot_at = at(row->s.boot_at),
                            .new_start = row->s.new_start,
                            .frozen_ns = row->s.frozen * NS_PER_S};
}

static int check_row(const struct row *row)
{
    struct absence absences[4];
    struct window windows[2];
    struct silence silence = silence_of(row);
    struct circumstances c = {.absences = absences,
                              .windows = windows,
                              .planned_limit_ns = 1800 * NS_PER_S,
                              .conservative = row->conservative,
                              .now = at(row->now ? row->now : NOW)};
    for (; c.absence_count < 4 && row->absences[c.absence_count].to; c.absence_count++)
        absences[c.absence_count] = (struct absence){.from = at(row->absences[c.absence_count].from),
                                                     .to = at(row->absences[c.absence_count].to),
                                                     .cause = row->absences[c.absence_count].cause};
    for (; c.window_count < 2 && row->windows[c.window_count].to; c.window_count++)
        windows[c.window_count] =
            (struct window){at(row->windows[c.window_count].from), at(row->windows[c.window_count].to)};
    struct silence_span spans[SILENCE_SPANS_MAX];
    char told[1024];
    print_spans(told, sizeof told, spans, silence_spans(&silence, &c, spans));
    if (strcmp(told, row->expected) == 0)
        return 0;
    print_error("%s:\n  is        %s\n  should be %s\n", row->what, told, row->expected);
    return 1;
}

static void check_rows(const struct row *rows, size_t count)
{
    int wrong = 0;
    for (size_t i = 0; i < count; i++)
        wrong += check_row(&rows[i]);
    assert_int_equal(wrong, 0);
}

#define CHECK(rows) check_rows(rows, sizeof(rows) / sizeof *(rows))

/* What the host's own facts say. */
static void test_base(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"nothing has lapsed", .expected = "0 up"},
        {"late only", .s = {.late = true}, .expected = "0 up"},
        {"late, and back", .s = {.late = true, .ended = true, .beat_at = 100}, .expected = "0 up"},
        {"two missed, still silent", .s = {.judged = true}, .expected = "0 up, 30 down/silent [0..60]"},
        {"two missed, it ran on", .s = {.judged = true, .ended = true, .beat_at = 1000},
         .expected = "0 up, 30 down/unreachable [0..60], 1000 up"},
        {"two missed, another agent start", .s = {.judged = true, .ended = true, .beat_at = 1000, .new_start = true},
         .expected = "0 up, 30 down/agent_died [0..60], 1000 up"},
        {"frozen nearly all the time", .s = {.judged = true, .ended = true, .beat_at = 1000, .frozen = 990},
         .expected = "0 up, 10 down/frozen [0..10], 1000 up [990..1000]"},
        {"frozen after one was missed", .s = {.late = true, .ended = true, .beat_at = 100, .frozen = 40},
         .expected = "0 up, 60 down/frozen [0..60], 100 up [40..100]"},
        {"frozen at the end of a long silence", .s = {.judged = true, .ended = true, .beat_at = 1000, .frozen = 400},
         .expected = "0 up, 30 down/unreachable [0..60], 600 down/frozen [0..600], 1000 up [400..1000]"},
        {"frozen longer than the silence", .s = {.judged = true, .ended = true, .beat_at = 1000, .frozen = 2000},
         .expected = "0 down/frozen, 1000 up"},
        {"a delayed datagram is not frozen", .s = {.late = true, .ended = true, .beat_at = 100, .frozen = 5},
         .expected = "0 up"},
        {"clocks that drift are not frozen", .s = {.judged = true, .ended = true, .beat_at = 20000, .frozen = 10},
         .expected = "0 up, 30 down/unreachable [0..60], 20000 up"},
        {"another agent start before two were missed",
         .s = {.late = true, .ended = true, .beat_at = 100, .new_start = true}, .expected = "0 up"},
        {"a boot nobody announced, two missed",
         .s = {.judged = true, .ended = true, .beat_at = 1000, .new_boot = true, .boot_at = 900},
         .expected = "0 up, 30 down/reboot [0..60], 900 up"},
        {"a boot before anything was missed", .s = {.ended = true, .beat_at = 60, .new_boot = true, .boot_at = 40},
         .expected = "0 up, 20 down/reboot [0..40], 40 up"},
        {"a boot after a bye of the agent",
         .s = {.late = true,
               .goodbye = GOODBYE_STOPPED,
               .goodbye_at = 10,
               .ended = true,
               .beat_at = 200,
               .new_boot = true,
               .boot_at = 150},
         .expected = "0 up, 10 down/reboot, 150 up"},
        {"a boot that claims to lie before the last beat",
         .s = {.judged = true, .ended = true, .beat_at = 1000, .new_boot = true, .boot_at = -500},
         .expected = "0 up, 30 down/unreachable [0..60], 1000 up"},
        {"a boot that claims to lie before the last beat, nothing missed",
         .s = {.ended = true, .beat_at = 60, .new_boot = true, .boot_at = -500}, .expected = "0 up"},
        {"a boot that claims to lie after the first beat",
         .s = {.judged = true, .ended = true, .beat_at = 1000, .new_boot = true, .boot_at = 5000},
         .expected = "0 up, 30 down/reboot [0..60], 1000 up"},
    };
    CHECK(rows);
}

static void test_goodbyes(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"agent stopping, nothing lapsed", .s = {.goodbye = GOODBYE_STOPPED, .goodbye_at = 10}, .expected = "0 up"},
        {"agent stopping, late: excused for the limit, then down",
         .s = {.late = true, .goodbye = GOODBYE_STOPPED, .goodbye_at = 10},
         .expected = "0 up, 10 unknown/agent_stopped, 1810 down/agent_stopped"},
        {"agent stopping, back within the limit",
         .s = {.late = true,
               .goodbye = GOODBYE_STOPPED,
               .goodbye_at = 10,
               .ended = true,
               .beat_at = 500,
               .new_start = true},
         .expected = "0 up, 10 unknown/agent_stopped, 500 up"},
        {"agent stopping, back after the limit",
         .s = {.late = true,
               .goodbye = GOODBYE_STOPPED,
               .goodbye_at = 10,
               .ended = true,
               .beat_at = 2500,
               .new_start = true},
         .expected = "0 up, 10 unknown/agent_stopped, 1810 down/agent_stopped, 2500 up"},
        {"agent stopping, back at once",
         .s = {.goodbye = GOODBYE_STOPPED, .goodbye_at = 10, .ended = true, .beat_at = 15, .new_start = true},
         .expected = "0 up"},
        {"shutting down: planned at once", .s = {.goodbye = GOODBYE_SHUTDOWN, .goodbye_at = 10},
         .expected = "0 up, 10 admin/shutdown, 1810 down/shutdown"},
        {"shutting down, booted again",
         .s = {.goodbye = GOODBYE_SHUTDOWN,
               .goodbye_at = 10,
               .ended = true,
               .beat_at = 100,
               .new_boot = true,
               .boot_at = 80},
         .expected = "0 up, 10 admin/shutdown, 80 up"},
        {"a bye that was told of later: from the start edge on",
         .s = {.judged = true,
               .goodbye = GOODBYE_SHUTDOWN,
               .reported = true,
               .ended = true,
               .beat_at = 1000,
               .new_boot = true,
               .boot_at = 900},
         .expected = "0 up, 30 admin/shutdown [0..60], 900 up"},
        {"... of the agent",
         .s = {.judged = true,
               .goodbye = GOODBYE_STOPPED,
               .reported = true,
               .ended = true,
               .beat_at = 1000,
               .new_start = true},
         .expected = "0 up, 30 unknown/agent_stopped [0..60], 1000 up"},
        {"... and took longer than it excuses",
         .s = {.judged = true,
               .goodbye = GOODBYE_SHUTDOWN,
               .reported = true,
               .ended = true,
               .beat_at = 9000,
               .new_boot = true,
               .boot_at = 8900},
         .expected = "0 up, 30 admin/shutdown [0..60], 1830 down/shutdown, 8900 up"},
    };
    CHECK(rows);
}

static void test_maintenance(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"covers the whole outage", .s = {.judged = true, .ended = true, .beat_at = 1000}, .windows = {{-100, 2000}},
         .expected = "0 up, 30 admin/maintenance [0..60], 1000 up"},
        {"still silent at its end: down", .s = {.judged = true}, .windows = {{-100, 600}},
         .expected = "0 up, 30 admin/maintenance [0..60], 600 down/silent"},
        {"begins before the first beat is missed", .s = {.judged = true}, .windows = {{50, 600}},
         .expected = "0 up, 50 admin/maintenance [0..60], 600 down/silent"},
        {"begins when it is missed", .s = {.judged = true}, .windows = {{61, 600}},
         .expected = "0 up, 30 down/silent [0..60], 61 admin/maintenance, 600 down/silent"},
        {"is over when it is missed", .s = {.judged = true}, .windows = {{40, 59}},
         .expected = "0 up, 30 down/silent [0..60], 40 admin/maintenance, 59 down/silent"},
        {"begins in the outage", .s = {.judged = true, .ended = true, .beat_at = 1000}, .windows = {{300, 2000}},
         .expected = "0 up, 30 down/unreachable [0..60], 300 admin/maintenance, 1000 up"},
        {"covers a reboot", .s = {.ended = true, .beat_at = 100, .new_boot = true, .boot_at = 80},
         .windows = {{-100, 2000}}, .expected = "0 up, 30 admin/maintenance [0..60], 80 up"},
        {"covers a dead agent", .s = {.judged = true, .ended = true, .beat_at = 1000, .new_start = true},
         .windows = {{-100, 2000}}, .expected = "0 up, 30 admin/maintenance [0..60], 1000 up"},
        {"explains silence only", .s = {.late = true}, .windows = {{-100, 2000}}, .expected = "0 up"},
        {"a shutdown in it has no limit but its end", .s = {.goodbye = GOODBYE_SHUTDOWN, .goodbye_at = 10},
         .windows = {{-100, 9000}}, .expected = "0 up, 10 admin/maintenance, 9000 down/shutdown"},
        {"a stop in one that nobody ends", .s = {.late = true, .goodbye = GOODBYE_STOPPED, .goodbye_at = 10},
         .windows = {{-100, NEVER}}, .expected = "0 up, 10 admin/maintenance"},
        {"two windows", .s = {.judged = true, .ended = true, .beat_at = 1000}, .windows = {{500, 700}, {100, 200}},
         .expected = "0 up, 30 down/unreachable [0..60], 100 admin/maintenance, 200 down/unreachable, 500 "
                     "admin/maintenance, 700 down/unreachable, 1000 up"},
    };
    CHECK(rows);
}

static void test_absences(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"off while it was due: unknown, then down", .s = {.judged = true}, .absences = {{50, 200, CAUSE_RECEIVER_OFF}},
         .expected = "0 up, 50 unknown/receiver_off [0..200], 200 down/silent"},
        {"off while it was due, and it came back", .s = {.judged = true, .ended = true, .beat_at = 1000},
         .absences = {{50, 200, CAUSE_RECEIVER_OFF}},
         .expected = "0 up, 50 unknown/receiver_off [0..200], 200 down/unreachable, 1000 up"},
        {"off, and heard right after: up from the first beat", .s = {.ended = true, .beat_at = 205},
         .absences = {{50, 200, CAUSE_RECEIVER_OFF}}, .expected = "0 up, 50 unknown/receiver_off, 200 up"},
        {"off for less than an expectation: nothing", .s = {.ended = true, .beat_at = 60},
         .absences = {{10, 50, CAUSE_RECEIVER_OFF}}, .expected = "0 up"},
        {"off while it was due, but not decided yet", .s = {.late = true}, .absences = {{50, 200, CAUSE_RECEIVER_OFF}},
         .expected = "0 up"},
        {"heard again before it could have lapsed", .s = {.ended = true, .beat_at = 80},
         .absences = {{50, 200, CAUSE_RECEIVER_OFF}}, .expected = "0 up"},
        {"down before: the state before goes on", .s = {.judged = true}, .absences = {{300, 400, CAUSE_RECEIVER_OFF}},
         .expected = "0 up, 30 down/silent [0..60], 300 unknown/receiver_off, 400 down/silent"},
        {"comes before maintenance", .s = {.judged = true, .ended = true, .beat_at = 1000},
         .absences = {{300, 400, CAUSE_RECEIVER_ISOLATED}}, .windows = {{-100, 2000}},
         .expected =
             "0 up, 30 admin/maintenance [0..60], 300 unknown/receiver_isolated, 400 admin/maintenance, 1000 up"},
        {"a short stall only delays", .s = {.judged = true}, .absences = {{95, 110, CAUSE_RECEIVER_OVERLOADED}},
         .expected = "0 up, 30 down/silent [0..60]"},
        {"a long stall", .s = {.judged = true}, .absences = {{95, 111, CAUSE_RECEIVER_OVERLOADED}},
         .expected = "0 up, 30 down/silent [0..60], 95 unknown/receiver_overloaded, 111 down/silent"},
        {"a jump of the clock", .s = {.judged = true}, .absences = {{300, 310, CAUSE_CLOCK_STEP}},
         .expected = "0 up, 30 down/silent [0..60], 300 unknown/clock_step, 310 down/silent"},
        {"not begun yet", .s = {.judged = true}, .absences = {{300, 400, CAUSE_RECEIVER_OFF}}, .now = 250,
         .expected = "0 up, 30 down/silent [0..60]"},
        {"it ended before the silence", .s = {.judged = true}, .absences = {{-300, -10, CAUSE_RECEIVER_OFF}},
         .expected = "0 up, 30 down/silent [0..60]"},
        {"began before the last beat", .s = {.judged = true}, .absences = {{-300, 200, CAUSE_RECEIVER_OFF}},
         .expected = "0 unknown/receiver_off, 200 down/silent"},
    };
    CHECK(rows);
}

static void test_absences_and_more(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"several, one after the other", .s = {.judged = true, .ended = true, .beat_at = 1000},
         .absences = {{50, 200, CAUSE_RECEIVER_OFF},
                      {200, 300, CAUSE_RECEIVER_OVERLOADED},
                      {900, 1100, CAUSE_RECEIVER_OFF}},
         .expected = "0 up, 50 unknown/receiver_off [0..200], 200 unknown/receiver_overloaded, 300 down/unreachable, "
                     "900 unknown/receiver_off, 1000 up"},
        {"a shutdown, and off over it", .s = {.goodbye = GOODBYE_SHUTDOWN, .goodbye_at = 10},
         .absences = {{50, 200, CAUSE_RECEIVER_OFF}},
         .expected = "0 up, 10 admin/shutdown, 50 unknown/receiver_off, 200 admin/shutdown, 1810 down/shutdown"},
        {"a boot while the receiver was off",
         .s = {.judged = true, .ended = true, .beat_at = 300, .new_boot = true, .boot_at = 150},
         .absences = {{50, 200, CAUSE_RECEIVER_OFF}}, .expected = "0 up, 50 unknown/receiver_off [0..200], 200 up"},
    };
    CHECK(rows);
}

static void test_conservative(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"last beat to first beat", .s = {.judged = true, .ended = true, .beat_at = 1000}, .conservative = true,
         .expected = "0 down/unreachable [0..60], 1000 up"},
        {"also with a boot", .s = {.judged = true, .ended = true, .beat_at = 1000, .new_boot = true, .boot_at = 900},
         .conservative = true, .expected = "0 down/reboot [0..60], 1000 up"},
        {"a bye is exact",
         .s = {.goodbye = GOODBYE_SHUTDOWN,
               .goodbye_at = 10,
               .ended = true,
               .beat_at = 100,
               .new_boot = true,
               .boot_at = 80},
         .conservative = true, .expected = "0 up, 10 admin/shutdown, 100 up"},
        {"a beat that nobody could hear proves nothing", .s = {.judged = true},
         .absences = {{50, 200, CAUSE_RECEIVER_OFF}}, .conservative = true,
         .expected = "0 up, 50 unknown/receiver_off [0..200], 200 down/silent"},
    };
    CHECK(rows);
}

/* More claims than there is room for: the first ones stay, in order and without overlap. */
static void test_full(void **state)
{
    (void)state;
    static struct absence absences[SILENCE_ABSENCES_MAX];
    static struct window windows[200];
    struct silence silence = {
        .last = at(0), .interval_ns = 60 * NS_PER_S, .expected = at(90), .late = true, .judged = true};
    for (int i = 0; i < SILENCE_ABSENCES_MAX; i++)
        absences[i] = (struct absence){.from = at(100 + 20 * i), .to = at(105 + 20 * i), .cause = CAUSE_RECEIVER_OFF};
    for (int i = 0; i < 200; i++)
        windows[i] = (struct window){at(107 + 10 * i), at(109 + 10 * i)};
    struct circumstances c = {absences, SILENCE_ABSENCES_MAX, windows, 200, 1800 * NS_PER_S, false, at(NOW)};
    struct silence_span spans[SILENCE_SPANS_MAX];
    size_t count = silence_spans(&silence, &c, spans);
    assert_int_equal(count, SILENCE_SPANS_MAX);
    for (size_t i = 1; i < count; i++) {
        assert_true(instant_before(spans[i - 1].from, spans[i].from));
        assert_false(spans[i - 1].state == spans[i].state && spans[i - 1].cause == spans[i].cause);
    }
    assert_int_equal(spans[count - 1].from.ns > at(600).ns, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base),     cmocka_unit_test(test_goodbyes),          cmocka_unit_test(test_maintenance),
        cmocka_unit_test(test_absences), cmocka_unit_test(test_absences_and_more), cmocka_unit_test(test_conservative),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
