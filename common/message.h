/* SPDX-License-Identifier: GPL-2.0-or-later */
/* message.h - the payloads inside the seal (PROTOCOL.md section 3, where their layout is drawn).
 *
 * Each layout is one function that both encodes and decodes. Values are as on the wire, in its units; what they mean
 * is decided by the cores. Pure. */
#ifndef COMMON_MESSAGE_H
#define COMMON_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/metric.h"

#define ECHO_LEN 16
#define BOOT_ID_LEN 16
#define MESSAGE_METRIC_MAX 100
#define BEAT_FIXED_LEN 90
#define BEAT_LEN_MAX (BEAT_FIXED_LEN + 8 * MESSAGE_METRIC_MAX)
#define BEAT_FLAG_KEPT 0x01

/* How the run of the agent before this one ended. */
enum previous_end { PREVIOUS_UNKNOWN = 0, PREVIOUS_STOPPED = 1, PREVIOUS_SHUTDOWN = 2, PREVIOUS_DIED = 3 };

/* Stopping and moved are the same number on the wire, and a flag beside it, which older receivers do not see. */
enum bye_reason { BYE_STOPPING = 1, BYE_SHUTDOWN = 2, BYE_MOVED = 3 };
#define BYE_FLAG_MOVED 0x01

struct beat {
    uint64_t session;
    uint64_t counter;
    uint32_t number;      /* counts the beats of one agent start, from 1 */
    uint32_t age_ms;      /* since the due instant */
    uint32_t interval_ms; /* announced; a prior only */
    uint8_t boot_id[BOOT_ID_LEN];
    uint64_t uptime_ms; /* CLOCK_BOOTTIME at the due instant */
    uint64_t run_ms;    /* CLOCK_MONOTONIC at the due instant */
    uint64_t agent_start;
    uint8_t previous_end; /* enum previous_end */
    uint8_t echo[ECHO_LEN];
    uint32_t oldest_kept;
    uint8_t flags;
    double metrics[METRIC_COUNT]; /* NaN where not available */
};

struct ack {
    uint64_t session;
    uint64_t counter;
    uint32_t safe;
};

struct challenge {
    uint64_t session;
    uint64_t counter;
    uint8_t value[ECHO_LEN];
};

struct bye {
    uint64_t session;
    uint64_t counter;
    uint32_t age_ms;
    uint64_t agent_start;
    uint8_t echo[ECHO_LEN];
    uint8_t reason; /* enum bye_reason */
};

/* Encode into `out`, which must have room (BEAT_LEN_MAX is enough for any); return the length. */
size_t beat_encode(const struct beat *beat, uint8_t *out);
size_t ack_encode(const struct ack *ack, uint8_t *out);
size_t challenge_encode(const struct challenge *challenge, uint8_t *out);
size_t bye_encode(const struct bye *bye, uint8_t *out);

/* Decode a payload. Return 0, or -1 if it is too short or holds a value the protocol does not allow (beat number 0,
 * reason unknown, metrics not whole or too many). */
int beat_decode(struct beat *beat, const uint8_t *payload, size_t len);
int ack_decode(struct ack *ack, const uint8_t *payload, size_t len);
int challenge_decode(struct challenge *challenge, const uint8_t *payload, size_t len);
int bye_decode(struct bye *bye, const uint8_t *payload, size_t len);

#endif
