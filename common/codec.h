/* SPDX-License-Identifier: GPL-2.0-or-later */
/* codec.h - one description of a layout that both reads and writes it.
 *
 * A layout is written down once, as a function that visits its fields in order; whether the visit encodes or decodes
 * is a property of the codec. Reader and writer can therefore never disagree. Every access is bounded: past the end
 * the codec is marked `failed`, reads give zero, writes go nowhere. Integers are big-endian, doubles IEEE 754. */
#ifndef COMMON_CODEC_H
#define COMMON_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct codec {
    const uint8_t *in; /* set when decoding */
    uint8_t *out;      /* set when encoding */
    size_t len;        /* size of the buffer */
    size_t pos;        /* bytes done so far */
    bool failed;       /* a field did not fit: the result must not be used */
};

struct codec codec_reader(const void *buf, size_t len);
struct codec codec_writer(void *buf, size_t len);

static inline bool codec_is_reading(const struct codec *c)
{
    return c->in != NULL;
}
static inline size_t codec_left(const struct codec *c)
{
    return c->len - c->pos;
}

void codec_u8(struct codec *c, uint8_t *value);
void codec_u16(struct codec *c, uint16_t *value);
void codec_u32(struct codec *c, uint32_t *value);
void codec_u64(struct codec *c, uint64_t *value);
void codec_i64(struct codec *c, int64_t *value);
void codec_f32(struct codec *c, float *value);
void codec_f64(struct codec *c, double *value);
void codec_bytes(struct codec *c, void *bytes, size_t len);
/* LEB128: 7 bits a byte, low first; at most 10 bytes. Small numbers take one byte. */
void codec_varint(struct codec *c, uint64_t *value);
/* A signed number as a zigzag varint. */
void codec_svarint(struct codec *c, int64_t *value);

#endif
