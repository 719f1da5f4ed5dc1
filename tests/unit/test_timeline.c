/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_timeline.c - the fold of the log, its counts, and the updates that follow from it.
 *
 * Timelines are written as one letter a line: u up, d down, x unreachable, a admin, n unknown. The random part compares
 * with the plainest model there is: one cell for each second. */
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

static const struct {
    char letter;
    enum state state;
    enum cause cause;
} letters[] = {{'u', STATE_UP, CAUSE_NONE},
               {'d', STATE_DOWN, CAUSE_SILENT},
               {'x', STATE_DOWN, CAUSE_UNREACHABLE},
               {'a', STATE_ADMIN, CAUSE_MAINTENANCE},
               {'n', STATE_UNKNOWN, CAUSE_RECEIVER_OFF}};

static struct transition line_of(uint32_t number, int64_t at, char letter, uint32_t restates)
{
    struct transition line = {.host = 1,
                              .number = number,
                              .at = at,
                              .earliest = at - 1,
                              .latest = at + 1,
                              .decided = at + 90,
                              .restates = restates};
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (letters[i].letter == letter) {
            line.state = letters[i].state;
            line.cause = letters[i].cause;
        }
    return line;
}

static void add(struct timeline *timeline, uint32_t number, int64_t at, char letter, uint32_t restates)
{
    struct transition line = line_of(number, at, letter, restates);
    assert_int_equal(timeline_add(timeline, &line), 0);
}

static void test_folds_neighbours(void **state)
{
    (void)state;
    struct timeline timeline = {0};
    add(&timeline, 1, 1000, 'u', 0);
    add(&timeline, 2, 2000, 'u', 0);
    add(&timeline, 3, 3000, 'd', 0);
    add(&timeline, 4, 4000, 'x', 0);
    assert_int_equal(timeline.count, 3);
    assert_int_equal(timeline.spans[0].from, 1000);
    assert_int_equal(timeline.spans[0].number, 1);
    assert_int_equal(timeline.spans[1].from, 3000);
    assert_int_equal(timeline.spans[1].earliest, 2999);
    assert_int_equal(timeline.spans[1].latest, 3001);
    assert_int_equal(timeline.spans[2].cause, CAUSE_UNREACHABLE);
    timeline_free(&timeline);
    assert_null(timeline.spans);
}

static void test_takes_back(void **state)
{
    (void)state;
    struct timeline timeline = {0};
    add(&timeline, 1, 1000, 'u', 0);
    add(&timeline, 2, 2000, 'd', 0);
    add(&timeline, 3, 2500, 'u', 0);
    add(&timeline, 4, 3000, 'd', 0);
    /* The outage began earlier than thought: both outages and the time between are taken back. */
    add(&timeline, 5, 1900, 'x', 2);
    assert_int_equal(timeline.count, 2);
    assert_int_equal(timeline.spans[1].from, 1900);
    assert_int_equal(timeline.spans[1].number, 5);
    assert_int_equal(timeline.spans[1].first_number, 2);
    /* It never was: up all along. */
    add(&timeline, 6, 1900, 'u', 5);
    assert_int_equal(timeline.count, 1);
    assert_int_equal(timeline.spans[0].number, 1);
    /* Even the first line can be taken back. */
    add(&timeline, 7, 900, 'n', 0);
    assert_int_equal(timeline.count, 1);
    assert_int_equal(timeline.spans[0].from, 900);
    timeline_free(&timeline);
}

static void test_first_number_follows_restates(void **state)
{
    (void)state;
    struct timeline timeline = {0};
    add(&timeline, 1, 1000, 'u', 0);
    add(&timeline, 2, 2000, 'd', 0);
    add(&timeline, 3, 3000, 'u', 0);
    add(&timeline, 4, 2000, 'x', 2); /* takes back 2 and 3 */
    add(&timeline, 5, 3000, 'u', 3);
    add(&timeline, 6, 1990, 'd', 4); /* restates what restated, after its span went */
    assert_int_equal(timeline.spans[timeline.count - 1].first_number, 2);
    add(&timeline, 7, 3000, 'u', 5);
    assert_int_equal(timeline.spans[timeline.count - 1].first_number, 3);
    /* A line that only prolongs tells what the first one told; who restates it means that outage. */
    add(&timeline, 8, 4000, 'd', 0);
    add(&timeline, 9, 4100, 'd', 0);
    add(&timeline, 10, 4000, 'a', 9);
    assert_int_equal(timeline.spans[timeline.count - 1].first_number, 8);
    timeline_free(&timeline);
}

/* Updates as text: "130:0 180:U 200:0 260:u". */
static int write_update(void *context, const struct timeline_update *update)
{
    char *text = context;
    static const char names[STATE_COUNT] = {
        [STATE_UP] = 'u', [STATE_DOWN] = 'd', [STATE_ADMIN] = 'a', [STATE_UNKNOWN] = '0'};
    size_t length = strlen(text);
    assert_true(length < 200);
    (void)snprintf(text + length, 256 - length, "%s%lld:%c", length ? " " : "", (long long)update->at,
                   update->whole_unknown_minutes ? 'U' : names[update->state]);
    return 0;
}

/* The whole of a timeline as text: "1000u 2000d 3000u"; spans that were relabelled carry what was told as well: "2000a/d". */
static const char *spans_text(const struct timeline *timeline)
{
    static char text[512];
    static const char names[STATE_COUNT] = {
        [STATE_UP] = 'u', [STATE_DOWN] = 'd', [STATE_ADMIN] = 'a', [STATE_UNKNOWN] = 'n'};
    text[0] = '\0';
    for (size_t i = 0; i < timeline->count; i++) {
        const struct timeline_span *span = &timeline->spans[i];
        char told[3] = {'/', names[span->told], '\0'};
        size_t length = strlen(text);
        (void)snprintf(text + length, sizeof text - length, "%s%lld%c%s", i ? " " : "", (long long)span->from,
                       names[span->state], span->relabel ? told : "");
    }
    return text;
}

/* A log and relabels as text: "2a" relabels the outage that line 2 told of, "2a!" to its end. */
static void test_relabels(void **state)
{
    (void)state;
    static const struct {
        const char *why, *log, *relabels, *spans;
    } cases[] = {
        {"nothing said", "10u 20d 30u", "", "10u 20d 30u"},
        {"one outage", "10u 20d 30u 40d 50u", "2a!", "10u 20a/d 30u 40d 50u"},
        {"as what it was", "10u 20d 30u", "2d!", "10u 20d/d 30u"},
        {"up", "10u 20d 30u", "2u!", "10u 20u/d 30u"},
        {"the last word counts", "10u 20d 30u 40x", "2a! 4n! 2u!", "10u 20u/d 30u 40n/d"},
        {"one part of an outage", "10u 20n 30d 40u", "2a", "10u 20a/n 30d 40u"},
        {"the other part", "10u 20n 30d 40u", "3a!", "10u 20n 30a/d 40u"},
        {"open, and then split", "10u 20d 30n 40d 50x 60u 70d", "2a!", "10u 20a/d 30a/n 40a/d 50a/d 60u 70d"},
        {"its own word goes first", "10u 20d 30n 40d 50u", "3u 2a!", "10u 20a/d 30u/n 40a/d 50u"},
        {"and hands on", "10u 20d 30n 40d 50u", "3u! 2a!", "10u 20a/d 30u/n 40u/d 50u"},
        {"moved by a restatement", "10u 20d 30u 18x=2 25u", "2a!", "10u 18a/d 25u"},
        {"a restatement that only prolongs", "10u 20d 30u 20d=2 28u", "2a!", "10u 20a/d 28u"},
        {"no outage after all", "10u 20d 30u 15u=2", "2a!", "10u"},
        {"up was told", "10u 20d 30u", "3a! 1a!", "10u 20d 30u"},
        {"a line that is not there", "10u 20d 30u", "9a!", "10u 20d 30u"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct timeline timeline = {0};
        uint32_t number = 0, restates;
        char letter;
        int used, at;
        for (const char *log = cases[i].log; sscanf(log, " %d%c%n", &at, &letter, &used) == 2; log += used) {
            int more = 0;
            restates = 0;
            if (sscanf(log + used, "=%u%n", &restates, &more) == 1)
                used += more;
            add(&timeline, ++number, at, letter, restates);
        }
        char reason[] = "why";
        for (const char *said = cases[i].relabels; sscanf(said, " %u%c%n", &number, &letter, &used) == 2;
             said += used) {
            bool to_end = said[used] == '!';
            used += to_end;
            struct timeline_relabel relabel = {
                .number = number, .to_end = to_end, .state = line_of(1, 0, letter, 0).state, .reason = reason};
            assert_int_equal(timeline_add_relabel(&timeline, &relabel), 0);
        }
        timeline_relabel(&timeline);
        if (strcmp(spans_text(&timeline), cases[i].spans) != 0)
            fail_msg("%s: %s, wanted %s", cases[i].why, spans_text(&timeline), cases[i].spans);
        timeline_relabel(&timeline); /* again: all the same */
        assert_string_equal(spans_text(&timeline), cases[i].spans);
        timeline_free(&timeline);
    }
}

/* Seconds, updates and outages follow what was said. */
static void test_relabels_count(void **state)
{
    (void)state;
    struct timeline timeline = {0};
    struct timeline_seconds seconds;
    char reason[] = "why", text[256] = "";
    add(&timeline, 1, 100, 'u', 0);
    add(&timeline, 2, 200, 'x', 0);
    add(&timeline, 3, 230, 'u', 0);
    struct timeline_relabel relabel = {.id = 7, .number = 2, .to_end = true, .state = STATE_ADMIN, .reason = reason};
    assert_int_equal(timeline_add_relabel(&timeline, &relabel), 0);
    timeline_relabel(&timeline);
    timeline_count(&timeline, 100, 300, &seconds);
    assert_int_equal(seconds.state[STATE_UP], 170);
    assert_int_equal(seconds.state[STATE_DOWN], 0);
    assert_int_equal(seconds.unreachable, 0);
    assert_int_equal(seconds.state[STATE_ADMIN], 30);
    assert_int_equal(timeline_plan_updates(&timeline, 120, 300, write_update, text), 0);
    assert_string_equal(text, "200:u 230:a 300:u");
    assert_int_equal(timeline.spans[1].relabel->id, 7);
    assert_string_equal(timeline.spans[1].relabel->reason, "why");
    /* Lines that come later go on from what was told, not from what was said. */
    relabel.state = STATE_UP;
    assert_int_equal(timeline_add_relabel(&timeline, &relabel), 0);
    timeline_relabel(&timeline);
    add(&timeline, 4, 210, 'u', 3);
    timeline_relabel(&timeline);
    assert_string_equal(spans_text(&timeline), "100u 200u/d 210u");
    timeline_free(&timeline);
}

static void test_counts(void **state)
{
    (void)state;
    struct timeline timeline = {0};
    struct timeline_seconds seconds;
    timeline_count(&timeline, 0, 10, &seconds);
    assert_int_equal(seconds.state[STATE_UNKNOWN], 10);
    add(&timeline, 1, 100, 'u', 0);
    add(&timeline, 2, 200, 'd', 0);
    add(&timeline, 3, 230, 'x', 0);
    add(&timeline, 4, 300, 'a', 0);
    timeline_count(&timeline, 50, 310, &seconds);
    assert_int_equal(seconds.state[STATE_UNKNOWN], 50);
    assert_int_equal(seconds.state[STATE_UP], 100);
    assert_int_equal(seconds.state[STATE_DOWN], 100);
    assert_int_equal(seconds.unreachable, 70);
    assert_int_equal(seconds.state[STATE_ADMIN], 10);
    timeline_count(&timeline, 230, 230, &seconds);
    assert_int_equal(seconds.state[STATE_DOWN], 0);
    timeline_count(&timeline, 1000, 2000, &seconds);
    assert_int_equal(seconds.state[STATE_ADMIN], 1000);
    timeline_free(&timeline);
}

static int stop_at_second(void *context, const struct timeline_update *update)
{
    int *calls = context;
    (void)update;
    return ++*calls == 2 ? 7 : 0;
}

static void test_plans_updates(void **state)
{
    (void)state;
    static const struct {
        const char *log; /* "at letter", ... */
        int64_t written_to, to;
        const char *updates;
    } cases[] = {
        {"", 100, 100, ""},
        {"", 100, 90, ""},
        {"60u", 60, 300, "300:u"},
        {"60u 130d 170u", 60, 200, "130:u 170:d 200:u"},
        {"60u 130d 170x 250u", 60, 400, "130:u 250:d 400:u"},
        {"60u 130n 310u", 60, 400, "130:u 180:0 300:U 310:0 400:u"},
        {"60u 120n 300u", 60, 400, "120:u 300:U 400:u"},
        {"60u 130n 170u", 60, 400, "130:u 170:0 400:u"},
        {"60u 130n 190u", 60, 400, "130:u 190:0 400:u"},
        {"60u 130n 180u", 60, 400, "130:u 180:0 400:u"},
        {"60u 180n 210u", 60, 400, "180:u 210:0 400:u"},
        {"60u 130n", 60, 240, "130:u 180:0 240:U"},
        {"60u 130n", 200, 240, "240:0"},
        {"60u 130n", 240, 241, "241:0"},
        {"500u", 60, 520, "480:U 500:0 520:u"},
        {"60u 130a 200d", 140, 190, "190:a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct timeline timeline = {0};
        uint32_t number = 0;
        const char *log = cases[i].log;
        while (*log) {
            char *letter;
            long at = strtol(log, &letter, 10);
            add(&timeline, ++number, at, *letter, 0);
            log = letter[1] ? letter + 2 : letter + 1;
        }
        char text[256] = "";
        assert_int_equal(timeline_plan_updates(&timeline, cases[i].written_to, cases[i].to, write_update, text), 0);
        assert_string_equal(text, cases[i].updates);
        timeline_free(&timeline);
    }
    struct timeline timeline = {0};
    int calls = 0;
    assert_int_equal(timeline_plan_updates(&timeline, 30, 200, stop_at_second, &calls), 7);
    assert_int_equal(calls, 2);
}

#define CELLS 4000

struct model_check {
    const char *cells;
    int64_t previous;
};

/* An update may only speak for seconds that are so in the model; U only for whole minutes. */
static int check_update(void *context, const struct timeline_update *update)
{
    struct model_check *check = context;
    assert_true(update->at > check->previous);
    for (int64_t t = check->previous; t < update->at; t++) {
        enum state state = line_of(1, 0, check->cells[t], 0).state;
        assert_int_equal(state, update->state);
    }
    if (update->whole_unknown_minutes)
        assert_true(check->previous % 60 == 0 && update->at % 60 == 0);
    else if (update->state == STATE_UNKNOWN)
        assert_true(update->at - check->previous < 120);
    check->previous = update->at;
    return 0;
}

static void test_random_against_cells(void **state)
{
    unsigned seed = *(unsigned *)*state;
    for (int round = 0; round < 300; round++) {
        struct timeline timeline = {0};
        char cells[CELLS];
        memset(cells, 'n', sizeof cells);
        for (uint32_t number = 1; number <= 40; number++) {
            int64_t at = (int64_t)(rand_r(&seed) % CELLS);
            if (number > 1 && rand_r(&seed) % 2)
                at = timeline.spans[timeline.count - 1].from + (int64_t)(rand_r(&seed) % 200);
            if (at >= CELLS)
                continue;
            char letter = letters[(size_t)rand_r(&seed) % 5].letter;
            add(&timeline, number, at, letter, 0);
            memset(cells + at, letter, (size_t)(CELLS - at));
        }
        for (int probe = 0; probe < 30; probe++) {
            int64_t from = (int64_t)(rand_r(&seed) % CELLS), to = (int64_t)(rand_r(&seed) % CELLS);
            struct timeline_seconds seconds, model = {0};
            timeline_count(&timeline, from, to, &seconds);
            for (int64_t t = from; t < to; t++) {
                model.state[line_of(1, 0, cells[t], 0).state]++;
                model.unreachable += cells[t] == 'x';
            }
            assert_memory_equal(&seconds, &model, sizeof model);
            struct model_check check = {cells, from};
            assert_int_equal(timeline_plan_updates(&timeline, from, to, check_update, &check), 0);
            assert_int_equal(check.previous, to > from ? to : from);
        }
        for (size_t i = 1; i < timeline.count; i++)
            assert_true(timeline.spans[i].from > timeline.spans[i - 1].from);
        timeline_free(&timeline);
    }
}

int main(int argc, char **argv)
{
    unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : (unsigned)time(NULL);
    (void)printf("seed %u\n", seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folds_neighbours),
        cmocka_unit_test(test_takes_back),
        cmocka_unit_test(test_first_number_follows_restates),
        cmocka_unit_test(test_relabels),
        cmocka_unit_test(test_relabels_count),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_plans_updates),
        cmocka_unit_test_prestate(test_random_against_cells, &seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
