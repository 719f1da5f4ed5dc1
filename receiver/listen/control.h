/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control.h - DATA/receiver.sock: what a person asks of the running receiver, one JSON object a line each way.
 *
 *   {"op":"status","hosts":["web*"],"forgotten":true}   (those too that are forgotten and not named)
 *   {"op":"maintenance_start","hosts":["web*"],"until":UNIX or null,"reason":"text"}
 *   {"op":"maintenance_end","hosts":["web*"]}
 *   {"op":"maintenance_plan","hosts":["web*"],"from":UNIX,"to":UNIX,"reason":"text"}
 *   {"op":"maintenance_cancel","id":7}
 *   {"op":"relabel","hosts":["web1"],"number":4,"as":"admin","reason":"text","to_end":true,"open":false,
 *    "from":UNIX,"to":UNIX or null}
 *   {"op":"flush","hosts":["web*"]}
 *   {"op":"rebuild","hosts":["web*"]}
 *   {"op":"forget","hosts":["web1"]}
 *   {"op":"rename","hosts":["web1"],"to":"web01"}
 *
 * Questions without "hosts" mean all of them; a change must name hosts (or its id). Answers are {"ok":true,...} or
 * {"ok":false,"error":"one line"}, one question at a time. A change is answered when it is stored. Whoever may open the socket (its
 * group) may ask; changes are for root and the receiver's own user, told by the kernel (SO_PEERCRED). */
#ifndef RECEIVER_LISTEN_CONTROL_H
#define RECEIVER_LISTEN_CONTROL_H

#include "common/error.h"
#include "common/time.h"
#include "receiver/judge/receiver.h"
#include "receiver/listen/entered.h"
#include "receiver/listen/intake.h"
#include "receiver/listen/keeper.h"

struct control;
struct uv_loop_s;

/* What requests work on; all borrowed. */
struct control_options {
    struct receiver *receiver;
    struct intake *intake;
    struct keeper *keeper;
    struct entered *entered;
    const char *const *name; /* of the receiver: may change on reload */
    const uint64_t *dropped; /* datagrams dropped by the kernel */
    struct instant (*now)(void *context);
    void *context;
};

/* Listens on DATA/receiver.sock (replacing a stale one: the lock is held). NULL with `error` set. */
struct control *control_create(struct uv_loop_s *loop, const char *data, const struct control_options *options,
                               struct error *error);
/* Closes the socket and all connections, and removes the file; the loop must run once more before control_destroy. */
void control_close(struct control *control);
void control_destroy(struct control *control);

#endif
