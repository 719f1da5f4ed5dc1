/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon_internal.h - what daemon.c (the turns of the loop, signals) and daemon_start.c (set-up and end) share. For these two only. */
#ifndef RECEIVER_LISTEN_DAEMON_INTERNAL_H
#define RECEIVER_LISTEN_DAEMON_INTERNAL_H

#include <uv.h>

#include "receiver/listen/control.h"
#include "receiver/listen/daemon.h"
#include "receiver/listen/judging_clock.h"
#include "receiver/listen/keeper.h"
#include "receiver/listen/notices.h"
#include "receiver/listen/udp.h"
#include "receiver/record/calendar.h"

struct listener {
    struct udp_socket udp;
    uv_poll_t poll;
    struct daemon *daemon;
};

struct daemon {
    uv_loop_t loop;
    struct receiver_settings settings;
    const char *config;
    char zone[CALENDAR_ZONE_MAX]; /* time_zone, or what the system's is called */
    struct receiver *receiver;
    struct intake *intake;
    struct peering *peering;
    struct instant gateway_seen_at;
    struct journal *journal;
    struct keeper *keeper;
    struct entered *entered;
    struct news *news;
    struct control *control;
    int lock;
    struct listener listeners[RECEIVER_LISTEN_MAX];
    size_t listener_count;
    const char *
        not_listening; /* an address of a family that this kernel does not have, of the settings at the start; or NULL */
    uv_timer_t tick;
    uv_signal_t on_term, on_int, on_hup;

    uint8_t boot_id[BOOT_ID_LEN];
    int64_t clock_offset_ns; /* instant = CLOCK_BOOTTIME + this */
    struct instant woke_at, wall_seen_at;
    int interfaces; /* the kernel tells of changes here, or -1 */
    uv_poll_t interfaces_poll;
    bool had_interfaces; /* without ever having had one, none is no loss */
    uint64_t dropped;    /* by the kernel */
    struct notices notices;
    int64_t watchdog_ns;
    struct instant watchdog_at;
    int status;
    struct udp_datagram in[UDP_BATCH], out[UDP_BATCH];
};

/* Where the judging clock stands. */
struct instant daemon_now(const struct daemon *daemon);
/* Gives the keys that the settings name to the intake. */
int daemon_use_keys(struct daemon *daemon, const struct receiver_settings *settings, struct error *error);

/* What the loop calls. */
void daemon_on_readable(uv_poll_t *poll, int status, int events);
void daemon_on_interfaces(uv_poll_t *poll, int status, int events);
void daemon_on_tick(uv_timer_t *timer);
void daemon_on_signal(uv_signal_t *signal, int number);

#define DAEMON_TICK_MS 100

#endif
