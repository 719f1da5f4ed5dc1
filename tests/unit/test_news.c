/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_news.c - what receivers tell each other of what was entered: the layout, which outage is meant, and that the taker believes no
 * more than it must. With a record in a folder, but without a network: the peer's datagrams are written here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "receiver/listen/news.h"
#include "receiver/listen/news_outage.h"

#define ZERO INT64_C(1700000000)

static struct instant at(int64_t second)
{
    return (struct instant){second * NS_PER_S};
}

static struct peer_news item_of(uint64_t key, const char *name, const char *reason)
{
    struct peer_news item = {.key = key, .version = 1, .kind = PEER_NEWS_WINDOW, .open = 1};
    item.name_len = (uint16_t)strlen(name);
    (void)snprintf(item.name, sizeof item.name, "%s", name);
    (void)snprintf(item.reason, sizeof item.reason, "%s", reason);
    return item;
}

/* Writes it as an item; returns its length. */
static size_t write_item(uint8_t out[PEER_PAYLOAD_MAX], struct peer_news *item)
{
    struct codec codec = codec_writer(out, PEER_PAYLOAD_MAX);
    uint8_t type = PEER_NEWS;
    uint16_t len = peer_news_len(item);
    peer_item_visit(&codec, &type, &len);
    peer_news_visit(&codec, item, len);
    assert_false(codec.failed);
    assert_int_equal(codec.pos, PEER_ITEM_HEAD_LEN + len);
    return codec.pos;
}

/* ---- layout ---- */

static bool reads(const uint8_t *bytes, size_t len, struct peer_news *item)
{
    struct codec codec = codec_reader(bytes, len);
    peer_news_visit(&codec, item, (uint16_t)len);
    return !codec.failed;
}

static void test_layout(void **state)
{
    uint8_t bytes[PEER_PAYLOAD_MAX];
    struct peer_news item = item_of(0x0102030405060708, "web*", "disk"), got;
    (void)state;
    item.version = 0x0a0b0c0d;
    item.from_ms = -1;
    item.to_ms = 2;
    item.entered_ms = -3;
    static const uint8_t wanted[] = "\x03\x00\x31\x01\x02\x03\x04\x05\x06\x07\x08\x0a\x0b\x0c\x0d\x01\x01\x00"
                                    "\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x02"
                                    "\xff\xff\xff\xff\xff\xff\xff\xfd\x00\x04web*disk";
    size_t len = write_item(bytes, &item);
    assert_int_equal(len, sizeof wanted - 1);
    assert_memory_equal(bytes, wanted, len);
    const uint8_t *body = bytes + PEER_ITEM_HEAD_LEN;
    size_t body_len = len - PEER_ITEM_HEAD_LEN;
    assert_true(reads(body, body_len, &got));
    assert_string_equal(got.name, "web*");
    assert_string_equal(got.reason, "disk");
    assert_true(got.key == item.key && got.version == item.version && got.from_ms == -1 && got.to_ms == 2 &&
                got.entered_ms == -3 && got.open == 1);
    /* Cut short anywhere before the reason it is none. */
    for (size_t i = 0; i < body_len - strlen("disk"); i++)
        assert_false(reads(body, i, &got));
}

static void test_nonsense(void **state)
{
    (void)state;
    for (int i = 0; i < 12; i++) {
        uint8_t bytes[PEER_PAYLOAD_MAX];
        struct peer_news item = item_of(1, "web1", "x"), got;
        switch (i) {
        case 0: break;
        case 1: item.kind = PEER_NEWS_RELABEL; break;
        case 2: item.kind = 3; break;
        case 3: item.kind = PEER_NEWS_RELABEL, item.name[0] = '*'; break; /* an outage is one host's */
        case 4: item.kind = PEER_NEWS_RELABEL, item.state = STATE_LATE; break;
        case 5: item.kind = PEER_NEWS_RELABEL, item.state = STATE_COUNT; break;
        case 6: item.from_ms = PEER_NEWS_MS_MAX + 1; break;
        case 7: item.open = 0, item.to_ms = INT64_MIN; break;
        case 8: item.entered_ms = INT64_MAX; break;
        case 9: item.reason[0] = '\n'; break;
        case 10: item.name[0] = '\x1b'; break;
        default: break;
        }
        size_t len = write_item(bytes, &item);
        if (i == 11) /* no name at all */
            bytes[PEER_ITEM_HEAD_LEN + PEER_NEWS_FIXED_LEN - 1] = 0;
        if (reads(bytes + PEER_ITEM_HEAD_LEN, len - PEER_ITEM_HEAD_LEN, &got) != (i < 2))
            fail_msg("case %d", i);
    }
}

/* ---- which outage is meant ---- */

/* The log: "u1000 d2000 u2100"; margin 10 s. Which lines are meant, and how it is said of them: '!' to its end, '+' it goes on. */
static void test_outages(void **state)
{
    static const struct {
        const char *why, *log;
        int64_t from, to, entered; /* to 0: it went on */
        const char *found;
    } cases[] = {
        {"edges a few seconds off", "u1000 d2000 u2100", 1995, 2108, 9000, "2!"},
        {"another one that day", "u1000 d2000 u2100", 2150, 2250, 9000, ""},
        {"they meet in a small part only", "u1000 d2000 u2100", 2070, 2300, 9000, ""},
        {"this receiver was off for hours around it", "u1000 n2000 u9000", 4000, 4100, 9500, ""},
        {"seen here as two spans", "u1000 d2000 n2050 u2100", 2000, 2100, 9000, "2 3!"},
        {"two short ones in a long one", "u1000 d2000 u2010 d2050 u2060", 2000, 2060, 9000, "2! 4!"},
        {"up here all the time", "u1000", 2000, 2100, 9000, ""},
        {"it went on, and still does", "u1000 d2000", 2003, 0, 2500, "2!+"},
        {"it went on, and is over by now", "u1000 d2000 u9000", 2003, 0, 2500, "2!"},
        {"it went on; the next one is not meant", "u1000 d2000 u3000 d3500 u3600", 2003, 0, 2500, "2!"},
        {"it went on; here it began long before", "u1000 n1100 u3000", 2003, 0, 2050, ""},
        {"what is said here later comes first", "u1000 d2000 u2100 R9500", 2000, 2100, 9000, "later"},
        {"what was said here earlier does not", "u1000 d2000 u2100 R8500", 2000, 2100, 9000, "2!"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct timeline log = {0};
        struct outage_found found[OUTAGE_FOUND_MAX];
        char got[128] = "", reason[] = "", letter;
        long long second;
        int used, number = 0;
        bool any;
        for (const char *line = cases[i].log; sscanf(line, " %c%lld%n", &letter, &second, &used) == 2; line += used) {
            struct timeline_relabel said = {.number = 2, .to_end = true, .entered = second, .reason = reason};
            struct transition next = {.host = 1, .number = (uint32_t)++number, .at = second};
            next.state = letter == 'u' ? STATE_UP : letter == 'd' ? STATE_DOWN : STATE_UNKNOWN;
            assert_int_equal(letter == 'R' ? timeline_add_relabel(&log, &said) : timeline_add(&log, &next), 0);
        }
        timeline_relabel(&log);
        struct outage_wish wish = {.host = 1, .from = cases[i].from, .entered = cases[i].entered, .now = 10000};
        wish.to = cases[i].to ? cases[i].to : INT64_MAX;
        wish.margin_s = 10;
        int count = outage_find(&log, &wish, found, &any);
        for (int k = 0; k < count; k++)
            (void)snprintf(got + strlen(got), sizeof got - strlen(got), "%s%u%s%s", k ? " " : "",
                           (unsigned)found[k].number, found[k].to_end ? "!" : "", found[k].open ? "+" : "");
        if (any && count == 0)
            (void)snprintf(got, sizeof got, "later");
        if (strcmp(got, cases[i].found) != 0)
            fail_msg("%s: found \"%s\", wanted \"%s\"", cases[i].why, got, cases[i].found);
        timeline_free(&log);
    }
}

/* ---- taking ---- */

struct scene {
    char data[64];
    uv_loop_t loop;
    struct receiver *receiver;
    struct journal *journal;
    struct keeper *keeper;
    struct entered *entered;
    struct news *news;
    unsigned place;
};

static void scene_open(struct scene *s)
{
    static const struct receiver_options options = {.planned_limit_ns = 600 * NS_PER_S, .host_count_max = 10};
    struct error error;
    struct journal_start start;
    *s = (struct scene){.data = "/tmp/twobeat-news-XXXXXX"};
    assert_non_null(mkdtemp(s->data));
    struct keeper_options keeper = {.data = s->data, .flush_interval_ns = 3600 * NS_PER_S, .zone = "UTC"};
    s->receiver = receiver_create(&options);
    s->journal = journal_open(s->data, &error);
    assert_non_null(s->receiver);
    assert_non_null(s->journal);
    assert_int_equal(journal_load(s->journal, s->receiver, &start, &error), 0);
    struct wall wall = {ZERO * NS_PER_S};
    (void)receiver_start(s->receiver, at(0), wall, INSTANT_NEVER);
    assert_int_equal(journal_begin_run(s->journal, &start, (const uint8_t[BOOT_ID_LEN]){1}, at(0), 0, wall, &error), 0);
    assert_int_equal(uv_loop_init(&s->loop), 0);
    s->keeper = keeper_create(&s->loop, s->receiver, s->journal, &keeper, &error);
    assert_non_null(s->keeper);
    s->entered = entered_create(s->receiver, s->keeper, 0);
    assert_non_null(s->entered);
    s->news = news_create(&s->loop, s->receiver, s->entered, s->data);
    assert_non_null(s->news);
    s->place = (unsigned)receiver_add_peer(s->receiver, "recv2", 7);
}

static void scene_close(struct scene *s)
{
    char path[128];
    static const char *const ends[] = {"", "-wal", "-shm"};
    news_close(s->news);
    keeper_stop(s->keeper, at(100000));
    (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    news_destroy(s->news);
    entered_destroy(s->entered);
    keeper_destroy(s->keeper);
    journal_close(s->journal);
    receiver_destroy(s->receiver);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/receiver.db%s", s->data, ends[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(s->data), 0);
}

/* A window of the peer, relative to that second; `to` INT64_MAX: open. */
static void tell(struct scene *s, int64_t second, uint64_t key, int64_t from_ms, int64_t to_ms)
{
    uint8_t bytes[PEER_PAYLOAD_MAX];
    struct peer_news item = item_of(key, "web*", "disk");
    item.from_ms = from_ms;
    item.open = to_ms == INT64_MAX;
    item.to_ms = item.open ? 0 : to_ms;
    news_hear(s->news, at(second), s->place, bytes, write_item(bytes, &item));
}

/* The windows that are not over at that second, as "FROM-TO " in seconds. */
static const char *windows(struct scene *s, int64_t second)
{
    static char text[256];
    size_t count;
    const struct planned *planned = receiver_windows(s->receiver, &count);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(text);
        if (entered_is_over(&planned[i], at(second)))
            continue;
        if (instant_before(planned[i].window.to, INSTANT_NEVER))
            (void)snprintf(text + len, sizeof text - len, "%.1f-%.1f ", (double)planned[i].window.from.ns / 1e9,
                           (double)planned[i].window.to.ns / 1e9);
        else
            (void)snprintf(text + len, sizeof text - len, "%.1f- ", (double)planned[i].window.from.ns / 1e9);
    }
    return text;
}

static void test_windows(void **state)
{
    struct scene s;
    (void)state;
    scene_open(&s);
    tell(&s, 100, 1, -50000, 900000); /* begun: from now on */
    assert_string_equal(windows(&s, 100), "100.0-1000.0 ");
    tell(&s, 105, 1, -56500, 893500); /* the datagram took longer */
    tell(&s, 106, 1, -54500, 895500);
    assert_string_equal(windows(&s, 106), "100.0-1000.0 ");
    tell(&s, 110, 2, 90000, INT64_MAX);
    tell(&s, 110, 3, -90000, -1000); /* over */
    tell(&s, 110, 4, 90000, 90000);  /* cancelled */
    assert_string_equal(windows(&s, 110), "100.0-1000.0 200.0- ");
    tell(&s, 120, 1, -70000, -3000); /* ended at the peer, which could not tell at once: here it ends now */
    assert_string_equal(windows(&s, 119), "100.0-120.0 200.0- ");
    tell(&s, 121, 2, 179000, INT64_MAX); /* its clock was set, and it begins later */
    assert_string_equal(windows(&s, 121), "300.0- ");
    assert_int_equal(entered_end_window(s.entered, at(130), s.entered->last_window_id), 0); /* by somebody here */
    tell(&s, 131, 2, 169000, INT64_MAX);
    tell(&s, 400, 2, -100000, INT64_MAX);
    tell(&s, 400, 1, -350000, 600000);
    assert_string_equal(windows(&s, 400), "");
    tell(&s, 400, 5, 0, INT64_C(20) * 366 * 86400 * 1000); /* nobody can plan that far ahead */
    assert_string_equal(windows(&s, 400), "");
    scene_close(&s);
}

/* One peer cannot fill the record. What is over makes room. */
static void test_bounded(void **state)
{
    struct scene s;
    size_t count;
    (void)state;
    scene_open(&s);
    for (uint64_t key = 1; key <= NEWS_TAKEN_MAX + 100; key++)
        tell(&s, 100, key, 0, key <= 50 ? 10000 : INT64_MAX);
    (void)receiver_windows(s.receiver, &count);
    assert_int_equal(count, NEWS_TAKEN_MAX);
    for (uint64_t key = 1; key <= NEWS_TAKEN_MAX + 100; key++)
        tell(&s, 120, key, -20000, key <= 50 ? -10000 : INT64_MAX);
    (void)receiver_windows(s.receiver, &count);
    assert_int_equal(count, NEWS_TAKEN_MAX + 50);
    scene_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),  cmocka_unit_test(test_nonsense), cmocka_unit_test(test_outages),
        cmocka_unit_test(test_windows), cmocka_unit_test(test_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
