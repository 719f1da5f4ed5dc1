/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim.h - hosts with agents, a network and a receiver on a virtual clock.
 *
 * The cores are the real ones: agent/agent.h and receiver/judge/receiver.h. Around them is as little as there can be: a
 * network that loses, doubles, delays and reorders; machines that crash, boot, sleep and are restored from snapshots;
 * a receiver process that commits once a second, and keeps nothing else when it is killed. Structs are passed as they
 * are: sealing is tested elsewhere, and without it a year takes a second. The simulator knows the truth about each
 * host, so the record can be held against it.
 *
 * Times are nanoseconds since the start of the simulation unless they are a struct instant or wall. Nobody reads a
 * clock: the same options and calls give the same bytes. A broken promise of the cores ends the program by sim_fail,
 * which prints the seed and the end of the trace. */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/agent.h"
#include "receiver/judge/receiver.h"
#include "receiver/record/timeline.h"
#include "tests/sim/random.h"

#define SIM_HOSTS_MAX 32
#define SIM_WINDOWS_MAX 512
/* What the receiver's wall clock says when the simulation starts: a full minute. */
#define SIM_EPOCH_S INT64_C(1700000040)

/* One direction of the network. All zero: nothing ever happens to a datagram, and it takes no time. */
struct sim_link {
    double loss;
    double duplicate; /* share that arrives twice */
    double reorder;   /* share that is overtaken: delayed by up to reorder_ns besides */
    int64_t reorder_ns;
    int64_t delay_ns, jitter_ns; /* a fixed part, and the mean of an exponential one */
};

/* Bad times that both directions of a host share: a datagram is lost with `loss` then. */
struct sim_burst {
    double share; /* of all time */
    double loss;
    int64_t mean_ns;
};

struct sim;
struct beat;

/* A receiver around the core other than the simulator's own (fault_shell.h): it stores what the core decides, and loads it. */
struct sim_shell {
    void *context;
    /* A core with all that is stored, started now; NULL: it could not start. Says what the mark of the run before is (sim->store)
     * and how many lines a replay told (sim->lines_seen). */
    struct receiver *(*start)(void *context, struct sim *sim, struct instant now, struct wall wall);
    /* Ten times a second. */
    void (*tick)(void *context, struct instant now);
    /* An ack is sent. */
    void (*acked)(void *context, struct sim *sim, size_t host, const struct beat *beat, uint32_t safe);
    /* The process ends, the core with it. */
    void (*end)(void *context, struct instant now, bool in_order);
};

struct sim_options {
    uint64_t seed;
    const struct sim_shell *shell; /* NULL: the simulator's */
    struct sim_link to_receiver, to_agent;
    struct sim_burst burst;
    bool steady;              /* what is lost depends on when it is sent, not on what was sent before */
    bool traffic;             /* agents tell what their interfaces have carried, by sim_traffic */
    bool plain;               /* one datagram a beat: what is sent again is lost, unless it answers a challenge */
    int64_t stagger_ns;       /* an agent wakes up late by that much on average */
    int64_t planned_limit_ns; /* 0: 30 minutes */
    bool conservative;
    double checkpoints; /* share of the hosts of which a commit takes a checkpoint; 0: 0.02 */
    bool keepless;      /* agents keep no beats */
    bool keep;          /* store facts, lines and truth: needed to kill the receiver and to check the record */
    bool trace;         /* note every change of state and every line, for golden files */
};

/* A change in the life of a host, as it really was. */
enum sim_what { SIM_BOOT, SIM_OFF, SIM_AGENT_ON, SIM_AGENT_OFF, SIM_CUT, SIM_JOINED, SIM_ASLEEP, SIM_AWAKE };

struct sim_truth {
    int64_t at;
    enum sim_what what;
};

/* What the receiver accepted and stored: when it was due, and when the receiver must think that it was. */
enum sim_kind { SIM_BEAT, SIM_BEAT_KEPT, SIM_BYE };

struct sim_heard {
    int64_t due;  /* in truth */
    int64_t told; /* arrival minus the age that it came with, of which half an interval is believed */
    int64_t arrival;
    int64_t run_ns; /* the kernel's own clock when it was due, which stands still in suspend */
    uint64_t agent_start;
    uint32_t number;
    uint32_t interval_ms; /* announced */
    uint32_t session;     /* the lower half */
    uint8_t host;         /* id of the receiver */
    uint8_t kind;         /* enum sim_kind */
    uint8_t said;         /* enum previous_end, or enum bye_reason */
};

/* When the receiver could not observe: as the shell around the core finds it out. */
struct sim_away {
    int64_t from, to;
    enum cause cause;
};

/* When nobody was heard for a while, by a process that ran. */
struct sim_quiet {
    int64_t from, to; /* INT64_MAX: it goes on */
};

/* A beat that an agent made. */
struct sim_made {
    int64_t due;
    uint64_t agent_start;
    uint32_t number;
};

struct sim_host {
    char name[16];
    int64_t interval_ns;
    struct sim_random random; /* of the agent */

    bool powered, asleep, cut;
    int64_t run_offset, uptime_offset; /* the kernel's clocks are the true time minus these */
    int64_t asleep_from;
    uint8_t boot_id[BOOT_ID_LEN];
    enum previous_end run_state; /* what the next agent finds on the disk */
    int64_t wall_step_ns;        /* how wrong its wall clock is: nobody may care */

    struct agent_core *agent; /* NULL: not running */
    uint64_t agent_start;
    int64_t wake;   /* true time */
    int64_t off_at; /* INT64_MAX, or when the machine goes off after a shutdown */
    bool going_down;
    uint32_t plain_number; /* last beat sent, see sim_options.plain */
    int64_t beat_due;      /* true time at which the current beat was due */
    struct sim_made *made; /* all of them */
    size_t made_count, made_capacity;
    struct { /* a copy of the machine, see sim_snapshot */
        void *agent;
        size_t len;
        int64_t at, wake;
    } snapshot;

    bool in_burst;
    int64_t burst_changes;

    struct sim_truth *truth;
    size_t truth_count, truth_capacity;
};

/* What the database holds about one host. */
struct sim_stored_host {
    char name[NAME_LEN_MAX + 1];
    uint8_t *checkpoint;
    size_t checkpoint_len;
    uint64_t position;
    struct transition *lines; /* [number - 1] */
    size_t line_count, line_capacity;
    struct sim_heard *heard;
    size_t heard_count, heard_capacity;
};

struct sim_entry {
    uint8_t *facts;
    size_t len;
    uint64_t first;
};

struct sim_window {
    char pattern[16];
    struct window window;
};

/* The database. */
struct sim_store {
    struct sim_stored_host hosts[SIM_HOSTS_MAX + 1]; /* by id */
    uint32_t host_count;
    struct sim_entry *entries;
    size_t entry_count, entry_capacity;
    struct absence *absences;
    size_t absence_count, absence_capacity;
    struct sim_window windows[SIM_WINDOWS_MAX];
    size_t window_count;
    struct label_part parts[LABELS_MAX]; /* the latest */
    size_t part_count;
    bool has_run;
    int64_t alive;         /* the mark */
    struct sim_away *away; /* the truth about this receiver */
    size_t away_count, away_capacity;
    struct sim_quiet *quiets;
    size_t quiet_count, quiet_capacity;
    uint64_t digest; /* of all facts ever stored */
};

struct sim_datagram;

struct sim {
    struct sim_options options;
    int64_t now;
    struct sim_random network, receiver_random, script;
    struct sim_host hosts[SIM_HOSTS_MAX];
    size_t host_count;
    struct agent_actions actions;

    struct sim_datagram *pool; /* on their way */
    size_t pool_capacity;
    uint32_t free_slot;
    struct sim_flight {
        int64_t at;
        uint64_t order;
        uint32_t slot;
    } * flights; /* a heap */
    size_t flight_count, flight_capacity;
    uint64_t sent;
    uint64_t datagrams;
    uint64_t kept_datagrams; /* beats sent again because they were kept */

    struct receiver *receiver; /* NULL: not running */
    uint32_t starts;           /* of its process so far */
    int64_t wall_step_ns;      /* the receiver's wall clock */
    int64_t commit_at;         /* INT64_MAX: nothing to commit */
    int64_t pending_from;      /* else: since when there is something */
    int64_t committed_at;
    int64_t first_commit;
    int64_t heard_at;                /* somebody, or the start of the process */
    int64_t checkpoint_skip;         /* so many hosts have no turn before the next checkpoint is taken */
    int64_t stall_from, stall_until; /* INT64_MAX: it does not stall */
    int64_t drained_at;              /* the end of a stall: not judged before all that waited was heard; -1 */
    struct sim_heard *heard;         /* not stored yet */
    size_t heard_count, heard_capacity;
    size_t lines_seen;
    enum state shown[SIM_HOSTS_MAX + 1]; /* by id: live state as last noted */
    struct sim_store store;
    uint64_t downs;  /* verdicts "down, silent" told so far */
    int64_t down_at; /* when the last of them was */

    char *text; /* the trace; its beginning is dropped unless options.keep */
    size_t text_len, text_capacity;
};

struct sim *sim_create(const struct sim_options *options);
void sim_destroy(struct sim *sim);

/* Lets everything happen up to and including `until`. */
void sim_run(struct sim *sim, int64_t until);
void sim_run_for(struct sim *sim, int64_t ns);

/* --- hosts --- */
/* Adds a machine that is off. Returns its index, from 0. Name of at most 15 characters. */
size_t sim_add_host(struct sim *sim, const char *name, int64_t interval_ns);
void sim_boot(struct sim *sim, size_t host); /* the kernel only */
void sim_start_agent(struct sim *sim, size_t host);
void sim_boot_all(struct sim *sim); /* every machine and agent, spread over an interval */
void sim_crash(struct sim *sim, size_t host);
void sim_kill_agent(struct sim *sim, size_t host);
void sim_stop_agent(struct sim *sim, size_t host);
void sim_move_away(struct sim *sim, size_t host); /* to other receivers, which the simulation does not have */
void sim_shut_down(struct sim *sim, size_t host); /* agent first, the machine is off 3 s after that */
void sim_set_interval(struct sim *sim, size_t host, int64_t interval_ns); /* stops the agent and starts it anew */
void sim_sleep(struct sim *sim, size_t host);
void sim_awake(struct sim *sim, size_t host);
void sim_snapshot(struct sim *sim, size_t host);
void sim_restore(struct sim *sim, size_t host);
void sim_set_cut(struct sim *sim, size_t host, bool cut); /* nothing comes through, either way */
void sim_step_wall(struct sim *sim, size_t host, int64_t ns);

/* --- the receiver's process --- */
void sim_receiver_start(struct sim *sim);
void sim_receiver_stop(struct sim *sim);
void sim_receiver_kill(struct sim *sim);
void sim_receiver_note_quiet(struct sim *sim, int64_t to); /* nobody was heard up to now, nor will be before `to` */
void sim_receiver_commit(struct sim *sim);                 /* now, besides once a second */
void sim_receiver_stall(struct sim *sim, int64_t ns);      /* from now on it does nothing for that long */
void sim_receiver_step_wall(struct sim *sim, int64_t ns);  /* its wall clock is set */
void sim_receiver_isolate(struct sim *sim, bool isolated); /* it loses its network interfaces, and knows it */
void sim_window_add(struct sim *sim, const char *pattern, int64_t from, int64_t to); /* to INT64_MAX: open */
void sim_window_end(struct sim *sim, size_t index);

/* The bytes that a host has received so far, by its kernel's clock. */
double sim_traffic(size_t host, int64_t uptime_ms);

/* --- looking --- */
/* What the record says about a host, by its index: everything stored. Release with timeline_free. */
void sim_timeline(const struct sim *sim, size_t host, struct timeline *out);
const struct sim_stored_host *sim_stored(const struct sim *sim, size_t host); /* NULL: never heard */
const struct host *sim_judged(const struct sim *sim, size_t host);            /* NULL: not known, or receiver off */
/* Loads what is stored into a fresh receiver: it must come out as the one that runs. Commits first. */
void sim_check_replay(struct sim *sim);
/* Writes the record of all hosts to the trace. */
void sim_note_record(struct sim *sim);

void sim_note(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, with the part of the trace that tells of this host (and of the receiver) between the two times. */
_Noreturn void sim_fail_about(struct sim *sim, size_t host, int64_t from, int64_t to, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* --- between the files of the simulator --- */
/* Makes room for one more element. */
void *sim_grow(void *array, size_t *capacity, size_t count, size_t size);
struct instant sim_instant(int64_t at); /* on the receiver's clock */
void sim_note_line(struct sim *sim, const struct transition *line);
void sim_learn_names(struct sim *sim);
/* Stores lines; those that are stored already must be the same, and with `only_check` all must be. */
void sim_store_lines(struct sim *sim, const struct line_list *lines, bool only_check);
/* A receiver with all that is stored. */
struct receiver *sim_load(struct sim *sim);
void sim_receiver_hear(struct sim *sim, const struct sim_datagram *datagram);
void sim_receiver_turn(struct sim *sim); /* judges and commits what is due */
int64_t sim_receiver_due(const struct sim *sim);
void sim_network_send(struct sim *sim, size_t host, const struct agent_message *message, int64_t due);
void sim_network_answer(struct sim *sim, size_t host, const struct receiver_answer *answer);
int64_t sim_network_due(const struct sim *sim);
/* Takes the next datagram out of the network; good until the next call. */
const struct sim_datagram *sim_network_take(struct sim *sim);
/* A datagram that arrives while the receiver stalls waits in the socket. */
void sim_network_put_off(struct sim *sim, const struct sim_datagram *datagram, int64_t at);
void sim_network_free(struct sim *sim);
void sim_store_free(struct sim *sim);

struct sim_datagram {
    size_t host;
    bool to_agent;
    union {
        struct agent_message message;
        struct receiver_answer answer;
    };
    uint64_t agent_start; /* an answer to a process that is gone is lost */
    int64_t due;          /* true time at which the beat was due */
    uint32_t waits_for;   /* it lies in the socket of this process of the receiver; 0: on its way */
    uint32_t next_free;
};

#endif
