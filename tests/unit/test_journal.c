/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_journal.c - the database itself: what is committed comes back, what is damaged or foreign is told in one
 * line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "receiver/record/journal.h"
#include "receiver/record/log_reader.h"
#include "tests/lib/shelf.h"
#include "tests/lib/speaker.h"

static const struct receiver_options options = {
    .secret = {1}, .planned_limit_ns = 1800 * NS_PER_S, .host_count_max = 10};

struct store {
    char folder[64];
    char path[96];
    struct journal *journal;
    struct receiver *receiver;
    struct journal_start start;
    struct speaker one, two;
};

static struct instant at(int64_t second)
{
    return (struct instant){(5000 + second) * NS_PER_S};
}

static struct wall wall_at(int64_t second)
{
    return (struct wall){(1700000000 + second) * NS_PER_S};
}

static int make_folder(void **state)
{
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return -1;
    (void)snprintf(store->folder, sizeof store->folder, "/tmp/test_journal_XXXXXX");
    if (!mkdtemp(store->folder))
        return -1;
    (void)snprintf(store->path, sizeof store->path, "%s/receiver.db", store->folder);
    *state = store;
    return 0;
}

static int remove_folder(void **state)
{
    struct store *store = *state;
    char path[128];
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s%s", store->path, ends[i]);
        (void)unlink(path);
    }
    int rc = rmdir(store->folder);
    free(store);
    return rc;
}

/* Opens, loads and begins a run at that second. */
static void begin(struct store *store, int64_t second)
{
    struct error error = {""};
    static const uint8_t boot_id[BOOT_ID_LEN] = {9};
    store->receiver = receiver_create(&options);
    assert_non_null(store->receiver);
    store->journal = journal_open(store->folder, &error);
    assert_string_equal(error.text, "");
    assert_non_null(store->journal);
    assert_int_equal(journal_load(store->journal, store->receiver, &store->start, &error), 0);
    receiver_start(store->receiver, at(second), wall_at(second),
                   store->start.has_run ? store->start.alive : INSTANT_NEVER);
    assert_int_equal(journal_begin_run(store->journal, &store->start, boot_id, at(second), 77,
                                       labels_of(receiver_labels(store->receiver), at(second)), &error),
                     0);
}

static void end(struct store *store)
{
    journal_close(store->journal);
    receiver_destroy(store->receiver);
    store->journal = NULL;
    store->receiver = NULL;
}

/* Commits what has piled up, and the checkpoint of a host if its id is not 0. */
static void commit(struct store *store, int64_t second, uint32_t checkpoint, uint64_t trim_to)
{
    struct journal_batch batch = {
        .alive = at(second), .alive_second = 1700000000 + second, .trim_to = trim_to, .sync = true};
    struct error error = {""};
    const struct host_table *table = receiver_hosts(store->receiver);
    receiver_take(store->receiver, &batch.output);
    batch.labels = receiver_labels(store->receiver);
    batch.host_count = batch.output.created_count;
    batch.hosts = calloc(batch.host_count + 1, sizeof *batch.hosts);
    assert_non_null(batch.hosts);
    for (size_t i = 0; i < batch.host_count; i++) {
        batch.hosts[i].id = batch.output.created[i];
        batch.hosts[i].first_at = 1700000000;
        memcpy(batch.hosts[i].name, table->hosts[batch.hosts[i].id]->name, NAME_LEN_MAX + 1);
    }
    if (checkpoint) {
        batch.checkpoints = calloc(1, sizeof *batch.checkpoints);
        assert_non_null(batch.checkpoints);
        batch.checkpoint_count = 1;
        batch.checkpoints->host = checkpoint;
        batch.checkpoints->bytes = shelf_bytes(table->hosts[checkpoint], &batch.checkpoints->len);
        batch.checkpoints->position = table->hosts[checkpoint]->position = receiver_last_fact(store->receiver);
        batch.checkpoints->written_to = 60;
    }
    assert_int_equal(journal_commit(store->journal, &batch, &error), 0);
    journal_batch_free(&batch);
}

static int64_t query(const struct store *store, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_open_v2(store->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return value;
}

static void execute(const struct store *store, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(store->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* Two hosts; one falls silent at 300 and is down by 500. Commits now and then. */
static void live(struct store *store)
{
    speaker_init(&store->one, "one", at(0), 60000);
    speaker_init(&store->two, "two", at(0), 60000);
    for (int64_t t = 0; t <= 600; t += 60) {
        (void)speaker_tell(&store->one, store->receiver, at(t));
        if (t <= 300)
            (void)speaker_tell(&store->two, store->receiver, at(t));
        receiver_judge(store->receiver, at(t));
        if (t % 180 == 0)
            commit(store, t, t == 360 ? 2 : 0, 0);
    }
    receiver_judge(store->receiver, at(610));
    commit(store, 610, 0, 0);
}

static void test_comes_back(void **state)
{
    struct store *store = *state;
    begin(store, 0);
    assert_false(store->start.has_run);
    live(store);
    struct receiver *before = store->receiver;
    store->receiver = NULL;
    end(store);

    struct error error = {""};
    struct receiver *fresh = receiver_create(&options);
    store->journal = journal_open(store->folder, &error);
    assert_int_equal(journal_load(store->journal, fresh, &store->start, &error), 0);
    assert_true(shelf_same(before, fresh));
    assert_int_equal(receiver_last_fact(before), receiver_last_fact(fresh));
    assert_true(store->start.has_run);
    assert_int_equal(store->start.alive.ns, at(610).ns);
    assert_int_equal(store->start.started_ns, at(0).ns);
    assert_int_equal(store->start.boottime_ns, 77);
    assert_int_equal(store->start.alive_wall.ns, wall_at(610).ns);
    assert_int_equal(store->start.boot_id[0], 9);
    receiver_destroy(before);
    store->receiver = fresh;
    end(store);

    assert_int_equal(query(store, "SELECT count(*) FROM hosts"), 2);
    assert_int_equal(query(store, "SELECT count(*) FROM transitions WHERE state = 'down' AND at = 1700000330"), 1);
    assert_int_equal(query(store, "SELECT max(position) = 0 FROM hosts WHERE name = 'one'"), 1);
    assert_int_equal(query(store, "SELECT position > 0 AND written_to = 60 FROM hosts WHERE name = 'two'"), 1);
    struct stat status;
    assert_int_equal(stat(store->path, &status), 0);
    assert_int_equal(status.st_mode & 0777 & ~0640u, 0);
}

/* A replay tells the lines again; the log has each once. */
static void test_restart(void **state)
{
    struct store *store = *state;
    begin(store, 0);
    live(store);
    end(store);
    int64_t lines = query(store, "SELECT count(*) FROM transitions");
    begin(store, 700);
    (void)speaker_tell(&store->one, store->receiver, at(1000)); /* found in the socket after a stall */
    receiver_stalled(store->receiver, at(710), at(1000));
    commit(store, 1000, 0, 0);
    assert_int_equal(query(store, "SELECT count(*) FROM absences WHERE cause = 'receiver_off' AND position > 0"), 1);
    assert_int_equal(query(store, "SELECT count(*) FROM runs"), 2);
    assert_true(query(store, "SELECT count(*) FROM transitions") >= lines);
    (void)speaker_tell(&store->two, store->receiver, at(1100));
    commit(store, 1100, 0, 0);
    /* What the journal tells of an absence is not told twice, and not before its time: all is as it was. */
    struct receiver *before = store->receiver;
    journal_close(store->journal);
    struct error error = {""};
    store->journal = journal_open(store->folder, &error);
    store->receiver = receiver_create(&options);
    assert_int_equal(journal_load(store->journal, store->receiver, &store->start, &error), 0);
    assert_true(shelf_same(before, store->receiver));
    receiver_destroy(before);
    end(store);
    assert_int_equal(query(store, "SELECT count(*) - count(DISTINCT host || ' ' || number) FROM transitions"), 0);
}

static void test_trims(void **state)
{
    struct store *store = *state;
    begin(store, 0);
    live(store);
    int64_t entries = query(store, "SELECT count(*) FROM journal");
    assert_true(entries > 3);
    commit(store, 620, 1, 0);
    commit(store, 621, 2, 0);
    uint64_t last = receiver_last_fact(store->receiver);
    (void)speaker_tell(&store->one, store->receiver, at(660));
    commit(store, 660, 0, last);
    assert_int_equal(query(store, "SELECT count(*) FROM journal"), 1);
    struct receiver *before = store->receiver;
    journal_close(store->journal);
    struct error error = {""};
    store->journal = journal_open(store->folder, &error);
    store->receiver = receiver_create(&options);
    assert_int_equal(journal_load(store->journal, store->receiver, &store->start, &error), 0);
    assert_true(shelf_same(before, store->receiver));
    receiver_destroy(before);
    end(store);
}

static void test_windows(void **state)
{
    struct store *store = *state;
    struct error error = {""};
    begin(store, 0);
    struct journal_window windows[2] = {
        {.id = 3, .is_new = true, .starts = 1700000010, .ends = INT64_MAX, .window = {at(10), INSTANT_NEVER}},
        {.id = 4, .is_new = true, .starts = 1700000010, .ends = 1700000020, .window = {at(10), at(20)}}};
    struct journal_batch batch = {.alive = at(10), .window_count = 2, .labels = receiver_labels(store->receiver)};
    batch.windows = windows;
    windows[0].pattern = windows[1].pattern = strdup("o*");
    windows[0].reason = windows[1].reason = strdup("disk");
    assert_int_equal(journal_commit(store->journal, &batch, &error), 0);
    windows[0].is_new = false;
    windows[0].ends = 1700000015;
    windows[0].window.to = at(15);
    batch.window_count = 1;
    assert_int_equal(journal_commit(store->journal, &batch, &error), 0);
    free(windows[0].pattern);
    free(windows[0].reason);
    end(store);
    begin(store, 30);
    size_t count;
    const struct planned *planned = receiver_windows(store->receiver, &count);
    assert_int_equal(count, 2);
    assert_int_equal(planned[0].window.to.ns, at(15).ns);
    assert_int_equal(planned[1].window.to.ns, at(20).ns);
    assert_int_equal(store->start.last_window_id, 4);
    end(store);
}

/* A step of the wall clock moves a window, which is then ended before either is stored: the end is what the next run finds. */
static void test_window_ended_after_a_step(void **state)
{
    struct store *store = *state;
    struct error error = {""};
    char pattern[] = "o*", reason[] = "";
    begin(store, 0);
    struct journal_window window = {.id = 3,
                                    .is_new = true,
                                    .pattern = pattern,
                                    .reason = reason,
                                    .starts = 1700000010,
                                    .ends = 1700009000,
                                    .window = {at(10), at(9000)}};
    struct journal_batch batch = {.alive = at(10), .window_count = 1, .labels = receiver_labels(store->receiver)};
    batch.windows = &window;
    assert_int_equal(receiver_add_window(store->receiver, at(10), 3, pattern, window.window), 0);
    assert_int_equal(journal_commit(store->journal, &batch, &error), 0);
    assert_int_equal(receiver_see_wall(store->receiver, at(20), wall_at(20 + 3600)), LABELS_FORWARD);
    assert_int_equal(receiver_end_window(store->receiver, at(25), 3), 0);
    window.is_new = false;
    window.ends = 1700003625;
    window.window.to = at(25);
    batch.alive = at(25);
    receiver_take(store->receiver, &batch.output);
    assert_int_equal(batch.output.moved_count, 1);
    assert_int_equal(journal_commit(store->journal, &batch, &error), 0);
    receiver_output_free(&batch.output);
    end(store);
    begin(store, 30);
    size_t count;
    assert_int_equal(receiver_windows(store->receiver, &count)->window.to.ns, at(25).ns);
    end(store);
}

/* What people said is there for every reader, in its order; a month has one row, the latest. */
static void test_relabels_and_months(void **state)
{
    struct store *store = *state;
    struct error error = {""};
    begin(store, 0);
    live(store);
    struct journal_relabel relabels[2] = {
        {.host = 2, .number = 2, .to_end = true, .state = STATE_ADMIN, .entered = 1700000700, .position = 5},
        {.host = 2, .number = 2, .to_end = true, .state = STATE_UNKNOWN, .entered = 1700000701, .position = 9}};
    struct journal_month months[3] = {{.host = 2, .month = "2023-10", .zone = "Europe/Berlin", .up = 1},
                                      {.host = 2, .month = "2023-11", .zone = "Europe/Berlin", .up = 2},
                                      {.host = 2, .month = "2023-10", .zone = "Europe/Berlin", .up = 3, .unknown = 4}};
    char first[] = "first", second[] = "it's \"the\" second";
    relabels[0].reason = first;
    relabels[1].reason = second;
    struct journal_batch batch = {.alive = at(700), .labels = receiver_labels(store->receiver)};
    batch.relabels = relabels;
    batch.relabel_count = 2;
    batch.months = months;
    batch.month_count = 3;
    assert_int_equal(journal_commit(store->journal, &batch, &error), 0);
    end(store);
    assert_int_equal(query(store, "SELECT count(*) FROM relabels"), 2);
    assert_int_equal(query(store, "SELECT count(*) FROM months"), 2);
    assert_int_equal(query(store, "SELECT up * 10 + unknown FROM months WHERE month = '2023-10'"), 34);

    struct log_reader *reader = log_reader_open(store->folder, &error);
    struct timeline log = {0};
    assert_non_null(reader);
    assert_int_equal(log_reader_timeline(reader, 2, &log, &error), 0);
    const struct timeline_span *last = &log.spans[log.count - 1];
    assert_int_equal(last->told, STATE_DOWN);
    assert_int_equal(last->state, STATE_UNKNOWN);
    assert_string_equal(last->relabel->reason, second);
    timeline_free(&log);
    struct log_relabelled *hosts;
    size_t count;
    assert_int_equal(log_reader_relabelled(reader, &hosts, &count, &error), 0);
    assert_int_equal(count, 1);
    assert_int_equal(hosts[0].host, 2);
    assert_int_equal(hosts[0].position, 9);
    free(hosts);
    char month[CALENDAR_MONTH_MAX];
    assert_int_equal(log_reader_last_month(reader, 2, "Europe/Berlin", month, &error), 0);
    assert_string_equal(month, "2023-11");
    assert_int_equal(log_reader_last_month(reader, 2, "UTC", month, &error), 0);
    assert_string_equal(month, "");
    struct log_line line;
    assert_int_equal(log_reader_find_line(reader,
                                          query(store, "SELECT id FROM transitions WHERE host = 2 AND number = 2"),
                                          &line, &error),
                     0);
    assert_true(line.host == 2 && line.number == 2 && !line.is_up);
    assert_int_equal(log_reader_find_line(reader, 999, &line, &error), 0);
    assert_int_equal(line.host, 0);
    log_reader_close(reader);

    /* A word that nobody knows is told, not guessed. */
    execute(store, "UPDATE relabels SET state = 'late' WHERE id = 1");
    reader = log_reader_open(store->folder, &error);
    assert_int_equal(log_reader_timeline(reader, 2, &log, &error), -1);
    assert_non_null(strstr(error.text, "relabel 1 says \"late\""));
    timeline_free(&log);
    log_reader_close(reader);
}

static void check_one_line(const struct error *error, const struct store *store)
{
    assert_int_not_equal(strlen(error->text), 0);
    assert_null(strchr(error->text, '\n'));
    assert_non_null(strstr(error->text, store->folder));
}

static void write_file(const char *path, const char *text, size_t at_byte, size_t len)
{
    int fd = open(path, O_RDWR | O_CREAT, 0640);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, len, (off_t)at_byte), (ssize_t)len);
    assert_int_equal(close(fd), 0);
}

static void test_foreign(void **state)
{
    struct store *store = *state;
    struct error error = {""};
    static char text[5000];
    memset(text, 'x', sizeof text);
    write_file(store->path, text, 0, sizeof text);
    assert_null(journal_open(store->folder, &error));
    check_one_line(&error, store);
    assert_int_equal(unlink(store->path), 0);

    begin(store, 0);
    end(store);
    execute(store, "PRAGMA user_version = 7");
    memset(&error, 0, sizeof error);
    assert_null(journal_open(store->folder, &error));
    check_one_line(&error, store);
    assert_non_null(strstr(error.text, "version 7"));

    memset(&error, 0, sizeof error);
    assert_null(journal_open("/nonexistent", &error));
    assert_non_null(strstr(error.text, "/nonexistent"));
}

/* Rows that make no sense: each is one line, and none a crash. */
static void test_damaged(void **state)
{
    struct store *store = *state;
    static const char *const damages[] = {
        "UPDATE journal SET facts = x'09ff'",
        "UPDATE journal SET facts = substr(facts, 1, length(facts) - 1)",
        "UPDATE journal SET facts = x'0100630000000000000000'", /* a beat of host 99 */
        "UPDATE hosts SET checkpoint = x'ff'",
        "UPDATE hosts SET checkpoint = substr(checkpoint, 1, 100) WHERE checkpoint IS NOT NULL",
        "UPDATE hosts SET name = '..' WHERE id = 1",
        "UPDATE hosts SET id = 99999999999 WHERE id = 1",
        "UPDATE runs SET boot_id = x'00'",
        "INSERT INTO absences (started, ended, started_ns, ended_ns, cause, position) VALUES (1, 2, 3, 4, 'luck', 0)",
        "INSERT INTO absences (started, ended, started_ns, ended_ns, cause, position) VALUES (1, 2, 4, 3, 'path', 0)",
    };
    begin(store, 0);
    live(store);
    end(store);
    char copy[128], command[300];
    (void)snprintf(copy, sizeof copy, "%s/copy", store->folder);
    execute(store, "PRAGMA wal_checkpoint(TRUNCATE)");
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        (void)snprintf(command, sizeof command, "VACUUM INTO '%s'", copy);
        execute(store, command);
        execute(store, "PRAGMA foreign_keys = OFF");
        execute(store, damages[i]);
        struct error error = {""};
        struct receiver *receiver = receiver_create(&options);
        struct journal *journal = journal_open(store->folder, &error);
        assert_non_null(journal);
        if (journal_load(journal, receiver, &store->start, &error) == 0)
            fail_msg("loaded in spite of: %s", damages[i]);
        check_one_line(&error, store);
        journal_close(journal);
        receiver_destroy(receiver);
        assert_int_equal(rename(copy, store->path), 0);
    }
}

/* A batch that cannot be written leaves nothing behind, and can be tried again. */
static void test_all_or_nothing(void **state)
{
    struct store *store = *state;
    struct error error = {""};
    begin(store, 0);
    speaker_init(&store->one, "one", at(0), 60000);
    (void)speaker_tell(&store->one, store->receiver, at(0));
    struct journal_batch batch = {
        .alive = at(0), .alive_second = 1700000000, .labels = receiver_labels(store->receiver)};
    receiver_take(store->receiver, &batch.output);
    struct journal_host host = {.id = 1, .name = "one", .first_at = 1700000000};
    batch.hosts = &host;
    batch.host_count = 1;
    struct journal_window window = {.id = 1, .is_new = true}; /* no pattern: refused by the database */
    batch.windows = &window;
    batch.window_count = 1;
    assert_int_equal(journal_commit(store->journal, &batch, &error), -1);
    check_one_line(&error, store);
    assert_int_equal(query(store, "SELECT count(*) FROM hosts"), 0);
    batch.window_count = 0;
    assert_int_equal(journal_commit(store->journal, &batch, &error), 0);
    assert_int_equal(query(store, "SELECT count(*) FROM hosts"), 1);
    assert_int_equal(query(store, "SELECT count(*) FROM transitions"), 1);
    receiver_output_free(&batch.output);
    end(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_comes_back, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_restart, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_trims, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_windows, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_window_ended_after_a_step, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_relabels_and_months, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_foreign, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_damaged, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_all_or_nothing, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
