/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receiver_weigh.c - what other receivers and the gateway say is weighed before a host is judged (path.h tells what comes of it):
 *
 *   somebody answered       those who judge the host have not heard it: it is down
 *   somebody was there      but did not answer, or does not judge it: as if there was nobody
 *   all were lost with it   nobody can tell
 *   all were lost before    as if there was nobody
 *
 * A peer is there if something of ours reached it since the host is late, or if it goes on speaking though it has long not heard us. What
 * of its reaches us may have been under way since before contact was lost. */
#include "receiver/judge/receiver_internal.h"

/* A beat of a peer may come later than the one before by that much. */
#define SLOW_BEAT_NS (2 * NS_PER_S)

void receiver_note_contact(struct receiver *receiver, struct instant now)
{
    struct fact fact = {.type = FACT_CONTACT, .now = now};
    receiver->peers.cut_off = false;
    for (uint32_t id = 1; id <= receiver->hosts.count; id++) {
        const struct silence *s = receiver->hosts.hosts[id] ? host_open_silence(receiver->hosts.hosts[id]) : NULL;
        if (s && s->cut_off && !s->judged && !instant_before(s->contact_at, INSTANT_NEVER)) {
            receiver_note(receiver, &fact);
            return;
        }
    }
}

void receiver_expect_contact(struct receiver *receiver, struct instant now)
{
    if (receiver->peers.cut_off && !peers_any(&receiver->peers) && !receiver->peers.gateway_lost)
        receiver_note_contact(receiver, now);
}

/* Whether that peer went on speaking long after it last heard us, for as long as its answers take: it is one that does not hear, and no
 * contact that was lost. */
static bool is_deaf_to_us(const struct peer *peer)
{
    bool answered = instant_before(INSTANT_LONG_AGO, peer->contact_at); /* else it has only proven itself */
    int64_t answer_ns = answered ? instant_since(peer->confirmed_at, peer->contact_at) : 0;
    return instant_since(peer->heard_at, peer->confirmed_at) >= PEER_LOST_NS + answer_ns;
}

bool receiver_is_vouched_for(const struct receiver *receiver, const struct host *host)
{
    const struct silence_record *record = host->silence;
    if (record && !record->facts.ended && record->peers_silent)
        return true;
    if (record && record->peers_strange)
        return false; /* nobody else judges it */
    for (unsigned i = 0; i < PEERS_MAX; i++) {
        const struct peer *peer = receiver->peers.peers[i];
        if (!peer)
            continue;
        bool speaks = !instant_before(peer->heard_at, instant_add(host->deadline[1], -PEER_LOST_NS));
        if (!instant_before(peer->contact_at, host->deadline[0]) || (speaks && is_deaf_to_us(peer)))
            return true;
    }
    return false;
}

/* Whether there is contact, though no answer came in time: nobody waits for a slow one. */
static bool is_there(const struct peer *peer, const struct host *host, struct instant now)
{
    return !instant_before(peer->confirmed_at, host->deadline[0]) &&
           instant_since(now, peer->confirmed_at) < PEER_BEAT_NS + SLOW_BEAT_NS;
}

/* Whether contact with a peer, or the gateway, was lost together with the host; or again, after it had returned. Contact is what goes
 * both ways: one that is heard but does not hear us is no loss. */
static bool was_lost_together(const struct receiver *receiver, const struct host *host, struct instant now)
{
    int64_t apart_ns = receiver_together_ns(expectation_interval_ns(&host->expectation));
    const struct silence *s = host_open_silence(host);
    struct instant since = instant_add(s ? s->last : host->expectation.last, -apart_ns);
    const struct peers *peers = &receiver->peers;
    if (s && s->cut_off)
        since = s->contact_at;
    for (unsigned i = 0; i < PEERS_MAX; i++)
        if (peers->peers[i] && !instant_before(peers->peers[i]->confirmed_at, since) &&
            !is_there(peers->peers[i], host, now) && !is_deaf_to_us(peers->peers[i]))
            return true;
    return peers->gateway_lost && !instant_before(peers->gateway_lost_at, since);
}

static void weigh(struct receiver *receiver, struct host *host, struct instant now)
{
    const struct silence_record *record = host_open_silence(host) ? host->silence : NULL;
    struct fact fact = {.now = now, .host = host->id};
    if (record && record->peers_silent)
        fact.type = FACT_AGREED;
    else if (!receiver_is_vouched_for(receiver, host) && !(record && record->peers_strange) &&
             was_lost_together(receiver, host, now))
        fact.type = FACT_CUT_OFF;
    else
        return;
    receiver->peers.cut_off = receiver->peers.cut_off || fact.type == FACT_CUT_OFF;
    receiver_note(receiver, &fact);
}

void receiver_weigh_peers(struct receiver *receiver, struct instant now)
{
    struct peers *peers = &receiver->peers;
    const struct deadlines *deadlines = &receiver->deadlines;
    if (!peers_any(peers) && !peers->gateway_lost)
        return;
    /* What is noted moves entries, so they are listed first. */
    size_t count = 0;
    for (size_t i = 0; i < deadlines->count;) {
        uint32_t id = deadlines->entries[i].host;
        bool due = !instant_before(now, deadlines->entries[i].at);
        if (due && verdict_is_pending(receiver->hosts.hosts[id], now)) {
            void *list = peers->due;
            if (!receiver_grow(&list, &peers->due_capacity, count, sizeof *peers->due)) {
                receiver->failed = true;
                return;
            }
            peers->due = list;
            peers->due[count++] = id;
        }
        i = deadlines_walk(deadlines, i, due);
    }
    for (size_t i = 0; i < count; i++)
        weigh(receiver, receiver->hosts.hosts[peers->due[i]], now);
}

void receiver_gateway(struct receiver *receiver, struct instant now, bool lost)
{
    struct peers *peers = &receiver->peers;
    bool was_known = peers->gateway_known;
    if (was_known && lost == peers->gateway_lost)
        return;
    peers->gateway_known = true;
    peers->gateway_lost = lost;
    if (lost) /* one that never answered was lost with nobody */
        peers->gateway_lost_at = was_known ? now : INSTANT_LONG_AGO;
    else if (peers->cut_off)
        receiver_note_contact(receiver, now);
}
