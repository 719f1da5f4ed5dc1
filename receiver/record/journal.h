/* SPDX-License-Identifier: GPL-2.0-or-later */
/* journal.h - the only writer of receiver.db.
 *
 * What happened since the last call goes in as one batch, in one transaction: facts, lines of the log, new hosts, checkpoints, maintenance, relabels, months, the mark
 * that says the receiver was alive. A batch is either there whole or not at all. Synced batches have reached the disk when
 * journal_commit returns; the others survive the death of the process, not that of the machine. Every call blocks on the
 * disk: they are made on a worker thread once the receiver runs, one at a time. */
#ifndef RECEIVER_RECORD_JOURNAL_H
#define RECEIVER_RECORD_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/name.h"
#include "common/time.h"
#include "receiver/judge/receiver.h"
#include "receiver/record/calendar.h"

struct journal;

struct journal_host {
    uint32_t id;
    char name[NAME_LEN_MAX + 1];
    int64_t first_at;
};

/* A host's names as they are now. */
struct journal_names {
    uint32_t host;
    char name[NAME_LEN_MAX + 1];
    char alias[NAME_LEN_MAX + 1], moved_from[NAME_LEN_MAX + 1]; /* "": none */
};

struct journal_checkpoint {
    uint32_t host;
    uint8_t *bytes; /* owned by the batch */
    size_t len;
    uint64_t position;
    int64_t written_to;
    uint32_t lines;
    int64_t changed_from; /* INT64_MAX: nowhere */
};

/* A maintenance window that was added, or (known id) ended. */
struct journal_window {
    int64_t id;
    bool is_new;
    char *pattern, *reason; /* owned by the batch; of a new one */
    int64_t starts, ends;   /* Unix seconds; ends INT64_MAX: open */
    struct window window;
    int64_t entered;
    char origin[NAME_LEN_MAX + 1]; /* the peer where it was entered; "": here */
    uint64_t origin_key;           /* what that peer knows it by */
};

/* What somebody said about an outage. */
struct journal_relabel {
    uint32_t host;
    uint32_t number; /* line that first told of it */
    bool to_end;
    enum state state;
    char *reason; /* owned by the batch */
    int64_t entered;
    uint64_t position;             /* last fact then */
    int64_t from, to;              /* the outage, Unix seconds; `to` INT64_MAX: it went on */
    char origin[NAME_LEN_MAX + 1]; /* as above */
    uint64_t origin_key;
};

/* The seconds of a month that has ended; replaces what was stored of it. */
struct journal_month {
    uint32_t host;
    char month[8]; /* YYYY-MM */
    char zone[CALENDAR_ZONE_MAX];
    int64_t up, down, unreachable, admin, unknown;
};

struct journal_batch {
    struct receiver_output output;
    struct journal_host *hosts;
    size_t host_count;
    struct journal_names *names;
    size_t name_count;
    struct journal_checkpoint *checkpoints;
    size_t checkpoint_count;
    struct journal_window *windows;
    size_t window_count;
    struct journal_relabel *relabels;
    size_t relabel_count;
    struct journal_month *months;
    size_t month_count;
    const struct labels *labels; /* a copy owned by the batch's maker, for the absences */
    uint64_t trim_to;            /* facts up to this one are in checkpoints and may go */
    struct instant alive;        /* the mark */
    int64_t alive_second;
    bool clean; /* the last batch of a run */
    bool sync;
};

/* Releases what the batch owns and zeroes it. */
void journal_batch_free(struct journal_batch *batch);

/* The mark of the run before. */
struct journal_start {
    bool has_run;
    uint8_t boot_id[BOOT_ID_LEN];
    int64_t started_ns, boottime_ns; /* the judging clock at its start, and CLOCK_BOOTTIME then */
    struct instant alive;
    struct wall alive_wall;
    bool clean; /* that run said goodbye */
    int64_t last_window_id;
};

/* Opens or creates DATA/receiver.db. NULL with `error` set. */
struct journal *journal_open(const char *data, struct error *error);
void journal_close(struct journal *journal);

/* Loads everything into a fresh core, replaying the facts. */
int journal_load(struct journal *journal, struct receiver *receiver, struct journal_start *start, struct error *error);

/* Begins a run of the receiver: to be called once, before the first commit. `label` is what `now` is recorded under. The mark
 * of the run before (`start`) stands until the first commit moves it together with the absence that lies between. */
int journal_begin_run(struct journal *journal, const struct journal_start *start, const uint8_t boot_id[BOOT_ID_LEN],
                      struct instant now, int64_t boottime_ns, struct wall label, struct error *error);

/* Commits one batch. -1 with `error` set: nothing of it is stored, and it may be tried again. */
int journal_commit(struct journal *journal, const struct journal_batch *batch, struct error *error);

#endif
