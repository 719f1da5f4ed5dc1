/* SPDX-License-Identifier: GPL-2.0-or-later */
/* key.h - the keys, how they follow from each other, and their text form (PROTOCOL.md section 1).
 *
 * Pure: libsodium computes, nothing is read or written. Key material lives in the caller's memory; wipe it with
 * sodium_memzero when done. */
#ifndef COMMON_KEY_H
#define COMMON_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/name.h"

#define KEY_LEN 32
#define KEY_TEXT_MAX 256 /* longest text form, newline and terminating zero included */

struct key {
    uint8_t bytes[KEY_LEN];
};

/* What an agent needs to speak: who it is and with which key. */
struct host_key {
    char name[NAME_LEN_MAX + 1];
    uint8_t generation;
    struct key key;
};

/* The key of a host of this site; `name` must be valid. */
void key_derive_host(struct key *out, const struct key *site, uint8_t generation, const char *name, size_t name_len);
/* The keys of the two directions, from a host key. */
void key_derive_agent(struct key *out, const struct key *host);
void key_derive_ack(struct key *out, const struct key *host);
/* The key with which receiver `from` speaks to receiver `to`; both names must be valid. */
void key_derive_peer(struct key *out, const struct key *site, const char *from, const char *to);
/* The key of the web pages, from a site key. */
void key_derive_view(struct key *out, const struct key *site);

/* The text of a key file, comment lines included. Writes at most KEY_TEXT_MAX bytes and returns their number. */
size_t key_site_format(char out[KEY_TEXT_MAX], const struct key *site);
size_t key_view_format(char out[KEY_TEXT_MAX], const struct key *view);
size_t key_host_format(char out[KEY_TEXT_MAX], const struct host_key *host);

/* Parse the text of a key file; `where` names it in the error line. A key of zeros only is refused: a placeholder.
 * Return 0 or -1 with `error` set. */
int key_site_parse(struct key *out, const char *text, const char *where, struct error *error);
int key_host_parse(struct host_key *out, const char *text, const char *where, struct error *error);

#endif
