/* SPDX-License-Identifier: GPL-2.0-or-later */
/* notices.c - see notices.h. */
#include "receiver/listen/notices.h"

#include <time.h>

#include "common/log.h"

enum { TIME_TEXT_MAX = 64 };
#define ROOM_CALM_NS (60 * NS_PER_S)

static const char *format_second(char out[TIME_TEXT_MAX], int64_t second)
{
    time_t t = (time_t)second;
    struct tm tm;
    (void)strftime(out, TIME_TEXT_MAX, "%F %T %Z", localtime_r(&t, &tm));
    return out;
}

static void tell_transition(const struct receiver *receiver, const struct transition *line)
{
    const struct host *host = receiver_hosts(receiver)->hosts[line->host];
    char since[TIME_TEXT_MAX], heard[TIME_TEXT_MAX];
    log_line(LOG_LEVEL_NOTICE, "%s: %s -> %s since %s%s%s, last heard %s", host->name, state_token(line->before),
             state_token(line->state), format_second(since, line->at), line->cause == CAUSE_NONE ? "" : ", ",
             cause_text(line->cause), format_second(heard, labels_second(receiver_labels(receiver), host->heard_at)));
}

static void tell_absence(struct notices *notices, const struct receiver *receiver, struct instant now)
{
    const struct absence *open = receiver_absence(receiver);
    char since[TIME_TEXT_MAX];
    if ((open != NULL) == notices->absent)
        return;
    notices->absent = open != NULL;
    if (!open) {
        log_line(LOG_LEVEL_WARNING, "can observe again; silent hosts get a fresh chance, the time between is unknown");
        return;
    }
    const char *why = open->cause == CAUSE_RECEIVER_OVERLOADED
                          ? "overloaded: the kernel drops datagrams, and beats may be among them"
                          : "cut off: no host is heard, or no network interface is up";
    log_line(LOG_LEVEL_WARNING, "%s, since %s (%.0f s); hosts that are silent meanwhile are unknown, not down", why,
             format_second(since, labels_second(receiver_labels(receiver), open->from)),
             (double)instant_since(now, open->from) / (double)NS_PER_S);
}

static void tell_peers(struct notices *notices, const struct receiver *receiver, struct instant now)
{
    const struct peers *peers = receiver_peers(receiver);
    char since[TIME_TEXT_MAX];
    for (unsigned i = 0; i < PEERS_MAX; i++) {
        const struct peer *peer = peers->peers[i];
        bool heard = peer && peer_is_heard(peer, now);
        if (!peer || (notices->met[i] != peer->session && !heard)) {
            notices->met[i] = 0;
            continue;
        }
        if (heard && (notices->met[i] != peer->session || notices->lost[i])) {
            log_line(LOG_LEVEL_INFO, "receiver %s is heard", peer->name);
            notices->met[i] = peer->session;
            notices->lost[i] = false;
        } else if (!heard && !notices->lost[i]) {
            if (peer->stopped)
                log_line(LOG_LEVEL_INFO, "receiver %s stops", peer->name);
            else
                log_line(LOG_LEVEL_WARNING, "receiver %s is not heard since %s; hosts are judged without it",
                         peer->name, format_second(since, labels_second(receiver_labels(receiver), peer->heard_at)));
            notices->lost[i] = true;
        }
    }
}

/* It is over when a host was taken on again; or nobody tried for a while, so that another shortage is another trouble. */
static void tell_room(struct notices *notices, const struct receiver *receiver, struct instant now)
{
    uint64_t no_room = receiver_statistics(receiver)[RECEIVER_NO_ROOM];
    uint32_t hosts = receiver_hosts(receiver)->count;
    if (no_room != notices->no_room) {
        complaint_raise(&notices->room_trouble, LOG_LEVEL_ERROR, now,
                        "no room for another host: out of memory, or %u hosts are too many; give the receiver more "
                        "memory; judging goes on, and new hosts are taken on as soon as there is room",
                        hosts);
        notices->no_room_at = now;
        notices->hosts = hosts;
    } else if (hosts > notices->hosts || instant_since(now, notices->no_room_at) >= ROOM_CALM_NS) {
        complaint_clear(&notices->room_trouble, "there is room for other hosts again");
    }
    notices->no_room = no_room;
}

void notices_tell(struct notices *notices, const struct receiver *receiver, struct instant now)
{
    const struct line_list *lines = receiver_lines(receiver);
    for (; notices->lines < lines->count; notices->lines++)
        tell_transition(receiver, &lines->lines[notices->lines]);
    tell_absence(notices, receiver, now);
    tell_peers(notices, receiver, now);
    tell_room(notices, receiver, now);
}

void notices_tell_wall(enum labels_change change, struct wall label, struct wall wall)
{
    char from[TIME_TEXT_MAX], to[TIME_TEXT_MAX];
    if (change == LABELS_SAME)
        return;
    (void)format_second(from, wall_seconds(label));
    (void)format_second(to, wall_seconds(wall));
    if (change == LABELS_FORWARD)
        log_line(LOG_LEVEL_WARNING, "the wall clock was set forward from %s to %s: the time between is unknown", from,
                 to);
    else if (wall.ns < label.ns)
        log_line(LOG_LEVEL_WARNING,
                 "the wall clock says %s, the record has come to %s: it waits or goes on slower until the clock has "
                 "caught up; judging goes on",
                 to, from);
    else
        log_line(LOG_LEVEL_INFO, "the wall clock was set from %s to %s", from, to);
}
