/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receiver.h - the core of the receiver: events with their time go in; answers, lines for the log and facts for the journal come out.
 *
 * Does no I/O, reads no clock, draws no random number. The shell (receiver/listen) opens datagrams, calls in here, sends
 * the answers, and hands what has piled up in the output to the journal about once a second. After a crash the same facts are
 * replayed through the same code (receiver_replay), which is how everything survives. */
#ifndef RECEIVER_JUDGE_RECEIVER_H
#define RECEIVER_JUDGE_RECEIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/message.h"
#include "common/time.h"
#include "receiver/judge/host.h"
#include "receiver/judge/labels.h"
#include "receiver/judge/peers.h"
#include "receiver/judge/proof.h"
#include "receiver/judge/verdict.h"

struct receiver;

/* One more than is kept, so that the core knows from when on its knowledge is complete. */
#define RECEIVER_ABSENCES_LOADED (SILENCE_ABSENCES_MAX + 1)

struct receiver_options {
    uint8_t secret[PROOF_SECRET_LEN]; /* fresh random bytes of this process */
    int64_t planned_limit_ns;
    bool conservative;       /* outage_edges */
    uint32_t host_count_max; /* no more hosts than this are taken on */
};

/* What may have happened to a proven or unproven datagram, counted. */
/*    id        token       meaning */
#define RECEIVER_STATISTICS_TABLE(X)                                                         \
    X(BEATS, "beats", "heartbeats accepted")                                                 \
    X(KNOWN, "known", "heartbeats heard before, acknowledged again")                         \
    X(BYES, "byes", "goodbyes accepted")                                                     \
    X(REPEATED, "repeated", "datagrams whose counter or beat was used before: dropped")      \
    X(CHALLENGED, "challenged", "datagrams of an unproven session: challenged")              \
    X(PROVEN, "proven", "sessions proven")                                                   \
    X(CLONED, "cloned", "heartbeats of another machine with the same key")                   \
    X(TOO_MANY, "too_many", "datagrams of a host that sends more than 50 a second: dropped") \
    X(NO_ROOM, "no_room", "heartbeats of a new host for which there was no memory: dropped")

enum receiver_statistic {
#define STATISTIC_ID(id, token, meaning) RECEIVER_##id,
    RECEIVER_STATISTICS_TABLE(STATISTIC_ID)
#undef STATISTIC_ID
        RECEIVER_STATISTIC_COUNT
};

enum receiver_answer_type { ANSWER_NONE, ANSWER_ACK, ANSWER_CHALLENGE };

struct receiver_answer {
    enum receiver_answer_type type;
    struct host *host; /* who spoke; NULL if not taken on */
    union {
        struct ack ack;
        struct challenge challenge;
    };
};

struct moved_window {
    int64_t id;
    struct window window;
};

struct heard_beat {
    uint32_t host;
    uint32_t number;
    uint64_t agent_start;
};

/* What has piled up since the last receiver_take. Release with receiver_output_free. */
struct receiver_output {
    struct line_list lines; /* for the log */
    uint8_t *facts;         /* for the journal: encoded one after the other */
    size_t facts_len, facts_capacity;
    uint64_t first_fact;      /* number of the first of them */
    struct heard_beat *heard; /* the beats among them: to be handed to receiver_stored once they are */
    size_t heard_count, heard_capacity;
    uint32_t *created; /* ids of new hosts */
    size_t created_count, created_capacity;
    struct absence *absences; /* an open one comes again when it has ended */
    size_t absence_count, absence_capacity;
    uint32_t *renamed; /* ids of hosts whose name, alias or folder changed: to be stored with a checkpoint */
    size_t renamed_count, renamed_capacity;
    struct label_part *parts; /* of the labels */
    size_t part_count, part_capacity;
    struct moved_window *moved; /* maintenance to come: the wall clock was set, and it means wall time */
    size_t moved_count, moved_capacity;
};

struct receiver *receiver_create(const struct receiver_options *options); /* NULL: out of memory */
void receiver_destroy(struct receiver *receiver);

/* --- loading what was stored, in this order, before anything else; each returns 0, or -1 (out of memory, or nonsense) --- */
int receiver_load_label(struct receiver *receiver, const struct label_part *part);
/* The latest RECEIVER_ABSENCES_LOADED of those whose fact is not replayed: what a fact tells is not to be known before it. */
int receiver_load_absence(struct receiver *receiver, const struct absence *absence);
int receiver_load_window(struct receiver *receiver, int64_t id, const char *pattern, struct window window);
/* `checkpoint` may be NULL; it contains the facts up to number `position`. */
int receiver_load_host(struct receiver *receiver, uint32_t id, const char *name, const uint8_t *checkpoint, size_t len,
                       uint64_t position);
/* Applies the facts of one journal entry, the first of which has number `first`; entries in order. */
int receiver_replay(struct receiver *receiver, const uint8_t *facts, size_t len, uint64_t first);

/* The log of a host has this many lines. Should a replay by newer rules have told fewer, those to come are counted on from here. */
void receiver_load_lines(struct receiver *receiver, uint32_t id, uint32_t lines);

/* Takes back what is recorded of `to` and later, for all hosts: a wall clock had run ahead, and what it was recorded under is still to
 * come. `now` is the last mark; the labels go on from `to` right after it. Instead of receiver_start. */
void receiver_cut(struct receiver *receiver, struct instant now, struct wall to);

/* The host's alias and folder, NULL: none. Returns 0, or -1: out of memory, or nonsense. */
int receiver_load_names(struct receiver *receiver, uint32_t id, const char *alias, const char *moved_from);
/* Somebody asked to forget the host while the receiver was stopped: its record ends with the last run. */
void receiver_load_forgotten(struct receiver *receiver, uint32_t id);
/* The log of a host holds a line that its checkpoint does not contain, from that second on: told again by the replay, or entered
 * while the receiver was stopped. */
void receiver_load_change(struct receiver *receiver, uint32_t id, int64_t from);

/* --- running --- */
/* Begins: the wall clock says `wall` at `now`. `off_from` is the last mark of the run before (INSTANT_NEVER: there was none).
 * Returns what became of the labels; LABELS_FORWARD: the wall clock was set forward meanwhile. */
enum labels_change receiver_start(struct receiver *receiver, struct instant now, struct wall wall,
                                  struct instant off_from);

/* Other settings from now on. */
void receiver_set_options(struct receiver *receiver, struct instant now, int64_t planned_limit_ns, bool conservative);

/* A datagram opened with the key of `name`. */
struct receiver_answer receiver_hear_beat(struct receiver *receiver, struct instant now, const char *name,
                                          size_t name_len, const struct beat *beat);
struct receiver_answer receiver_hear_bye(struct receiver *receiver, struct instant now, const char *name,
                                         size_t name_len, const struct bye *bye);

/* Judges what is due; call after everything that had arrived by `now` was handed in. */
void receiver_judge(struct receiver *receiver, struct instant now);

/* --- the receiver distrusts itself first --- */
/* The loop did not run in [from, to). To be told before what had arrived meanwhile is handed in: deadlines move first. */
void receiver_stalled(struct receiver *receiver, struct instant from, struct instant to);
/* So many datagrams, good or bad, were taken from the sockets, and the kernel had dropped so many more before `now`. To be told before they
 * are handed in. */
void receiver_took(struct receiver *receiver, struct instant now, uint64_t taken, uint64_t dropped);
/* This machine has lost its last network interface, or has one again. */
void receiver_isolated(struct receiver *receiver, struct instant now, bool isolated);
/* A look at the wall clock, once a second. The labels may jump or slow down: LABELS_FORWARD and LABELS_CHANGED are worth a notice. */
enum labels_change receiver_see_wall(struct receiver *receiver, struct instant now, struct wall wall);
/* When this process began to listen. */
struct instant receiver_started(const struct receiver *receiver);
/* The absence that goes on, or NULL. */
const struct absence *receiver_absence(const struct receiver *receiver);

/* --- other receivers (peers.h) --- */
/* Adds one, with a fresh random session. Returns its place, or -1: out of memory, or there are PEERS_MAX. */
int receiver_add_peer(struct receiver *receiver, const char *name, uint64_t session);
void receiver_remove_peer(struct receiver *receiver, struct instant now, unsigned place);
/* It can be reached now: the next datagram to it is due at once. */
void receiver_greet_peer(struct receiver *receiver, unsigned place);
const struct peers *receiver_peers(const struct receiver *receiver);
/* The payload of a datagram opened with the key of that peer. Returns the length of the payload to be answered at once, 0: none; never
 * longer than `len`. */
size_t receiver_hear_peer(struct receiver *receiver, struct instant now, unsigned place, const uint8_t *payload,
                          size_t len, uint8_t answer[PEER_PAYLOAD_MAX]);
/* The next payload that a peer is to be sent of ourselves, and which; 0: none just now. Call until it returns 0, each turn. */
size_t receiver_tell_peer(struct receiver *receiver, struct instant now, uint8_t payload[PEER_PAYLOAD_MAX],
                          unsigned *place);
/* The last payload for a peer, which tells it that this receiver stops; 0: it need not be told. */
size_t receiver_leave_peer(struct receiver *receiver, struct instant now, unsigned place,
                           uint8_t payload[PEER_PAYLOAD_MAX]);
/* The gateway of this machine was lost, or is reachable again. */
void receiver_gateway(struct receiver *receiver, struct instant now, bool lost);

/* When receiver_judge is to be called next. */
struct instant receiver_due(const struct receiver *receiver);

/* Adds a maintenance window (id of the database) that begins at `now` or later, or ends one at `now`; one that has not begun
 * ends where it begins, and is then as if it had never been. Return 0 or -1: out of memory, no such window. */
int receiver_add_window(struct receiver *receiver, struct instant now, int64_t id, const char *pattern,
                        struct window window);
int receiver_end_window(struct receiver *receiver, struct instant now, int64_t id);
const struct planned *receiver_windows(const struct receiver *receiver, size_t *count);

/* Takes a host out of alarms and averages: its record ends at `at`, `now` or earlier, until its next beat. Returns 0, or -1: no such
 * host, or forgotten already. */
int receiver_forget(struct receiver *receiver, struct instant now, uint32_t id, struct instant at);

enum rename_result {
    RENAME_DONE,
    RENAME_TAKEN, /* another host has that name, or had it until lately */
    RENAME_BUSY,  /* another change of names is still to be stored, or the folder to be moved: worth another try */
    RENAME_NO_MEMORY
};
/* Gives a host another name (valid, not its own). It may speak under the old one until it was heard under the new one. */
enum rename_result receiver_rename(struct receiver *receiver, struct instant now, uint32_t id, const char *name);
/* Its folder has got the new name. */
void receiver_folder_moved(struct receiver *receiver, uint32_t id);

/* --- storing --- */
bool receiver_has_output(const struct receiver *receiver);
/* The lines among it. */
const struct line_list *receiver_lines(const struct receiver *receiver);
/* Moves the output to the caller. */
void receiver_take(struct receiver *receiver, struct receiver_output *out);
void receiver_output_free(struct receiver_output *output);
/* How many bytes of facts and beats have piled up. */
size_t receiver_unsaved(const struct receiver *receiver);
/* Gives up the facts that have piled up, but no line of the log and nothing that they changed: the next batch must then hold the
 * checkpoints of all hosts in their place, as receiver_hear_again prepares, and trim all facts before its own. */
void receiver_give_up_facts(struct receiver *receiver, struct instant now);
/* Before receiver_take, after facts were given up: what an agent may still keep and is not stored yet is heard with this batch. */
void receiver_hear_again(struct receiver *receiver);
/* These beats are stored durably: acks may call them safe. */
void receiver_stored(struct receiver *receiver, const struct heard_beat *heard, size_t count);
/* Number of the last fact. */
uint64_t receiver_last_fact(const struct receiver *receiver);
/* The watermark of a host, see verdict.h. */
int64_t receiver_settled_to(struct receiver *receiver, struct host *host, struct instant now);

/* --- looking --- */
const struct host_table *receiver_hosts(const struct receiver *receiver);
const struct labels *receiver_labels(const struct receiver *receiver);
const uint64_t *receiver_statistics(const struct receiver *receiver);
/* True once memory ran out in a place where something was lost; the shell says so and stops, to replay afresh. */
bool receiver_has_failed(const struct receiver *receiver);

#endif
