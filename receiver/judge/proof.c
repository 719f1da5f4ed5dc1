/* SPDX-License-Identifier: GPL-2.0-or-later */
/* proof.c - see proof.h. */
#include "receiver/judge/proof.h"

#include <sodium.h>

void proof_challenge(uint8_t value[ECHO_LEN], const uint8_t secret[PROOF_SECRET_LEN], const char *name, size_t name_len,
                     uint64_t session, uint64_t sessions)
{
    crypto_generichash_state state;
    uint8_t numbers[16];
    struct codec codec = codec_writer(numbers, sizeof numbers);
    codec_u64(&codec, &session);
    codec_u64(&codec, &sessions);
    uint8_t len = (uint8_t)name_len;
    crypto_generichash_init(&state, secret, PROOF_SECRET_LEN, ECHO_LEN);
    crypto_generichash_update(&state, &len, 1);
    crypto_generichash_update(&state, (const uint8_t *)name, name_len);
    crypto_generichash_update(&state, numbers, sizeof numbers);
    crypto_generichash_final(&state, value, ECHO_LEN);
    sodium_memzero(&state, sizeof state);
}

enum proof proof_check(struct host *host, const uint8_t secret[PROOF_SECRET_LEN], const char *name, size_t name_len,
                       uint64_t session, uint64_t counter, const uint8_t echo[ECHO_LEN])
{
    if (host && host->proven && host->session == session)
        return replay_accept(&host->window, counter) ? PROOF_FRESH : PROOF_REPEATED;
    uint8_t value[ECHO_LEN];
    proof_challenge(value, secret, name, name_len, session, host ? host->sessions_proven : 0);
    return sodium_memcmp(value, echo, ECHO_LEN) == 0 ? PROOF_NEW : PROOF_NEEDED;
}

void proof_install(struct host *host, uint64_t session, uint64_t counter)
{
    host->proven = true;
    host->session = session;
    host->sessions_proven++;
    replay_init(&host->window, counter);
}
