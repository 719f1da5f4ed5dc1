/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log_reader.h - reads receiver.db, without ever writing to it: for the command line and for the thread that writes RRD files.
 *
 * Opens read-only; works while a receiver runs (WAL) and while it is stopped. One reader belongs to one thread. */
#ifndef RECEIVER_RECORD_LOG_READER_H
#define RECEIVER_RECORD_LOG_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/name.h"
#include "receiver/record/timeline.h"

struct log_reader;

struct log_host {
    uint32_t id;
    char name[NAME_LEN_MAX + 1];
    char alias[NAME_LEN_MAX + 1];      /* under which it may speak too; "": none */
    char moved_from[NAME_LEN_MAX + 1]; /* its folder is, or was until just now, still called so; "": it is not */
    int64_t first_at;                  /* first heartbeat, Unix seconds */
    int64_t written_to;                /* state.rrd holds the record up to here; 0: nothing */
    /* If before that: state.rrd is still to be made anew, since from this second on the log has changed. */
    int64_t changed_from;
    bool forgotten; /* or will be when the receiver starts; nor is anything expected of one that has moved */
    bool moved;     /* to other receivers */
};

/* A line of the log; `host` 0: there is none. */
struct log_line {
    uint32_t host, number;
    bool is_up; /* it tells of no outage */
};

/* A host about whose outages something was said. */
struct log_relabelled {
    uint32_t host;
    uint64_t position; /* last fact when the last of it was said */
};

/* Maintenance that was entered. */
struct log_window {
    int64_t id;
    char *pattern, *reason; /* owned */
    int64_t from, to;       /* Unix seconds; `to` 0: until somebody ends it */
    int64_t entered;
    char origin[NAME_LEN_MAX + 1]; /* the peer where it was entered; "": here */
    uint64_t origin_key;           /* what that peer knows it by */
};

/* What was said about an outage, in full. */
struct log_relabel {
    uint32_t host, number;
    bool to_end;
    enum state state;
    char *reason;     /* owned */
    int64_t from, to; /* the outage when it was said; `to` 0: it went on */
    int64_t entered;
    char origin[NAME_LEN_MAX + 1]; /* as above */
    uint64_t origin_key;
};

/* The last sign of life of the receiver. */
struct log_run {
    int64_t started;
    int64_t alive;    /* it ran until here at least */
    int64_t alive_ns; /* the same on the judging clock */
    int clean;        /* it was stopped, and said so */
};

/* Opens DATA/receiver.db. NULL with `error` set: cannot be read, is no database, or of another schema version. */
struct log_reader *log_reader_open(const char *data, struct error *error);
void log_reader_close(struct log_reader *reader);

/* Copies the whole database as it is now into a new file, of mode 0640. Returns 0, or -1 with `error` set. */
int log_reader_copy(struct log_reader *reader, const char *path, struct error *error);

/* Holds one consistent view of the record from begin to end. */
int log_reader_begin(struct log_reader *reader, struct error *error);
void log_reader_end(struct log_reader *reader);

/* All hosts, by name. `*hosts` is to be freed by the caller. */
int log_reader_hosts(struct log_reader *reader, struct log_host **hosts, size_t *count, struct error *error);
/* Folds the whole log of one host into `timeline` (zero-initialised by the caller, who frees it), with what was said about its
 * outages. */
int log_reader_timeline(struct log_reader *reader, uint32_t host, struct timeline *timeline, struct error *error);
/* The rowid that people know a line of the log by (`outages` prints it), or 0. */
int64_t log_reader_line_id(struct log_reader *reader, uint32_t host, uint32_t number);
/* The line with that rowid. */
int log_reader_find_line(struct log_reader *reader, int64_t id, struct log_line *line, struct error *error);
/* The hosts about whose outages anything was said. `*hosts` is to be freed by the caller. */
int log_reader_relabelled(struct log_reader *reader, struct log_relabelled **hosts, size_t *count, struct error *error);
/* The last month, YYYY-MM, of which the table `months` has a row of this host and zone; "" if there is none. */
int log_reader_last_month(struct log_reader *reader, uint32_t host, const char *zone, char month[8],
                          struct error *error);
/* The latest run; all zeros if the receiver never ran. */
int log_reader_last_run(struct log_reader *reader, struct log_run *run, struct error *error);

/* All maintenance, by id: `*windows` and what is in them (log_window_free) belong to the caller. */
int log_reader_windows(struct log_reader *reader, struct log_window **windows, size_t *count, struct error *error);
void log_window_free(struct log_window *window);
/* What was said since then, in the order in which it was stored. `*relabels` and their reasons belong to the caller. */
int log_reader_relabels_since(struct log_reader *reader, int64_t entered, struct log_relabel **relabels, size_t *count,
                              struct error *error);

#endif
