/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receiver_settings.h - what /etc/twobeat/receiver.conf says. */
#ifndef RECEIVER_RECEIVER_SETTINGS_H
#define RECEIVER_RECEIVER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "receiver/listen/intake.h"

#define RECEIVER_LISTEN_MAX 16

/* Another receiver, as named in its own configuration. */
struct peer_setting {
    char name[NAME_LEN_MAX + 1];
    char *address; /* HOST:PORT, HOST may be a name */
};

struct receiver_settings {
    char *name;                        /* of this receiver; the machine's by default */
    char *listen[RECEIVER_LISTEN_MAX]; /* ADDRESS:PORT */
    size_t listen_count;
    char *data;
    char *site_key_files[INTAKE_SITE_KEYS_MAX];
    size_t site_key_count;
    uint8_t generations[256]; /* by number: 1 if valid */
    struct revocation *revoked;
    size_t revoked_count;
    int64_t flush_interval_ns; /* 0: by the number of hosts */
    bool conservative;         /* outage_edges */
    int64_t planned_limit_ns;
    char *time_zone; /* NULL: the system's */
    struct peer_setting peers[PEERS_MAX];
    size_t peer_count;
};

/* Reads and checks a file. Returns 0 with everything owned by `out` (release with receiver_settings_clear), or -1 with
 * `error` set and nothing to release. */
int receiver_settings_load(struct receiver_settings *out, const char *path, struct error *error);
/* The same for text; `name` stands for the file. */
int receiver_settings_parse(struct receiver_settings *out, const char *text, const char *name, struct error *error);
void receiver_settings_clear(struct receiver_settings *settings);

#endif
