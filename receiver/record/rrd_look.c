/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rrd_look.c - see rrd_look.h. A file begins with what it is, its sources and its archives; then come the parts that every update
 * changes, with a row pointer for each archive, and then the rows. Numbers are as this machine writes them, or librrd would
 * not read the file here. */
#include "receiver/record/rrd_look.h"

#include <errno.h>
#include <fcntl.h>
#define RRD_EXPORT_DEPRECATED /* the layout of the file */
#include <rrd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_LEN_MAX 4096
#define SOURCES_MAX 128
#define ARCHIVES_MAX 64

struct file {
    int fd;
    int64_t size;
    stat_head_t head;
};

/* Reads `len` bytes at `at`. False: there are not so many, or the disk fails (then errno is not 0). */
static bool read_at(const struct file *file, int64_t at, void *out, size_t len)
{
    errno = 0;
    return pread(file->fd, out, len, (off_t)at) == (ssize_t)len;
}

static bool is_rrd(const stat_head_t *head)
{
    return memcmp(head->cookie, RRD_COOKIE, sizeof head->cookie) == 0 && head->float_cookie == FLOAT_COOKIE &&
           head->ds_cnt >= 1 && head->ds_cnt <= SOURCES_MAX && head->rra_cnt >= 1 && head->rra_cnt <= ARCHIVES_MAX;
}

/* Whether the first sources are "a:b:c". More of them may follow, as a newer version may have added them. */
static bool has_sources(const struct file *file, const char *sources)
{
    int64_t at = sizeof file->head;
    for (unsigned long i = 0; i < file->head.ds_cnt; i++, at += (int64_t)sizeof(ds_def_t)) {
        ds_def_t source;
        if (!read_at(file, at, &source, sizeof source))
            return false;
        size_t length = strnlen(source.ds_nam, sizeof source.ds_nam);
        if (strncmp(sources, source.ds_nam, length) != 0 || (sources[length] != ':' && sources[length] != '\0'))
            return false;
        if (sources[length] == '\0')
            return true;
        sources += length + 1;
    }
    return false;
}

/* What is wrong with the archives, NULL: nothing. Their sizes may be any, since people resize them. */
static const char *check_archives(const struct file *file)
{
    int64_t sources = (int64_t)file->head.ds_cnt, archives = (int64_t)file->head.rra_cnt;
    int64_t archive_at = (int64_t)sizeof file->head + sources * (int64_t)sizeof(ds_def_t);
    int64_t pointer_at = archive_at + archives * (int64_t)sizeof(rra_def_t) + (int64_t)sizeof(live_head_t) +
                         sources * (int64_t)sizeof(pdp_prep_t) + sources * archives * (int64_t)sizeof(cdp_prep_t);
    int64_t end = pointer_at + archives * (int64_t)sizeof(rra_ptr_t);
    for (int64_t i = 0; i < archives; i++) {
        rra_def_t archive;
        rra_ptr_t pointer;
        if (!read_at(file, archive_at + i * (int64_t)sizeof archive, &archive, sizeof archive) ||
            !read_at(file, pointer_at + i * (int64_t)sizeof pointer, &pointer, sizeof pointer))
            return "is cut short";
        if (archive.row_cnt == 0 || archive.row_cnt > (unsigned long)file->size || archive.pdp_cnt == 0 ||
            pointer.cur_row >= archive.row_cnt)
            return "is damaged";
        end += (int64_t)archive.row_cnt * sources * (int64_t)sizeof(rrd_value_t);
    }
    return end > file->size ? "is cut short" : NULL;
}

/* What is wrong with the file, NULL: nothing. */
static const char *check(struct file *file, const struct rrd_schema *schema, int64_t *last)
{
    live_head_t live = {0};
    if (file->size == 0)
        return "is empty";
    if (!read_at(file, 0, &file->head, sizeof file->head) || !is_rrd(&file->head))
        return "is no RRD file of this machine";
    const char *wrong = check_archives(file);
    if (wrong)
        return wrong;
    if (file->head.pdp_step != (unsigned long)schema->step_s || !has_sources(file, schema->sources))
        return "has another step or other data sources";
    int64_t live_at =
        (int64_t)(sizeof file->head + file->head.ds_cnt * sizeof(ds_def_t) + file->head.rra_cnt * sizeof(rra_def_t));
    if (!read_at(file, live_at, &live, sizeof live) || live.last_up <= 0)
        return "is damaged";
    *last = live.last_up;
    return NULL;
}

enum rrd_look rrd_look(const char *path, const struct rrd_schema *schema, int64_t *last, struct error *error)
{
    struct stat info;
    struct file file = {.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (file.fd < 0 && errno == ENOENT)
        return RRD_LOOK_NONE;
    if (file.fd < 0 || fstat(file.fd, &info) != 0) {
        (void)error_set(error, "cannot read %s: %s", path, strerror(errno));
        if (file.fd >= 0)
            (void)close(file.fd);
        return RRD_LOOK_TROUBLE;
    }
    file.size = info.st_size;
    errno = 0;
    const char *wrong = S_ISREG(info.st_mode) ? check(&file, schema, last) : "is no file";
    int reason = errno;
    (void)close(file.fd);
    if (!wrong)
        return RRD_LOOK_FINE;
    if (reason != 0) { /* what is on the disk may be good */
        (void)error_set(error, "cannot read %s: %s", path, strerror(reason));
        return RRD_LOOK_TROUBLE;
    }
    (void)error_set(error, "%s %s", path, wrong);
    return RRD_LOOK_BAD;
}

int rrd_put_aside(const char *path, struct error *error)
{
    char aside[PATH_LEN_MAX + sizeof ".bad"];
    struct stat info;
    (void)snprintf(aside, sizeof aside, "%s.bad", path);
    if (lstat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_size == 0 && unlink(path) == 0)
        return 0;
    (void)remove(aside);
    if (rename(path, aside) == 0)
        return 0;
    return error_set(error, "cannot rename %s to %s: %s; move both away", path, aside, strerror(errno));
}
