/* SPDX-License-Identifier: GPL-2.0-or-later */
/* neighbour.c - see neighbour.h. */
#include "tests/lib/neighbour.h"

#include <string.h>

void neighbour_init(struct neighbour *neighbour, uint64_t session)
{
    memset(neighbour, 0, sizeof *neighbour);
    neighbour->secret[0] = 99;
    (void)peers_add(&neighbour->peers, "core", session);
}

void neighbour_free(struct neighbour *neighbour)
{
    peers_free(&neighbour->peers);
}

void neighbour_restart(struct neighbour *neighbour, uint64_t session)
{
    peers_remove(&neighbour->peers, 0);
    (void)peers_add(&neighbour->peers, "core", session);
    neighbour->secret[1]++;
    neighbour->asked = 0;
}

bool neighbour_hear(struct neighbour *neighbour, struct instant now, const uint8_t *payload, size_t len)
{
    struct codec codec = codec_reader(payload, len);
    struct peer_head head;
    uint16_t count = 0;
    peer_head_visit(&codec, &head);
    if (codec.failed || peer_hear(neighbour->peers.peers[0], now, neighbour->secret, &head) != PEER_PROVEN)
        return false;
    struct codec body;
    uint8_t type;
    while (peer_item_next(&codec, &type, &body))
        count = (uint16_t)(count + (type == PEER_QUESTION));
    if (count > 0) {
        neighbour->asked = head.counter;
        neighbour->asked_count = count;
    }
    return true;
}

size_t neighbour_say(struct neighbour *neighbour, struct instant now, const uint8_t *items, size_t len,
                     uint8_t payload[PEER_PAYLOAD_MAX])
{
    struct codec codec = codec_writer(payload, PEER_PAYLOAD_MAX);
    peer_tell(neighbour->peers.peers[0], neighbour->secret, &codec);
    peer_note_told(neighbour->peers.peers[0], now, NULL);
    if (len > PEER_PAYLOAD_MAX - codec.pos)
        len = PEER_PAYLOAD_MAX - codec.pos;
    if (len > 0)
        memcpy(payload + codec.pos, items, len);
    return codec.pos + len;
}

void neighbour_meet(struct neighbour *neighbour, struct receiver *receiver, unsigned place, struct instant now)
{
    uint8_t payload[PEER_PAYLOAD_MAX], answer[PEER_PAYLOAD_MAX];
    for (int i = 0; i < 3; i++) {
        size_t len = neighbour_say(neighbour, now, NULL, 0, payload);
        len = receiver_hear_peer(receiver, now, place, payload, len, answer);
        if (len > 0)
            (void)neighbour_hear(neighbour, now, answer, len);
    }
}

size_t neighbour_answer(const struct neighbour *neighbour, const struct peer_answer *answer,
                        uint8_t items[PEER_PAYLOAD_MAX])
{
    struct codec codec = codec_writer(items, PEER_PAYLOAD_MAX);
    uint8_t type = PEER_ANSWERS;
    uint16_t len = (uint16_t)(PEER_ANSWERS_FIXED_LEN + neighbour->asked_count * PEER_ANSWER_LEN);
    uint64_t counter = neighbour->asked;
    if (counter == 0)
        return 0;
    peer_item_visit(&codec, &type, &len);
    codec_u64(&codec, &counter);
    for (uint16_t i = 0; i < neighbour->asked_count; i++) {
        struct peer_answer one = *answer; /* visiting may change it */
        peer_answer_visit(&codec, &one);
    }
    return codec.pos;
}
