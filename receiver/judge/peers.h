/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peers.h - the conversation with other receivers: who of them is alive, what they are asked, what they answer.
 *
 * Every 5 s, and whenever there is something to ask, each peer gets a datagram. Its session counts only after it echoed a value of this
 * process (as with agents, proof.h), so recorded conversations are worth nothing, and no clock is compared: ages travel, not times.
 * A question is answered at once with one datagram, never a longer one; what is answered is found by the counter of the
 * question, so nobody can tell of a host that was not asked for.
 *
 * Of this process only: what it leads to is a fact (path.h). No peer is ever waited for. */
#ifndef RECEIVER_JUDGE_PEERS_H
#define RECEIVER_JUDGE_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/replay.h"
#include "common/time.h"
#include "receiver/judge/budget.h"
#include "receiver/judge/deadlines.h"
#include "receiver/judge/peer_message.h"
#include "receiver/judge/proof.h"

enum { PEERS_MAX = 8, PEER_SENT_MAX = 256 };

#define PEER_BEAT_NS (5 * NS_PER_S)
/* Not heard for so long, a peer is lost: three beats. */
#define PEER_LOST_NS (15 * NS_PER_S)

/* A datagram that was sent to a peer lately, and which hosts it asked for. */
struct peer_sent {
    uint64_t counter;
    struct instant at;
    uint16_t count;
    uint32_t hosts[PEER_QUESTIONS_MAX];
};

struct peer {
    char name[NAME_LEN_MAX + 1];
    /* ours with it */
    uint64_t session, counter;
    uint8_t echo[ECHO_LEN];
    bool echo_is_new;       /* it waits for that */
    struct peer_sent *sent; /* owned; the latest PEER_SENT_MAX, in a circle */
    unsigned sent_next;
    struct instant beat_at; /* the next is due */
    /* its with us */
    bool proven;
    uint64_t their_session, sessions_proven;
    struct replay window;
    uint64_t unproven; /* the newest session that is to be challenged; 0: none */
    bool challenge_is_new;
    uint64_t heard;          /* its newest counter */
    struct instant heard_at; /* INSTANT_LONG_AGO: never */
    /* It heard a datagram of ours that was sent then: contact in both directions. Survives a restart by facts of the hosts only. */
    struct instant contact_at;
    struct instant confirmed_at; /* when we learned that */
    uint64_t datagrams;          /* proven ones */
    bool stopped;                /* it took its leave: it was not lost together with anybody */
};

/* Questions for all peers, on their way out. */
struct peer_batch {
    uint8_t items[PEER_PAYLOAD_MAX];
    size_t len;
    uint16_t count;
    uint32_t hosts[PEER_QUESTIONS_MAX];
    unsigned next; /* the peer that gets it next */
};

struct peers {
    struct peer *peers[PEERS_MAX]; /* owned; NULL: a free place */
    struct deadlines inquiries;    /* which host is asked for when */
    struct peer_batch batch;
    struct budget budget; /* of datagrams with questions */
    bool cut_off;         /* hosts may wait for contact */
    uint32_t *due;        /* room to list those that are about to be judged */
    size_t due_capacity;
    /* The gateway of this machine is a peer without a voice. */
    bool gateway_known; /* looked at before */
    bool gateway_lost;
    struct instant gateway_lost_at;
};

#define INSTANT_LONG_AGO ((struct instant){INT64_MIN / 2})

void peers_free(struct peers *peers);
/* Whether there is any. */
bool peers_any(const struct peers *peers);
/* The place of the peer of that name, or -1. */
int peers_find(const struct peers *peers, const char *name, size_t name_len);
/* Adds a peer with a fresh random session. Returns its place, or -1: out of memory or places. */
int peers_add(struct peers *peers, const char *name, uint64_t session);
void peers_remove(struct peers *peers, unsigned place);

/* The run before ended then (INSTANT_NEVER: there was none). Whether there was contact by then is not known; a peer that is not found again
 * may have been lost with the hosts that are silent since. */
void peers_resume(struct peers *peers, struct instant ended);

/* Whether a peer has been heard lately. */
bool peer_is_heard(const struct peer *peer, struct instant now);

enum peer_hearing { PEER_DROPPED, PEER_UNPROVEN, PEER_PROVEN };
/* Takes the head of an opened datagram. PROVEN: its items may be believed. */
enum peer_hearing peer_hear(struct peer *peer, struct instant now, const uint8_t secret[PROOF_SECRET_LEN],
                            const struct peer_head *head);
/* Whether a datagram without questions is due. */
bool peer_is_due(const struct peer *peer, struct instant now);
/* Writes the head of the next datagram. */
void peer_tell(struct peer *peer, const uint8_t secret[PROOF_SECRET_LEN], struct codec *out);
/* The datagram whose head was written last goes to the peer. `batch` is what it asks, NULL: nothing. Not for a challenge that answers
 * what is not proven: that may go to somebody else, and however many are sent, the peer is asked and told as ever. */
void peer_note_told(struct peer *peer, struct instant now, const struct peer_batch *batch);
/* It said that it stops. */
void peer_take_leave(struct peer *peer);
/* The datagram that an answer belongs to, NULL: none of the latest. */
const struct peer_sent *peer_asked(const struct peer *peer, uint64_t counter);

#endif
