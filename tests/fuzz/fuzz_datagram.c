/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_datagram.c - any bytes as a datagram: parsed, and its payload opened, as it came and sealed with the key.
 *
 * A random seal never holds, so what parses is also sealed anew around its own payload: that must open again. */
#include <stdlib.h>
#include <string.h>

#include "common/datagram.h"
#include "common/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(enum datagram_type type, const uint8_t *payload, size_t len)
{
    union {
        struct beat beat;
        struct ack ack;
        struct challenge challenge;
        struct bye bye;
    } message;
    if (type == DATAGRAM_BEAT)
        (void)beat_decode(&message.beat, payload, len);
    else if (type == DATAGRAM_ACK)
        (void)ack_decode(&message.ack, payload, len);
    else if (type == DATAGRAM_CHALLENGE)
        (void)challenge_decode(&message.challenge, payload, len);
    else
        (void)bye_decode(&message.bye, payload, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct key key = {{1, 2, 3}};
    static const uint8_t fresh[DATAGRAM_RANDOM_LEN] = {4};
    uint8_t payload[DATAGRAM_PAYLOAD_MAX], sealed[DATAGRAM_LEN_MAX], opened[DATAGRAM_PAYLOAD_MAX];
    struct datagram datagram;
    size_t len = 0, opened_len = 0;
    if (datagram_parse(&datagram, data, size) != DATAGRAM_OK)
        return 0;
    if (datagram_open(payload, &len, &datagram, &key) == 0)
        decode(datagram.type, payload, len);
    size_t head = DATAGRAM_HEADER_LEN + datagram.name_len;
    size_t text_len = size - head - DATAGRAM_TAG_LEN;
    size_t sealed_len = datagram_seal(sealed, datagram.type, datagram.generation, datagram.name, datagram.name_len,
                                      data + head, text_len, &key, fresh);
    if (sealed_len != size || datagram_parse(&datagram, sealed, sealed_len) != DATAGRAM_OK ||
        datagram_open(opened, &opened_len, &datagram, &key) != 0 || opened_len != text_len ||
        (text_len > 0 && memcmp(opened, data + head, text_len) != 0))
        abort();
    decode(datagram.type, opened, opened_len);
    return 0;
}
