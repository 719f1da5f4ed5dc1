/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host.h - all that the receiver holds about one host, and the table of all hosts.
 *
 * The proof (session, replay window) is of this process only; everything else survives in the checkpoint and the journal.
 * The table never forgets a host and never moves one: a `struct host *` is good as long as the table. */
#ifndef RECEIVER_JUDGE_HOST_H
#define RECEIVER_JUDGE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/codec.h"
#include "common/message.h"
#include "common/name.h"
#include "common/replay.h"
#include "common/time.h"
#include "receiver/judge/budget.h"
#include "receiver/judge/expectation.h"
#include "receiver/judge/numbers.h"
#include "receiver/judge/silence.h"
#include "receiver/judge/state.h"
#include "receiver/record/averages.h"
#include "receiver/record/unaveraged.h"

/* A span of the current silence as it was last told to the log. */
struct told {
    int64_t at; /* Unix seconds */
    enum state state;
    enum cause cause;
    uint32_t number; /* line of the log, 0: an older one */
};

/* The current silence of a host, and the last one until its third beat. */
struct silence_record {
    struct silence facts;
    uint32_t beats_since;     /* it ended */
    uint64_t run_ms;          /* CLOCK_MONOTONIC of the host at the last beat before it */
    struct instant next_span; /* when the next span comes about by itself; INSTANT_NEVER */
    struct told *told;        /* owned */
    uint32_t told_count, told_capacity;
    /* What other receivers say of it since it is late, of this process only: a bit for each. */
    uint16_t peers_silent, peers_strange; /* not heard there either; not judged there */
};

/* The machine that the record was about until another boot spoke under its name. Kept until it has missed two expectations: if it
 * speaks before that, there are two of them, and it was no reboot. */
struct displaced {
    uint8_t boot_id[BOOT_ID_LEN];
    uint64_t agent_start, uptime_ms, run_ms;
    struct numbers numbers;
    struct expectation expectation;
    struct instant deadline[2];
};

/* Another machine that speaks under this name: counted, and told to people. Of this process only. */
struct clone {
    uint8_t boot_id[BOOT_ID_LEN];
    uint64_t beats;
    struct instant heard_at;
};

struct host {
    uint32_t id; /* from 1, also in the database */
    char name[NAME_LEN_MAX + 1];
    char *alias; /* owned; the name before, under which it may speak until it was heard under the new one; NULL: none */
    struct instant
        renamed_at;   /* maintenance that fits the new name only holds from then on; 0: never renamed, or back again */
    char *moved_from; /* owned; the folder of its files that is still to be renamed to its name; NULL: none */

    /* proof of this process */
    bool proven;
    uint64_t session;
    uint64_t sessions_proven;
    struct replay window;
    struct budget budget; /* of datagrams that it may send */

    /* the last beat */
    bool heard;     /* ever, or since it was forgotten */
    bool forgotten; /* ... or has moved to other receivers: `cause` tells */
    bool to_forget; /* somebody asked for it while the receiver was stopped: done at its start */
    uint8_t boot_id[BOOT_ID_LEN];
    uint64_t agent_start;
    uint64_t uptime_ms;
    uint64_t run_ms;
    struct instant heard_at; /* arrival of whatever came last */
    struct numbers numbers;
    struct displaced *displaced; /* owned; NULL: none */
    struct clone *clone;         /* owned; NULL: none */

    /* rhythm and verdict */
    struct expectation expectation;
    struct instant deadline[2]; /* of expectation 1 and 2, moved by what the receiver missed */
    uint8_t moves;              /* by stalls and drops, at most two in one silence */
    bool restarted;             /* the receiver restarted in this silence ... */
    bool recovered;             /* ... or could observe again: each gives a fresh chance, once */
    bool waiting;               /* expectation 2 lapsed, but the receiver cannot observe: its absence must end first */
    struct instant lost_last;   /* most hosts fell silent at once, and this was its last beat then */
    struct silence_record *silence; /* owned; NULL while all is well */
    enum state state;               /* as of the log, never LATE */
    enum cause cause;
    int64_t since;   /* Unix seconds */
    uint32_t lines;  /* of the log */
    bool relabelled; /* this outage, by a person, as `label`; shown until it is over, and nothing else */
    enum state label;

    /* What other receivers are told: since when it has been up, and what it was before. */
    struct instant back_at; /* 0: ever */
    enum state back_state;  /* unknown: it was not heard here, and nothing proves what it was */
    enum cause back_cause;

    /* record */
    uint64_t position; /* number of the last fact that the checkpoint in the database contains */
    struct averages averages;
    uint32_t averaged;             /* number of the last beat in them */
    uint32_t oldest_kept;          /* as the newest beat told */
    struct unaveraged *unaveraged; /* beats that wait for earlier ones; owned, NULL: none */
    int64_t settled_to;            /* the watermark last handed out: never goes back */
    bool in_flush;                 /* the RRD thread is at its files */
    bool suspect;                  /* the last run ended in the middle: state.rrd is to be compared with the log once */
    bool unwritten;                /* they could not be written when last tried */
    int64_t written_to;            /* state.rrd holds the record up to this second; 0: nothing */
    int64_t changed_from;          /* earliest second at which the log changed since then; INT64_MAX: nowhere */
    /* The same of what the RRD thread is writing now: still to be told by a checkpoint, until it is written. */
    int64_t flushing_from;
    bool in_queue;       /* of hosts whose state.rrd is to be made (listen/flush_plan.h) ... */
    uint32_t queue_next; /* ... the one behind it, 0: none */
};

/* `changed_from` of a host whose state.rrd is to be made anew, whatever it holds. */
#define HOST_CHANGED_ALL INT64_MIN

/* The earliest second at which the log may differ from state.rrd, INT64_MAX: nowhere. */
int64_t host_changed_from(const struct host *host);
/* Whether state.rrd must be made anew: the log has changed before what is written. */
bool host_is_outdated(const struct host *host);

/* Whether a silence goes on, and how far it has come: what people see between the lines of the log. */
enum state host_live_state(const struct host *host);

/* The silence that goes on, NULL if there is none. */
struct silence *host_open_silence(const struct host *host);
/* Whether another machine spoke under this name lately: less than an hour ago. */
bool host_has_clone(const struct host *host, struct instant now);

/* Releases the silence, if any. */
void host_end_silence(struct host *host);

/* Visits what survives a restart. When reading, `host` must be fresh from the table; nonsense marks the codec failed. */
void host_visit(struct codec *codec, struct host *host);
/* Room for the checkpoint of this host. */
size_t host_checkpoint_len_max(const struct host *host);

struct host_table {
    struct host **hosts; /* by id; [0] is NULL */
    uint32_t count;      /* highest id */
    uint32_t capacity;
    uint32_t *slots;     /* open addressing by name and alias, 0: free */
    uint32_t slot_count; /* a power of two */
    uint32_t alias_count;
};

void host_table_free(struct host_table *table);
/* Adds a host of that id (the next one, or a later one when loading) and valid name. NULL: out of memory, or id or name taken. */
struct host *host_table_add(struct host_table *table, uint32_t id, const char *name, size_t name_len);
/* The host of that name or alias; NULL: none. */
struct host *host_table_find(const struct host_table *table, const char *name, size_t name_len);

/* Gives the host another name, under which there is no other. It keeps the one before as an alias; or the alias that it has, since
 * nobody spoke under the name between. Returns 0, or -1: out of memory, nothing is changed. */
int host_table_rename(struct host_table *table, struct host *host, const char *name);
/* Gives the host an alias that nobody else has, NULL: none. Returns 0, or -1: out of memory. */
int host_table_set_alias(struct host_table *table, struct host *host, const char *alias);

#endif
