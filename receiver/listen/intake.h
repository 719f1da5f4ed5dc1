/* SPDX-License-Identifier: GPL-2.0-or-later */
/* intake.h - from a datagram to an event of the core, and from its answer to a datagram.
 *
 *   bytes -> layout -> key of the name -> seal -> payload -> core -> answer -> seal -> bytes
 *
 * Whatever fails on the way moves one counter and nothing else: no answer, no log line, no memory. Keys are derived from
 * the site key, so there is no list of hosts; those of known hosts are remembered. */
#ifndef RECEIVER_LISTEN_INTAKE_H
#define RECEIVER_LISTEN_INTAKE_H

#include <stddef.h>
#include <stdint.h>

#include "common/datagram.h"
#include "common/key.h"
#include "receiver/judge/receiver.h"

#define INTAKE_SITE_KEYS_MAX 8

/* What becomes of datagrams before the core sees them. */
#define INTAKE_STATISTICS_TABLE(X)                                                       \
    X(RECEIVED, "received", "datagrams received")                                        \
    X(BAD_LENGTH, "bad_length", "dropped: too short or too long")                        \
    X(BAD_VERSION, "bad_version", "dropped: not ours, or of another version")            \
    X(BAD_HEADER, "bad_header", "dropped: header makes no sense, or not for a receiver") \
    X(UNKNOWN_KEY, "unknown_key", "dropped: key generation not valid, or key revoked")   \
    X(BAD_SEAL, "bad_seal", "dropped: forged or damaged, the seal does not hold")        \
    X(BAD_PAYLOAD, "bad_payload", "dropped: sealed rightly, but makes no sense")         \
    X(ACKS, "acks", "acknowledgements sent")                                             \
    X(CHALLENGES, "challenges", "challenges sent")                                       \
    X(PEER, "peer", "datagrams of other receivers")

enum intake_statistic {
#define INTAKE_ID(id, token, meaning) INTAKE_##id,
    INTAKE_STATISTICS_TABLE(INTAKE_ID)
#undef INTAKE_ID
        INTAKE_STATISTIC_COUNT
};

struct revocation {
    char name[NAME_LEN_MAX + 1];
    uint8_t generation; /* 0: all */
};

/* Which keys are good. Owned by the settings; copied by intake_set_keys. */
struct intake_keys {
    struct key sites[INTAKE_SITE_KEYS_MAX];
    size_t site_count;
    uint8_t generations[256]; /* by number: 1 if valid */
    const struct revocation *revoked;
    size_t revoked_count;
};

struct intake;

/* `receiver` is borrowed. NULL: out of memory. */
struct intake *intake_create(struct receiver *receiver);
void intake_destroy(struct intake *intake);

/* Takes the keys (a copy) and forgets the derived ones. Returns 0 or -1: out of memory, then the old ones stay. */
int intake_set_keys(struct intake *intake, const struct intake_keys *keys);

/* Datagrams of other receivers go there; borrowed, NULL: they are dropped. */
struct peering;
void intake_set_peering(struct intake *intake, struct peering *peering);

/* Forgets the derived keys of a host: it has got another name. */
void intake_forget_host(struct intake *intake, uint32_t host);

/* Takes one datagram that arrived at `now`. Returns the length of the answer written to `answer` (room for DATAGRAM_LEN_MAX bytes), 0 for none;
 * never more than `len`. */
size_t intake_datagram(struct intake *intake, struct instant now, const uint8_t *bytes, size_t len, uint8_t *answer);

const uint64_t *intake_statistics(const struct intake *intake);

#endif
