/* SPDX-License-Identifier: GPL-2.0-or-later */
/* state.h - the words of the record: what a host was, and why. Their tokens stand in the database, in JSON and in logs. */
#ifndef RECEIVER_JUDGE_STATE_H
#define RECEIVER_JUDGE_STATE_H

#include <stdint.h>

/*    id       token */
#define STATE_TABLE(X)                                                                           \
    X(UNKNOWN, "unknown") /* nobody could tell */                                                \
    X(UP, "up")                                                                                  \
    X(DOWN, "down")                                                                              \
    X(ADMIN, "admin") /* planned by the operator or declared by the host: outside the average */ \
    X(LATE, "late")   /* live only: one expectation missed; recorded as what it turns out to be */

enum state {
#define STATE_ID(id, token) STATE_##id,
    STATE_TABLE(STATE_ID)
#undef STATE_ID
        STATE_COUNT
};

/*    id                   token                  what a person reads */
#define CAUSE_TABLE(X)                                                                             \
    X(NONE, "", "")                                                                                \
    X(SILENT, "silent", "two expected heartbeats missed, still silent")                            \
    X(UNREACHABLE, "unreachable", "the host ran on but was not heard")                             \
    X(FROZEN, "frozen", "the host's kernel stood still")                                           \
    X(REBOOT, "reboot", "the host started anew without a goodbye")                                 \
    X(AGENT_DIED, "agent_died", "the host ran on, its agent did not")                              \
    X(AGENT_STOPPED, "agent_stopped", "the agent was stopped")                                     \
    X(SHUTDOWN, "shutdown", "the host was shut down")                                              \
    X(MAINTENANCE, "maintenance", "planned maintenance")                                           \
    X(RECEIVER_OFF, "receiver_off", "the receiver was not running")                                \
    X(RECEIVER_ISOLATED, "receiver_isolated", "the receiver was cut off")                          \
    X(RECEIVER_OVERLOADED, "receiver_overloaded", "the receiver was stalled or overloaded")        \
    X(RECEIVER_PATH, "receiver_path", "the receiver lost most hosts at once, and this one ran on") \
    X(CLOCK_STEP, "clock_step", "the receiver's clock jumped")                                     \
    X(PATH, "path", "another receiver heard the host")                                             \
    X(FORGOTTEN, "forgotten", "taken out of alarms and averages, until it is heard again")         \
    X(MOVED, "moved", "the host speaks to other receivers now")

enum cause {
#define CAUSE_ID(id, token, text) CAUSE_##id,
    CAUSE_TABLE(CAUSE_ID)
#undef CAUSE_ID
        CAUSE_COUNT
};

const char *state_token(enum state state);
const char *cause_token(enum cause cause);
const char *cause_text(enum cause cause);
/* The state or cause of that token; -1 if there is none. */
int state_find(const char *token);
int cause_find(const char *token);

/* One line of the log of a host (table `transitions`): from second `at` on, until a later line says otherwise, the host
 * is in `state`. A line whose `at` lies before that of earlier lines takes back all of them from `at` on. Wall seconds. */
struct transition {
    uint32_t host;    /* id of the host */
    uint32_t number;  /* counts the lines of this host, from 1 */
    int64_t at;       /* Unix seconds */
    enum state state; /* never LATE */
    enum cause cause;
    int64_t earliest; /* bounds of the true instant of this edge */
    int64_t latest;
    int64_t decided;   /* when the receiver said so */
    uint32_t restates; /* number of the line that this one corrects (same outage, better known), 0 for a new fact */
    enum state before; /* for the operator's log, not stored: what the host was until this was said */
};

#endif
