/* SPDX-License-Identifier: GPL-2.0-or-later */
/* state.c - see state.h. */
#include "receiver/judge/state.h"

#include <string.h>

static const char *const state_tokens[STATE_COUNT] = {
#define STATE_ROW(id, token) token,
    STATE_TABLE(STATE_ROW)
#undef STATE_ROW
};

static const struct {
    const char *token;
    const char *text;
} causes[CAUSE_COUNT] = {
#define CAUSE_ROW(id, token, text) {token, text},
    CAUSE_TABLE(CAUSE_ROW)
#undef CAUSE_ROW
};

const char *state_token(enum state state)
{
    return state_tokens[state];
}

const char *cause_token(enum cause cause)
{
    return causes[cause].token;
}

const char *cause_text(enum cause cause)
{
    return causes[cause].text;
}

int state_find(const char *token)
{
    for (int i = 0; i < STATE_COUNT; i++)
        if (strcmp(state_tokens[i], token) == 0)
            return i;
    return -1;
}

int cause_find(const char *token)
{
    for (int i = 0; i < CAUSE_COUNT; i++)
        if (strcmp(causes[i].token, token) == 0)
            return i;
    return -1;
}
