/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peer_message.c - see peer_message.h. */
#include "receiver/judge/peer_message.h"

#include "receiver/judge/state.h"

void peer_head_visit(struct codec *codec, struct peer_head *head)
{
    codec_u64(codec, &head->session);
    codec_u64(codec, &head->counter);
    codec_bytes(codec, head->echo, sizeof head->echo);
    codec_u64(codec, &head->challenged);
    codec_bytes(codec, head->challenge, sizeof head->challenge);
    codec_u64(codec, &head->heard);
    if (codec_is_reading(codec) && head->session == 0)
        codec->failed = true;
}

void peer_item_visit(struct codec *codec, uint8_t *type, uint16_t *len)
{
    codec_u8(codec, type);
    codec_u16(codec, len);
    if (codec_is_reading(codec) && *len > codec_left(codec))
        codec->failed = true;
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
