/* SPDX-License-Identifier: GPL-2.0-or-later */
/* datagram.h - the outer layout of every datagram, and its seal (PROTOCOL.md section 2).
 *
 *      0  4  magic "2BT" + version 1
 *      4  1  type
 *      5  1  key generation
 *      6  1  length n of the name
 *      7  1  zero
 *      8 24  nonce
 *     32  n  host name
 *     .. ..  sealed payload (XChaCha20-Poly1305), everything before it as associated data
 *
 * Parsing looks at the header only and touches no key; opening proves who sent it. Pure. */
#ifndef COMMON_DATAGRAM_H
#define COMMON_DATAGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "common/key.h"
#include "common/name.h"

#define DATAGRAM_LEN_MAX 1200
#define DATAGRAM_HEADER_LEN 32
#define DATAGRAM_NONCE_LEN 24
#define DATAGRAM_TAG_LEN 16
#define DATAGRAM_PAYLOAD_MAX (DATAGRAM_LEN_MAX - DATAGRAM_HEADER_LEN - 1 - DATAGRAM_TAG_LEN)
#define DATAGRAM_RANDOM_LEN 32 /* fresh random bytes that go into a nonce */

enum datagram_type {
    DATAGRAM_BEAT = 1,
    DATAGRAM_ACK = 2,
    DATAGRAM_CHALLENGE = 3,
    DATAGRAM_DETAIL = 4, /* reserved */
    DATAGRAM_BYE = 5,
    DATAGRAM_PEER = 6 /* between receivers */
};

/* A parsed header. Pointers lead into the datagram. */
struct datagram {
    enum datagram_type type;
    uint8_t generation;
    const char *name; /* not terminated; valid */
    size_t name_len;
    const uint8_t *bytes;
    size_t len;
};

enum datagram_fault {
    DATAGRAM_OK = 0,
    DATAGRAM_BAD_LENGTH,  /* too short, too long, or the name does not fit */
    DATAGRAM_BAD_VERSION, /* not ours, or of another version */
    DATAGRAM_BAD_HEADER   /* unknown type, bad name, generation 0, or the zero is not zero */
};

/* Checks the layout. On DATAGRAM_OK `out` is filled and borrows `bytes`. */
enum datagram_fault datagram_parse(struct datagram *out, const uint8_t *bytes, size_t len);

/* Opens the payload into `out` (room for DATAGRAM_PAYLOAD_MAX bytes). Returns 0 and the length in `out_len`, or -1 if
 * the seal does not hold. */
int datagram_open(uint8_t *out, size_t *out_len, const struct datagram *datagram, const struct key *key);

/* Seals `payload_len` bytes (at most what fits) as one datagram into `out` (room for DATAGRAM_LEN_MAX bytes). `name` must
 * be valid. `fresh` are new random bytes for the nonce. Returns the length of the datagram. */
size_t datagram_seal(uint8_t *out, enum datagram_type type, uint8_t generation, const char *name, size_t name_len,
                     const uint8_t *payload, size_t payload_len, const struct key *key,
                     const uint8_t fresh[DATAGRAM_RANDOM_LEN]);

#endif
