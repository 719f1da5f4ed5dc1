/* SPDX-License-Identifier: GPL-2.0-or-later */
/* voice.c - see voice.h. */
#include "agent/voice.h"

#include <sodium.h>
#include <string.h>

void voice_init(struct voice *voice, const struct host_key *host)
{
    voice->host = host;
    key_derive_agent(&voice->agent_key, &host->key);
    key_derive_ack(&voice->ack_key, &host->key);
}

void voice_clear(struct voice *voice)
{
    sodium_memzero(&voice->agent_key, sizeof voice->agent_key);
    sodium_memzero(&voice->ack_key, sizeof voice->ack_key);
}

size_t voice_seal(const struct voice *voice, const struct agent_message *message, uint8_t datagram[DATAGRAM_LEN_MAX])
{
    uint8_t payload[BEAT_LEN_MAX], fresh[DATAGRAM_RANDOM_LEN];
    size_t len = message->is_bye ? bye_encode(&message->bye, payload) : beat_encode(&message->beat, payload);
    randombytes_buf(fresh, sizeof fresh);
    return datagram_seal(datagram, message->is_bye ? DATAGRAM_BYE : DATAGRAM_BEAT, voice->host->generation,
                         voice->host->name, strlen(voice->host->name), payload, len, &voice->agent_key, fresh);
}

bool voice_open(const struct voice *voice, struct voice_answer *out, const uint8_t *bytes, size_t len)
{
    struct datagram datagram;
    uint8_t payload[DATAGRAM_PAYLOAD_MAX];
    size_t payload_len = 0;
    if (datagram_parse(&datagram, bytes, len) != DATAGRAM_OK || datagram.generation != voice->host->generation ||
        datagram.name_len != strlen(voice->host->name) ||
        memcmp(datagram.name, voice->host->name, datagram.name_len) != 0)
        return false;
    if (datagram.type != DATAGRAM_ACK && datagram.type != DATAGRAM_CHALLENGE)
        return false;
    if (datagram_open(payload, &payload_len, &datagram, &voice->ack_key) != 0)
        return false;
    out->is_challenge = datagram.type == DATAGRAM_CHALLENGE;
    return out->is_challenge ? challenge_decode(&out->challenge, payload, payload_len) == 0
                             : ack_decode(&out->ack, payload, payload_len) == 0;
}
