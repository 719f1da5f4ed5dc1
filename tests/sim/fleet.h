/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fleet.h - months of a whole fleet in which everything goes wrong by chance; and the truth, to hold the record against.
 *
 * fleet_events.c is the chance: what happens to machines, agents, the network, the receiver and the operator.
 * fleet_model.c says what the record of one gap between two beats must be, from the table of states and the truth.
 * fleet_gaps.c finds the gaps, and what the receiver may have learned by then. fleet_truth.c goes through all of them,
 * and compares. fleet_rrd.c writes state.rrd on the way, and asks the
 * program rrdtool at the end. sim_fleet.c makes runs of it. */
#ifndef TESTS_SIM_FLEET_H
#define TESTS_SIM_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "receiver/record/timeline.h"
#include "tests/sim/sim.h"

#define FLEET_HOSTS 20
#define FLEET_S NS_PER_S
#define FLEET_MINUTE (60 * FLEET_S)
#define FLEET_HOUR (60 * FLEET_MINUTE)

/* What a run is made of. Mean times between events; 0: there are none of that kind. */
struct fleet_plan {
    uint64_t seed;
    int64_t length_ns;
    struct sim_link link;
    bool keepless;           /* agents keep no beats */
    bool conservative;       /* outage_edges */
    int64_t host_ns;         /* of each host: crashes, shutdowns, stopped and killed agents, suspends */
    int64_t cut_ns;          /* of each host: it is cut off the network */
    int64_t group_ns;        /* half of the fleet or all of it is cut off */
    int64_t window_ns;       /* maintenance is planned, and some of it cancelled */
    int64_t receiver_ns;     /* the receiver is killed, stopped, stalled, or in a crash loop */
    int64_t receiver_off_ns; /* how long it is off on average */
    bool kills_only;         /* it is killed and back at once; nothing else goes on with it */
    bool step_walls;         /* hosts set their wall clocks: nobody may care */
    double fast_share;       /* of the time of the fast hosts, for which they have an interval of 10 s */
    int64_t flush_ns;        /* state.rrd of `rrd_hosts` hosts is written that often */
    size_t rrd_hosts;
};

struct fleet_rrd;

/* Lives through it. `rrd` may be NULL. The receiver runs at the end, and everything is stored. */
struct sim *fleet_simulate(const struct fleet_plan *plan, struct fleet_rrd *rrd);

/* --- the truth --- */
struct fleet_checked {
    uint64_t gaps;    /* between two beats that were more than an interval, or another run, compared span for span */
    uint64_t outages; /* spans that are not up */
    uint64_t edges;   /* true edges that were looked for within their bounds */
    uint64_t open;    /* of the gaps: those in which a margin that nobody can know exactly decides */
};

/* Holds the record of each host against the truth; ends by sim_fail_about where it differs. */
void fleet_check(struct sim *sim, struct fleet_checked *checked);

/* --- what was heard, host by host --- */
/* A gap in which a verdict may have been reached, as other hosts look at it. */
struct fleet_silence {
    int64_t last, last_arrival, until; /* arrival of what ended it; INT64_MAX: it goes on */
    int64_t judged_first, judged_last; /* the verdict was made between these; INT64_MAX: never */
    int64_t interval_ns;
    bool bye; /* it began with a goodbye */
};

struct fleet_walk {
    struct sim *sim;
    size_t host;
    struct timeline timeline;
    struct sim_heard *chain; /* beats and goodbyes in order, without those that tell nothing new */
    size_t count;
    struct fleet_silence *silences; /* in order */
    size_t silence_count;
    size_t span; /* of the timeline, at the gap that is looked at */
    struct fleet_checked *checked;
};

/* --- the model --- */
/* One gap: from the last beat (or goodbye) to the first one after it. Nanoseconds of the simulation. */
struct fleet_gap {
    int64_t last, last_arrival; /* due as told to the receiver; arrival */
    int64_t next,
        next_arrival; /* the first beat after it, or the goodbye that came in a silence; INT64_MAX: none yet */
    int64_t now;      /* the end of the simulation */
    int64_t interval_least_ns, interval_most_ns; /* what the receiver may have learned */
    int64_t margin_least_ns, margin_most_ns;
    int64_t uncertain_ns; /* of the times of `next` */
    bool judged_early;    /* the verdict came before the receiver knew that it could not observe */
    bool may_be_lost;     /* `lost` depends on verdicts that are not certain */

    bool new_boot, new_start, ended_by_bye;
    int64_t boot;      /* with new_boot: as the first beats tell it */
    int64_t frozen_ns; /* how long the kernel stood still */
    bool lost;         /* with so many others that it was the receiver's network, rather than theirs */
    enum { FLEET_NO_BYE, FLEET_STOPPED, FLEET_SHUTDOWN } bye;
    bool bye_lost; /* the next run told of it; else it came at `last` */
};

/* Fills in what was heard of a host, and its silences; release with fleet_walk_free. */
void fleet_walk_init(struct fleet_walk *walk, struct sim *sim, size_t host);
void fleet_walk_free(struct fleet_walk *walk);
/* The boot that a time belongs to. */
int64_t fleet_boot_before(const struct sim_host *host, int64_t at);
/* Two beats of one run, the second one not later than expected: nothing can have happened between them. */
bool fleet_is_ordinary(const struct sim_heard *a, const struct sim_heard *b);
/* The gap after number `last` of the chain; `next` is one more, and may be behind its end. */
struct fleet_gap fleet_make_gap(const struct fleet_walk *walk, size_t last, size_t next);
/* Holds the receiver's absences against what it really missed, and makes them those that count. Ends by sim_fail. */
void fleet_check_absences(struct sim *sim, const struct fleet_walk *walks, size_t count);
/* Tells whether the gap was one of many, by what all hosts did. */
void fleet_find_lost(const struct fleet_walk *walks, size_t count, struct fleet_gap *gap);

/* What lies around: borrowed. */
struct fleet_world {
    const struct sim_away *away;
    size_t away_count;
    struct window windows[SIM_WINDOWS_MAX]; /* of this host; instants of the simulation */
    size_t window_count;
    int64_t planned_limit_ns;
    bool conservative;
    int64_t forgotten_to; /* the receiver remembers no absence that ended before: what was told of that time stays */
};

/* From `from` on the record must say this; the edge may lie up to `slack_ns` off. */
struct fleet_piece {
    int64_t from, slack_ns;
    enum state state;
    enum cause cause;
};

/* What of the receiver's absences and of maintenance lies in a gap. */
void fleet_look_around(const struct fleet_walk *walk, const struct fleet_gap *gap, struct fleet_world *world);

#define FLEET_PIECES_MAX 1024

/* The pieces of a gap, the first one being what it is from `last` on, if the receiver learned exactly this interval and
 * margin. Returns their number. */
size_t fleet_expect(const struct fleet_gap *gap, const struct fleet_world *world, int64_t interval_ns,
                    int64_t margin_ns, struct fleet_piece pieces[FLEET_PIECES_MAX]);

/* When the second expectation lapses in the gap, with that interval and margin. */
int64_t fleet_judged_at(const struct fleet_gap *gap, const struct fleet_world *world, int64_t interval_ns,
                        int64_t margin_ns);

/* --- state.rrd --- */
/* A store in a temporary folder. */
struct fleet_rrd *fleet_rrd_create(size_t hosts);
void fleet_rrd_destroy(struct fleet_rrd *rrd); /* with its files */
/* Brings the files up to the watermark, as the RRD thread of the receiver does. Nothing while that is off. */
void fleet_rrd_flush(struct fleet_rrd *rrd, struct sim *sim);
/* Asks rrdtool, in README's words, at rows of a minute, 15 minutes and a day. Returns the number of questions. */
unsigned fleet_rrd_check(struct fleet_rrd *rrd, struct sim *sim);

#endif
