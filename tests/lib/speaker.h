/* SPDX-License-Identifier: GPL-2.0-or-later */
/* speaker.h - an agent as the receiver core sees it: a host that boots, starts agents and sends beats.
 *
 * It answers challenges as a real agent does, and lets a test choose everything else: when a beat was due, when it
 * arrives, which number, counter or session it has. Nothing here knows what the core will make of it. */
#ifndef TESTS_LIB_SPEAKER_H
#define TESTS_LIB_SPEAKER_H

#include "receiver/judge/receiver.h"

struct speaker {
    const char *name; /* borrowed */
    uint64_t session, counter, agent_start;
    uint32_t number, oldest_kept, interval_ms;
    uint8_t boot_id[BOOT_ID_LEN];
    uint8_t previous_end;
    uint8_t echo[ECHO_LEN];
    struct instant booted;
    int64_t frozen_ns; /* how long its kernel stood still since it booted */
    double metric;     /* value of every metric; NaN for none */
};

/* An agent that has just started on a host that booted 1000 s before `now`. */
void speaker_init(struct speaker *speaker, const char *name, struct instant now, uint32_t interval_ms);
/* A new session, as after an interval change or a restored snapshot. */
void speaker_renew(struct speaker *speaker);
/* The agent starts anew, and tells how its last run ended (enum previous_end). */
void speaker_restart(struct speaker *speaker, uint8_t previous_end);
/* The host boots at that instant, and its agent with it. */
void speaker_reboot(struct speaker *speaker, struct instant at, uint8_t previous_end);

/* The next beat, due at that instant; its age is that of an arrival at `now`. No counter yet. */
struct beat speaker_beat(struct speaker *speaker, struct instant due, struct instant now);
struct bye speaker_bye(const struct speaker *speaker, uint8_t reason);

/* Sends it with a fresh counter, once more with the echo if it is challenged. Returns the last answer. */
struct receiver_answer speaker_send(struct speaker *speaker, struct receiver *receiver, struct instant now,
                                    const struct beat *beat);
struct receiver_answer speaker_send_bye(struct speaker *speaker, struct receiver *receiver, struct instant now,
                                        const struct bye *bye);
/* A beat that is due, sent and heard at `now`. */
struct receiver_answer speaker_tell(struct speaker *speaker, struct receiver *receiver, struct instant now);

#endif
