/* SPDX-License-Identifier: GPL-2.0-or-later */
/* journal.c - see journal.h. */
#include "receiver/record/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "receiver/record/journal_internal.h"
#include "receiver/record/schema.h"

static const char *const statement_sql[STATEMENT_COUNT] = {
    [PUT_FACTS] = "INSERT OR REPLACE INTO journal (position, facts) VALUES (?1, ?2)",
    /* A replay tells lines again that are stored already. */
    [PUT_LINE] =
        "INSERT OR IGNORE INTO transitions (host, number, at, state, cause, earliest, latest, decided, restates) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [PUT_HOST] = "INSERT OR IGNORE INTO hosts (id, name, first_at, position, written_to, lines) "
                 "VALUES (?1, ?2, ?3, 0, 0, 0)",
    [PUT_NAMES] = "UPDATE hosts SET name = ?2, alias = nullif(?3, ''), moved_from = nullif(?4, '') WHERE id = ?1",
    [PUT_CHECKPOINT] =
        "UPDATE hosts SET checkpoint = ?2, position = ?3, written_to = ?4, lines = ?5, changed_from = ?6 "
        "WHERE id = ?1",
    [PUT_WINDOW] = "INSERT INTO maintenance (id, pattern, starts, ends, starts_ns, ends_ns, reason, entered, "
                   "origin, origin_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [END_WINDOW] = "UPDATE maintenance SET ends = CASE WHEN ?3 <= starts_ns THEN starts ELSE ?2 END, ends_ns = ?3 "
                   "WHERE id = ?1",
    [PUT_RELABEL] = "INSERT INTO relabels (host, number, to_end, state, reason, entered, position, from_at, to_at, "
                    "origin, origin_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [PUT_MONTH] = "INSERT OR REPLACE INTO months (host, month, zone, up, down, unreachable, admin, unknown) "
                  "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [PUT_ABSENCE] = "INSERT INTO absences (started, ended, started_ns, ended_ns, cause, position) "
                    "VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
                    "ON CONFLICT (started_ns) DO UPDATE SET ended = excluded.ended, ended_ns = excluded.ended_ns",
    [PUT_LABEL] = "INSERT INTO labels (from_ns, offset_ns, base_ns, slow) VALUES (?1, ?2, ?3, ?4)",
    [MOVE_WINDOW] = "UPDATE maintenance SET starts_ns = ?2, ends_ns = ?3 WHERE id = ?1",
    [PUT_MARK] = "UPDATE runs SET alive = ?1, alive_ns = ?2, clean = ?3 WHERE id = ?4",
    /* An entry goes when the one after it begins with a fact that is in every checkpoint, or right behind them. */
    [TRIM] = "DELETE FROM journal WHERE position < (SELECT max(position) FROM journal WHERE position <= ?1 + 1)",
};

/* The line for a person: what SQLite says, and where. */
int journal_fail(const struct journal *journal, const char *what, struct error *error)
{
    int code = sqlite3_errcode(journal->db) & 0xff;
    if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
        return error_set(error,
                         "cannot %s %s: %s; put a good copy in its place, or move it and its -wal aside and start anew",
                         what, journal->path, sqlite3_errmsg(journal->db));
    return error_set(error, "cannot %s %s: %s", what, journal->path, sqlite3_errmsg(journal->db));
}

static int run_sql(struct journal *journal, const char *sql, const char *what, struct error *error)
{
    return sqlite3_exec(journal->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : journal_fail(journal, what, error);
}

/* The one integer that a query gives. */
static int read_integer(struct journal *journal, const char *sql, int *value, struct error *error)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(journal->db, sql, -1, &stmt, NULL) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_ROW) {
        sqlite3_finalize(stmt);
        return journal_fail(journal, "read", error);
    }
    *value = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return 0;
}

/* Is it ours, or empty? Asked before anything is written: what belongs to another program or version stays as it is. */
static int check_version(struct journal *journal, int *version, struct error *error)
{
    int tables = 0;
    if (read_integer(journal, "PRAGMA user_version", version, error) != 0 ||
        read_integer(journal, "SELECT count(*) FROM sqlite_master", &tables, error) != 0)
        return -1;
    if (*version == 0 && tables > 0)
        return error_set(error, "%s is the database of another program; give the receiver a directory of its own",
                         journal->path);
    if (*version != 0 && *version != SCHEMA_VERSION)
        return error_set(error, "%s is of version %d, this program knows version %d; use the program that made it",
                         journal->path, *version, SCHEMA_VERSION);
    return 0;
}

static int prepare_database(struct journal *journal, struct error *error)
{
    int version = 0;
    int persist = 1; /* readers of another user cannot create the WAL files: they stay when the receiver stops */
    (void)sqlite3_busy_timeout(journal->db, 5000);
    (void)sqlite3_file_control(journal->db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
    /* Debian's SQLite overwrites what is deleted: each byte of the journal would be written twice, many MB in one commit. */
    if (check_version(journal, &version, error) != 0 ||
        run_sql(journal, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = OFF;", "open",
                error) != 0)
        return -1;
    journal->synced = true;
    if (version == 0 && run_sql(journal, "BEGIN IMMEDIATE;" SCHEMA_SQL "COMMIT;", "create the tables of", error) != 0)
        return -1;
    for (int i = 0; i < STATEMENT_COUNT; i++)
        if (sqlite3_prepare_v3(journal->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &journal->statements[i],
                               NULL) != SQLITE_OK)
            return journal_fail(journal, "use", error);
    return 0;
}

struct journal *journal_open(const char *data, struct error *error)
{
    struct journal *journal = calloc(1, sizeof *journal);
    if (!journal || asprintf(&journal->path, "%s/receiver.db", data) < 0) {
        free(journal);
        error_set(error, "out of memory");
        return NULL;
    }
    /* Made by hand, so that SQLite gives its files the same mode: readable by the group. */
    int fd = open(journal->path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) {
        error_set(error, "cannot open %s: %s", journal->path, strerror(errno));
        journal_close(journal);
        return NULL;
    }
    close(fd);
    if (sqlite3_open_v2(journal->path, &journal->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL) !=
        SQLITE_OK) {
        journal_fail(journal, "open", error);
        journal_close(journal);
        return NULL;
    }
    if (prepare_database(journal, error) != 0) {
        journal_close(journal);
        return NULL;
    }
    return journal;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(journal->statements[i]);
    sqlite3_close(journal->db);
    free(journal->path);
    free(journal);
}

void journal_batch_free(struct journal_batch *batch)
{
    receiver_output_free(&batch->output);
    for (size_t i = 0; i < batch->checkpoint_count; i++)
        free(batch->checkpoints[i].bytes);
    for (size_t i = 0; i < batch->window_count; i++) {
        free(batch->windows[i].pattern);
        free(batch->windows[i].reason);
    }
    for (size_t i = 0; i < batch->relabel_count; i++)
        free(batch->relabels[i].reason);
    free(batch->hosts);
    free(batch->names);
    free(batch->checkpoints);
    free(batch->windows);
    free(batch->relabels);
    free(batch->months);
    memset(batch, 0, sizeof *batch);
}

/* ---- writing ---- */

int journal_step(struct journal *journal, enum statement which, struct error *error)
{
    sqlite3_stmt *stmt = journal->statements[which];
    int rc = sqlite3_step(stmt);
    (void)sqlite3_reset(stmt);
    (void)sqlite3_clear_bindings(stmt);
    return rc == SQLITE_DONE ? 0 : journal_fail(journal, "write", error);
}

static int put_lines(struct journal *journal, const struct line_list *lines, struct error *error)
{
    sqlite3_stmt *stmt = journal->statements[PUT_LINE];
    for (size_t i = 0; i < lines->count; i++) {
        const struct transition *line = &lines->lines[i];
        sqlite3_bind_int64(stmt, 1, line->host);
        sqlite3_bind_int64(stmt, 2, line->number);
        sqlite3_bind_int64(stmt, 3, line->at);
        sqlite3_bind_text(stmt, 4, state_token(line->state), -1, SQLITE_STATIC);
        sqlite3_bind_text(stmt, 5, cause_token(line->cause), -1, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 6, line->earliest);
        sqlite3_bind_int64(stmt, 7, line->latest);
        sqlite3_bind_int64(stmt, 8, line->decided);
        if (line->restates)
            sqlite3_bind_int64(stmt, 9, line->restates);
        if (journal_step(journal, PUT_LINE, error) != 0)
            return -1;
    }
    return 0;
}

static int put_hosts(struct journal *journal, const struct journal_batch *batch, struct error *error)
{
    for (size_t i = 0; i < batch->host_count; i++) {
        sqlite3_stmt *stmt = journal->statements[PUT_HOST];
        sqlite3_bind_int64(stmt, 1, batch->hosts[i].id);
        sqlite3_bind_text(stmt, 2, batch->hosts[i].name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 3, batch->hosts[i].first_at);
        if (journal_step(journal, PUT_HOST, error) != 0)
            return -1;
    }
    for (size_t i = 0; i < batch->checkpoint_count; i++) {
        const struct journal_checkpoint *checkpoint = &batch->checkpoints[i];
        sqlite3_stmt *stmt = journal->statements[PUT_CHECKPOINT];
        sqlite3_bind_int64(stmt, 1, checkpoint->host);
        sqlite3_bind_blob64(stmt, 2, checkpoint->bytes, checkpoint->len, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 3, (int64_t)checkpoint->position);
        sqlite3_bind_int64(stmt, 4, checkpoint->written_to);
        sqlite3_bind_int64(stmt, 5, checkpoint->lines);
        if (checkpoint->changed_from != INT64_MAX)
            sqlite3_bind_int64(stmt, 6, checkpoint->changed_from);
        if (journal_step(journal, PUT_CHECKPOINT, error) != 0)
            return -1;
    }
    return 0;
}

/* Before new hosts: one of them may have a name that has just become free. */
static int put_names(struct journal *journal, const struct journal_batch *batch, struct error *error)
{
    for (size_t i = 0; i < batch->name_count; i++) {
        const struct journal_names *names = &batch->names[i];
        sqlite3_stmt *stmt = journal->statements[PUT_NAMES];
        sqlite3_bind_int64(stmt, 1, names->host);
        sqlite3_bind_text(stmt, 2, names->name, -1, SQLITE_STATIC);
        sqlite3_bind_text(stmt, 3, names->alias, -1, SQLITE_STATIC);
        sqlite3_bind_text(stmt, 4, names->moved_from, -1, SQLITE_STATIC);
        if (journal_step(journal, PUT_NAMES, error) != 0)
            return -1;
    }
    return 0;
}

static int put_months(struct journal *journal, const struct journal_batch *batch, struct error *error)
{
    for (size_t i = 0; i < batch->month_count; i++) {
        const struct journal_month *month = &batch->months[i];
        sqlite3_stmt *stmt = journal->statements[PUT_MONTH];
        sqlite3_bind_int64(stmt, 1, month->host);
        sqlite3_bind_text(stmt, 2, month->month, -1, SQLITE_STATIC);
        sqlite3_bind_text(stmt, 3, month->zone, -1, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 4, month->up);
        sqlite3_bind_int64(stmt, 5, month->down);
        sqlite3_bind_int64(stmt, 6, month->unreachable);
        sqlite3_bind_int64(stmt, 7, month->admin);
        sqlite3_bind_int64(stmt, 8, month->unknown);
        if (journal_step(journal, PUT_MONTH, error) != 0)
            return -1;
    }
    return 0;
}

static int put_absences(struct journal *journal, const struct journal_batch *batch, struct error *error)
{
    for (size_t i = 0; i < batch->output.absence_count; i++) {
        const struct absence *absence = &batch->output.absences[i];
        sqlite3_stmt *stmt = journal->statements[PUT_ABSENCE];
        sqlite3_bind_int64(stmt, 1, labels_second(batch->labels, absence->from));
        sqlite3_bind_int64(stmt, 3, absence->from.ns);
        if (instant_before(absence->to, INSTANT_NEVER)) {
            sqlite3_bind_int64(stmt, 2, labels_second(batch->labels, absence->to));
            sqlite3_bind_int64(stmt, 4, absence->to.ns);
        }
        sqlite3_bind_text(stmt, 5, cause_token(absence->cause), -1, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 6, (int64_t)absence->fact);
        if (journal_step(journal, PUT_ABSENCE, error) != 0)
            return -1;
    }
    return 0;
}

/* What a step of the wall clock changed. */
static int put_clock(struct journal *journal, const struct receiver_output *output, struct error *error)
{
    for (size_t i = 0; i < output->part_count; i++) {
        const struct label_part *part = &output->parts[i];
        sqlite3_stmt *stmt = journal->statements[PUT_LABEL];
        sqlite3_bind_int64(stmt, 1, part->from.ns);
        sqlite3_bind_int64(stmt, 2, part->offset_ns);
        sqlite3_bind_int64(stmt, 3, part->base.ns);
        sqlite3_bind_int(stmt, 4, part->slow);
        if (journal_step(journal, PUT_LABEL, error) != 0)
            return -1;
    }
    for (size_t i = 0; i < output->moved_count; i++) {
        const struct moved_window *moved = &output->moved[i];
        sqlite3_stmt *stmt = journal->statements[MOVE_WINDOW];
        sqlite3_bind_int64(stmt, 1, moved->id);
        sqlite3_bind_int64(stmt, 2, moved->window.from.ns);
        if (instant_before(moved->window.to, INSTANT_NEVER))
            sqlite3_bind_int64(stmt, 3, moved->window.to.ns);
        if (journal_step(journal, MOVE_WINDOW, error) != 0)
            return -1;
    }
    return 0;
}

static int put_facts(struct journal *journal, const struct receiver_output *output, struct error *error)
{
    if (output->facts_len == 0)
        return 0;
    sqlite3_stmt *stmt = journal->statements[PUT_FACTS];
    sqlite3_bind_int64(stmt, 1, (int64_t)output->first_fact);
    sqlite3_bind_blob64(stmt, 2, output->facts, output->facts_len, SQLITE_STATIC);
    return journal_step(journal, PUT_FACTS, error);
}

static int put_mark(struct journal *journal, const struct journal_batch *batch, struct error *error)
{
    sqlite3_stmt *stmt = journal->statements[PUT_MARK];
    sqlite3_bind_int64(stmt, 1, batch->alive_second);
    sqlite3_bind_int64(stmt, 2, batch->alive.ns);
    sqlite3_bind_int(stmt, 3, batch->clean);
    sqlite3_bind_int64(stmt, 4, journal->run);
    if (journal_step(journal, PUT_MARK, error) != 0)
        return -1;
    if (batch->trim_to == 0)
        return 0;
    sqlite3_bind_int64(journal->statements[TRIM], 1, (int64_t)batch->trim_to);
    return journal_step(journal, TRIM, error);
}

static int put_batch(struct journal *journal, const struct journal_batch *batch, struct error *error)
{
    if (put_names(journal, batch, error) != 0 || put_hosts(journal, batch, error) != 0 ||
        put_lines(journal, &batch->output.lines, error) != 0 || journal_put_windows(journal, batch, error) != 0 ||
        journal_put_relabels(journal, batch, error) != 0 || put_months(journal, batch, error) != 0 ||
        put_absences(journal, batch, error) != 0 || put_clock(journal, &batch->output, error) != 0 ||
        put_facts(journal, &batch->output, error) != 0)
        return -1;
    /* What the core was to forget at its start is told by the facts of this batch. */
    if (journal->run && !journal->began &&
        run_sql(journal, "UPDATE hosts SET to_forget = NULL WHERE to_forget IS NOT NULL", "write", error) != 0)
        return -1;
    return put_mark(journal, batch, error);
}

/* SQLite would go on writing into a file that has no name any more, for nobody. */
static int check_place(struct journal *journal, struct error *error)
{
    int moved = 0;
    if (sqlite3_file_control(journal->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || !moved)
        return 0;
    return error_set(error,
                     "cannot write %s: it was moved or removed; put it back, or start the receiver again with another",
                     journal->path);
}

int journal_commit(struct journal *journal, const struct journal_batch *batch, struct error *error)
{
    if (check_place(journal, error) != 0)
        return -1;
    if (batch->sync != journal->synced) {
        if (run_sql(journal, batch->sync ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", "use", error) !=
            0)
            return -1;
        journal->synced = batch->sync;
    }
    if (!sqlite3_get_autocommit(journal->db)) /* there was no memory to take the last one back */
        (void)sqlite3_exec(journal->db, "ROLLBACK", NULL, NULL, NULL);
    if (run_sql(journal, "BEGIN IMMEDIATE", "write", error) != 0)
        return -1;
    if (put_batch(journal, batch, error) != 0 || run_sql(journal, "COMMIT", "write", error) != 0) {
        (void)sqlite3_exec(journal->db, "ROLLBACK", NULL, NULL, NULL);
        return -1;
    }
    journal->began = true;
    return 0;
}

int journal_begin_run(struct journal *journal, const struct journal_start *start, const uint8_t boot_id[BOOT_ID_LEN],
                      struct instant now, int64_t boottime_ns, struct wall label, struct error *error)
{
    struct instant mark = start->has_run ? start->alive : now;
    struct wall mark_label = start->has_run ? start->alive_wall : label;
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(journal->db,
                           "INSERT INTO runs (boot_id, started, started_ns, boottime_ns, alive, alive_ns) "
                           "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                           -1, &stmt, NULL) != SQLITE_OK)
        return journal_fail(journal, "use", error);
    sqlite3_bind_blob(stmt, 1, boot_id, BOOT_ID_LEN, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 2, wall_seconds(label));
    sqlite3_bind_int64(stmt, 3, now.ns);
    sqlite3_bind_int64(stmt, 4, boottime_ns);
    sqlite3_bind_int64(stmt, 5, wall_seconds(mark_label));
    sqlite3_bind_int64(stmt, 6, mark.ns);
    int rc = sqlite3_step(stmt);
    sqlite3_finalize(stmt);
    if (rc != SQLITE_DONE)
        return journal_fail(journal, "write", error);
    journal->run = sqlite3_last_insert_rowid(journal->db);
    return 0;
}
