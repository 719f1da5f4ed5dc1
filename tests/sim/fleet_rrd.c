/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fleet_rrd.c - the RRD files of a fleet, as they come about while it lives, and what rrdtool reads in them. See fleet.h.
 *
 * The files are written by the code of the receiver, from what is stored, up to the watermark, again and again; a log
 * that changed before it makes a file anew. A receiver that is killed between a file and the next checkpoint writes the
 * same once more. The question is the one that README gives to users, put to the program rrdtool. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "receiver/record/rrd_store.h"
#include "tests/sim/fleet.h"

struct fleet_rrd {
    char folder[64];
    struct rrd_store *store;
    size_t hosts;
    FILE *to, *from; /* of rrdtool */
    pid_t pid;
};

/* rrdtool as a server: questions in, answers out, each ended by a line that begins with OK or ERROR. */
static void start_rrdtool(struct fleet_rrd *rrd)
{
    int in[2], out[2];
    if (pipe2(in, 0) != 0 || pipe2(out, 0) != 0)
        abort();
    (void)fflush(stdout);
    rrd->pid = fork();
    if (rrd->pid == 0) {
        (void)dup2(in[0], STDIN_FILENO);
        (void)dup2(out[1], STDOUT_FILENO);
        (void)close(in[1]);
        (void)close(out[0]);
        (void)execlp("rrdtool", "rrdtool", "-", (char *)NULL);
        _exit(127);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    rrd->to = fdopen(in[1], "w");
    rrd->from = fdopen(out[0], "r");
    if (rrd->pid < 0 || !rrd->to || !rrd->from)
        abort();
}

struct fleet_rrd *fleet_rrd_create(size_t hosts)
{
    struct fleet_rrd *rrd = calloc(1, sizeof *rrd);
    const char *tmp = getenv("TMPDIR");
    if (!rrd)
        abort();
    rrd->hosts = hosts;
    (void)snprintf(rrd->folder, sizeof rrd->folder, "%.40s/fleet.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(rrd->folder) || !(rrd->store = rrd_store_create(rrd->folder)))
        abort();
    start_rrdtool(rrd);
    return rrd;
}

void fleet_rrd_destroy(struct fleet_rrd *rrd)
{
    static const char *const files[] = {"state.rrd", "state.rrd.bak", ""};
    char path[128];
    for (size_t i = 0; i < rrd->hosts; i++)
        for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
            (void)snprintf(path, sizeof path, "%s/host%02zu/%s", rrd->folder, i, files[k]);
            (void)(*files[k] ? unlink(path) : rmdir(path));
        }
    (void)rmdir(rrd->folder);
    (void)fclose(rrd->to);
    (void)fclose(rrd->from);
    (void)waitpid(rrd->pid, NULL, 0);
    rrd_store_destroy(rrd->store);
    free(rrd);
}

void fleet_rrd_flush(struct fleet_rrd *rrd, struct sim *sim)
{
    if (!sim->receiver || sim->stall_until != INT64_MAX)
        return;
    sim_receiver_commit(sim); /* a file tells nothing that the database does not */
    for (size_t i = 0; i < rrd->hosts; i++) {
        struct host *host =
            host_table_find(receiver_hosts(sim->receiver), sim->hosts[i].name, strlen(sim->hosts[i].name));
        struct timeline log;
        struct error error = {0};
        if (!host)
            continue;
        sim_timeline(sim, i, &log);
        int64_t to = receiver_settled_to(sim->receiver, host, sim_instant(sim->now));
        if (rrd_store_write_state(rrd->store, host->name, &log, host->changed_from, to, &error) != 0)
            sim_fail(sim, "%s", error.text);
        host->changed_from = INT64_MAX;
        if (log.count > 0 && to > log.spans[0].from)
            host->written_to = to;
        timeline_free(&log);
    }
}

struct reading {
    double uptime, up, down;
};

/* Reads an answer: three numbers, nan where there is nothing. */
static void read_answer(struct fleet_rrd *rrd, struct sim *sim, struct reading *out)
{
    double values[3] = {NAN, NAN, NAN};
    char line[256];
    size_t count = 0;
    while (fgets(line, sizeof line, rrd->from)) {
        if (strncmp(line, "OK", 2) == 0) {
            *out = (struct reading){values[0], values[1], values[2]};
            return;
        }
        if (strncmp(line, "ERROR", 5) == 0)
            break;
        if (!strchr(line, 'x') && count < 3)
            values[count++] = strtod(line, NULL);
    }
    sim_fail(sim, "rrdtool does not answer: %s", line);
}

static struct reading ask(struct fleet_rrd *rrd, struct sim *sim, size_t host, int64_t step_s, int64_t from, int64_t to)
{
    char path[128];
    struct reading reading;
    (void)snprintf(path, sizeof path, "%s/%s/state.rrd", rrd->folder, sim->hosts[host].name);
    fprintf(rrd->to,
            "graph /dev/null --start %" PRId64 " --end %" PRId64 " --step %" PRId64 " --width 10000 "
            "DEF:u=%s:up:AVERAGE DEF:d=%s:down:AVERAGE DEF:a=%s:admin:AVERAGE DEF:k=%s:known:AVERAGE "
            "CDEF:t=u,d,+,a,+ CDEF:us=u,t,/,k,* CDEF:ds=d,t,/,k,* VDEF:U=us,TOTAL VDEF:D=ds,TOTAL "
            "CDEF:q=us,POP,U,0.5,+,FLOOR,100000000,*,U,0.5,+,FLOOR,D,0.5,+,FLOOR,+,/,FLOOR,1000000,/ VDEF:R=q,MAXIMUM "
            "PRINT:R:%%.6lf PRINT:U:%%.6lf PRINT:D:%%.6lf\n",
            from, to - 1, step_s, path, path, path, path);
    (void)fflush(rrd->to);
    read_answer(rrd, sim, &reading);
    return reading;
}

/* Whether a number of seconds is that of the log to within a millionth of the period; NaN counts as none. */
static bool agrees(double read, int64_t logged_s, int64_t period_s)
{
    return fabs((isnan(read) ? 0 : read) - (double)logged_s) <= (double)period_s * 1e-6;
}

static void compare(struct fleet_rrd *rrd, struct sim *sim, size_t host, const struct timeline *log, int64_t step_s,
                    int64_t from, int64_t to)
{
    struct timeline_seconds seconds;
    timeline_count(log, from, to, &seconds);
    int64_t up = seconds.state[STATE_UP], down = seconds.state[STATE_DOWN];
    struct reading reading = ask(rrd, sim, host, step_s, from, to);
    /* Rounded down, as `twobeat uptime` prints it. */
    double uptime = up + down > 0 ? (double)(up * 100000000 / (up + down)) / 1e6 : NAN;
    bool same = isnan(uptime) ? isnan(reading.uptime) : fabs(reading.uptime - uptime) < 1e-7;
    if (same && agrees(reading.up, up, to - from) && agrees(reading.down, down, to - from))
        return;
    sim_fail_about(sim, host, (to - SIM_EPOCH_S) * NS_PER_S - 7200 * NS_PER_S, sim->now,
                   "%s: rrdtool reads %.6f %%, up %.6f s, down %.6f s in %" PRId64 " to %" PRId64 " at rows of %" PRId64
                   " s; the log says %.6f %%, %" PRId64 ", %" PRId64,
                   sim->hosts[host].name, reading.uptime, reading.up, reading.down, from - SIM_EPOCH_S,
                   to - SIM_EPOCH_S, step_s, uptime, up, down);
}

unsigned fleet_rrd_check(struct fleet_rrd *rrd, struct sim *sim)
{
    static const struct {
        int64_t step_s, rows;
    } archives[] = {{60, 1440}, {900, 9500}, {86400, 3650}};
    unsigned questions = 0;
    fleet_rrd_flush(rrd, sim);
    for (size_t i = 0; i < rrd->hosts; i++) {
        const struct host *host = sim_judged(sim, i);
        struct timeline log;
        sim_timeline(sim, i, &log);
        for (size_t k = 0; k < sizeof archives / sizeof *archives; k++) {
            int64_t step_s = archives[k].step_s;
            int64_t to = host->written_to / step_s * step_s;
            int64_t from = (log.spans[0].from + step_s - 1) / step_s * step_s;
            if (from < to - archives[k].rows * step_s)
                from = to - archives[k].rows * step_s;
            if (from >= to)
                continue;
            compare(rrd, sim, i, &log, step_s, from, to);
            questions++;
        }
        timeline_free(&log);
    }
    return questions;
}
