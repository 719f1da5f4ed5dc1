/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent.h - when an agent says what to whom (PROTOCOL.md sections 4 and 5).
 *
 * The core is told what happens and when, and answers with actions; it reads no clock, opens no socket and seals
 * nothing. Given the same events and the same random bytes it does the same, so the simulation drives the very code
 * that runs on hosts. Instants lie on CLOCK_MONOTONIC: a beat that is due while the machine sleeps is no news.
 *
 * The owner calls agent_wake at `wake` of the latest actions or later, takes a sample when told to and hands it over
 * at once with agent_sampled, and carries out each list of messages before the next call. Not being able to send is no
 * event: it looks like any lost datagram.
 *
 * A beat that some receiver may not have on its disk is kept in memory, and sent again when that receiver answers
 * (kept.h, backlog.h). */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/message.h"
#include "common/time.h"

#define AGENT_RECEIVER_MAX 16
#define AGENT_INTERVAL_MIN_NS (250 * NS_PER_MS)
#define AGENT_INTERVAL_MAX_NS (4500 * NS_PER_S)
#define AGENT_KEEP_MAX 256 /* receivers remember which of the latest 512 they have */

struct agent_core;

struct agent_options {
    int64_t interval_ns;   /* AGENT_INTERVAL_MIN_NS to AGENT_INTERVAL_MAX_NS */
    size_t receiver_count; /* 1 to AGENT_RECEIVER_MAX */
    uint32_t keep;         /* how many beats are kept until they are safe, 0 to AGENT_KEEP_MAX */
    uint8_t boot_id[BOOT_ID_LEN];
    uint64_t agent_start; /* random, new for each run */
    enum previous_end previous_end;
    void (*random)(void *context, void *buf, size_t len); /* fills `buf` with random bytes */
    void *random_context;                                 /* borrowed as long as the core lives */
};

/* What was measured for a beat. Clocks are those of the due instant, even if the measuring was late. */
struct agent_sample {
    uint64_t uptime_ms; /* CLOCK_BOOTTIME */
    uint64_t run_ms;    /* CLOCK_MONOTONIC */
    double metrics[METRIC_COUNT];
};

/* A payload to be sealed and sent to one receiver. */
struct agent_message {
    size_t receiver;
    bool is_bye; /* which one of the two it is */
    union {
        struct beat beat;
        struct bye bye;
    };
};

/* What is to be done now. Valid until the next call. */
struct agent_actions {
    bool sample;         /* a beat is due: measure, and call agent_sampled now */
    struct instant due;  /* with `sample`: the instant whose clocks the sample is to tell; not after now */
    struct instant wake; /* call agent_wake then, or earlier: that does no harm */
    bool done;           /* after agent_stop: nothing more to do */
    size_t message_count;
    struct agent_message messages[AGENT_RECEIVER_MAX]; /* at most one a receiver */
};

/* NULL: out of memory. Nothing is allocated later. The first agent_wake is the start: the first beat is due then. */
struct agent_core *agent_create(const struct agent_options *options);
void agent_destroy(struct agent_core *core); /* NULL is fine */

void agent_wake(struct agent_core *core, struct instant now, struct agent_actions *out);
void agent_sampled(struct agent_core *core, struct instant now, const struct agent_sample *sample,
                   struct agent_actions *out);

/* An answer that opened under this host's ack key came over the socket of this receiver. True if it answers something
 * that was said in the present session; otherwise it was ignored. */
bool agent_ack(struct agent_core *core, size_t receiver, struct instant now, const struct ack *ack,
               struct agent_actions *out);
bool agent_challenge(struct agent_core *core, size_t receiver, struct instant now, const struct challenge *challenge,
                     struct agent_actions *out);

/* The receiver is now reached in another way: what it has not acknowledged is sent again at once. */
void agent_receiver_changed(struct agent_core *core, size_t receiver, struct instant now, struct agent_actions *out);

/* Says goodbye to all; no beat is sent from now on. Only the first call counts. With BYE_MOVED it may be the only call to a core
 * that never sent a beat: another one of the same agent start did. */
void agent_stop(struct agent_core *core, struct instant now, enum bye_reason reason, struct agent_actions *out);

/* Another interval: new sessions, and a beat is due at once. The same interval changes nothing. */
void agent_set_interval(struct agent_core *core, struct instant now, int64_t interval_ns, struct agent_actions *out);

/* Other receivers: the new one i goes on as the old one previous[i], or is new if that is -1 (first spoken to at the
 * next beat). No old one may be named twice. */
void agent_set_receivers(struct agent_core *core, struct instant now, const int *previous, size_t count,
                         struct agent_actions *out);

/* Keeps at most so many beats from now on. */
void agent_set_keep(struct agent_core *core, uint32_t keep);

/* How many beats in a row ended without an answer of any kind from this receiver. */
uint32_t agent_silent_beats(const struct agent_core *core, size_t receiver);

#endif
