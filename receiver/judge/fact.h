/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fact.h - what the receiver has accepted as true, in order: the entries of the journal.
 *
 * Whatever moves a verdict is a fact first. Applying the same facts to the same state gives the same state, lines and
 * averages; a restart is therefore nothing but a replay. Proofs (sessions, counters) are not facts: they are made anew by
 * every process. A fact carries its time; it is applied at once, live and in a replay, by the same code (receiver.c). Pure. */
#ifndef RECEIVER_JUDGE_FACT_H
#define RECEIVER_JUDGE_FACT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/codec.h"
#include "common/message.h"
#include "common/time.h"
#include "receiver/judge/state.h"

enum fact_type {
    FACT_BEAT = 1,
    FACT_BYE = 2,
    FACT_JUDGED = 3,    /* deadlines up to `now` have been judged */
    FACT_ABSENCE = 4,   /* the receiver could not observe */
    FACT_DROPS = 5,     /* the kernel dropped datagrams of ours */
    FACT_WINDOWS = 6,   /* maintenance windows have changed */
    FACT_SETTINGS = 7,  /* what was set when the facts after it were judged: a replay must judge alike */
    FACT_LOST = 8,      /* most hosts fell silent at once */
    FACT_FORGOTTEN = 9, /* an operator wants to hear no more of a host */
    FACT_PATH = 10,     /* another receiver heard a host that is silent here */
    FACT_AGREED = 11,   /* the other receivers have not heard it either */
    FACT_CUT_OFF = 12,  /* contact with them was lost together with it */
    FACT_CONTACT = 13   /* and has returned */
};

/* An accepted beat. What rarely changes is left out of the encoding when it is as in the last beat of the host. */
struct fact_beat {
    struct instant at; /* due instant */
    bool kept;
    bool same_run; /* session, boot id, agent start: as before; then these are not set */
    uint64_t session;
    uint8_t boot_id[BOOT_ID_LEN];
    uint64_t agent_start;
    uint8_t previous_end;
    uint32_t interval_ms;
    uint32_t number;
    uint32_t oldest_kept;
    uint64_t uptime_ms;
    uint64_t run_ms;
    double metrics[METRIC_COUNT]; /* gauges have the precision of a float */
};

struct fact_bye {
    struct instant at; /* due instant */
    uint64_t agent_start;
    uint8_t reason;
};

/* Told when it begins, with `to` INSTANT_NEVER, and again when it ends; or only then, if it was not noticed before. */
struct fact_absence {
    struct instant from, to;
    enum cause cause;
};

/* At least half of the hosts had their last beat in [from, to]. */
struct fact_lost {
    struct instant from, to;
};

struct fact_forgotten {
    struct instant at; /* its record ends here: now, or when the receiver stopped */
};

struct fact_path {
    struct instant at; /* the newest beat that it heard was due then, or a little later */
    bool late;         /* since then it is late there, too */
    bool broken;       /* it has been up there since `back` only, and in this state before; else all the time */
    struct instant back;
    enum state state;
    enum cause cause;
};

struct fact_settings {
    int64_t planned_limit_ns;
    bool conservative;
};

struct fact {
    enum fact_type type;
    struct instant now;
    uint32_t host; /* whom it is about; 0: all */
    union {
        struct fact_beat beat;
        struct fact_bye bye;
        struct fact_absence absence;
        struct fact_settings settings;
        struct fact_lost lost;
        struct fact_forgotten forgotten;
        struct fact_path path;
    };
};

#define FACT_LEN_MAX 640
/* No kernel has run for longer than a century: what claims so says nothing. */
#define FACT_UPTIME_MS_MAX (UINT64_C(100) * 366 * 24 * 3600 * 1000)

/* Whether a fact of that type is about one host. */
bool fact_has_host(enum fact_type type);

/* Visits one fact. `previous` is the time of the fact before it in the same buffer (0 at its start) and is moved on. When reading, nonsense marks the
 * codec failed. */
void fact_visit(struct codec *codec, struct fact *fact, struct instant *previous);

/* Gives gauges the precision in which they are stored, so that live and replay compute with the same numbers. */
void fact_round_metrics(double metrics[METRIC_COUNT]);

#endif
