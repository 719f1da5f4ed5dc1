/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receiver_internal.h - what receiver.c (facts, judging, storing), receiver_hear.c (datagrams), receiver_observe.c (the receiver's
 * own troubles), receiver_peers.c and receiver_weigh.c (other receivers) and receiver_load.c (what was stored) share. For these only. */
#ifndef RECEIVER_JUDGE_RECEIVER_INTERNAL_H
#define RECEIVER_JUDGE_RECEIVER_INTERNAL_H

#include "receiver/judge/deadlines.h"
#include "receiver/judge/fact.h"
#include "receiver/judge/observe.h"
#include "receiver/judge/receiver.h"

struct receiver {
    struct receiver_options options;    /* in force */
    struct receiver_options configured; /* what this process was started with */
    struct host_table hosts;
    struct deadlines deadlines;
    struct labels labels;
    struct absence absences[SILENCE_ABSENCES_MAX]; /* the latest, in order */
    size_t absence_count;
    struct instant absences_from; /* whatever ended before this is forgotten */
    struct planned *planned;      /* every maintenance window that may still matter */
    size_t planned_count, planned_capacity;
    uint64_t last_fact;
    struct instant last_fact_at; /* within the facts of the output: times are stored as differences */
    struct receiver_output output;
    struct observation observation;
    struct peers peers;
    uint64_t statistics[RECEIVER_STATISTIC_COUNT];
    bool failed;
};

/* Makes room for one more element in a growing array. False: out of memory. */
bool receiver_grow(void **array, size_t *capacity, size_t count, size_t size);
/* Makes room for so many more facts. False: out of memory. */
bool receiver_grow_facts(struct receiver_output *output, size_t count);
/* Adds a host to the table. NULL: out of memory. */
struct host *receiver_take_on(struct receiver *receiver, uint32_t id, const char *name, size_t name_len);
/* Remembers an absence, unless it is known; one that has ended takes the place of itself while it was open. */
void receiver_add_absence(struct receiver *receiver, const struct absence *absence);
/* A beat of the host has been taken that came under this name. */
void receiver_heard_name(struct receiver *receiver, struct host *host, const char *name, size_t name_len);
/* Sees to it that the host is looked at when it is due. */
void receiver_promise(struct receiver *receiver, const struct host *host);
/* Applies fact `number`, live or in a replay. */
void receiver_apply(struct receiver *receiver, struct fact *fact, uint64_t number);
/* Writes a fact to the output and applies it. */
void receiver_note(struct receiver *receiver, struct fact *fact);

/* Tells of every host that it is unknown from second `at` on. */
void receiver_tell_cut(struct receiver *receiver, struct instant now, int64_t at);

/* That host was heard, so the receiver is not deaf; but it may be overloaded, which is looked at first. */
void receiver_observe_heard(struct receiver *receiver, const struct host *host, struct instant now);
/* Another receiver, or the gateway, was heard: we are not deaf. */
void receiver_observe_contact(struct receiver *receiver, struct instant now);
/* A host has become late: the other receivers are asked. */
void receiver_inquire(struct receiver *receiver, const struct host *host, struct instant at);
/* Contact has returned: whoever waits for it gets a fresh chance. */
void receiver_note_contact(struct receiver *receiver, struct instant now);
/* If there is nobody whose contact hosts could wait for, they wait no longer. */
void receiver_expect_contact(struct receiver *receiver, struct instant now);
/* Whether somebody else can be believed about a silent host, so that it says nothing about us. */
bool receiver_is_vouched_for(const struct receiver *receiver, const struct host *host);
/* Before hosts are judged: notes what the other receivers say of those that are due. */
void receiver_weigh_peers(struct receiver *receiver, struct instant now);

/* Before hosts are judged: if that would say more about the receiver, an absence begins; or the present one is over. */
void receiver_distrust(struct receiver *receiver, struct instant now);
/* What was lost within this time of a host with that interval was lost together with it. */
int64_t receiver_together_ns(int64_t interval_ns);
/* A host that was judged down is about to be back: notes it if most hosts were lost together with it. */
void receiver_look_for_lost(struct receiver *receiver, struct instant now, const struct host *back);

#endif
