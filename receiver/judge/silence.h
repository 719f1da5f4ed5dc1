/* SPDX-License-Identifier: GPL-2.0-or-later */
/* silence.h - what a silence of one host is recorded as.
 *
 * A silence begins with the last beat before it and ends with the first beat after it. While it lasts, and again when it
 * ends, facts come in: expectations lapse, a goodbye, the receiver's own absences, maintenance windows, and at the end
 * what the first beats tell of boot and agent. What is recorded is not changed step by step: it is computed anew from all
 * facts, as a list of spans, by one pure function. So a late fact needs no special case, a replay of the
 * journal gives the same list, and the table of states in ARCHITECTURE.md can be tested cell by cell.
 *
 * Where two rows claim a second: the receiver's own absence (unknown), then maintenance (admin), then what another receiver heard
 * (up), then the rest.
 *
 * What another receiver heard counts as a sign of life: it ends the silence, and the next one begins with it (judge/path.h). */
#ifndef RECEIVER_JUDGE_SILENCE_H
#define RECEIVER_JUDGE_SILENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/time.h"
#include "receiver/judge/state.h"

/* Every absence and every window cuts a span in two, and a receiver in a crash loop has many in one silence. */
#define SILENCE_SPANS_MAX 512
#define SILENCE_ABSENCES_MAX 100
#define SILENCE_WINDOWS_MAX 100

/* A time in which the receiver could not observe. */
struct absence {
    struct instant from, to;
    enum cause cause;
    uint64_t fact; /* number of the fact that told of it, for the one who stores it; 0 where that does not matter */
};

/* How long what was heard at that instant may have waited in the socket: what is heard at the very end of a stall arrived in the
 * course of it. */
int64_t absence_wait_ns(const struct absence *absences, size_t count, struct instant heard_at);

/* A planned time, for this host. `to` is INSTANT_NEVER while nobody has ended it. */
struct window {
    struct instant from, to;
};

enum goodbye { GOODBYE_NONE = 0, GOODBYE_STOPPED = 1, GOODBYE_SHUTDOWN = 2 };

struct silence {
    struct instant last;     /* due instant of the last beat */
    int64_t interval_ns;     /* as learned by then */
    struct instant expected; /* expectation 1 as the detector has it */
    bool late;               /* expectation 1 has lapsed */
    bool judged;             /* expectation 2 has lapsed, and nobody had said goodbye */
    bool unobserved;         /* it lapsed while the receiver could not observe: no verdict, but that time is told */
    bool lost_with_many;     /* most hosts fell silent together with it */
    enum goodbye goodbye;
    struct instant goodbye_at; /* due instant of the bye; `last` for a bye that never arrived */
    bool goodbye_reported;     /* it never arrived: the next start told of it, so its instant is not known */

    /* What other receivers said of it, see judge/path.h. */
    bool by_path;              /* it began with a beat that another receiver heard */
    bool agreed;               /* those that were asked had not heard the host either */
    bool cut_off;              /* nobody could be asked: contact with them was lost together with the host ... */
    struct instant contact_at; /* ... and returned then; INSTANT_NEVER: not yet */

    bool ended;
    struct instant beat_at; /* due instant of the first beat after it */
    bool path;              /* that beat was heard by another receiver ... */
    bool broken;            /* ... before which it was as follows until `beat_at`; else it was up there all the time */
    enum state broken_state;
    enum cause broken_cause;
    bool new_boot;
    struct instant boot_at; /* with new_boot: earliest boot that the first beats tell of */
    bool new_start;         /* same boot, another run of the agent */
    int64_t
        frozen_ns; /* same boot: how much less than the receiver's the kernel's own clock ran; least of the first beats */
};

/* What the receiver knows besides: borrowed for the call. */
struct circumstances {
    const struct absence *absences; /* in order of time, not overlapping */
    size_t absence_count;
    const struct window *windows; /* of this host, any order */
    size_t window_count;
    int64_t planned_limit_ns; /* how long a goodbye excuses */
    bool conservative;        /* outage edges: last beat to first beat, instead of the best estimate */
    struct instant now;       /* absences that begin later are not known yet */
};

/* From `from` on (until the next span) the host was in `state`. Bounds: the true instant lies in [earliest, latest]. */
struct silence_span {
    struct instant from;
    enum state state; /* never LATE */
    enum cause cause;
    struct instant earliest, latest;
};

/* Writes the spans of a silence, in order and without overlap, the first one being UP from `last` on; neighbours differ.
 * Spans may begin after `now`: they come about if nothing else happens. Returns their number, at most SILENCE_SPANS_MAX
 * (of more, the latest are left out). */
size_t silence_spans(const struct silence *silence, const struct circumstances *circumstances,
                     struct silence_span out[SILENCE_SPANS_MAX]);

#endif
