/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rrd_store.c - the folder of a host, and its metrics.rrd and net.rrd. See rrd_store.h; state.rrd is in rrd_state.c. */
#include "receiver/record/rrd_store.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/name.h"
#include "receiver/record/rrd_file.h"
#include "receiver/record/rrd_store_internal.h"

#define FOLDER_MODE 0750

/* Longest time for which librrd lets one update speak: the heartbeat of the data sources. */
#define HEARTBEAT_S 7200
#define HEARTBEAT_TEXT "7200"

/* A file that was written so long after what is to be written now is another one, or its header is damaged. */
#define FUTURE_MAX_S 86400

#define METRICS_ARCHIVE_COUNT 7
#define LINE_LEN_MAX 1024

static const char *const metrics_archives[METRICS_ARCHIVE_COUNT] = {
    "RRA:AVERAGE:0.5:1:600", "RRA:AVERAGE:0.5:6:700", "RRA:AVERAGE:0.5:24:775", "RRA:AVERAGE:0.5:288:800",
    "RRA:MAX:0.5:6:700",     "RRA:MAX:0.5:24:775",    "RRA:MAX:0.5:288:800",
};

static const char *const net_definitions[] = {
    "DS:in:GAUGE:" HEARTBEAT_TEXT ":0:U",
    "DS:out:GAUGE:" HEARTBEAT_TEXT ":0:U",
    "RRA:AVERAGE:0.5:1:28800",
    "RRA:AVERAGE:0.5:288:800",
    "RRA:MAX:0.5:24:1500",
    "RRA:MAX:0.5:288:800",
};

static const struct rrd_schema net_schema = {AVERAGES_PERIOD_S, "in:out", net_definitions,
                                             sizeof net_definitions / sizeof *net_definitions};

struct rrd_store {
    char *folder;
    size_t note_count;
    struct error note; /* the latest */
    /* The schema of metrics.rrd follows from the catalogue. */
    struct rrd_schema metrics_schema;
    char metrics_sources[METRIC_COUNT * 20];
    char metrics_lines[METRIC_COUNT][48];
    const char *metrics_definitions[METRIC_COUNT + METRICS_ARCHIVE_COUNT];
};

static bool is_in_metrics(int metric)
{
    return metric != METRIC_NET_IN && metric != METRIC_NET_OUT;
}

static void make_metrics_schema(struct rrd_store *store)
{
    int count = 0;
    size_t length = 0;
    for (int i = 0; i < METRIC_COUNT; i++) {
        if (!is_in_metrics(i))
            continue;
        length += (size_t)snprintf(store->metrics_sources + length, sizeof store->metrics_sources - length, "%s%s",
                                   count > 0 ? ":" : "", metric_catalogue[i].name);
        (void)snprintf(store->metrics_lines[count], sizeof store->metrics_lines[count],
                       "DS:%s:GAUGE:" HEARTBEAT_TEXT ":0:U", metric_catalogue[i].name);
        store->metrics_definitions[count] = store->metrics_lines[count];
        count++;
    }
    for (int i = 0; i < METRICS_ARCHIVE_COUNT; i++)
        store->metrics_definitions[count++] = metrics_archives[i];
    store->metrics_schema =
        (struct rrd_schema){AVERAGES_PERIOD_S, store->metrics_sources, store->metrics_definitions, count};
}

struct rrd_store *rrd_store_create(const char *folder)
{
    struct rrd_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->folder = strdup(folder);
    if (!store->folder) {
        free(store);
        return NULL;
    }
    make_metrics_schema(store);
    /* Else some calls of librrd would go to a daemon that knows nothing of our files. */
    (void)unsetenv("RRDCACHED_ADDRESS");
    return store;
}

void rrd_store_destroy(struct rrd_store *store)
{
    if (!store)
        return;
    free(store->folder);
    free(store);
}

int rrd_store_path(const struct rrd_store *store, const char *name, const char *file, char path[RRD_STORE_PATH_MAX],
                   struct error *error)
{
    if (!name_is_valid(name, strlen(name)))
        return error_set(error, "a host name is not valid: %.100s", name);
    int length = snprintf(path, RRD_STORE_PATH_MAX, "%s/%s/%s", store->folder, name, file);
    if (length < 0 || length >= RRD_STORE_PATH_MAX)
        return error_set(error, "%.200s...: the path is too long", store->folder);
    return 0;
}

void rrd_store_note(struct rrd_store *store, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(store->note.text, sizeof store->note.text, format, args);
    va_end(args);
    store->note_count++;
}

size_t rrd_store_take_notes(struct rrd_store *store, struct error *note)
{
    size_t count = store->note_count;
    if (count > 0)
        *note = store->note;
    store->note_count = 0;
    return count;
}

enum rrd_look rrd_store_look(struct rrd_store *store, const char *path, const struct rrd_schema *schema, int64_t newest,
                             int64_t *last, struct error *error)
{
    struct error wrong;
    int64_t found = 0;
    enum rrd_look look = rrd_look(path, schema, &found, &wrong);
    if (look == RRD_LOOK_FINE && found > newest && found - newest > FUTURE_MAX_S) {
        (void)error_set(&wrong, "%s is of the future", path);
        look = RRD_LOOK_BAD;
    }
    if (look == RRD_LOOK_FINE)
        *last = found;
    if (look == RRD_LOOK_TROUBLE)
        (void)error_set(error, "%s", wrong.text);
    if (look != RRD_LOOK_BAD)
        return look;
    if (rrd_put_aside(path, error) != 0)
        return RRD_LOOK_TROUBLE;
    rrd_store_note(store, "%s; it is kept with .bad behind its name, and a new one begun", wrong.text);
    return RRD_LOOK_NONE;
}

/* Makes a folder with exactly this mode, whatever the umask. One that is there already is left as it is. */
static int make_folder(const char *path, struct error *error)
{
    if (mkdir(path, FOLDER_MODE) == 0)
        (void)chmod(path, FOLDER_MODE);
    else if (errno != EEXIST)
        return error_set(error, "cannot create %s: %s", path, strerror(errno));
    return 0;
}

int rrd_store_make_folder(const struct rrd_store *store, const char *name, struct error *error)
{
    char path[RRD_STORE_PATH_MAX];
    if (rrd_store_path(store, name, "", path, error) < 0 || make_folder(store->folder, error) < 0)
        return -1;
    return make_folder(path, error);
}

/* Makes sure that what was renamed in the folder stays so. */
static int sync_folder(const char *path, struct error *error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 ? fsync(fd) : -1;
    if (rc != 0)
        (void)error_set(error, "cannot write %s: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

int rrd_store_move(struct rrd_store *store, const char *from, const char *to, struct error *error)
{
    char old_path[RRD_STORE_PATH_MAX], new_path[RRD_STORE_PATH_MAX];
    if (rrd_store_path(store, from, "", old_path, error) < 0 || rrd_store_path(store, to, "", new_path, error) < 0)
        return -1;
    if (rename(old_path, new_path) != 0) {
        if (errno == ENOENT)
            return 0;
        return error_set(error, "cannot rename %s to %s: %s", old_path, new_path, strerror(errno));
    }
    return sync_folder(store->folder, error);
}

int rrd_store_sync(const struct rrd_store *store, struct error *error)
{
    int fd = open(store->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0; /* with it went the files: that is told by who looks for them */
    int rc = fd >= 0 ? syncfs(fd) : -1;
    if (rc != 0)
        (void)error_set(error, "cannot write the files in %s to the disk: %s", store->folder, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* Writes ":VALUE" with the digits a float has. Returns its length. */
static size_t format_value(char *text, size_t size, float value)
{
    int length = isnan(value) ? snprintf(text, size, ":U") : snprintf(text, size, ":%.9g", (double)value);
    return (size_t)length;
}

/* The values of a row, ":1:2:U", for one of the two files. */
static void format_row(char text[LINE_LEN_MAX], const struct averages_row *row, bool metrics)
{
    size_t length = 0;
    for (int i = 0; i < METRIC_COUNT; i++)
        if (is_in_metrics(i) == metrics)
            length += format_value(text + length, LINE_LEN_MAX - length, row->values[i]);
}

static void format_unknown(char text[LINE_LEN_MAX], bool metrics)
{
    struct averages_row unknown;
    for (int i = 0; i < METRIC_COUNT; i++)
        unknown.values[i] = NAN;
    format_row(text, &unknown, metrics);
}

/* Adds the updates for one row to a file that is written up to `last`; returns up to where it is then. */
static int64_t plan_row(struct rrd_batch *batch, const struct averages_row *row, int64_t last, bool metrics)
{
    char text[LINE_LEN_MAX];
    int64_t begin = row->at - (int64_t)row->periods * AVERAGES_PERIOD_S;
    if (begin > last) {
        format_unknown(text, metrics);
        rrd_batch_add(batch, "%lld%s", (long long)begin, text);
        last = begin;
    }
    if (row->at > last)
        format_row(text, row, metrics);
    while (row->at > last) {
        last = row->at - last > HEARTBEAT_S ? last + HEARTBEAT_S : row->at;
        rrd_batch_add(batch, "%lld%s", (long long)last, text);
    }
    return last;
}

static int write_rows(struct rrd_store *store, const char *path, const struct rrd_schema *schema, bool metrics,
                      const struct averages_row *rows, uint32_t count, struct error *error)
{
    int64_t start = rows[0].at - (int64_t)rows[0].periods * AVERAGES_PERIOD_S;
    int64_t last = start;
    enum rrd_look look = rrd_store_look(store, path, schema, rows[count - 1].at, &last, error);
    if (look == RRD_LOOK_TROUBLE)
        return -1;
    struct rrd_batch batch = {0};
    for (uint32_t i = 0; i < count; i++)
        last = plan_row(&batch, &rows[i], last, metrics);
    int result = look == RRD_LOOK_FINE ? rrd_file_update(path, schema, &batch, error)
                                       : rrd_file_create(path, schema, start, &batch, false, error);
    rrd_batch_free(&batch);
    return result;
}

int rrd_store_write_rows(struct rrd_store *store, const char *name, const struct averages_row *rows, uint32_t count,
                         struct error *error)
{
    char metrics_path[RRD_STORE_PATH_MAX], net_path[RRD_STORE_PATH_MAX];
    if (rrd_store_path(store, name, "metrics.rrd", metrics_path, error) < 0 ||
        rrd_store_path(store, name, "net.rrd", net_path, error) < 0)
        return -1;
    if (count == 0)
        return 0;
    if (rrd_store_make_folder(store, name, error) < 0)
        return -1;
    /* They are begun together, so one that is missing alone was there before. */
    bool has_metrics = rrd_file_exists(metrics_path), has_net = rrd_file_exists(net_path);
    if (has_metrics != has_net && access(has_metrics ? net_path : metrics_path, F_OK) != 0)
        rrd_store_note(store, "%s is gone; a new one is begun", has_metrics ? net_path : metrics_path);
    /* Both are tried: one damaged file must not cost the other its rows. */
    int metrics = write_rows(store, metrics_path, &store->metrics_schema, true, rows, count, error);
    int net = write_rows(store, net_path, &net_schema, false, rows, count, metrics < 0 ? NULL : error);
    return metrics < 0 || net < 0 ? -1 : 0;
}

int64_t rrd_store_last(const char *path, struct error *error)
{
    return rrd_file_last(path, error);
}
