/* SPDX-License-Identifier: GPL-2.0-or-later */
/* datagram.c - see datagram.h. */
#include "common/datagram.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "common/codec.h"

#define NAME_OFFSET DATAGRAM_HEADER_LEN
#define NONCE_OFFSET (DATAGRAM_HEADER_LEN - DATAGRAM_NONCE_LEN)

static_assert(DATAGRAM_NONCE_LEN == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
static_assert(DATAGRAM_TAG_LEN == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");
static_assert(KEY_LEN == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");

static const uint8_t datagram_magic[4] = {'2', 'B', 'T', 1};

/* The fixed part in front of the name. */
struct header {
    uint8_t magic[4];
    uint8_t type;
    uint8_t generation;
    uint8_t name_len;
    uint8_t zero;
    uint8_t nonce[DATAGRAM_NONCE_LEN];
};

static void header_visit(struct codec *c, struct header *header)
{
    codec_bytes(c, header->magic, sizeof header->magic);
    codec_u8(c, &header->type);
    codec_u8(c, &header->generation);
    codec_u8(c, &header->name_len);
    codec_u8(c, &header->zero);
    codec_bytes(c, header->nonce, sizeof header->nonce);
}

/* The reserved type is refused like unknown ones: nothing could be done with it, and no key is its yet. */
static bool type_is_known(uint8_t type)
{
    return type == DATAGRAM_BEAT || type == DATAGRAM_ACK || type == DATAGRAM_CHALLENGE || type == DATAGRAM_BYE ||
           type == DATAGRAM_PEER;
}

enum datagram_fault datagram_parse(struct datagram *out, const uint8_t *bytes, size_t len)
{
    struct header header = {.type = 0};
    if (len < DATAGRAM_HEADER_LEN || len > DATAGRAM_LEN_MAX)
        return DATAGRAM_BAD_LENGTH;
    struct codec c = codec_reader(bytes, len);
    header_visit(&c, &header);
    if (memcmp(header.magic, datagram_magic, sizeof datagram_magic) != 0)
        return DATAGRAM_BAD_VERSION;
    if (!type_is_known(header.type) || header.generation == 0 || header.zero != 0)
        return DATAGRAM_BAD_HEADER;
    if (codec_left(&c) < (size_t)header.name_len + DATAGRAM_TAG_LEN)
        return DATAGRAM_BAD_LENGTH;
    const char *name = (const char *)bytes + NAME_OFFSET;
    if (!name_is_valid(name, header.name_len))
        return DATAGRAM_BAD_HEADER;
    *out = (struct datagram){.type = (enum datagram_type)header.type,
                             .generation = header.generation,
                             .name = name,
                             .name_len = header.name_len,
                             .bytes = bytes,
                             .len = len};
    return DATAGRAM_OK;
}

int datagram_open(uint8_t *out, size_t *out_len, const struct datagram *datagram, const struct key *key)
{
    size_t head_len = NAME_OFFSET + datagram->name_len;
    unsigned long long opened_len = 0;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, &opened_len, NULL, datagram->bytes + head_len,
                                                   datagram->len - head_len, datagram->bytes, head_len,
                                                   datagram->bytes + NONCE_OFFSET, key->bytes) != 0)
        return -1;
    *out_len = (size_t)opened_len;
    return 0;
}

/* Random bytes alone would do, were it not for forks and restored snapshots: see PROTOCOL.md section 2. */
static void nonce_make(uint8_t nonce[DATAGRAM_NONCE_LEN], const uint8_t *payload, size_t payload_len,
                       const struct key *key, const uint8_t fresh[DATAGRAM_RANDOM_LEN])
{
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, key->bytes, KEY_LEN, DATAGRAM_NONCE_LEN);
    (void)crypto_generichash_update(&state, fresh, DATAGRAM_RANDOM_LEN);
    (void)crypto_generichash_update(&state, payload, payload_len);
    (void)crypto_generichash_final(&state, nonce, DATAGRAM_NONCE_LEN);
    sodium_memzero(&state, sizeof state);
}

size_t datagram_seal(uint8_t *out, enum datagram_type type, uint8_t generation, const char *name, size_t name_len,
                     const uint8_t *payload, size_t payload_len, const struct key *key,
                     const uint8_t fresh[DATAGRAM_RANDOM_LEN])
{
    assert(type_is_known((uint8_t)type) && generation > 0 && name_is_valid(name, name_len));
    size_t head_len = NAME_OFFSET + name_len;
    assert(head_len + payload_len + DATAGRAM_TAG_LEN <= DATAGRAM_LEN_MAX);

    struct header header = {.type = (uint8_t)type, .generation = generation, .name_len = (uint8_t)name_len};
    memcpy(header.magic, datagram_magic, sizeof datagram_magic);
    nonce_make(header.nonce, payload, payload_len, key, fresh);
    struct codec c = codec_writer(out, DATAGRAM_LEN_MAX);
    header_visit(&c, &header);
    memcpy(out + NAME_OFFSET, name, name_len);

    unsigned long long sealed_len = 0;
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(out + head_len, &sealed_len, payload, payload_len, out, head_len,
                                                     NULL, header.nonce, key->bytes);
    return head_len + (size_t)sealed_len;
}
