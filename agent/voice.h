/* SPDX-License-Identifier: GPL-2.0-or-later */
/* voice.h - seals what the cores of this host say, and opens what it is answered. */
#ifndef AGENT_VOICE_H
#define AGENT_VOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/agent.h"
#include "common/datagram.h"
#include "common/key.h"
#include "common/message.h"

struct voice {
    const struct host_key *host; /* borrowed */
    struct key agent_key, ack_key;
};

struct voice_answer {
    bool is_challenge; /* which one of the two it is */
    union {
        struct ack ack;
        struct challenge challenge;
    };
};

void voice_init(struct voice *voice, const struct host_key *host);
/* Wipes the keys. */
void voice_clear(struct voice *voice);

/* Returns the length. */
size_t voice_seal(const struct voice *voice, const struct agent_message *message, uint8_t datagram[DATAGRAM_LEN_MAX]);
/* False if it is no answer sealed for this host with the key of that direction. */
bool voice_open(const struct voice *voice, struct voice_answer *out, const uint8_t *bytes, size_t len);

#endif
