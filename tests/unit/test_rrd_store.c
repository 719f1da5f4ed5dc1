/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_rrd_store.c - the RRD files against the real librrd and what the real rrdtool says of them.
 *
 * The truth is timeline_count. rrdtool is asked with the same expressions that the manual gives to everyone, over rows
 * of 1 minute, 15 minutes and 1 day. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "receiver/record/rrd_file.h"
#include "receiver/record/rrd_store.h"

#define DAY_S INT64_C(86400)
#define BASE (INT64_C(20000) * DAY_S) /* a UTC midnight */

struct fixture {
    char folder[64];
    struct rrd_store *store;
    struct error error;
};

static unsigned seed;

static int64_t pick(int64_t below)
{
    return (int64_t)((uint64_t)rand_r(&seed) * 32768u + (uint64_t)rand_r(&seed)) % below;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    (void)snprintf(fixture->folder, sizeof fixture->folder, "/tmp/twobeat-rrd-XXXXXX");
    if (!mkdtemp(fixture->folder))
        return -1;
    (void)setenv("RRDCACHED_ADDRESS", "unix:/nowhere", 1);
    fixture->store = rrd_store_create(fixture->folder);
    *state = fixture;
    return 0;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    rrd_store_destroy(fixture->store);
    (void)nftw(fixture->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(fixture);
    return 0;
}

#define assert_done(call)                        \
    do {                                         \
        if ((call) != 0)                         \
            fail_msg("%s", fixture->error.text); \
    } while (0)

static const char *path_of(const struct fixture *fixture, const char *name, const char *file)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s/%s", fixture->folder, name, file);
    return path;
}

static void add(struct timeline *log, uint32_t number, int64_t at, enum state what)
{
    struct transition line = {.number = number, .at = at, .state = what, .cause = CAUSE_NONE};
    assert_int_equal(timeline_add(log, &line), 0);
}

/* A log of `lines` lines from `first` on: outages of seconds to hours, planned and unknown time of minutes to hours. */
static void make_log(struct timeline *log, int64_t first, int64_t end, int lines)
{
    int64_t at = first;
    for (int i = 0; i < lines && at < end; i++) {
        static const enum state others[] = {STATE_DOWN, STATE_DOWN, STATE_ADMIN, STATE_UNKNOWN};
        enum state what = i % 2 == 0 ? STATE_UP : others[pick(4)];
        add(log, (uint32_t)i + 1, at, what);
        at += i % 2 == 0 ? 1 + pick(2 * (end - first) / lines) : pick(2) ? 1 + pick(90) : 5 + pick(7200);
        if (pick(10) == 0)
            at -= at % 60; /* edges on a full minute are special */
        if (at <= log->spans[log->count - 1].from)
            at = log->spans[log->count - 1].from + 1;
    }
}

/* Asks rrdtool for up, down, admin, known seconds and the uptime in percent, in rows of `step_s`. */
static void ask_rrdtool(const char *path, int64_t from, int64_t to, int64_t step_s, double seconds[4], char percent[32])
{
    char command[2048];
    (void)snprintf(command, sizeof command,
                   "rrdtool graph /dev/null -s %lld -e %lld -w %lld"
                   " DEF:u=%s:up:AVERAGE:step=%lld DEF:d=%s:down:AVERAGE:step=%lld"
                   " DEF:a=%s:admin:AVERAGE:step=%lld DEF:k=%s:known:AVERAGE:step=%lld"
                   " CDEF:t=u,d,+,a,+ 'CDEF:us=u,t,/,k,*' 'CDEF:ds=d,t,/,k,*' 'CDEF:as=a,t,/,k,*'"
                   " VDEF:U=us,TOTAL VDEF:D=ds,TOTAL VDEF:A=as,TOTAL VDEF:K=k,TOTAL"
                   " 'CDEF:q=us,POP,U,0.5,+,FLOOR,100000000,*,U,0.5,+,FLOOR,D,0.5,+,FLOOR,+,/,FLOOR,1000000,/'"
                   " VDEF:Q=q,MAXIMUM PRINT:U:%%.6lf PRINT:D:%%.6lf PRINT:A:%%.6lf PRINT:K:%%.6lf PRINT:Q:%%.6lf",
                   (long long)from, (long long)to - 1, (long long)((to - from) / step_s + 10), path, (long long)step_s,
                   path, (long long)step_s, path, (long long)step_s, path, (long long)step_s);
    FILE *answer = popen(command, "r");
    assert_non_null(answer);
    char line[64];
    assert_non_null(fgets(line, sizeof line, answer)); /* the size of the picture */
    for (int i = 0; i < 4; i++) {
        assert_non_null(fgets(line, sizeof line, answer));
        seconds[i] = strtod(line, NULL);
        if (isnan(seconds[i]))
            seconds[i] = 0;
    }
    assert_non_null(fgets(percent, 32, answer));
    percent[strcspn(percent, "\n")] = '\0';
    assert_int_equal(pclose(answer), 0);
}

static bool have_rrdtool(void)
{
    FILE *answer = popen("rrdtool --version 2>/dev/null", "r");
    char line[64];
    bool have = answer && fgets(line, sizeof line, answer);
    while (answer && fgets(line, sizeof line, answer))
        continue;
    return answer && pclose(answer) == 0 && have;
}

static void assert_rrdtool_agrees(const char *path, const struct timeline *log, int64_t from, int64_t to,
                                  int64_t step_s)
{
    double seconds[4];
    char percent[32], expected[32];
    struct timeline_seconds truth;
    ask_rrdtool(path, from, to, step_s, seconds, percent);
    timeline_count(log, from, to, &truth);
    int64_t up = truth.state[STATE_UP], down = truth.state[STATE_DOWN], admin = truth.state[STATE_ADMIN];
    double right[4] = {(double)up, (double)down, (double)admin, (double)(up + down + admin)};
    for (int i = 0; i < 4; i++)
        if (fabs(seconds[i] - right[i]) > 0.001)
            fail_msg("seed %u, rows of %lld s, [%lld, %lld): figure %d is %.6f s, in the log %.0f s", seed,
                     (long long)step_s, (long long)from, (long long)to, i, seconds[i], right[i]);
    if (up + down == 0)
        return;
    long long millionths = (long long)(up * 100000000 / (up + down));
    (void)snprintf(expected, sizeof expected, "%lld.%06lld", millionths / 1000000, millionths % 1000000);
    assert_string_equal(percent, expected);
}

static void assert_verified(struct fixture *fixture, const char *name, const struct timeline *log, int64_t to)
{
    uint64_t differing;
    int64_t first;
    assert_done(
        rrd_store_verify_state(path_of(fixture, name, "state.rrd"), log, to, &differing, &first, &fixture->error));
    if (differing != 0)
        fail_msg("%llu rows differ, first %lld", (unsigned long long)differing, (long long)first);
}

/* Random logs, written in one go or in many flushes at odd seconds: rrdtool gives the seconds of the log. */
static void test_rrdtool_gives_the_log(void **state)
{
    struct fixture *fixture = *state;
    if (!have_rrdtool()) {
        print_message("SKIP test_rrdtool_gives_the_log: no rrdtool\n");
        skip();
    }
    for (int round = 0; round < 8; round++) {
        char name[16];
        (void)snprintf(name, sizeof name, "host%d", round);
        struct timeline log = {0};
        int64_t first = BASE + pick(3 * DAY_S), end = first + 90 * DAY_S + pick(5 * DAY_S);
        if (round < 2)
            first = BASE + round * 60;
        make_log(&log, first, end, 230);
        for (int64_t to = first; to < end && round % 2 == 1; to += pick(3 * DAY_S))
            assert_done(rrd_store_write_state(fixture->store, name, &log, INT64_MAX, to, &fixture->error));
        assert_done(rrd_store_write_state(fixture->store, name, &log, INT64_MAX, end, &fixture->error));
        assert_int_equal(rrd_store_last(path_of(fixture, name, "state.rrd"), &fixture->error), end);
        assert_verified(fixture, name, &log, end);

        const char *path = path_of(fixture, name, "state.rrd");
        int64_t minute = end - end % 60, quarter = end - end % 900, day = end - end % DAY_S;
        assert_rrdtool_agrees(path, &log, minute - DAY_S, minute, 60);
        assert_rrdtool_agrees(path, &log, first - first % DAY_S, quarter, 900);
        assert_rrdtool_agrees(path, &log, quarter - 7 * DAY_S, quarter, 900);
        assert_rrdtool_agrees(path, &log, first - first % DAY_S, day, DAY_S);
        timeline_free(&log);
    }
}

static void test_change_before_the_written_rebuilds(void **state)
{
    struct fixture *fixture = *state;
    struct timeline log = {0};
    char backup[256];
    uint64_t differing;
    int64_t first;
    add(&log, 1, BASE + 1000, STATE_UP);
    /* Nothing yet, then something. */
    assert_done(rrd_store_write_state(fixture->store, "web", &log, INT64_MAX, BASE + 1000, &fixture->error));
    assert_false(rrd_file_exists(path_of(fixture, "web", "state.rrd")));
    assert_done(rrd_store_write_state(fixture->store, "web", &log, INT64_MAX, BASE + 50000, &fixture->error));
    assert_done(rrd_store_write_state(fixture->store, "web", &log, INT64_MAX, BASE + 40000, &fixture->error));
    assert_int_equal(rrd_store_last(path_of(fixture, "web", "state.rrd"), &fixture->error), BASE + 50000);
    assert_verified(fixture, "web", &log, BASE + 50000);
    (void)snprintf(backup, sizeof backup, "%s", path_of(fixture, "web", "state.rrd.bak"));
    assert_false(rrd_file_exists(backup));

    add(&log, 2, BASE + 30007, STATE_DOWN);
    add(&log, 3, BASE + 30020, STATE_UP);
    assert_done(rrd_store_verify_state(path_of(fixture, "web", "state.rrd"), &log, BASE + 50000, &differing, &first,
                                       &fixture->error));
    assert_int_equal(differing, 2); /* one of a minute, one of a quarter */
    assert_int_equal(first, BASE + 30060);
    assert_done(rrd_store_write_state(fixture->store, "web", &log, BASE + 30007, BASE + 51000, &fixture->error));
    assert_verified(fixture, "web", &log, BASE + 51000);
    assert_false(rrd_file_exists(backup)); /* nobody asked for it */
    assert_done(rrd_store_write_state(fixture->store, "web", &log, INT64_MIN, BASE + 51000, &fixture->error));
    assert_verified(fixture, "web", &log, BASE + 51000);
    assert_true(rrd_file_exists(backup));
    /* A file that stops early is no good record either. */
    assert_done(rrd_store_verify_state(path_of(fixture, "web", "state.rrd"), &log, BASE + 51300, &differing, &first,
                                       &fixture->error));
    assert_int_equal(differing, 6);
    assert_int_equal(first, BASE + 51000 - 51000 % 60 + 60);
    timeline_free(&log);
}

/* The database was lost: the new log begins later, and the file must keep what came before. */
static void test_rebuild_keeps_older_rows(void **state)
{
    struct fixture *fixture = *state;
    struct timeline before = {0}, after = {0};
    int64_t end = BASE + 130 * DAY_S + 4321;
    make_log(&before, BASE + 7777, end, 300);
    assert_done(rrd_store_write_state(fixture->store, "old", &before, INT64_MAX, end, &fixture->error));
    add(&after, 1, end + 5000, STATE_UP);
    add(&after, 2, end + 9999, STATE_DOWN);
    assert_done(rrd_store_write_state(fixture->store, "old", &after, INT64_MAX, end + 20000, &fixture->error));
    assert_verified(fixture, "old", &after, end + 20000);
    for (int round = 0; round < 3; round++) {
        assert_done(rrd_store_rebuild_state(fixture->store, "old", &after, end + 20000, &fixture->error));
        assert_verified(fixture, "old", &after, end + 20000);
        if (!have_rrdtool())
            continue;
        const char *path = path_of(fixture, "old", "state.rrd");
        assert_rrdtool_agrees(path, &before, BASE, end - end % DAY_S, DAY_S);
        assert_rrdtool_agrees(path, &before, BASE + 60 * DAY_S, end - end % 900, 900);
        assert_rrdtool_agrees(path, &before, end - end % 900 - 3600 * 12, end - end % 900, 60);
    }
    timeline_free(&before);
    timeline_free(&after);
}

static struct averages_row row_of(int64_t end, uint32_t periods, float net_in, float load1)
{
    struct averages_row row = {.at = BASE + end, .periods = periods};
    for (int i = 0; i < METRIC_COUNT; i++)
        row.values[i] = (float)i;
    row.values[METRIC_NET_IN] = net_in;
    row.values[METRIC_NET_OUT] = net_in / 2;
    row.values[METRIC_LOAD1] = load1;
    row.values[METRIC_SENSOR_HOTTEST] = NAN;
    return row;
}

#define NET_FROM (-3600)
#define NET_ROWS 600

static double *fetch_net(struct fixture *fixture)
{
    double *rows = rrd_file_fetch(path_of(fixture, "box", "net.rrd"), "in:out", 300, BASE + NET_FROM,
                                  BASE + NET_FROM + 300 * NET_ROWS, &fixture->error);
    if (!rows)
        fail_msg("%s", fixture->error.text);
    return rows;
}

static double net_in_at(const double *rows, int64_t end)
{
    return rows[((end - NET_FROM) / 300 - 1) * 2];
}

static void test_writes_rows(void **state)
{
    struct fixture *fixture = *state;
    struct averages_row rows[] = {row_of(300, 1, 1.5e9f, 0.25f), row_of(600, 1, NAN, 1), row_of(1500, 1, 3, 2),
                                  row_of(1500 + 300 * 400, 400, 4.7e-5f, NAN), row_of(122400, 1, 16777217.0f, 3)};
    assert_done(rrd_store_write_rows(fixture->store, "box", rows, 2, &fixture->error));
    assert_done(rrd_store_write_rows(fixture->store, "box", rows, 0, &fixture->error));
    /* A crash replays rows that are written, one of them in part. */
    assert_done(rrd_store_write_rows(fixture->store, "box", rows, 3, &fixture->error));
    struct averages_row part = row_of(1800, 1, 4.7e-5f, NAN);
    assert_done(rrd_store_write_rows(fixture->store, "box", &part, 1, &fixture->error));
    assert_done(rrd_store_write_rows(fixture->store, "box", rows, 5, &fixture->error));
    assert_int_equal(rrd_store_last(path_of(fixture, "box", "net.rrd"), &fixture->error), BASE + 122400);

    double *net = fetch_net(fixture);
    assert_true(isnan(net_in_at(net, 0)));
    assert_true(net_in_at(net, 300) == 1.5e9f);
    assert_true(isnan(net_in_at(net, 600)));
    assert_true(isnan(net_in_at(net, 900)) && isnan(net_in_at(net, 1200)));
    assert_true(fabs(net_in_at(net, 1500) - 3) < 1e-9);
    for (int i = 1; i <= 400; i++)
        assert_true(fabs(net_in_at(net, 1500 + 300 * i) / 4.7e-5 - 1) < 1e-6);
    assert_true(isnan(net_in_at(net, 121800)));
    assert_true(isnan(net_in_at(net, 122100)));
    assert_true(net_in_at(net, 122400) == 16777216);
    assert_true(isnan(net_in_at(net, 122700)));
    rrd_file_free_rows(net);

    char sources[1024] = "";
    for (int i = 0; i < METRIC_COUNT; i++)
        if (i != METRIC_NET_IN && i != METRIC_NET_OUT)
            (void)snprintf(sources + strlen(sources), sizeof sources - strlen(sources), "%s%s", i ? ":" : "",
                           metric_catalogue[i].name);
    double *metrics =
        rrd_file_fetch(path_of(fixture, "box", "metrics.rrd"), sources, 300, BASE, BASE + 1500, &fixture->error);
    assert_non_null(metrics);
    const double *last_row = metrics + 4 * (METRIC_COUNT - 2);
    assert_true(metrics[METRIC_LOAD1] == 0.25 && last_row[METRIC_LOAD1] == 2);
    assert_true(isnan(metrics[2 * (METRIC_COUNT - 2) + METRIC_LOAD1]));
    assert_true(last_row[METRIC_DISK_BUSIEST] == METRIC_DISK_BUSIEST);
    assert_true(last_row[METRIC_PACKETS_IN - 2] == METRIC_PACKETS_IN);
    assert_true(isnan(last_row[METRIC_SENSOR_HOTTEST - 2]));
    rrd_file_free_rows(metrics);
}

/* What rrdtool adds up from net.rrd is what the counter grew by. */
static void test_traffic_total(void **state)
{
    struct fixture *fixture = *state;
    struct averages averages;
    averages_init(&averages);
    double metrics[METRIC_COUNT], counter = 5e12, at = 0;
    for (int i = 0; i < METRIC_COUNT; i++)
        metrics[i] = NAN;
    for (int i = 0; i <= 2000; i++) {
        metrics[METRIC_NET_IN] = counter;
        metrics[METRIC_NET_OUT] = 2 * counter;
        struct wall wall = {(int64_t)(((double)BASE + at) * 1e9)};
        assert_int_equal(averages_add(&averages, wall, metrics, NULL, 120 * NS_PER_S), 0);
        counter += i < 2000 ? (double)pick(1000000000) : 0;
        at += i == 1000 ? 40000 : 20 + (double)pick(60);
        if (i % 100 == 0) {
            assert_done(
                rrd_store_write_rows(fixture->store, "net", averages.rows, averages.row_count, &fixture->error));
            averages_drop_rows(&averages, averages.row_count);
        }
    }
    int64_t end = averages.period;
    double grown = counter - 5e12 - averages.bytes[0]; /* the last period is not finished */
    averages_free(&averages);
    if (!have_rrdtool()) {
        print_message("SKIP test_traffic_total: no rrdtool\n");
        skip();
    }
    char command[512], line[64];
    (void)snprintf(command, sizeof command,
                   "rrdtool graph /dev/null -s %lld -e %lld -w 10000 DEF:i=%s:in:AVERAGE VDEF:t=i,TOTAL PRINT:t:%%.3lf",
                   (long long)BASE, (long long)end - 1, path_of(fixture, "net", "net.rrd"));
    FILE *answer = popen(command, "r");
    assert_non_null(answer);
    assert_non_null(fgets(line, sizeof line, answer));
    assert_non_null(fgets(line, sizeof line, answer));
    assert_int_equal(pclose(answer), 0);
    double total = strtod(line, NULL);
    if (!(fabs(total / grown - 1) < 1e-6))
        fail_msg("rrdtool adds up %.0f bytes, counted were %.0f", total, grown);
}

static void test_modes_and_leftovers(void **state)
{
    struct fixture *fixture = *state;
    struct timeline log = {0};
    struct stat info;
    mode_t mask = umask(077);
    add(&log, 1, BASE + 10, STATE_UP);
    assert_done(rrd_store_write_state(fixture->store, "web", &log, INT64_MAX, BASE + 500, &fixture->error));
    (void)umask(mask);
    assert_int_equal(stat(path_of(fixture, "web", ""), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0750);
    assert_int_equal(stat(path_of(fixture, "web", "state.rrd"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0640);
    assert_int_not_equal(stat(path_of(fixture, "web", "state.rrd.new"), &info), 0);
    assert_int_not_equal(stat(path_of(fixture, "web", "state.rrd.copy"), &info), 0);
    assert_null(getenv("RRDCACHED_ADDRESS"));
    /* An empty file is what a power cut leaves of a new one: it is made again. */
    assert_int_equal(truncate(path_of(fixture, "web", "state.rrd"), 0), 0);
    assert_done(rrd_store_write_state(fixture->store, "web", &log, INT64_MAX, BASE + 900, &fixture->error));
    assert_verified(fixture, "web", &log, BASE + 900);
    timeline_free(&log);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* What lies in the place of a file, and what is said of it. */
static const struct {
    const char *what, *said;
} spoils[] = {{"rubbish", "no RRD file"},
              {"header only", "cut short"},
              {"half", "cut short"},
              {"one byte less", "cut short"},
              {"zeroes", "no RRD file"},
              {"last update", "is damaged"},
              {"row pointer", "is damaged"},
              {"future", "of the future"},
              {"another file", "other data sources"},
              {"another step", "another step"},
              {"empty", "is empty"},
              {"folder", "is no file"},
              {"gone", "is gone"}};

static void write_at(const char *path, long at, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, at), (ssize_t)len);
    assert_int_equal(close(fd), 0);
}

/* Of metrics.rrd or net.rrd with so many sources and archives. */
static void spoil(const char *what, const char *path, const char *other, long sources, long archives)
{
    struct stat info;
    unsigned char zeroes[4096] = {0};
    long live = 128 + sources * 120 + archives * 120;
    long pointers = live + 16 + sources * 112 + sources * archives * 80;
    const uint64_t huge = UINT64_MAX, step = 61;
    const int64_t future = BASE + 400000;
    assert_int_equal(stat(path, &info), 0);
    if (strcmp(what, "rubbish") == 0)
        write_at(path, 0, "this is no RRD file", 19);
    else if (strcmp(what, "zeroes") == 0)
        write_at(path, 0, zeroes, sizeof zeroes);
    else if (strcmp(what, "header only") == 0)
        assert_int_equal(truncate(path, 128), 0);
    else if (strcmp(what, "half") == 0)
        assert_int_equal(truncate(path, info.st_size / 2), 0);
    else if (strcmp(what, "one byte less") == 0)
        assert_int_equal(truncate(path, info.st_size - 1), 0);
    else if (strcmp(what, "empty") == 0)
        assert_int_equal(truncate(path, 0), 0);
    else if (strcmp(what, "last update") == 0)
        write_at(path, live, zeroes, 8);
    else if (strcmp(what, "future") == 0)
        write_at(path, live, &future, sizeof future);
    else if (strcmp(what, "row pointer") == 0)
        write_at(path, pointers, &huge, sizeof huge);
    else if (strcmp(what, "another step") == 0)
        write_at(path, 40, &step, sizeof step);
    else
        assert_int_equal(unlink(path), 0);
    if (strcmp(what, "another file") == 0)
        assert_int_equal(link(other, path), 0);
    if (strcmp(what, "folder") == 0)
        assert_int_equal(mkdir(path, 0755), 0);
}

/* Whatever is wrong with a file, it is said, kept and begun anew, and the other two do not notice. */
static void test_replaces_bad_files(void **state)
{
    struct fixture *fixture = *state;
    struct timeline log = {0};
    struct averages_row row = row_of(300, 1, 1, 1);
    uint64_t differing;
    int64_t first;
    struct error note;
    char name[16], net[256], metrics[256], bad[300];
    struct stat info;
    add(&log, 1, BASE + 10, STATE_UP);
    for (size_t i = 0; i < sizeof spoils / sizeof *spoils; i++) {
        (void)snprintf(name, sizeof name, "web%zu", i);
        row = row_of(300, 1, 1, 1);
        assert_done(rrd_store_write_rows(fixture->store, name, &row, 1, &fixture->error));
        assert_done(rrd_store_write_state(fixture->store, name, &log, INT64_MAX, BASE + 500, &fixture->error));
        assert_int_equal(rrd_store_take_notes(fixture->store, &note), 0);
        (void)snprintf(net, sizeof net, "%s", path_of(fixture, name, "net.rrd"));
        (void)snprintf(metrics, sizeof metrics, "%s", path_of(fixture, name, "metrics.rrd"));

        spoil(spoils[i].what, net, metrics, 2, 4);
        row = row_of(600, 1, 1, 1);
        assert_done(rrd_store_write_rows(fixture->store, name, &row, 1, &fixture->error));
        assert_int_equal(rrd_store_take_notes(fixture->store, &note), 1);
        assert_non_null(strstr(note.text, spoils[i].said));
        assert_non_null(strstr(note.text, net));
        assert_int_equal(rrd_store_last(net, &fixture->error), BASE + 600);
        assert_int_equal(rrd_store_last(metrics, &fixture->error), BASE + 600);
        (void)snprintf(bad, sizeof bad, "%s.bad", net);
        bool kept = strcmp(spoils[i].what, "gone") != 0 && strcmp(spoils[i].what, "empty") != 0;
        assert_int_equal(stat(bad, &info) == 0, kept);

        const char *path = path_of(fixture, name, "state.rrd");
        spoil(spoils[i].what, path, metrics, 4, 3);
        if (strcmp(spoils[i].what, "future") != 0 && strcmp(spoils[i].what, "last update") != 0 &&
            strcmp(spoils[i].what, "row pointer") != 0) /* no crash; in what way it is damaged does not matter */
            assert_int_equal(rrd_store_verify_state(path, &log, BASE + 500, &differing, &first, &fixture->error), -1);
        rrd_store_expect_state(fixture->store, name);
        assert_done(rrd_store_write_state(fixture->store, name, &log, INT64_MAX, BASE + 900, &fixture->error));
        assert_int_equal(rrd_store_take_notes(fixture->store, &note), 1);
        assert_non_null(strstr(note.text, spoils[i].said));
        assert_verified(fixture, name, &log, BASE + 900);
    }
    timeline_free(&log);
}

static void test_refuses_other_files(void **state)
{
    struct fixture *fixture = *state;
    struct timeline log = {0};
    struct averages_row row = row_of(300, 1, 1, 1);
    char metrics[256], aside[300];
    add(&log, 1, BASE + 10, STATE_UP);
    /* What cannot be put aside is an error, and does not cost the other file its rows. */
    assert_done(rrd_store_write_rows(fixture->store, "web", &row, 1, &fixture->error));
    (void)snprintf(metrics, sizeof metrics, "%s", path_of(fixture, "web", "metrics.rrd"));
    write_text(metrics, "no");
    (void)snprintf(aside, sizeof aside, "%s.bad", metrics);
    assert_int_equal(mkdir(aside, 0755), 0);
    (void)snprintf(aside, sizeof aside, "%s.bad/full", metrics);
    write_text(aside, "kept");
    row = row_of(600, 1, 1, 1);
    assert_int_equal(rrd_store_write_rows(fixture->store, "web", &row, 1, &fixture->error), -1);
    assert_non_null(strstr(fixture->error.text, "move both away"));
    assert_int_equal(rrd_store_last(path_of(fixture, "web", "net.rrd"), &fixture->error), BASE + 600);
    /* A file that cannot be looked at is left alone. */
    if (geteuid() != 0) {
        assert_int_equal(chmod(path_of(fixture, "web", "net.rrd"), 0), 0);
        assert_int_equal(rrd_store_write_rows(fixture->store, "web", &row, 1, &fixture->error), -1);
    }
    assert_int_equal(unlink(aside), 0);
    (void)snprintf(aside, sizeof aside, "%s.bad", metrics);
    assert_int_equal(rmdir(aside), 0);

    assert_int_equal(rrd_store_write_state(fixture->store, "../web", &log, INT64_MAX, BASE + 500, &fixture->error), -1);
    assert_int_equal(rrd_store_write_state(fixture->store, "a%n", &log, INT64_MAX, BASE + 500, &fixture->error), -1);
    assert_int_equal(rrd_store_last("/tmp/%n%s.rrd", &fixture->error), -1);
    assert_non_null(strstr(fixture->error.text, "must not contain"));
    timeline_free(&log);
}

/* A child that holds the file locked until it is told to go, or for `hold_ms`. */
static pid_t lock_in_child(const char *path, int hold_ms)
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int file = open(path, O_RDWR);
        char byte = fcntl(file, F_SETLK, &lock) == 0 ? 'y' : 'n';
        if (write(ready[1], &byte, 1) != 1)
            _exit(1);
        (void)poll(NULL, 0, hold_ms);
        _exit(0);
    }
    char byte = 'n';
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    (void)close(ready[0]);
    (void)close(ready[1]);
    return child;
}

static void test_waits_for_a_lock(void **state)
{
    struct fixture *fixture = *state;
    struct averages_row rows[] = {row_of(300, 1, 1, 1), row_of(600, 1, 2, 2)};
    int status;
    assert_done(rrd_store_write_rows(fixture->store, "web", rows, 1, &fixture->error));
    pid_t child = lock_in_child(path_of(fixture, "web", "net.rrd"), 60000);
    assert_int_equal(rrd_store_write_rows(fixture->store, "web", rows, 2, &fixture->error), -1);
    assert_non_null(strstr(fixture->error.text, "lock"));
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    /* The error left nothing behind; only the file that lacks the row gets it. */
    assert_done(rrd_store_write_rows(fixture->store, "web", rows, 2, &fixture->error));
    assert_int_equal(rrd_store_last(path_of(fixture, "web", "net.rrd"), &fixture->error), BASE + 600);
    assert_int_equal(rrd_store_last(path_of(fixture, "web", "metrics.rrd"), &fixture->error), BASE + 600);
}

/* No space: the error has words, nothing half-made is seen, and the next try succeeds. */
static void test_full_disk(void **state)
{
    struct fixture *fixture = *state;
    struct timeline log = {0};
    struct rlimit before, small = {.rlim_cur = 100000};
    struct stat info;
    add(&log, 1, BASE + 10, STATE_UP);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int result = rrd_store_write_state(fixture->store, "web", &log, INT64_MAX, BASE + 500, &fixture->error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(result, -1);
    assert_non_null(strstr(fixture->error.text, "cannot create"));
    assert_int_not_equal(stat(path_of(fixture, "web", "state.rrd"), &info), 0);
    assert_int_not_equal(stat(path_of(fixture, "web", "state.rrd.new"), &info), 0);
    assert_done(rrd_store_write_state(fixture->store, "web", &log, INT64_MAX, BASE + 500, &fixture->error));
    assert_verified(fixture, "web", &log, BASE + 500);
    timeline_free(&log);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char **argv)
{
    seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : (unsigned)time(NULL);
    (void)printf("seed %u\n", seed);
    const struct CMUnitTest tests[] = {
        CASE(test_rrdtool_gives_the_log),
        CASE(test_change_before_the_written_rebuilds),
        CASE(test_rebuild_keeps_older_rows),
        CASE(test_writes_rows),
        CASE(test_traffic_total),
        CASE(test_modes_and_leftovers),
        CASE(test_replaces_bad_files),
        CASE(test_refuses_other_files),
        CASE(test_waits_for_a_lock),
        CASE(test_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
