/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peer_message.c - see peer_message.h. */
#include "receiver/judge/peer_message.h"

#include <string.h>

#include "receiver/judge/state.h"

void peer_head_visit(struct codec *codec, struct peer_head *head)
{
    codec_u64(codec, &head->session);
    codec_u64(codec, &head->counter);
    codec_bytes(codec, head->echo, sizeof head->echo);
    codec_u64(codec, &head->challenged);
    codec_bytes(codec, head->challenge, sizeof head->challenge);
    codec_u64(codec, &head->heard);
    if (codec_is_reading(codec) && (head->session == 0 || head->counter == 0))
        codec->failed = true;
}

void peer_item_visit(struct codec *codec, uint8_t *type, uint16_t *len)
{
    codec_u8(codec, type);
    codec_u16(codec, len);
    if (codec_is_reading(codec) && *len > codec_left(codec))
        codec->failed = true;
}

bool peer_item_next(struct codec *items, uint8_t *type, struct codec *body)
{
    uint16_t len;
    if (items->failed || codec_left(items) < PEER_ITEM_HEAD_LEN)
        return false;
    peer_item_visit(items, type, &len);
    if (items->failed || *type == 0)
        return false;
    *body = codec_reader(items->in + items->pos, len);
    items->pos += len;
    return true;
}

void peer_question_visit(struct codec *codec, struct peer_question *question, uint16_t len)
{
    codec_u64(codec, &question->agent_start);
    codec_u32(codec, &question->number);
    codec_u32(codec, &question->age_ms);
    codec_u16(codec, &question->zero);
    size_t name_len = len >= PEER_QUESTION_FIXED_LEN ? (size_t)len - PEER_QUESTION_FIXED_LEN : 0;
    if (name_len == 0 || name_len > NAME_LEN_MAX) {
        codec->failed = true;
        return;
    }
    codec_bytes(codec, question->name, name_len);
    question->name[name_len] = '\0';
    question->name_len = name_len;
    if (!name_is_valid(question->name, name_len))
        codec->failed = true;
}

void peer_answer_visit(struct codec *codec, struct peer_answer *answer)
{
    codec_u8(codec, &answer->kind);
    codec_u32(codec, &answer->age_ms);
    codec_u32(codec, &answer->back_ms);
    codec_u8(codec, &answer->state);
    codec_u8(codec, &answer->cause);
    /* Of a newer version: what it means is not known, only that something was. */
    if (answer->state >= STATE_COUNT || answer->state == STATE_UP || answer->state == STATE_LATE)
        answer->state = STATE_DOWN;
    if (answer->cause >= CAUSE_COUNT)
        answer->cause = CAUSE_UNREACHABLE;
    if (answer->kind < PEER_NOT_MINE || answer->kind > PEER_LATE)
        answer->kind = PEER_NOT_MINE;
}

uint16_t peer_news_len(const struct peer_news *news)
{
    return (uint16_t)(PEER_NEWS_FIXED_LEN + news->name_len + strlen(news->reason));
}

/* One line: it goes into logs and to terminals. */
static bool is_line(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    return true;
}

static bool is_near(int64_t ms)
{
    return ms >= -PEER_NEWS_MS_MAX && ms <= PEER_NEWS_MS_MAX;
}

static bool makes_sense(const struct peer_news *news, size_t reason_len)
{
    if (!is_near(news->from_ms) || !is_near(news->entered_ms) || (!news->open && !is_near(news->to_ms)) ||
        !is_line(news->name, news->name_len) || !is_line(news->reason, reason_len))
        return false;
    if (news->kind == PEER_NEWS_WINDOW)
        return true;
    return news->kind == PEER_NEWS_RELABEL && name_is_valid(news->name, news->name_len) && news->state < STATE_COUNT &&
           news->state != STATE_LATE;
}

void peer_news_visit(struct codec *codec, struct peer_news *news, uint16_t len)
{
    codec_u64(codec, &news->key);
    codec_u32(codec, &news->version);
    codec_u8(codec, &news->kind);
    codec_u8(codec, &news->open);
    codec_u8(codec, &news->state);
    codec_i64(codec, &news->from_ms);
    codec_i64(codec, &news->to_ms);
    codec_i64(codec, &news->entered_ms);
    codec_u16(codec, &news->name_len);
    size_t texts_len = len >= PEER_NEWS_FIXED_LEN ? (size_t)len - PEER_NEWS_FIXED_LEN : 0;
    if (codec->failed || news->name_len == 0 || news->name_len > PEER_NEWS_NAME_MAX || news->name_len > texts_len ||
        texts_len - news->name_len > PEER_NEWS_REASON_MAX) {
        codec->failed = true;
        return;
    }
    size_t reason_len = texts_len - news->name_len;
    codec_bytes(codec, news->name, news->name_len);
    codec_bytes(codec, news->reason, reason_len);
    if (!codec_is_reading(codec))
        return;
    news->name[news->name_len] = news->reason[reason_len] = '\0';
    if (!makes_sense(news, reason_len))
        codec->failed = true;
}

void peer_taken_visit(struct codec *codec, struct peer_taken *taken)
{
    codec_u64(codec, &taken->key);
    codec_u32(codec, &taken->version);
}
