/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peers.c - see peers.h. */
#include "receiver/judge/peers.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static void destroy(struct peer *peer)
{
    if (!peer)
        return;
    free(peer->sent);
    free(peer);
}

void peers_free(struct peers *peers)
{
    for (unsigned i = 0; i < PEERS_MAX; i++)
        destroy(peers->peers[i]);
    deadlines_free(&peers->inquiries);
    free(peers->due);
}

bool peers_any(const struct peers *peers)
{
    for (unsigned i = 0; i < PEERS_MAX; i++)
        if (peers->peers[i])
            return true;
    return false;
}

int peers_find(const struct peers *peers, const char *name, size_t name_len)
{
    for (int i = 0; i < PEERS_MAX; i++) {
        const struct peer *peer = peers->peers[i];
        if (peer && strlen(peer->name) == name_len && memcmp(peer->name, name, name_len) == 0)
            return i;
    }
    return -1;
}

int peers_add(struct peers *peers, const char *name, uint64_t session)
{
    int place = 0;
    while (place < PEERS_MAX && peers->peers[place])
        place++;
    if (place == PEERS_MAX)
        return -1;
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer || !(peer->sent = calloc(PEER_SENT_MAX, sizeof *peer->sent))) {
        destroy(peer);
        return -1;
    }
    size_t len = strnlen(name, NAME_LEN_MAX);
    memcpy(peer->name, name, len);
    peer->session = session ? session : 1;
    peer->beat_at = peer->heard_at = peer->contact_at = peer->confirmed_at = INSTANT_LONG_AGO;
    peers->peers[place] = peer;
    return place;
}

void peers_remove(struct peers *peers, unsigned place)
{
    destroy(peers->peers[place]);
    peers->peers[place] = NULL;
}

void peers_resume(struct peers *peers, struct instant ended)
{
    for (unsigned i = 0; i < PEERS_MAX; i++)
        if (peers->peers[i] && instant_before(ended, INSTANT_NEVER))
            peers->peers[i]->confirmed_at = ended;
}

bool peer_is_heard(const struct peer *peer, struct instant now)
{
    return instant_since(now, peer->heard_at) < PEER_LOST_NS;
}

/* What its session must echo. */
static void challenge_value(const struct peer *peer, const uint8_t secret[PROOF_SECRET_LEN], uint64_t session,
                            uint8_t value[ECHO_LEN])
{
    proof_challenge(value, secret, peer->name, strlen(peer->name), session, peer->sessions_proven);
}

/* What the other side says of us: it wants a proof, or has heard a datagram of ours. */
static void hear_of_us(struct peer *peer, struct instant now, const struct peer_head *head)
{
    if (head->challenged == peer->session && memcmp(peer->echo, head->challenge, ECHO_LEN) != 0) {
        memcpy(peer->echo, head->challenge, ECHO_LEN);
        peer->echo_is_new = true;
    }
    /* While it challenges us, what it has heard was said in another session. It may challenge a recording at the same time: then it has
     * heard us as ever. */
    const struct peer_sent *sent = head->challenged == peer->session ? NULL : peer_asked(peer, head->heard);
    if (!peer->proven || !sent || !instant_before(peer->contact_at, sent->at))
        return;
    peer->contact_at = sent->at;
    peer->confirmed_at = now;
}

enum peer_hearing peer_hear(struct peer *peer, struct instant now, const uint8_t secret[PROOF_SECRET_LEN],
                            const struct peer_head *head)
{
    if (peer->proven && head->session == peer->their_session) {
        if (!replay_accept(&peer->window, head->counter))
            return PEER_DROPPED;
    } else {
        uint8_t value[ECHO_LEN];
        challenge_value(peer, secret, head->session, value);
        if (sodium_memcmp(value, head->echo, ECHO_LEN) != 0) {
            /* It may be a recording: only its session is answered, with a challenge. */
            peer->unproven = head->session;
            peer->challenge_is_new = true;
            if (!peer->proven) /* neither has heard the other yet: both must be challenged before anything is believed */
                hear_of_us(peer, now, head);
            return PEER_UNPROVEN;
        }
        peer->proven = true;
        peer->their_session = head->session;
        peer->sessions_proven++;
        replay_init(&peer->window, head->counter);
        peer->unproven = 0;
        peer->heard = 0;
        peer->confirmed_at = now; /* what it echoes has reached it */
    }
    if (head->counter > peer->heard)
        peer->heard = head->counter;
    peer->heard_at = now;
    peer->stopped = false;
    peer->datagrams++;
    hear_of_us(peer, now, head);
    return PEER_PROVEN;
}

bool peer_is_due(const struct peer *peer, struct instant now)
{
    return peer->echo_is_new || peer->challenge_is_new || !instant_before(now, peer->beat_at);
}

void peer_tell(struct peer *peer, const uint8_t secret[PROOF_SECRET_LEN], struct codec *out)
{
    struct peer_head head = {.session = peer->session, .counter = ++peer->counter, .heard = peer->heard};
    memcpy(head.echo, peer->echo, ECHO_LEN);
    if (peer->unproven) {
        head.challenged = peer->unproven;
        challenge_value(peer, secret, peer->unproven, head.challenge);
    }
    peer_head_visit(out, &head);
    peer->echo_is_new = peer->challenge_is_new = false;
}

void peer_note_told(struct peer *peer, struct instant now, const struct peer_batch *batch)
{
    struct peer_sent *sent = &peer->sent[peer->sent_next++ % PEER_SENT_MAX];
    *sent = (struct peer_sent){.counter = peer->counter, .at = now};
    if (batch) {
        sent->count = batch->count;
        memcpy(sent->hosts, batch->hosts, batch->count * sizeof *batch->hosts);
    }
    peer->beat_at = instant_add(now, PEER_BEAT_NS);
}

void peer_take_leave(struct peer *peer)
{
    peer->stopped = true;
    peer->heard_at = peer->contact_at = peer->confirmed_at = INSTANT_LONG_AGO;
}

const struct peer_sent *peer_asked(const struct peer *peer, uint64_t counter)
{
    for (unsigned i = 1; counter != 0 && i <= PEER_SENT_MAX; i++) { /* it is one of the latest, as a rule */
        const struct peer_sent *sent = &peer->sent[(peer->sent_next - i) % PEER_SENT_MAX];
        if (sent->counter == counter)
            return sent;
    }
    return NULL;
}
