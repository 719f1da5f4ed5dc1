/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peers_world.h - several receivers that hear the same hosts and ask each other, on a virtual clock.
 *
 * The receivers are the real core, and what they say to each other are the real payloads. Hosts are sources of beats with
 * jitter: they prove their sessions, boot and die, and that is all. Between any two there is a network that can be cut,
 * that delays, and loses what receivers say. Each receiver has a judging clock and a wall clock of its own, days and hours
 * away from the others; it commits every 2 s and comes back from what it committed.
 *
 * Times are nanoseconds since the start of the simulation unless they are a struct instant. The same seed gives the same run.
 * A promise that is broken ends the program by world_fail, which prints the seed. */
#ifndef TESTS_SIM_PEERS_WORLD_H
#define TESTS_SIM_PEERS_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "receiver/judge/receiver.h"
#include "receiver/record/timeline.h"
#include "tests/sim/random.h"

#define WORLD_S NS_PER_S
#define WORLD_MS NS_PER_MS

enum { WORLD_NODES_MAX = 3 };

struct world_host {
    char name[24];
    int64_t interval_ns;
    bool alive;
    bool affected; /* by the event */
    bool returns;  /* after it */
    uint32_t boots, number;
    int64_t booted_at, due_at; /* of its newest beat */
    struct {
        uint64_t session, counter;
        uint8_t echo[ECHO_LEN];
        bool cut; /* nothing comes through, either way */
    } to[WORLD_NODES_MAX];
};

/* What a receiver has on its disk about a host. */
struct world_log {
    char name[24];
    struct transition *lines; /* [number - 1] */
    size_t count, capacity;
    uint8_t *checkpoint;
    size_t checkpoint_len;
    uint64_t position;
};

struct world_entry {
    uint8_t *facts;
    size_t len;
    uint64_t first;
};

/* One receiver: its process, and what it has stored. */
struct world_node {
    char name[24];
    struct receiver *receiver; /* NULL: it is off */
    int64_t clock_ns;          /* its judging clock is that much ahead of the simulation */
    int64_t wall_s;            /* its wall clock says that when the simulation starts */
    int64_t next_turn, commit_at;
    int place[WORLD_NODES_MAX]; /* of the other ones as its peers; -1: not configured */
    struct world_log *logs;     /* by id */
    uint32_t host_count;
    struct world_entry *entries;
    size_t entry_count, entry_capacity;
    struct label_part parts[LABELS_MAX];
    size_t part_count;
    bool has_run;
    struct instant alive;
    /* Counted: what it said to other receivers. */
    uint64_t datagrams, bytes, most_in_second, in_second;
    int64_t second;
};

/* What receivers say to each other passes here. Returns the length to deliver, which may be another one; 0: nothing. */
struct world;
typedef size_t world_hook(struct world *world, size_t from, size_t to, uint8_t payload[PEER_PAYLOAD_MAX], size_t len);

struct world {
    uint64_t seed;
    const char *story; /* what is tried, for failures */
    int64_t now;
    struct sim_random random, network;
    struct world_host *hosts;
    size_t host_count;
    struct world_node nodes[WORLD_NODES_MAX];
    size_t node_count;
    int64_t peer_delay_ns[WORLD_NODES_MAX][WORLD_NODES_MAX];
    bool peer_cut[WORLD_NODES_MAX][WORLD_NODES_MAX]; /* from, to */
    double peer_loss;
    double checkpoints; /* share of the hosts of which a commit takes one */
    world_hook *hook;   /* NULL: none */
    void *context;      /* of the hook; owned */

    struct world_flight *flights; /* a heap */
    size_t flight_count, flight_capacity;
    uint64_t sent;
    struct world_datagram *free_list;
};

struct world_options {
    uint64_t seed;
    const char *story;
    size_t hosts, nodes;
    int64_t interval_ns; /* of all hosts; 0: 10, 60 and 300 s in the shares 10, 80 and 10 % */
    int64_t spread_ns;   /* of their first beats; 0: the interval */
};

/* Receivers and hosts run from the start. */
struct world *world_create(const struct world_options *options);
void world_destroy(struct world *world);
/* Lets everything happen up to and including `until`. */
void world_run(struct world *world, int64_t until);

void world_kill_host(struct world *world, size_t host);
void world_boot_host(struct world *world, size_t host);
/* Cuts a host off from a receiver, or a receiver from the other ones, both ways. */
void world_cut_host(struct world *world, size_t host, size_t node, bool cut);
void world_cut_peers(struct world *world, size_t node, bool cut);
/* A payload comes to a receiver as if `from` had sent it. */
void world_inject(struct world *world, size_t from, size_t to, const uint8_t *payload, size_t len, int64_t delay_ns);

struct instant world_instant(const struct world_node *node, int64_t at);
/* The index of the host of that name. */
size_t world_index(const char *name);
/* The wall clock of a receiver, whole seconds. */
int64_t world_second(const struct world_node *node, int64_t at);
const struct host *world_judged(const struct world *world, size_t node, size_t host); /* NULL: never heard */
void world_timeline(const struct world *world, size_t node, size_t host, struct timeline *out);
/* What the record says of a host between two times must be among `states` (bits by enum state). */
void world_expect(struct world *world, size_t node, size_t host, int64_t from, int64_t to, unsigned states,
                  const char *what);
_Noreturn void world_fail(const struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, with the record of that host at that receiver. */
_Noreturn void world_fail_about(const struct world *world, size_t node, size_t host, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* --- the process of a receiver (peers_node.c) --- */
void world_start_node(struct world *world, size_t node);
void world_stop_node(struct world *world, size_t node, bool killed);
void world_commit(struct world *world, size_t node);
/* Loads what is stored into a fresh core: it must tell the same lines and come out as the one that runs. */
void world_check_replay(struct world *world, size_t node);
/* Drains, judges, speaks to the others and commits, as one turn of the loop does. */
void world_turn(struct world *world, size_t node);
/* For world_turn and what arrives. */
void world_send_peer(struct world *world, size_t from, size_t to, const uint8_t *payload, size_t len);

#endif
