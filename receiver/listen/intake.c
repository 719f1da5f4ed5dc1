/* SPDX-License-Identifier: GPL-2.0-or-later */
/* intake.c - see intake.h. */
#include "receiver/listen/intake.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/message.h"
#include "receiver/listen/peering.h"

/* The keys that a known host last spoke with. */
struct known_keys {
    bool set;
    bool of_alias; /* not of its present name: what is sealed for one of the two must not open under the other */
    uint8_t generation;
    struct key agent, ack;
};

struct intake {
    struct receiver *receiver;
    struct intake_keys keys;
    struct peering *peering;
    struct revocation *revoked;
    struct known_keys *known; /* by host id */
    uint32_t known_count;
    uint64_t statistics[INTAKE_STATISTIC_COUNT];
};

struct intake *intake_create(struct receiver *receiver)
{
    struct intake *intake = calloc(1, sizeof *intake);
    if (intake)
        intake->receiver = receiver;
    return intake;
}

static void forget_known(struct intake *intake)
{
    if (intake->known)
        sodium_memzero(intake->known, intake->known_count * sizeof *intake->known);
    free(intake->known);
    intake->known = NULL;
    intake->known_count = 0;
}

void intake_destroy(struct intake *intake)
{
    if (!intake)
        return;
    forget_known(intake);
    free(intake->revoked);
    sodium_memzero(intake, sizeof *intake);
    free(intake);
}

int intake_set_keys(struct intake *intake, const struct intake_keys *keys)
{
    struct revocation *revoked = calloc(keys->revoked_count + 1, sizeof *revoked);
    if (!revoked)
        return -1;
    if (keys->revoked_count)
        memcpy(revoked, keys->revoked, keys->revoked_count * sizeof *revoked);
    free(intake->revoked);
    intake->keys = *keys;
    intake->keys.revoked = intake->revoked = revoked;
    forget_known(intake);
    return 0;
}

void intake_set_peering(struct intake *intake, struct peering *peering)
{
    intake->peering = peering;
}

void intake_forget_host(struct intake *intake, uint32_t host)
{
    if (host < intake->known_count)
        sodium_memzero(&intake->known[host], sizeof intake->known[host]);
}

static bool is_valid_key(const struct intake *intake, const struct datagram *datagram)
{
    if (!intake->keys.generations[datagram->generation])
        return false;
    for (size_t i = 0; i < intake->keys.revoked_count; i++) {
        const struct revocation *r = &intake->revoked[i];
        if (strlen(r->name) == datagram->name_len && memcmp(r->name, datagram->name, datagram->name_len) == 0 &&
            (r->generation == 0 || r->generation == datagram->generation))
            return false;
    }
    return true;
}

/* Remembers the keys of a host; without memory they are derived again next time. */
static void remember(struct intake *intake, const struct host *host, const struct known_keys *keys)
{
    if (host->id >= intake->known_count) {
        uint32_t count = host->id + 64 + intake->known_count / 2;
        struct known_keys *known = calloc(count, sizeof *known);
        if (!known)
            return;
        if (intake->known)
            memcpy(known, intake->known, intake->known_count * sizeof *known);
        uint32_t before = intake->known_count;
        if (intake->known)
            sodium_memzero(intake->known, before * sizeof *known);
        free(intake->known);
        intake->known = known;
        intake->known_count = count;
    }
    intake->known[host->id] = *keys;
}

static bool open_with_known(struct intake *intake, const struct host *host, const struct datagram *datagram,
                            uint8_t *payload, size_t *payload_len, struct known_keys *keys)
{
    if (!host || host->id >= intake->known_count)
        return false;
    const struct known_keys *known = &intake->known[host->id];
    if (!known->set || known->of_alias != keys->of_alias || known->generation != datagram->generation ||
        datagram_open(payload, payload_len, datagram, &known->agent) != 0)
        return false;
    *keys = *known;
    return true;
}

/* Opens with the remembered key, else with every site key in turn. */
static bool open_datagram(struct intake *intake, const struct datagram *datagram, uint8_t *payload, size_t *payload_len,
                          struct known_keys *keys)
{
    const struct host *host = host_table_find(receiver_hosts(intake->receiver), datagram->name, datagram->name_len);
    keys->of_alias = host && (strlen(host->name) != datagram->name_len ||
                              memcmp(host->name, datagram->name, datagram->name_len) != 0);
    if (open_with_known(intake, host, datagram, payload, payload_len, keys))
        return true;
    for (size_t i = 0; i < intake->keys.site_count; i++) {
        struct key host_key;
        key_derive_host(&host_key, &intake->keys.sites[i], datagram->generation, datagram->name, datagram->name_len);
        key_derive_agent(&keys->agent, &host_key);
        key_derive_ack(&keys->ack, &host_key);
        sodium_memzero(&host_key, sizeof host_key);
        if (datagram_open(payload, payload_len, datagram, &keys->agent) == 0) {
            keys->set = true;
            keys->generation = datagram->generation;
            return true;
        }
    }
    return false;
}

/* Hands the payload to the core. False if it makes no sense. */
static bool hear(struct intake *intake, struct instant now, const struct datagram *datagram, const uint8_t *payload,
                 size_t payload_len, struct receiver_answer *answer)
{
    union {
        struct beat beat;
        struct bye bye;
    } message;
    if (datagram->type == DATAGRAM_BEAT) {
        if (beat_decode(&message.beat, payload, payload_len) != 0)
            return false;
        *answer = receiver_hear_beat(intake->receiver, now, datagram->name, datagram->name_len, &message.beat);
    } else {
        if (bye_decode(&message.bye, payload, payload_len) != 0)
            return false;
        *answer = receiver_hear_bye(intake->receiver, now, datagram->name, datagram->name_len, &message.bye);
    }
    return true;
}

static size_t seal_answer(struct intake *intake, const struct datagram *question, const struct receiver_answer *answer,
                          const struct key *key, uint8_t *out)
{
    uint8_t payload[64], fresh[DATAGRAM_RANDOM_LEN];
    size_t payload_len;
    enum datagram_type type;
    switch (answer->type) {
    case ANSWER_ACK:
        type = DATAGRAM_ACK;
        payload_len = ack_encode(&answer->ack, payload);
        intake->statistics[INTAKE_ACKS]++;
        break;
    case ANSWER_CHALLENGE:
        type = DATAGRAM_CHALLENGE;
        payload_len = challenge_encode(&answer->challenge, payload);
        intake->statistics[INTAKE_CHALLENGES]++;
        break;
    case ANSWER_NONE:
    default: return 0;
    }
    randombytes_buf(fresh, sizeof fresh);
    return datagram_seal(out, type, question->generation, question->name, question->name_len, payload, payload_len, key,
                         fresh);
}

static size_t take(struct intake *intake, struct instant now, const struct datagram *datagram, uint8_t *out)
{
    uint8_t payload[DATAGRAM_PAYLOAD_MAX];
    size_t payload_len;
    struct known_keys keys = {0};
    struct receiver_answer answer;
    size_t len = 0;
    if (!open_datagram(intake, datagram, payload, &payload_len, &keys)) {
        intake->statistics[INTAKE_BAD_SEAL]++;
    } else if (!hear(intake, now, datagram, payload, payload_len, &answer)) {
        intake->statistics[INTAKE_BAD_PAYLOAD]++;
    } else {
        if (answer.host && answer.type == ANSWER_ACK)
            remember(intake, answer.host, &keys);
        len = seal_answer(intake, datagram, &answer, &keys.ack, out);
    }
    sodium_memzero(&keys, sizeof keys);
    return len <= datagram->len ? len : 0;
}

size_t intake_datagram(struct intake *intake, struct instant now, const uint8_t *bytes, size_t len, uint8_t *answer)
{
    struct datagram datagram;
    intake->statistics[INTAKE_RECEIVED]++;
    switch (datagram_parse(&datagram, bytes, len)) {
    case DATAGRAM_OK: break;
    case DATAGRAM_BAD_LENGTH: intake->statistics[INTAKE_BAD_LENGTH]++; return 0;
    case DATAGRAM_BAD_VERSION: intake->statistics[INTAKE_BAD_VERSION]++; return 0;
    case DATAGRAM_BAD_HEADER: intake->statistics[INTAKE_BAD_HEADER]++; return 0;
    }
    if (datagram.type == DATAGRAM_PEER && intake->peering) {
        bool opened;
        size_t answer_len = peering_hear(intake->peering, now, &datagram, answer, &opened);
        intake->statistics[opened ? INTAKE_PEER : INTAKE_BAD_SEAL]++;
        return answer_len;
    }
    if (datagram.type != DATAGRAM_BEAT && datagram.type != DATAGRAM_BYE) {
        intake->statistics[INTAKE_BAD_HEADER]++;
        return 0;
    }
    if (!is_valid_key(intake, &datagram)) {
        intake->statistics[INTAKE_UNKNOWN_KEY]++;
        return 0;
    }
    return take(intake, now, &datagram, answer);
}

const uint64_t *intake_statistics(const struct intake *intake)
{
    return intake->statistics;
}
