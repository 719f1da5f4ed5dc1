/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_faults.c - a fleet whose receiver keeps its record on a disk that fails.
 *
 *   sim_faults            a few fleets for two hours each
 *   sim_faults --long     hundreds of them
 *   sim_faults --seed N [COUNT]     that fleet alone, or as many from it on
 *
 * The same fleet, with the same crashes, cuts and lost datagrams, lives three times: with a disk that works; with one on which
 * file calls of the database, of the RRD files or both fail for up to two minutes; and with a receiver that besides dies
 * in the middle of any such call, often together with its machine's power, and finds RRD files torn or lost. Then:
 *   - no beat that an agent was told is safe is missing after any death (fault_shell.c);
 *   - errors alone change no verdict, no line of the log, no row of an RRD file, and are said once, as is their end;
 *   - deaths change nothing but for the receiver's own absence, in which things may be unknown, and for a file that was damaged,
 *     which is begun anew while all others have every row;
 *   - state.rrd agrees with the log to the second, in all archives. */
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <math.h>
#include <rrd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "receiver/record/log_reader.h"
#include "receiver/record/rrd_store.h"
#include "tests/sim/fault_disk.h"
#include "tests/sim/fault_shell.h"
#include "tests/sim/sim.h"

#define S NS_PER_S

/* Until then the record has begun with the first beat of each host. */
#define BEGUN_S 900

#define SAID_AGAIN_S 40 /* a minute between two jobs, of which the first may have taken a while */
#define LOAD_MAX 8
#define UNSAFE_USUAL 2   /* beats: safe is told with the next one */
#define TRAFFIC_MAX 8000 /* bytes a second */

enum { HOSTS = 5, ROW_S = 300, KINDS = 2, SEEDS_SHORT = 2, SEEDS_LONG = 300, HOURS_SHORT = 2, HOURS_LONG = 4 };

enum mode { CLEAN, ERRORS, DEATHS };

static const char *const mode_names[] = {"no fault", "errors", "deaths"};
static const char *const row_files[KINDS] = {"metrics.rrd", "net.rrd"};

/* The rows of 5 minutes of a file, from the start of the simulation. */
struct rows {
    double *values; /* of librrd */
    unsigned long sources, count;
};

/* What a run leaves. */
struct outcome {
    char *trace;
    struct timeline timelines[HOSTS];
    struct rows rows[HOSTS][KINDS];
    struct sim_away *away;
    size_t away_count;
};

/* Time of which an agent took beats along that it had not been told are safe. */
struct taken {
    size_t host;
    int64_t from, to;
};

struct totals {
    uint64_t torn, deaths, power_cuts, refused, spells, failed, safe, damaged, seconds, unknown, rows;
};

struct run {
    enum mode mode;
    struct sim *sim;
    struct fault_shell *shell;
    struct sim_random faults; /* nothing of the fleet hangs on it */
    char folder[64];
    int64_t up_again[HOSTS], fine_at, die_at, start_at;
    int ill[HOSTS]; /* what is wrong with the host */
    struct taken *taken;
    size_t taken_count, taken_capacity;
    struct complaint_seen {
        bool active;
        int64_t said_at;
    } complaints[2];
    int64_t damaged_at[HOSTS][KINDS + 1]; /* when the file was damaged last; 0: never */
    bool torn[HOSTS][KINDS];              /* it was being written in a power cut */
    struct totals *totals;
};

/* ---- the fleet ---- */

enum { WELL, CRASHED, CUT, AGENT_GONE, SHUT_DOWN };

/* The agent ends, and with it beats that the receiver may not have. One that is cut off while it still has many to deliver may be down
 * before it can: then nobody waits for them any more. */
static void note_taken(struct run *run, size_t index)
{
    const struct sim_host *host = &run->sim->hosts[index];
    uint32_t safe = fault_shell_told(run->shell, index, host->agent_start);
    int64_t from = run->sim->now;
    uint32_t unsafe = 0;
    for (size_t i = host->made_count; i > 0 && host->made[i - 1].agent_start == host->agent_start; i--)
        if (host->made[i - 1].number > safe) {
            from = host->made[i - 1].due;
            unsafe++;
        }
    if (run->ill[index] == CUT && unsafe <= UNSAFE_USUAL)
        return;
    run->taken = sim_grow(run->taken, &run->taken_capacity, run->taken_count, sizeof *run->taken);
    run->taken[run->taken_count++] =
        (struct taken){index, from - host->interval_ns, run->up_again[index] + 2 * host->interval_ns};
}

static void fall_ill(struct run *run, size_t host)
{
    struct sim *sim = run->sim;
    int kind = (int)sim_random_between(&sim->script, CRASHED, SHUT_DOWN);
    run->up_again[host] = sim->now + sim_random_between(&sim->script, 20, 500) * S;
    run->ill[host] = kind;
    note_taken(run, host);
    if (kind == CRASHED)
        sim_crash(sim, host);
    else if (kind == CUT)
        sim_set_cut(sim, host, true);
    else if (kind == AGENT_GONE)
        sim_kill_agent(sim, host);
    else
        sim_shut_down(sim, host);
}

static void recover(struct run *run, size_t host)
{
    struct sim *sim = run->sim;
    if (run->ill[host] == CUT)
        sim_set_cut(sim, host, false);
    if (run->ill[host] == CRASHED || run->ill[host] == SHUT_DOWN)
        sim_boot(sim, host);
    if (run->ill[host] != CUT)
        sim_start_agent(sim, host);
    run->ill[host] = WELL;
}

static void live(struct run *run, bool calm)
{
    for (size_t i = 0; i < HOSTS; i++) {
        if (run->ill[i] != WELL && run->sim->now >= run->up_again[i])
            recover(run, i);
        else if (run->ill[i] == WELL && !calm && sim_random_chance(&run->sim->script, 1.0 / 2400))
            fall_ill(run, i);
    }
}

/* ---- the faults ---- */

static void fail_for_a_while(struct run *run)
{
    static const int errors[] = {EIO, ENOSPC, EROFS, EMFILE, EACCES};
    static const unsigned calls[] = {DISK_ALL,  DISK_OPEN, DISK_WRITE | DISK_CUT, DISK_SYNC, DISK_NAME, DISK_MAP,
                                     DISK_LOCK, DISK_ALL};
    struct disk_weather weather = {.parts = (unsigned)sim_random_between(&run->faults, 1, 3),
                                   .calls = calls[sim_random_between(&run->faults, 0, 7)],
                                   .error = errors[sim_random_between(&run->faults, 0, 4)],
                                   .chance = sim_random_chance(&run->faults, 0.5) ? 1 : 0.1};
    disk_set_weather(&weather);
    run->fine_at = run->sim->now + sim_random_between(&run->faults, 1, 120) * S;
    run->totals->spells++;
}

/* A file is a mixture of old and new: it was being written when the power went, or else it would have been synced. */
static void note_torn(struct run *run, size_t host, bool was_writing)
{
    const char *name = run->sim->hosts[host].name;
    for (size_t kind = 0; kind < KINDS; kind++) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/hosts/%s/%s", run->folder, name, row_files[kind]);
        if (!disk_is_torn(path))
            continue;
        if (!was_writing)
            sim_fail(run->sim, "%s/%s was written, and never synced", name, row_files[kind]);
        run->torn[host][kind] = true;
        run->totals->torn++;
    }
}

/* Beyond what the power cut itself has done. */
static void damage_file(struct run *run)
{
    static const char *const files[] = {"metrics.rrd", "net.rrd", "state.rrd"};
    size_t host = (size_t)sim_random_between(&run->faults, 0, HOSTS - 1);
    size_t kind = (size_t)sim_random_between(&run->faults, 0, KINDS);
    char path[256];
    struct stat info;
    (void)snprintf(path, sizeof path, "%s/hosts/%s/%s", run->folder, run->sim->hosts[host].name, files[kind]);
    if (stat(path, &info) != 0)
        return;
    bool remove_it = sim_random_chance(&run->faults, 0.3);
    if (remove_it ? unlink(path) != 0 : truncate(path, info.st_size * sim_random_between(&run->faults, 0, 9) / 10) != 0)
        abort();
    run->damaged_at[host][kind] = run->sim->now;
    run->totals->damaged++;
}

static void die(struct run *run)
{
    bool power_cut = sim_random_chance(&run->faults, 0.6);
    bool was_writing[HOSTS];
    for (size_t i = 0; i < HOSTS; i++)
        was_writing[i] = fault_shell_is_writing(run->shell, run->sim->hosts[i].name);
    if (power_cut)
        fault_shell_cut_power(run->shell);
    sim_receiver_kill(run->sim);
    for (size_t i = 0; i < HOSTS && power_cut; i++)
        note_torn(run, i, was_writing[i]);
    if (power_cut && sim_random_chance(&run->faults, 0.2))
        damage_file(run);
    memset(run->complaints, 0, sizeof run->complaints);
    run->totals->deaths++;
    run->totals->power_cuts += power_cut;
    run->die_at = INT64_MAX;
    run->start_at = run->sim->now + sim_random_between(&run->faults, 0, 80) * S;
}

static void harm(struct run *run)
{
    struct sim *sim = run->sim;
    if (sim->now >= run->fine_at) {
        disk_set_weather(NULL);
        run->fine_at = INT64_MAX;
    } else if (run->fine_at == INT64_MAX && sim_random_chance(&run->faults, 1.0 / 120)) {
        fail_for_a_while(run);
    }
    fault_workers_set_busy(sim->options.seed + (uint64_t)sim->now, sim_random_chance(&run->faults, 0.1) ? 0.9 : 0.1);
    if (run->mode != DEATHS || !sim->receiver)
        return;
    if (run->die_at == INT64_MAX && sim_random_chance(&run->faults, 1.0 / 200)) {
        disk_die_after((uint64_t)sim_random_between(&run->faults, 1, 200));
        run->die_at = sim->now + 60 * S; /* at the latest */
    }
    if (disk_is_dead() || sim->now >= run->die_at)
        die(run);
}

/* ---- what the receiver says ---- */

/* Said again while it goes on: at the earliest after a minute. */
static void check_complaint(struct run *run, const char *line, size_t kind, const char *raised, const char *over)
{
    struct complaint_seen *seen = &run->complaints[kind];
    if (strstr(line, raised)) {
        if (seen->active && run->sim->now - seen->said_at < SAID_AGAIN_S * S)
            sim_fail(run->sim, "said twice: %s", line);
        *seen = (struct complaint_seen){true, run->sim->now};
    } else if (strstr(line, over)) {
        if (!seen->active)
            sim_fail(run->sim, "over what never was: %s", line);
        seen->active = false;
    }
}

static void check_line(struct run *run, const char *line)
{
    static const char *const known[] = {"judging goes on", "can be written again", "it will be written later",
                                        "cannot start"};
    bool is_known = false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        is_known = is_known || strstr(line, known[i]);
    if (run->mode != DEATHS && !is_known)
        sim_fail(run->sim, "nothing was damaged, and the receiver says: %s", line);
    check_complaint(run, line, 0, "judging goes on", "the journal can be written again");
    check_complaint(run, line, 1, "it will be written later", "RRD files can be written again");
}

static void check_lines(struct run *run)
{
    const char *line = disk_take_lines();
    while (*line) {
        const char *end = strchrnul(line, '\n');
        char text[1024];
        (void)snprintf(text, sizeof text, "%.*s", (int)(end - line), line);
        if (getenv("SIM_LINES"))
            printf("%.3f %s: %s\n", (double)run->sim->now / S, mode_names[run->mode], text);
        check_line(run, text);
        line = *end ? end + 1 : end;
    }
}

/* ---- a run ---- */

static void step(struct run *run, bool calm)
{
    struct sim *sim = run->sim;
    sim_run_for(sim, S);
    check_lines(run);
    live(run, calm);
    if (run->mode != CLEAN && !calm && sim->now > BEGUN_S * S)
        harm(run);
    if (!sim->receiver && sim->now >= run->start_at) {
        sim_receiver_start(sim);
        run->totals->refused += !sim->receiver;
    }
}

/* The disk works again; then everything is to be written that can be. */
static void settle(struct run *run)
{
    bool done = false;
    disk_set_weather(NULL);
    disk_die_after(0);
    fault_workers_set_busy(1, 0);
    if (disk_is_dead())
        die(run);
    for (int i = 0; i < 2700; i++)
        step(run, true);
    fault_shell_flush(run->shell, run->sim, &done);
    for (int i = 0; i < 300 && !(done && fault_shell_is_settled(run->shell)); i++)
        step(run, true);
    if (!done || !fault_shell_is_settled(run->shell))
        sim_fail(run->sim, "the files are not written after the disk has worked for an hour");
    if (run->complaints[0].active || run->complaints[1].active)
        sim_fail(run->sim, "the trouble is over, and that is not said");
}

static void begin(struct run *run, const char *folder, uint64_t seed)
{
    static const int64_t intervals_s[HOSTS] = {5, 10, 10, 30, 60};
    struct sim_link link = {.loss = seed % 3 == 0 ? 0 : 0.02, .delay_ns = 20 * NS_PER_MS};
    (void)snprintf(run->folder, sizeof run->folder, "%s/%d", folder, (int)run->mode);
    if (mkdir(run->folder, 0700) != 0)
        abort();
    disk_open(run->folder, seed);
    fault_workers_set_busy(1, 0);
    run->shell = fault_shell_create(run->folder, seed);
    struct sim_options options = {.seed = seed,
                                  .to_receiver = link,
                                  .to_agent = link,
                                  .keep = true,
                                  .trace = true,
                                  .steady = true,
                                  .traffic = true,
                                  .shell = fault_shell_hooks(run->shell)};
    run->sim = sim_create(&options);
    run->fine_at = run->die_at = INT64_MAX;
    sim_random_init(&run->faults, seed, 903);
    for (size_t i = 0; i < HOSTS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "host%zu", i + 1);
        sim_add_host(run->sim, name, intervals_s[i] * S);
    }
    sim_receiver_start(run->sim);
    sim_boot_all(run->sim);
}

/* ---- what it leaves ---- */

static void read_rows(struct run *run, size_t host, size_t kind, struct rows *rows)
{
    char path[256];
    char **names;
    unsigned long step_s = ROW_S;
    time_t from = SIM_EPOCH_S / ROW_S * ROW_S, to = SIM_EPOCH_S + run->sim->now / S;
    (void)snprintf(path, sizeof path, "%s/hosts/%s/%s", run->folder, run->sim->hosts[host].name, row_files[kind]);
    rrd_clear_error();
    time_t begin = from;
    if (rrd_fetch_r(path, "AVERAGE", &begin, &to, &step_s, &rows->sources, &names, &rows->values) != 0)
        sim_fail(run->sim, "%s: %s", path, rrd_get_error());
    if (begin != from || step_s != ROW_S)
        sim_fail(run->sim, "%s: no rows of 5 minutes", path);
    for (unsigned long i = 0; i < rows->sources; i++)
        rrd_freemem(names[i]);
    rrd_freemem(names);
    rows->count = (unsigned long)(to - from) / ROW_S;
}

static void read_host(struct run *run, struct log_reader *reader, const struct log_host *host, struct outcome *outcome)
{
    struct error error;
    uint64_t differing;
    int64_t first;
    char path[256];
    size_t i = (size_t)(host->name[4] - '1');
    if (log_reader_timeline(reader, host->id, &outcome->timelines[i], &error) != 0)
        sim_fail(run->sim, "%s", error.text);
    (void)snprintf(path, sizeof path, "%s/hosts/%s/state.rrd", run->folder, host->name);
    if (rrd_store_verify_state(path, &outcome->timelines[i], host->written_to, &differing, &first, &error) != 0)
        sim_fail(run->sim, "%s", error.text);
    if (differing > 0 || host->written_to < SIM_EPOCH_S + run->sim->now / S - 300)
        sim_fail(run->sim, "%s: %" PRIu64 " rows differ from the log, the first at %" PRId64 "; written to %" PRId64,
                 path, differing, first, host->written_to);
    for (size_t kind = 0; kind < KINDS; kind++)
        read_rows(run, i, kind, &outcome->rows[i][kind]);
}

static void read_record(struct run *run, struct outcome *outcome)
{
    struct error error;
    struct log_host *hosts;
    size_t count;
    struct log_reader *reader = log_reader_open(run->folder, &error);
    if (!reader || log_reader_hosts(reader, &hosts, &count, &error) != 0)
        sim_fail(run->sim, "%s", error.text);
    if (count != HOSTS)
        sim_fail(run->sim, "there are %zu hosts in the record", count);
    for (size_t i = 0; i < count; i++)
        read_host(run, reader, &hosts[i], outcome);
    free(hosts);
    log_reader_close(reader);
}

static void free_outcome(struct outcome *outcome)
{
    for (size_t i = 0; i < HOSTS; i++) {
        timeline_free(&outcome->timelines[i]);
        for (size_t kind = 0; kind < KINDS; kind++)
            rrd_freemem(outcome->rows[i][kind].values);
    }
    free(outcome->trace);
    free(outcome->away);
}

/* ---- comparing ---- */

/* The bytes that net.rrd holds are those that the host has received: held against its own counters, since its last boot. */
static void check_traffic(struct run *run, const struct outcome *outcome)
{
    for (size_t i = 0; i < HOSTS; i++) {
        const struct sim_host *host = &run->sim->hosts[i];
        const struct rows *rows = &outcome->rows[i][1];
        int64_t begin = SIM_EPOCH_S / ROW_S * ROW_S, boot = SIM_EPOCH_S + host->uptime_offset / S;
        int64_t first = (boot - begin) / ROW_S + 2;
        int64_t last = (SIM_EPOCH_S + run->sim->now / S - begin) / ROW_S - 2;
        double told = 0;
        if (run->damaged_at[i][1] > host->uptime_offset || run->torn[i][1] || last <= first)
            continue;
        for (int64_t row = first; row < last; row++)
            told += rows->values[(size_t)row * rows->sources] * ROW_S;
        double from = sim_traffic(i, (begin + first * ROW_S - SIM_EPOCH_S) * 1000 - host->uptime_offset / NS_PER_MS);
        double to = sim_traffic(i, (begin + last * ROW_S - SIM_EPOCH_S) * 1000 - host->uptime_offset / NS_PER_MS);
        /* A beat that was sent again may count up to 0.05 intervals late. */
        double slack = 0.1 * (double)host->interval_ns / S * TRAFFIC_MAX;
        if (!(fabs(told - (to - from)) <= slack + (to - from) * 1e-6))
            sim_fail(run->sim, "%s (%s): net.rrd has %.0f bytes, its own counter %.0f", host->name,
                     mode_names[run->mode], told, to - from);
    }
}

/* Whether beats of that row went with an agent that ended. */
static bool is_taken(const struct run *run, size_t host, int64_t row)
{
    int64_t end = SIM_EPOCH_S / ROW_S * ROW_S - SIM_EPOCH_S + (row + 1) * ROW_S, begin = end - ROW_S;
    bool taken = false;
    for (size_t i = 0; i < run->taken_count; i++)
        taken = taken || (run->taken[i].host == host && run->taken[i].from < end * S && run->taken[i].to > begin * S);
    return run->mode == DEATHS && taken;
}

static void compare_file(struct run *run, size_t host, size_t kind, const struct rows *a, const struct rows *b)
{
    int64_t damaged = run->damaged_at[host][kind];
    /* What a file that is begun anew can hold: all that was not in the old one. */
    double interval_s = (double)run->sim->hosts[host].interval_ns / S;
    /* A beat is sent again until it is 0.55 intervals old, and its age is believed up to half of one. */
    double slack = run->mode == DEATHS ? 0.1 * interval_s / ROW_S : 1e-7;
    unsigned long row = damaged > 0 ? (unsigned long)(damaged / S / ROW_S + 3) : 0;
    for (; row < a->count - 1 && !run->torn[host][kind]; row++) {
        if (is_taken(run, host, (int64_t)row))
            continue;
        run->totals->rows++;
        for (unsigned long k = row * a->sources; k < (row + 1) * a->sources; k++) {
            double clean = a->values[k], found = b->values[k];
            if (isnan(clean) ? isnan(found) : fabs(clean - found) <= slack * (LOAD_MAX + fabs(clean)))
                continue;
            sim_fail(run->sim, "%s/%s (%s): row %lu (to %" PRId64 " s), value %lu is %f, and %f without faults",
                     run->sim->hosts[host].name, row_files[kind], mode_names[run->mode], row,
                     SIM_EPOCH_S / ROW_S * ROW_S - SIM_EPOCH_S + (int64_t)(row + 1) * ROW_S, k % a->sources, found,
                     clean);
        }
    }
}

static void compare_rows(struct run *run, const struct outcome *clean, const struct outcome *outcome)
{
    for (size_t i = 0; i < HOSTS; i++)
        for (size_t kind = 0; kind < KINDS; kind++)
            compare_file(run, i, kind, &clean->rows[i][kind], &outcome->rows[i][kind]);
}

static const struct timeline_span *span_at(const struct timeline *timeline, int64_t at)
{
    const struct timeline_span *found = NULL;
    for (size_t i = 0; i < timeline->count && timeline->spans[i].from <= at; i++)
        found = &timeline->spans[i];
    return found;
}

static bool is_near_absence(const struct run *run, int64_t at_s, int64_t near_s)
{
    const struct sim_store *store = &run->sim->store;
    int64_t at = (at_s - SIM_EPOCH_S) * S;
    for (size_t i = 0; i < store->away_count; i++)
        if (at >= store->away[i].from - near_s * S && at <= store->away[i].to + near_s * S)
            return true;
    return false;
}

/* Second by second; what is unknown must be so for the receiver's absence. */
static void compare_states(struct run *run, const struct outcome *clean, const struct outcome *outcome)
{
    for (size_t i = 0; i < HOSTS; i++) {
        int64_t interval_s = run->sim->hosts[i].interval_ns / S, differing = 0;
        for (int64_t at = clean->timelines[i].spans[0].from; at < SIM_EPOCH_S + run->sim->now / S; at++) {
            const struct timeline_span *a = span_at(&clean->timelines[i], at), *b = span_at(&outcome->timelines[i], at);
            run->totals->seconds++;
            run->totals->unknown += b && b->cause == CAUSE_RECEIVER_OFF;
            bool same = a && b && a->state == b->state && a->cause == b->cause;
            differing = same ? 0 : differing + 1;
            if (differing <= 1 + interval_s / 20)
                continue; /* the rhythm was not learned from the very same beats */
            if (!is_near_absence(run, at, 3 * interval_s))
                sim_fail_about(run->sim, i, (at - SIM_EPOCH_S - 600) * S, (at - SIM_EPOCH_S + 600) * S,
                               "%s: at %" PRId64 " the record says %s %s, and %s %s without faults",
                               run->sim->hosts[i].name, at - SIM_EPOCH_S, b ? state_token(b->state) : "nothing",
                               b ? cause_token(b->cause) : "", a ? state_token(a->state) : "nothing",
                               a ? cause_token(a->cause) : "");
        }
    }
}

static void compare(struct run *run, const struct outcome *clean, const struct outcome *outcome)
{
    if (run->mode == ERRORS && strcmp(clean->trace, outcome->trace) != 0) {
        size_t same = 0;
        while (clean->trace[same] == outcome->trace[same])
            same++;
        while (same > 0 && clean->trace[same - 1] != '\n')
            same--;
        sim_fail(run->sim, "errors of the disk change what is judged:\n%.120s\n  instead of\n%.120s",
                 outcome->trace + same, clean->trace + same);
    }
    compare_states(run, clean, outcome);
    compare_rows(run, clean, outcome);
}

static void run_one(enum mode mode, const char *folder, uint64_t seed, int hours, const struct outcome *clean,
                    struct outcome *outcome, struct totals *totals)
{
    struct run run = {.mode = mode, .totals = totals};
    begin(&run, folder, seed);
    for (int i = 0; i < hours * 3600; i++)
        step(&run, false);
    settle(&run);
    outcome->trace = strdup(run.sim->text);
    sim_receiver_stop(run.sim);
    check_lines(&run);
    read_record(&run, outcome);
    check_traffic(&run, outcome);
    if (clean)
        compare(&run, clean, outcome);
    totals->safe += fault_shell_safe(run.shell);
    totals->failed += disk_counts()->failed;
    sim_destroy(run.sim);
    free(run.taken);
    fault_shell_destroy(run.shell);
    disk_close();
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

static void run_seed(uint64_t seed, int hours, struct totals *totals)
{
    char folder[48];
    const char *tmp = getenv("TMPDIR");
    struct outcome outcomes[DEATHS + 1] = {0};
    (void)snprintf(folder, sizeof folder, "%.30s/faults.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        abort();
    for (enum mode mode = CLEAN; mode <= DEATHS; mode++)
        run_one(mode, folder, seed, hours, mode == CLEAN ? NULL : &outcomes[CLEAN], &outcomes[mode], totals);
    for (enum mode mode = CLEAN; mode <= DEATHS; mode++)
        free_outcome(&outcomes[mode]);
    if (nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        abort();
}

int main(int argc, char **argv)
{
    bool is_long = argc > 1 && strcmp(argv[1], "--long") == 0;
    bool chosen = argc > 2 && strcmp(argv[1], "--seed") == 0;
    uint64_t seed = chosen ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t count = argc > 3 ? strtoull(argv[3], NULL, 10) : chosen ? 1 : is_long ? SEEDS_LONG : SEEDS_SHORT;
    struct totals totals = {0};
    for (uint64_t at = seed; at < seed + count; at++)
        run_seed(at, is_long ? HOURS_LONG : HOURS_SHORT, &totals);
    printf("seeds %" PRIu64 " to %" PRIu64 ": %" PRIu64 " calls failed in %" PRIu64 " spells, %" PRIu64
           " deaths, %" PRIu64 " of them power cuts, %" PRIu64 " starts refused, %" PRIu64
           " RRD files damaged and %" PRIu64 " torn\n"
           "all %" PRIu64 " beats called safe are there; %" PRIu64 " seconds (%" PRIu64 " of them unknown) and %" PRIu64
           " rows are as without faults\n",
           seed, seed + count - 1, totals.failed, totals.spells, totals.deaths, totals.power_cuts, totals.refused,
           totals.damaged, totals.torn, totals.safe, totals.seconds, totals.unknown, totals.rows);
    return 0;
}
