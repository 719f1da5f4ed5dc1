/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peer_message.h - what two receivers say to each other inside the seal (PROTOCOL.md section 8, where the layout is drawn).
 *
 * Every datagram begins with the same 64 bytes: session and counter of its sender, what proves both sessions, and which datagram of
 * the other side was the last one heard. Items follow, each with type and length; a type that is not known is skipped, so receivers of
 * different versions understand each other. Pure. */
#ifndef RECEIVER_JUDGE_PEER_MESSAGE_H
#define RECEIVER_JUDGE_PEER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/codec.h"
#include "common/datagram.h"
#include "common/message.h"
#include "common/name.h"

#define PEER_HEAD_LEN 64
#define PEER_ITEM_HEAD_LEN 3
#define PEER_PAYLOAD_MAX (DATAGRAM_LEN_MAX - DATAGRAM_HEADER_LEN - NAME_LEN_MAX - DATAGRAM_TAG_LEN)

struct peer_head {
    uint64_t session; /* of the sender with this peer, drawn at its start */
    uint64_t counter; /* from 1, one for each datagram */
    uint8_t echo[ECHO_LEN];
    uint64_t challenged; /* the newest session of the other side that has not proven itself; 0: none */
    uint8_t challenge[ECHO_LEN];
    uint64_t heard; /* the newest counter heard in the other side's proven session; 0: none */
};

enum peer_item_type { PEER_QUESTION = 1, PEER_ANSWERS = 2, PEER_NEWS = 3, PEER_TAKEN = 4, PEER_LEAVE = 5 };

/* Have you heard this host since? Its last beat, as far as the asker knows. */
struct peer_question {
    uint64_t agent_start;
    uint32_t number;
    uint32_t age_ms; /* since it was due */
    uint16_t zero;
    char name[NAME_LEN_MAX + 1];
    size_t name_len;
};

enum peer_answer_kind {
    PEER_NOT_MINE = 1, /* it does not judge that host, or not now */
    PEER_SILENT = 2,   /* nothing later, and it was late here, too */
    PEER_HEARD = 3,    /* a beat that was due later */
    PEER_LATE = 4      /* so, but since then it is late here, too */
};

/* One answer for each question of a datagram, in their order. */
struct peer_answer {
    uint8_t kind;
    uint32_t age_ms;  /* since its newest beat was due; silent: since when this receiver would have heard one */
    uint32_t back_ms; /* heard: since when it has been up without a break; UINT32_MAX: ever */
    uint8_t state;    /* ... and what it was before that; unknown: the answerer did not hear it, and cannot tell */
    uint8_t cause;
};

/* What a person entered at the sender. */
enum peer_news_kind { PEER_NEWS_WINDOW = 1, PEER_NEWS_RELABEL = 2 };
enum { PEER_NEWS_NAME_MAX = 256, PEER_NEWS_REASON_MAX = 500 };

/* A maintenance window, or what an outage counts as. Times are differences to the sender's now, so that no clocks are compared. */
struct peer_news {
    uint64_t key;     /* the same for as long as the sender has its record */
    uint32_t version; /* another one when the times have changed */
    uint8_t kind;
    uint8_t open;           /* it has no end yet: to_ms means nothing */
    uint8_t state;          /* of a relabel: what it counts as */
    int64_t from_ms, to_ms; /* of the window, or of the outage */
    int64_t entered_ms;     /* when it was said */
    uint16_t name_len;      /* the pattern of the window, or the name of the host */
    char name[PEER_NEWS_NAME_MAX + 1], reason[PEER_NEWS_REASON_MAX + 1];
};

/* Some news need not be told again until the version changes. */
struct peer_taken {
    uint64_t key;
    uint32_t version;
};

/* Visits; a short or senseless one marks the codec failed. */
void peer_head_visit(struct codec *codec, struct peer_head *head);

/* The head of an item. When reading, `len` bytes are then to be visited as its body; fails if there are not as many. */
void peer_item_visit(struct codec *codec, uint8_t *type, uint16_t *len);
/* The next item that is read, and its body. False: there is none any more. */
bool peer_item_next(struct codec *items, uint8_t *type, struct codec *body);
/* The body of a question; the name takes what is left of `len`. */
void peer_question_visit(struct codec *codec, struct peer_question *question, uint16_t len);
void peer_answer_visit(struct codec *codec, struct peer_answer *answer);
/* The body of news; the reason takes what is left of `len`. When writing, `len` is peer_news_len. */
void peer_news_visit(struct codec *codec, struct peer_news *news, uint16_t len);
uint16_t peer_news_len(const struct peer_news *news);
void peer_taken_visit(struct codec *codec, struct peer_taken *taken);

#define PEER_QUESTION_FIXED_LEN 18
#define PEER_ANSWERS_FIXED_LEN 8 /* the counter of the datagram that asked */
#define PEER_ANSWER_LEN 11
#define PEER_NEWS_FIXED_LEN 41
#define PEER_TAKEN_LEN 12
/* Fifty years: what is further off is no news. */
#define PEER_NEWS_MS_MAX (INT64_C(50) * 366 * 86400 * 1000)
/* A datagram of questions asks at most this many: names have at least one byte, and every answer must fit. */
#define PEER_QUESTIONS_MAX ((PEER_PAYLOAD_MAX - PEER_HEAD_LEN) / (PEER_ITEM_HEAD_LEN + PEER_QUESTION_FIXED_LEN + 1))

#endif
