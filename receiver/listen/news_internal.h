/* SPDX-License-Identifier: GPL-2.0-or-later */
/* news_internal.h - what news.c (telling) and news_take.c (taking) share. For these two only. */
#ifndef RECEIVER_LISTEN_NEWS_INTERNAL_H
#define RECEIVER_LISTEN_NEWS_INTERNAL_H

#include "receiver/listen/news.h"
#include "receiver/listen/news_outage.h"

enum { NEWS_CONFIRMED_MAX = 64, NEWS_WAITING_MAX = 256 };

/* The conversation with one peer. */
struct news_place {
    uint64_t session;       /* of the peer: with another one, all begins anew */
    struct instant next_at; /* not to be told anything before */
    struct peer_taken confirmed[NEWS_CONFIRMED_MAX];
    size_t confirmed_count;
    bool is_full[2]; /* of relabelled outages, of windows: that was told */
};

/* A peer's word on an outage that is not found here yet. */
struct news_waiting {
    char origin[NAME_LEN_MAX + 1];
    struct peer_taken taken; /* to be confirmed */
    struct outage_wish wish;
    char host[NAME_LEN_MAX + 1];
    char reason[PEER_NEWS_REASON_MAX + 1];
    struct instant since, next_at;
    unsigned tries;
    bool done; /* kept for a while, so that it is not looked for again */
};

struct news {
    uv_loop_t *loop;
    struct receiver *receiver;
    struct entered *entered;
    char *data; /* owned */
    struct news_place places[PEERS_MAX];
    struct instant looked_at, tidied_at;
    struct news_waiting *waiting; /* owned, NEWS_WAITING_MAX at most */
    size_t waiting_count;
    struct outage_lookup *lookup; /* the one that is under way */
};

/* Takes one piece of news. */
void news_take(struct news *news, struct instant now, unsigned place, const struct peer_news *item);
/* Puts taken windows where their peers say that they lie, if that is elsewhere by now, and lets go of old ones. */
void news_tidy(struct news *news, struct instant now);
/* Looks for the next outage that was told of. */
void news_look_for_outages(struct news *news, struct instant now);
/* Notes that the peer is to be told that this is taken. */
void news_confirm(struct news *news, unsigned place, const struct peer_taken *taken);

#endif
