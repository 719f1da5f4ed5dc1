/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_message.c - any bytes as a payload: the first byte says of which kind. What decodes, encodes to the same bytes
 * again, as far as this version knows them. */
#include <stdlib.h>
#include <string.h>

#include "common/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BEAT_KNOWN_LEN (BEAT_FIXED_LEN + 8 * METRIC_COUNT)

static void beat(const uint8_t *payload, size_t len)
{
    struct beat beat, again;
    uint8_t out[BEAT_LEN_MAX];
    if (beat_decode(&beat, payload, len) != 0)
        return;
    size_t out_len = beat_encode(&beat, out);
    if (out_len > BEAT_LEN_MAX || beat_decode(&again, out, out_len) != 0)
        abort();
    /* Metrics that were left out come back as NaN; the fixed part is the same to the byte. */
    if (memcmp(out, payload, BEAT_FIXED_LEN) != 0 || out_len != BEAT_KNOWN_LEN)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ack ack;
    struct challenge challenge;
    struct bye bye;
    uint8_t out[64];
    if (size == 0)
        return 0;
    const uint8_t *payload = data + 1;
    size_t len = size - 1;
    size_t out_len = 0;
    switch (data[0] % 4) {
    case 0: beat(payload, len); return 0;
    case 1:
        if (ack_decode(&ack, payload, len) == 0)
            out_len = ack_encode(&ack, out);
        break;
    case 2:
        if (challenge_decode(&challenge, payload, len) == 0)
            out_len = challenge_encode(&challenge, out);
        break;
    default:
        if (bye_decode(&bye, payload, len) == 0)
            out_len = bye_encode(&bye, out) - 3; /* the zeros at its end are not read */
        break;
    }
    if (out_len > len || memcmp(out, payload, out_len) != 0)
        abort();
    return 0;
}
