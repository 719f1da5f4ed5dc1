/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent_settings.h - what may stand in agent.conf, as values of the right type.
 *
 *     receivers = {"recv1.example.net:2004", "recv2.example.net"}
 *     key_file = "/etc/twobeat/host.key"
 *     interval = "60s"                  250ms to 75m
 *     state_dir = "/var/lib/twobeat-agent"
 *     keep = 256                        heartbeats kept for receivers that are away; 0: none
 *     redundancy = 0                    how many of the receivers are spoken to (spread.h); 0: all
 *     ignore_filesystems = {"/mnt"}     mount points left out of the fullness figures, as shell patterns
 *     interfaces = {"eth0"}             counted as traffic; none named: all physical ones
 *
 * A file is taken whole or not at all. */
#ifndef AGENT_AGENT_SETTINGS_H
#define AGENT_AGENT_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "agent/agent.h"
#include "common/error.h"

#define AGENT_SETTINGS_HOST_SIZE 256
#define AGENT_SETTINGS_PORT_SIZE 6

#define AGENT_SETTINGS_ADDRESS_SIZE (AGENT_SETTINGS_HOST_SIZE + AGENT_SETTINGS_PORT_SIZE + 2)

/* Two that are the same are equal byte for byte. */
struct receiver_address {
    char host[AGENT_SETTINGS_HOST_SIZE]; /* name or numeric address, without brackets, in lower case */
    char port[AGENT_SETTINGS_PORT_SIZE]; /* without zeros in front */
};

/* A list of strings, owned by its settings. */
struct string_list {
    char **items;
    size_t count;
};

struct agent_settings {
    size_t receiver_count;
    struct receiver_address receivers[AGENT_RECEIVER_MAX]; /* in the order of the list */
    size_t listed_count;                                   /* as many stand in the file */
    size_t redundancy;                                     /* 0: all */
    char *key_file;
    int64_t interval_ns;
    uint32_t keep;
    char *state_dir;
    struct string_list ignore_filesystems;
    struct string_list interfaces;
};

/* Loads the file at `path`, which must be private. Returns 0, or -1 with `error` set and `out` untouched. Free with
 * agent_settings_clear. */
int agent_settings_load(struct agent_settings *out, const char *path, struct error *error);
/* The same for text in memory; `name` stands for the file. */
int agent_settings_parse(struct agent_settings *out, const char *text, const char *name, struct error *error);

/* Leaves of the listed receivers those that the host of that name speaks to. Warns if there are fewer than wanted. */
void agent_settings_spread(struct agent_settings *settings, const char *host_name);

#define AGENT_SETTINGS_RECEIVERS_SIZE 1024
/* The receivers that are spoken to, for people: all of them, as far as there is room. Returns `text`. */
const char *agent_settings_receivers_text(char text[AGENT_SETTINGS_RECEIVERS_SIZE],
                                          const struct agent_settings *settings);

/* "name:port" or "[address]:port". Returns `text`. */
const char *receiver_address_text(char text[AGENT_SETTINGS_ADDRESS_SIZE], const struct receiver_address *address);
/* Reads what may stand in the list of receivers. Returns 0, or -1 if it is none of that. */
int receiver_address_parse(struct receiver_address *out, const char *text);

/* Frees what the settings own. */
void agent_settings_clear(struct agent_settings *settings);

#endif
