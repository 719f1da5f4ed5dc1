/* SPDX-License-Identifier: GPL-2.0-or-later */
/* codec.c - see codec.h. */
#include "common/codec.h"

#include <string.h>

struct codec codec_reader(const void *buf, size_t len)
{
    return (struct codec){.in = buf, .len = len};
}

struct codec codec_writer(void *buf, size_t len)
{
    return (struct codec){.out = buf, .len = len};
}

void codec_bytes(struct codec *c, void *bytes, size_t len)
{
    if (c->failed || codec_left(c) < len) {
        c->failed = true;
        if (codec_is_reading(c))
            memset(bytes, 0, len);
        return;
    }
    if (len == 0)
        return;
    if (codec_is_reading(c))
        memcpy(bytes, c->in + c->pos, len);
    else
        memcpy(c->out + c->pos, bytes, len);
    c->pos += len;
}

/* Visits an unsigned number of `len` bytes, most significant first. */
static void visit_unsigned(struct codec *c, uint64_t *value, size_t len)
{
    uint8_t raw[8];
    if (!codec_is_reading(c))
        for (size_t i = 0; i < len; i++)
            raw[i] = (uint8_t)(*value >> (8 * (len - 1 - i)));
    codec_bytes(c, raw, len);
    if (codec_is_reading(c)) {
        *value = 0;
        for (size_t i = 0; i < len; i++)
            *value = *value << 8 | raw[i];
    }
}

void codec_u8(struct codec *c, uint8_t *value)
{
    codec_bytes(c, value, 1);
}

void codec_u16(struct codec *c, uint16_t *value)
{
    uint64_t wide = *value;
    visit_unsigned(c, &wide, 2);
    *value = (uint16_t)wide;
}

void codec_u32(struct codec *c, uint32_t *value)
{
    uint64_t wide = *value;
    visit_unsigned(c, &wide, 4);
    *value = (uint32_t)wide;
}

void codec_u64(struct codec *c, uint64_t *value)
{
    visit_unsigned(c, value, 8);
}

void codec_i64(struct codec *c, int64_t *value)
{
    uint64_t wide;
    memcpy(&wide, value, sizeof wide);
    visit_unsigned(c, &wide, 8);
    memcpy(value, &wide, sizeof wide);
}

void codec_f32(struct codec *c, float *value)
{
    uint32_t bits;
    memcpy(&bits, value, sizeof bits);
    codec_u32(c, &bits);
    memcpy(value, &bits, sizeof bits);
}

void codec_f64(struct codec *c, double *value)
{
    uint64_t bits;
    memcpy(&bits, value, sizeof bits);
    codec_u64(c, &bits);
    memcpy(value, &bits, sizeof bits);
}

static void varint_read(struct codec *c, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = 0;
        codec_u8(c, &byte);
        if (shift == 63 && byte > 1) /* the tenth byte holds one bit */
            c->failed = true;
        if (c->failed)
            break;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return;
    }
    c->failed = true;
    *value = 0;
}

void codec_varint(struct codec *c, uint64_t *value)
{
    if (codec_is_reading(c)) {
        varint_read(c, value);
        return;
    }
    uint64_t rest = *value;
    do {
        uint8_t byte = rest & 0x7f;
        rest >>= 7;
        if (rest)
            byte |= 0x80;
        codec_u8(c, &byte);
    } while (rest);
}

void codec_svarint(struct codec *c, int64_t *value)
{
    uint64_t wide;
    memcpy(&wide, value, sizeof wide);
    wide = (wide << 1) ^ (*value < 0 ? UINT64_MAX : 0);
    codec_varint(c, &wide);
    if (codec_is_reading(c)) {
        wide = (wide >> 1) ^ (wide & 1 ? UINT64_MAX : 0);
        memcpy(value, &wide, sizeof wide);
    }
}
