/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rrd_file.c - see rrd_file.h. */
#include "receiver/record/rrd_file.h"

#include <errno.h>
#include <fcntl.h>
#include <rrd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_LEN_MAX 4096
#define SUFFIX_LEN_MAX 8
#define FILE_MODE 0640

/* Another process that reads the file has it locked for a moment only. */
#define LOCK_TRIES 4
#define LOCK_WAIT_MS 10

#define COPY_PIECE 4096

void rrd_batch_add(struct rrd_batch *batch, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    size_t needed = batch->length + (size_t)length + 1;
    if (needed > batch->capacity) {
        size_t capacity = needed * 2;
        char *text = realloc(batch->text, capacity);
        if (!text) {
            batch->failed = true;
            return;
        }
        batch->text = text;
        batch->capacity = capacity;
    }
    va_start(args, format);
    (void)vsnprintf(batch->text + batch->length, (size_t)length + 1, format, args);
    va_end(args);
    batch->length = needed;
    batch->count++;
}

void rrd_batch_free(struct rrd_batch *batch)
{
    free(batch->text);
    *batch = (struct rrd_batch){0};
}

/* What librrd says, or what is most likely when it says nothing. */
static const char *rrd_reason(void)
{
    const char *text = rrd_get_error();
    return text && *text ? text : "no reason given, is the disk full?";
}

/* librrd takes file names as format strings when it reports them, and crashes without memory for the state of a thread. */
static int check_path(const char *path, struct error *error)
{
    if (!rrd_get_context())
        return error_set(error, "cannot use %s: out of memory", path);
    if (strchr(path, '%'))
        return error_set(error, "%s: the path of an RRD file must not contain '%%': choose another data folder", path);
    if (strlen(path) + SUFFIX_LEN_MAX >= PATH_LEN_MAX)
        return error_set(error, "%.200s...: the path is too long", path);
    return 0;
}

/* After a failed call: whether it is worth trying again, after a short wait. */
static bool may_try_again(int *tries)
{
    if (!strstr(rrd_reason(), "could not lock") || ++*tries >= LOCK_TRIES)
        return false;
    (void)nanosleep(&(struct timespec){.tv_nsec = LOCK_WAIT_MS * 1000000L}, NULL);
    return true;
}

bool rrd_file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && info.st_size > 0;
}

int64_t rrd_file_last(const char *path, struct error *error)
{
    if (check_path(path, error) < 0)
        return -1;
    int tries = 0;
    do {
        rrd_clear_error();
        time_t last = rrd_last_r(path);
        if (last >= 0 && !rrd_test_error())
            return last;
    } while (may_try_again(&tries));
    return error_set(error, "cannot read %s: %s", path, rrd_reason());
}

int rrd_file_update(const char *path, const struct rrd_schema *schema, const struct rrd_batch *batch,
                    struct error *error)
{
    if (batch->count == 0 && !batch->failed)
        return 0;
    if (check_path(path, error) < 0)
        return -1;
    const char **updates = batch->failed ? NULL : malloc(batch->count * sizeof *updates);
    if (!updates)
        return error_set(error, "cannot write %s: out of memory", path);
    const char *update = batch->text;
    for (size_t i = 0; i < batch->count; i++, update += strlen(update) + 1)
        updates[i] = update;

    int tries = 0, result;
    do {
        rrd_clear_error();
        result = rrd_update_r(path, schema->sources, (int)batch->count, updates);
    } while (result != 0 && may_try_again(&tries));
    if (result != 0)
        result = error_set(error, "cannot write %s: %s", path, rrd_reason());
    free(updates);
    return result;
}

/* Copies in small pieces. The pages of a file written in large ones lie together in memory, and then every update
 * would dirty all of them instead of the few that it touches. */
static int copy_file(int from, int to)
{
    char piece[COPY_PIECE];
    ssize_t got;
    while ((got = read(from, piece, sizeof piece)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        ssize_t put = write(to, piece, (size_t)got);
        if (put != got) {
            errno = put < 0 ? errno : ENOSPC;
            return -1;
        }
    }
    return 0;
}

/* Puts a copy of `made` in the place of `path`, through `copy`. */
static int install_copy(const char *made, const char *copy, const char *path, bool keep_old, struct error *error)
{
    bool replaces = rrd_file_exists(path);
    int from = open(made, O_RDONLY | O_CLOEXEC);
    int to = open(copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
    bool copied = from >= 0 && to >= 0 && fchmod(to, FILE_MODE) == 0 && copy_file(from, to) == 0;
    /* What was there and good must not become an empty file in a power cut. */
    if (copied && replaces)
        copied = fsync(to) == 0;
    int reason = errno;
    if (from >= 0)
        (void)close(from);
    if (to >= 0 && close(to) != 0 && copied) {
        reason = errno;
        copied = false;
    }
    if (copied && replaces && keep_old) {
        char backup[PATH_LEN_MAX];
        (void)snprintf(backup, sizeof backup, "%s.bak", path);
        (void)unlink(backup);
        copied = link(path, backup) == 0;
        reason = errno;
    }
    if (copied && rename(copy, path) == 0)
        return 0;
    if (copied)
        reason = errno;
    (void)unlink(copy);
    return error_set(error, "cannot create %s: %s", path, strerror(reason));
}

int rrd_file_create(const char *path, const struct rrd_schema *schema, int64_t start, const struct rrd_batch *batch,
                    bool keep_old, struct error *error)
{
    if (check_path(path, error) < 0)
        return -1;
    char made[PATH_LEN_MAX], copy[PATH_LEN_MAX];
    (void)snprintf(made, sizeof made, "%s.new", path);
    (void)snprintf(copy, sizeof copy, "%s.copy", path);
    (void)unlink(made);

    rrd_clear_error();
    const char **definitions = calloc((size_t)schema->definition_count, sizeof *definitions);
    if (!definitions)
        return error_set(error, "cannot create %s: out of memory", path);
    for (int i = 0; i < schema->definition_count; i++)
        definitions[i] = schema->definitions[i];
    int result =
        rrd_create_r(made, (unsigned long)schema->step_s, (time_t)start, schema->definition_count, definitions);
    free(definitions);
    if (result != 0 || !rrd_file_exists(made))
        result = error_set(error, "cannot create %s: %s", path, rrd_reason());
    else if ((result = rrd_file_update(made, schema, batch, error)) == 0)
        result = install_copy(made, copy, path, keep_old, error);
    (void)unlink(made);
    return result;
}

/* Whether the names that a file has are "a:b:c". */
static bool are_sources(char *const *names, unsigned long count, const char *sources)
{
    for (unsigned long i = 0; i < count; i++) {
        size_t length = strlen(names[i]);
        if (strncmp(sources, names[i], length) != 0 || sources[length] != (i + 1 < count ? ':' : '\0'))
            return false;
        sources += length + 1;
    }
    return count > 0;
}

double *rrd_file_fetch(const char *path, const char *sources, int64_t step_s, int64_t from, int64_t to,
                       struct error *error)
{
    if (check_path(path, error) < 0)
        return NULL;
    unsigned long step, count;
    time_t start, end;
    char **names;
    rrd_value_t *rows;
    int tries = 0, result;
    do {
        rrd_clear_error();
        step = (unsigned long)step_s;
        start = (time_t)from;
        end = (time_t)(to - 1); /* librrd adds the row after an end that lies on a row */
        result = rrd_fetch_r(path, "AVERAGE", &start, &end, &step, &count, &names, &rows);
    } while (result != 0 && may_try_again(&tries));
    if (result != 0) {
        (void)error_set(error, "cannot read %s: %s", path, rrd_reason());
        return NULL;
    }
    bool fits =
        (int64_t)step == step_s && start == (time_t)from && end >= (time_t)to && are_sources(names, count, sources);
    for (unsigned long i = 0; i < count; i++)
        rrd_freemem(names[i]);
    rrd_freemem(names);
    if (fits)
        return rows;
    rrd_freemem(rows);
    (void)error_set(error, "%s is not a file of this program: move it away", path);
    return NULL;
}

void rrd_file_free_rows(double *rows)
{
    rrd_freemem(rows);
}
