/* SPDX-License-Identifier: GPL-2.0-or-later */
/* proof.h - is this datagram alive, or a recording? (PROTOCOL.md section 4)
 *
 * A session becomes current by echoing a value that only this process can make and that no earlier session of the host was ever asked for.
 * The value is computed, not stored: an unproven session costs the receiver no memory. */
#ifndef RECEIVER_JUDGE_PROOF_H
#define RECEIVER_JUDGE_PROOF_H

#include <stddef.h>
#include <stdint.h>

#include "common/message.h"
#include "receiver/judge/host.h"

#define PROOF_SECRET_LEN 32

enum proof {
    PROOF_FRESH,    /* current session, new counter */
    PROOF_NEW,      /* the session has just become current */
    PROOF_REPEATED, /* current session, counter seen before: silence */
    PROOF_NEEDED    /* to be challenged */
};

/* The value that a session of this host must echo. `sessions` is the number of its sessions proven so far. */
void proof_challenge(uint8_t value[ECHO_LEN], const uint8_t secret[PROOF_SECRET_LEN], const char *name, size_t name_len,
                     uint64_t session, uint64_t sessions);

/* Judges session, counter and echo of a datagram. `host` may be NULL (never heard): then only PROOF_NEW or PROOF_NEEDED.
 * Changes the host's window when fresh; a new session is installed by proof_install, once there is a host. */
enum proof proof_check(struct host *host, const uint8_t secret[PROOF_SECRET_LEN], const char *name, size_t name_len,
                       uint64_t session, uint64_t counter, const uint8_t echo[ECHO_LEN]);

/* Makes the session current: every counter up to `counter` is used. */
void proof_install(struct host *host, uint64_t session, uint64_t counter);

#endif
