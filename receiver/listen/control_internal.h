/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_internal.h - what the files of the control socket share: control.c has the connections, control_maintenance.c the
 * requests about maintenance, control_relabel.c what is said about outages. */
#ifndef RECEIVER_LISTEN_CONTROL_INTERNAL_H
#define RECEIVER_LISTEN_CONTROL_INTERNAL_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "receiver/listen/control.h"

struct control {
    uv_pipe_t pipe;
    uv_timer_t again; /* for a client who came when there was no memory for him */
    struct control_options options;
    char *path;
    struct client *clients;
    size_t client_count;
};

struct client {
    uv_pipe_t pipe; /* first: handles and clients are the same pointer */
    struct control *control;
    char *request; /* the line being received */
    size_t len;
    uint64_t since;    /* when it came, in the loop's ms */
    json_t *pending;   /* the answer that waits to be stored, NULL: none */
    uint32_t *rebuilt; /* hosts whose files it waits for */
    size_t rebuilt_count;
    struct client *next;
};

/* Sends an answer, taking it over. */
void control_answer(struct client *client, json_t *json);
/* Answers no. */
void control_refuse(struct client *client, const char *why);
/* Sends the answer that was handed over. */
void control_answer_pending(void *client);
/* Hands the answer over to be sent when what it says is stored. */
void control_answer_when_stored(struct client *client, json_t *json);

/* Changes; `patterns` is a list of texts that is not empty. */
void control_handle_start(struct client *client, const json_t *request, const json_t *patterns);
void control_handle_plan(struct client *client, const json_t *request, const json_t *patterns);
void control_handle_end(struct client *client, const json_t *patterns);
void control_handle_forget(struct client *client, const json_t *patterns);
void control_handle_rename(struct client *client, const json_t *request, const json_t *patterns);
void control_handle_cancel(struct client *client, const json_t *request);

/* What somebody says about an outage. */
void control_handle_relabel(struct client *client, const json_t *request, const json_t *patterns);

#endif
