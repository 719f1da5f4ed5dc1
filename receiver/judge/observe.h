/* SPDX-License-Identifier: GPL-2.0-or-later */
/* observe.h - whether the receiver itself can be trusted: what it heard of all hosts lately, against what it should have.
 *
 * Before a host is judged down the receiver asks itself: do I hear anybody at all? did my kernel throw away what came?
 * Of this process only, and no part of a replay: what is concluded from it is a fact of the journal (FACT_ABSENCE). Pure. */
#ifndef RECEIVER_JUDGE_OBSERVE_H
#define RECEIVER_JUDGE_OBSERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/time.h"
#include "receiver/judge/host.h"

enum { OBSERVED_S = 8192 }; /* longer than the longest interval */

/* What the hosts that are taken to be up should send. */
struct survey {
    struct instant at;
    double rate_hz; /* beats of all of them */
    uint32_t hosts;
    int64_t shortest_ns[2]; /* the two shortest intervals: one of them is not that of the host in question */
};

struct observation {
    int64_t second;              /* the newest one that is counted */
    uint64_t beats;              /* heard so far */
    uint64_t before[OBSERVED_S]; /* beats heard before a second, by that second modulo OBSERVED_S */
    struct instant began, last_heard;
    bool deaf;                               /* the open absence ends with the next beat of anybody */
    bool dropped;                            /* ever */
    struct instant dropped_from, dropped_at; /* the latest time in which the kernel dropped datagrams */
    struct instant flooded_at;               /* when they were last more than a tenth of what came ... */
    struct instant share_from;               /* ... in the second that began then */
    uint64_t share_taken, share_dropped;
    bool drops_unnoted; /* they are no fact yet */
    struct instant drops_noted_at;
    struct instant lost_looked_at; /* for hosts that were lost together: the first time in this second ... */
    uint32_t lost_looks;           /* ... and how often since */
    struct survey survey;
};

enum doubt { DOUBT_NONE, DOUBT_DEAF, DOUBT_OVERLOADED };

/* The process begins to listen. */
void observe_begin(struct observation *observation, struct instant now);
/* A host was heard. */
void observe_heard(struct observation *observation, struct instant now);
/* So many datagrams, good or bad, were taken from the sockets, and so many more had been dropped by the kernel. */
void observe_took(struct observation *observation, struct instant now, uint64_t taken, uint64_t dropped);
/* Whether the kernel drops datagrams just now, or did a moment ago. */
bool observe_drops(const struct observation *observation, struct instant now);
/* Whether no more are dropped: known sooner, since it does no harm to be wrong in that. */
bool observe_drops_ended(const struct observation *observation, struct instant now);
/* Whether these are so many that the hosts cannot be told apart from them. */
bool observe_floods(const struct observation *observation, struct instant now);
/* Beats of all hosts since `from`, whole seconds that begin after it. */
uint64_t observe_count(const struct observation *observation, struct instant from, struct instant now);

/* Whether silence of `host` since its first expectation says more about us than about it. Deaf: nobody was heard since, though beats were due.
 * Overloaded: the kernel dropped datagrams since, and either these were more than a tenth of all that came, or less than 90 % of the beats that
 * were due was heard. The former is measured and holds for a single host as well; the latter also finds beats that were hit more than others. */
enum doubt observe_doubt(struct observation *observation, const struct host_table *hosts, const struct host *host,
                         struct instant now);
/* Whether less than 90 % of what was due in the last minute was heard. */
bool observe_hears_little(struct observation *observation, const struct host_table *hosts, struct instant now);

#endif
