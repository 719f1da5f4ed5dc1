/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon.c - see daemon.h.
 *
 * One turn of the loop: read the clock once, take every datagram that waits, then judge, then let the keeper do what is
 * due. So no host is judged late because its beat still lay in a socket. The clock is CLOCK_BOOTTIME, continued over
 * restarts: the wall clock is read for the labels of the record only. */
#include "receiver/listen/daemon.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/sd_notify.h"
#include "receiver/listen/daemon_internal.h"
#include "receiver/listen/gateway.h"
#include "receiver/listen/interfaces.h"
#include "receiver/listen/peering.h"

#define STALL_MIN_NS NS_PER_S    /* the loop overslept by this much: it could not observe */
enum { BATCHES_PER_TURN = 256 }; /* more than this waiting is a flood: the rest is for the next turn */

struct instant daemon_now(const struct daemon *daemon)
{
    return (struct instant){judging_clock_read_ns(CLOCK_BOOTTIME) + daemon->clock_offset_ns};
}

/* ---- one turn ---- */

/* Takes what waits in one socket. False if it gave up before the end. */
static bool drain(struct daemon *daemon, struct udp_socket *udp, struct instant now)
{
    for (int i = 0; i < BATCHES_PER_TURN; i++) {
        uint64_t dropped = 0;
        size_t count = udp_receive(udp, daemon->in, &dropped);
        daemon->dropped += dropped;
        receiver_took(daemon->receiver, now, count, dropped); /* before what it says of them is judged */
        const struct udp_datagram *answers[UDP_BATCH];
        size_t answer_count = 0;
        for (size_t k = 0; k < count; k++) {
            struct udp_datagram *answer = &daemon->out[answer_count];
            answer->len = intake_datagram(daemon->intake, now, daemon->in[k].bytes, daemon->in[k].len, answer->bytes);
            if (answer->len == 0)
                continue;
            answer->peer = daemon->in[k].peer;
            answers[answer_count++] = answer;
        }
        if (answer_count)
            (void)udp_send(udp, answers, answer_count);
        if (count < UDP_BATCH)
            return true;
    }
    return false;
}

static void notice_stall(struct daemon *daemon, struct instant now)
{
    int64_t overslept_ns = instant_since(now, daemon->woke_at) - DAEMON_TICK_MS * NS_PER_MS;
    if (overslept_ns < STALL_MIN_NS)
        return;
    log_line(LOG_LEVEL_WARNING, "could not observe for %.1f s (stalled or suspended); deadlines in that time are moved",
             (double)overslept_ns / (double)NS_PER_S);
    receiver_stalled(daemon->receiver, instant_add(now, -overslept_ns), now);
}

#define GATEWAY_EVERY_NS (5 * NS_PER_S)

static void look_at_gateway(struct daemon *daemon, struct instant now)
{
    if (instant_since(now, daemon->gateway_seen_at) < GATEWAY_EVERY_NS)
        return;
    daemon->gateway_seen_at = now;
    bool lost = gateway_is_lost(), was_lost = receiver_peers(daemon->receiver)->gateway_lost;
    if (lost != was_lost)
        log_line(LOG_LEVEL_WARNING, lost ? "the gateway of this machine does not answer" : "the gateway answers again");
    receiver_gateway(daemon->receiver, now, lost);
}

/* Once a second: is the wall clock still what the record takes it to be? */
static void look_at_wall(struct daemon *daemon, struct instant now)
{
    if (instant_since(now, daemon->wall_seen_at) < NS_PER_S)
        return;
    daemon->wall_seen_at = now;
    struct wall before = labels_of(receiver_labels(daemon->receiver), now);
    int64_t boottime_ns;
    struct wall wall = judging_clock_read_wall(&boottime_ns);
    wall.ns -= boottime_ns + daemon->clock_offset_ns - now.ns; /* as it was then: this turn may have been held up */
    notices_tell_wall(receiver_see_wall(daemon->receiver, now, wall), before, wall);
}

static void tell_peers(struct daemon *daemon, struct instant now, bool leave)
{
    struct udp_socket *sockets[RECEIVER_LISTEN_MAX];
    for (size_t i = 0; i < daemon->listener_count; i++)
        sockets[i] = &daemon->listeners[i].udp;
    (leave ? peering_leave : peering_turn)(daemon->peering, now, sockets, daemon->listener_count);
}

static void turn(struct daemon *daemon)
{
    struct instant now = daemon_now(daemon);
    bool drained = true;
    notice_stall(daemon, now); /* before what waited is heard: it is not late, we are */
    daemon->woke_at = now;
    for (size_t i = 0; i < daemon->listener_count; i++)
        drained = drain(daemon, &daemon->listeners[i].udp, now) && drained;
    look_at_gateway(daemon, now);
    if (drained)
        receiver_judge(daemon->receiver, now);
    tell_peers(daemon, now, false);
    look_at_wall(daemon, now); /* last: what was heard in this turn was heard before a jump */
    notices_tell(&daemon->notices, daemon->receiver, now);
    if (receiver_has_failed(daemon->receiver)) { /* something is missing in it: nothing more of it may be stored */
        if (daemon->status == 0)
            log_line(LOG_LEVEL_ERROR, "out of memory; stopping, so that a fresh start can replay the journal");
        daemon->status = 1;
        uv_stop(&daemon->loop);
        return;
    }
    keeper_tick(daemon->keeper, now);
    daemon->notices.lines = receiver_lines(daemon->receiver)->count;
}

void daemon_on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    turn(poll->data);
}

void daemon_on_interfaces(uv_poll_t *poll, int status, int events)
{
    struct daemon *daemon = poll->data;
    (void)status;
    (void)events;
    if (!interfaces_changed(daemon->interfaces))
        return;
    bool any = interfaces_any();
    daemon->had_interfaces = daemon->had_interfaces || any;
    turn(daemon); /* what came in before */
    receiver_isolated(daemon->receiver, daemon_now(daemon), daemon->had_interfaces && !any);
}

void daemon_on_tick(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    turn(daemon);
    if (daemon->watchdog_ns && instant_since(daemon->woke_at, daemon->watchdog_at) >= daemon->watchdog_ns) {
        daemon->watchdog_at = daemon->woke_at;
        sd_notify_send("WATCHDOG=1");
    }
}

/* ---- settings and signals ---- */

static bool differ(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) != 0 : a != b;
}

/* Sockets, data directory and time zone stay as they are until a restart. */
static bool needs_restart(const struct receiver_settings *a, const struct receiver_settings *b)
{
    if (strcmp(a->data, b->data) != 0 || differ(a->time_zone, b->time_zone) || a->listen_count != b->listen_count)
        return true;
    for (size_t i = 0; i < a->listen_count; i++)
        if (strcmp(a->listen[i], b->listen[i]) != 0)
            return true;
    return false;
}

static void reload(struct daemon *daemon)
{
    struct receiver_settings settings;
    struct error error;
    if (receiver_settings_load(&settings, daemon->config, &error) != 0) {
        log_line(LOG_LEVEL_ERROR, "%s; the old settings stay", error.text);
        return;
    }
    if (daemon_use_keys(daemon, &settings, &error) != 0) {
        log_line(LOG_LEVEL_ERROR, "%s; the old settings stay", error.text);
        receiver_settings_clear(&settings);
        return;
    }
    if (needs_restart(&daemon->settings, &settings))
        log_line(LOG_LEVEL_WARNING, "%s: `listen`, `data` and `time_zone` take effect with a restart only",
                 daemon->config);
    receiver_set_options(daemon->receiver, daemon_now(daemon), settings.planned_limit_ns, settings.conservative);
    keeper_set_flush_interval(daemon->keeper, settings.flush_interval_ns);
    receiver_settings_clear(&daemon->settings);
    daemon->settings = settings;
    log_line(LOG_LEVEL_INFO, "settings reloaded from %s", daemon->config);
}

void daemon_on_signal(uv_signal_t *signal, int number)
{
    struct daemon *daemon = signal->data;
    if (number == SIGHUP) {
        sd_notify_send("RELOADING=1");
        reload(daemon);
        sd_notify_send("READY=1");
        return;
    }
    sd_notify_send("STOPPING=1");
    uv_stop(&daemon->loop);
}

int daemon_run(struct daemon *daemon)
{
    for (size_t i = 0; i < daemon->listener_count; i++)
        log_line(LOG_LEVEL_INFO, "listening on %s", daemon->listeners[i].udp.name);
    log_line(LOG_LEVEL_INFO, "receiver %s, record in %s, %u hosts known", daemon->settings.name, daemon->settings.data,
             receiver_hosts(daemon->receiver)->count);
    if (daemon->not_listening)
        log_line(LOG_LEVEL_WARNING, "not listening on %s: this kernel does not have that address family",
                 daemon->not_listening);
    for (size_t i = 0; i < daemon->listener_count; i++)
        udp_begin(&daemon->listeners[i].udp);
    daemon->woke_at = daemon->watchdog_at = daemon_now(daemon);
    daemon->watchdog_ns = sd_notify_watchdog_ns();
    sd_notify_send("READY=1");
    (void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
    tell_peers(daemon, daemon_now(daemon), true);
    log_line(LOG_LEVEL_INFO, "stopping");
    return daemon->status;
}
