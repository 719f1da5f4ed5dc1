/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_stories.c - what the record says, told as stories: at least one for each row of the table of states.
 *
 * Each story is a short run without loss. What is done (-- lines), what the receiver shows (old -> new), the lines
 * of the log, and at the end the record are compared with tests/sim/golden/NAME.txt to the byte. `sim_stories NAME`
 * prints one; `sim_stories --write DIR` writes all of them: read each difference before you believe it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define S NS_PER_S
#define MINUTE (60 * S)

/* Most stories are of one host with an interval of 60 s that has been up for ten minutes. */
static void begin(struct sim *sim)
{
    sim_add_host(sim, "web1", MINUTE);
    sim_receiver_start(sim);
    sim_boot(sim, 0);
    sim_run(sim, 5 * S);
    sim_start_agent(sim, 0);
    sim_run(sim, 10 * MINUTE + 20 * S);
}

static void add_quiet_host(struct sim *sim)
{
    sim_add_host(sim, "db1", MINUTE);
    sim_boot(sim, 1);
    sim_start_agent(sim, 1);
}

static void boot(struct sim *sim, size_t host)
{
    sim_boot(sim, host);
    sim_run_for(sim, 10 * S);
    sim_start_agent(sim, host);
}

static void in_time(struct sim *sim)
{
    begin(sim);
    sim_run(sim, 60 * MINUTE);
}

static void silent(struct sim *sim)
{
    begin(sim);
    sim_crash(sim, 0);
    sim_run(sim, 30 * MINUTE);
}

static void late_only(struct sim *sim)
{
    begin(sim);
    sim_run(sim, 10 * MINUTE + 50 * S);
    sim_set_cut(sim, 0, true);
    sim_run_for(sim, 80 * S);
    sim_set_cut(sim, 0, false);
    sim_run(sim, 20 * MINUTE);
}

/* It falls asleep right after a beat: silence is told from the middle of the interval on, and taken back up to where it froze. */
static void frozen(struct sim *sim)
{
    begin(sim);
    sim_run(sim, 11 * MINUTE + 6 * S);
    sim_sleep(sim, 0);
    sim_run_for(sim, 10 * MINUTE);
    sim_awake(sim, 0);
    sim_run(sim, 30 * MINUTE);
}

/* The receiver's loop stands still in the middle of it, when nothing was to be heard: that makes it no shorter. */
static void frozen_receiver_stalled(struct sim *sim)
{
    begin(sim);
    sim_run(sim, 11 * MINUTE + 6 * S);
    sim_sleep(sim, 0);
    sim_run_for(sim, 5 * MINUTE);
    sim_receiver_stall(sim, 14 * S);
    sim_run_for(sim, 5 * MINUTE);
    sim_awake(sim, 0);
    sim_run(sim, 30 * MINUTE);
}

/* It is late, and then counted later still because it waited in the socket: nothing froze. */
static void not_frozen_receiver_stalled(struct sim *sim)
{
    begin(sim);
    sim_run(sim, 11 * MINUTE + 4 * S);
    sim_set_cut(sim, 0, true);
    sim_run_for(sim, 71 * S);
    sim_receiver_stall(sim, 14 * S);
    sim_set_cut(sim, 0, false);
    sim_run(sim, 30 * MINUTE);
}

/* The first sign of life after the receiver was off is a goodbye: what nobody could observe is unknown all the same. */
static void shutdown_after_receiver_off(struct sim *sim)
{
    begin(sim);
    sim_receiver_kill(sim);
    sim_run(sim, 60 * MINUTE + 10 * S);
    sim_receiver_start(sim);
    sim_shut_down(sim, 0);
    sim_run(sim, 70 * MINUTE);
}

/* It crashes and boots while the receiver stands still: when that goes on, a beat of before is heard after the boot. That makes no clone
 * of it. */
static void reboot_while_receiver_stalls(struct sim *sim)
{
    begin(sim);
    sim_run(sim, 11 * MINUTE);
    sim_receiver_stall(sim, 5 * MINUTE);
    sim_run_for(sim, 10 * S);
    sim_crash(sim, 0);
    sim_run_for(sim, 20 * S);
    boot(sim, 0);
    sim_run(sim, 30 * MINUTE);
}

static void unreachable(struct sim *sim)
{
    begin(sim);
    sim_set_cut(sim, 0, true);
    sim_run(sim, 20 * MINUTE);
    sim_set_cut(sim, 0, false);
    sim_run(sim, 30 * MINUTE);
}

static void agent_died(struct sim *sim)
{
    begin(sim);
    sim_kill_agent(sim, 0);
    sim_run(sim, 20 * MINUTE);
    sim_start_agent(sim, 0);
    sim_run(sim, 30 * MINUTE);
}

static void agent_died_shortly(struct sim *sim)
{
    begin(sim);
    sim_kill_agent(sim, 0);
    sim_run_for(sim, 30 * S);
    sim_start_agent(sim, 0);
    sim_run(sim, 30 * MINUTE);
}

static void reboot(struct sim *sim)
{
    begin(sim);
    sim_crash(sim, 0);
    sim_run(sim, 20 * MINUTE);
    boot(sim, 0);
    sim_run(sim, 30 * MINUTE);
}

static void reboot_unseen(struct sim *sim)
{
    begin(sim);
    sim_crash(sim, 0);
    sim_run_for(sim, 15 * S);
    boot(sim, 0);
    sim_run(sim, 30 * MINUTE);
}

static void reboot_after_agent_stopped(struct sim *sim)
{
    begin(sim);
    sim_stop_agent(sim, 0);
    sim_run_for(sim, 2 * MINUTE);
    sim_crash(sim, 0);
    sim_run_for(sim, MINUTE);
    boot(sim, 0);
    sim_run(sim, 30 * MINUTE);
}

static void shutdown_short(struct sim *sim)
{
    begin(sim);
    sim_shut_down(sim, 0);
    sim_run(sim, 20 * MINUTE);
    boot(sim, 0);
    sim_run(sim, 30 * MINUTE);
}

static void shutdown_over_limit(struct sim *sim)
{
    begin(sim);
    sim_shut_down(sim, 0);
    sim_run(sim, 60 * MINUTE);
    boot(sim, 0);
    sim_run(sim, 70 * MINUTE);
}

static void agent_stopped_short(struct sim *sim)
{
    begin(sim);
    sim_stop_agent(sim, 0);
    sim_run_for(sim, 30 * S);
    sim_start_agent(sim, 0);
    sim_run(sim, 20 * MINUTE);
}

static void agent_stopped_late(struct sim *sim)
{
    begin(sim);
    sim_stop_agent(sim, 0);
    sim_run(sim, 20 * MINUTE);
    sim_start_agent(sim, 0);
    sim_run(sim, 30 * MINUTE);
}

static void agent_stopped_over_limit(struct sim *sim)
{
    begin(sim);
    sim_stop_agent(sim, 0);
    sim_run(sim, 60 * MINUTE);
    sim_start_agent(sim, 0);
    sim_run(sim, 70 * MINUTE);
}

/* It speaks to other receivers from now on, and comes back. Nobody misses it meanwhile. */
static void moved(struct sim *sim)
{
    begin(sim);
    sim_move_away(sim, 0);
    sim_run(sim, 60 * MINUTE);
    sim_start_agent(sim, 0);
    sim_run(sim, 70 * MINUTE);
}

/* It is missed before it can say that it moves: that it was there is known as soon as it does. */
static void moved_while_unreachable(struct sim *sim)
{
    begin(sim);
    sim_set_cut(sim, 0, true);
    sim_run(sim, 20 * MINUTE);
    sim_move_away(sim, 0);
    sim_run(sim, 25 * MINUTE + 30 * S);
    sim_set_cut(sim, 0, false);
    sim_run(sim, 60 * MINUTE);
}

static void shutdown_bye_lost(struct sim *sim)
{
    begin(sim);
    sim_set_cut(sim, 0, true);
    sim_shut_down(sim, 0);
    sim_run(sim, 20 * MINUTE);
    sim_set_cut(sim, 0, false);
    boot(sim, 0);
    sim_run(sim, 30 * MINUTE);
}

static void agent_stopped_bye_lost(struct sim *sim)
{
    begin(sim);
    sim_set_cut(sim, 0, true);
    sim_stop_agent(sim, 0);
    sim_run(sim, 20 * MINUTE);
    sim_set_cut(sim, 0, false);
    sim_start_agent(sim, 0);
    sim_run(sim, 30 * MINUTE);
}

static void maintenance(struct sim *sim)
{
    begin(sim);
    sim_window_add(sim, "web1", sim->now, INT64_MAX);
    sim_crash(sim, 0);
    sim_run(sim, 30 * MINUTE);
    boot(sim, 0);
    sim_run(sim, 35 * MINUTE);
    sim_window_end(sim, 0);
    sim_run(sim, 45 * MINUTE);
}

static void maintenance_over(struct sim *sim)
{
    begin(sim);
    sim_window_add(sim, "web1", sim->now + 5 * MINUTE, 30 * MINUTE);
    sim_run(sim, 16 * MINUTE);
    sim_crash(sim, 0);
    sim_run(sim, 50 * MINUTE);
    boot(sim, 0);
    sim_run(sim, 60 * MINUTE);
}

static void receiver_off(struct sim *sim)
{
    begin(sim);
    sim_receiver_stop(sim);
    sim_run(sim, 30 * MINUTE);
    sim_receiver_start(sim);
    sim_run(sim, 45 * MINUTE);
}

static void receiver_off_host_dies(struct sim *sim)
{
    begin(sim);
    add_quiet_host(sim);
    sim_run(sim, 15 * MINUTE);
    sim_receiver_stop(sim);
    sim_run(sim, 20 * MINUTE);
    sim_crash(sim, 0);
    sim_run(sim, 30 * MINUTE);
    sim_receiver_start(sim);
    sim_run(sim, 45 * MINUTE);
}

static void receiver_off_while_down(struct sim *sim)
{
    begin(sim);
    sim_crash(sim, 0);
    sim_run(sim, 20 * MINUTE);
    sim_receiver_stop(sim);
    sim_run(sim, 30 * MINUTE);
    sim_receiver_start(sim);
    sim_run(sim, 40 * MINUTE);
    boot(sim, 0);
    sim_run(sim, 50 * MINUTE);
}

/* Killed and back at once: no second is unknown. */
static void receiver_killed(struct sim *sim)
{
    begin(sim);
    for (int i = 0; i < 20; i++) {
        sim_run_for(sim, 100 * S + 77 * NS_PER_MS);
        sim_receiver_kill(sim);
        sim_run_for(sim, 2 * S);
        sim_receiver_start(sim);
    }
    sim_run_for(sim, 10 * MINUTE);
}

/* It dies once a second for a minute. The host that died meanwhile is found. */
static void receiver_crash_loop(struct sim *sim)
{
    begin(sim);
    add_quiet_host(sim);
    sim_run(sim, 15 * MINUTE);
    sim_crash(sim, 0);
    for (int i = 0; i < 60; i++) {
        sim_receiver_kill(sim);
        sim_run_for(sim, 200 * NS_PER_MS);
        sim_receiver_start(sim);
        sim_run_for(sim, 813 * NS_PER_MS);
    }
    sim_run(sim, 30 * MINUTE);
}

/* Off for twenty minutes, and killed right after its start: the twenty minutes are as unknown as before. */
static void receiver_killed_at_start(struct sim *sim)
{
    begin(sim);
    sim_receiver_stop(sim);
    sim_run(sim, 30 * MINUTE + 20 * NS_PER_MS);
    sim_receiver_start(sim);
    sim_run_for(sim, 30 * NS_PER_MS);
    sim_receiver_kill(sim);
    sim_run_for(sim, S);
    sim_receiver_start(sim);
    sim_run(sim, 45 * MINUTE);
}

static void receiver_stalled_story(struct sim *sim)
{
    begin(sim);
    sim_run(sim, 10 * MINUTE + 50 * S);
    sim_receiver_stall(sim, 200 * S);
    sim_run(sim, 30 * MINUTE);
}

static void set_all_cut(struct sim *sim, size_t count, bool cut)
{
    for (size_t i = 0; i < count; i++)
        sim_set_cut(sim, i, cut);
}

/* Four hosts that have been up for 20 minutes. */
static void begin_fleet(struct sim *sim)
{
    static const char *const names[] = {"web2", "web3", "web4"};
    begin(sim);
    for (size_t i = 0; i < 3; i++) {
        sim_add_host(sim, names[i], MINUTE);
        sim_boot(sim, i + 1);
        sim_run_for(sim, 7 * S);
        sim_start_agent(sim, i + 1);
    }
    sim_run(sim, 20 * MINUTE);
}

/* Nobody is heard any more: three hosts that are due cannot all have died. One of them did. */
static void receiver_deaf(struct sim *sim)
{
    begin_fleet(sim);
    set_all_cut(sim, 4, true);
    sim_run(sim, 25 * MINUTE);
    sim_crash(sim, 3);
    sim_run(sim, 40 * MINUTE);
    set_all_cut(sim, 3, false);
    sim_run(sim, 60 * MINUTE);
}

/* A single host proves nothing about the receiver, but its lost interface does. */
static void receiver_isolated_story(struct sim *sim)
{
    begin(sim);
    sim_receiver_isolate(sim, true);
    sim_run(sim, 30 * MINUTE);
    sim_receiver_isolate(sim, false);
    sim_run(sim, 40 * MINUTE);
    sim_receiver_isolate(sim, true);
    sim_run_for(sim, 10 * S); /* no expectation lapses: nothing to tell */
    sim_receiver_isolate(sim, false);
    sim_run(sim, 45 * MINUTE);
}

/* The receiver is killed while it is cut off, and does not know it any more after that. */
static void receiver_killed_while_isolated(struct sim *sim)
{
    begin(sim);
    sim_receiver_isolate(sim, true);
    sim_run(sim, 20 * MINUTE);
    sim_receiver_kill(sim);
    sim_run_for(sim, MINUTE);
    sim_receiver_start(sim);
    sim_run(sim, 40 * MINUTE);
    set_all_cut(sim, 1, false);
    sim_run(sim, 50 * MINUTE);
}

/* Three of four are lost at once, and one of these starts anew meanwhile. */
static void receiver_path(struct sim *sim)
{
    begin_fleet(sim);
    set_all_cut(sim, 3, true);
    sim_run(sim, 30 * MINUTE);
    sim_crash(sim, 1);
    sim_run(sim, 32 * MINUTE);
    boot(sim, 1);
    sim_run(sim, 40 * MINUTE);
    set_all_cut(sim, 3, false);
    sim_run(sim, 50 * MINUTE);
}

/* The one that starts anew is the first to be back: the others were lost with it all the same. */
static void receiver_path_first_back_rebooted(struct sim *sim)
{
    begin_fleet(sim);
    sim_add_host(sim, "web5", MINUTE);
    sim_boot(sim, 4);
    sim_start_agent(sim, 4);
    sim_run(sim, 25 * MINUTE);
    set_all_cut(sim, 3, true);
    sim_run(sim, 30 * MINUTE);
    sim_crash(sim, 1);
    sim_run(sim, 32 * MINUTE);
    sim_set_cut(sim, 1, false);
    boot(sim, 1);
    sim_run_for(sim, 30 * S);
    set_all_cut(sim, 3, false);
    sim_run(sim, 40 * MINUTE);
}

static void clock_set_forward(struct sim *sim)
{
    begin(sim);
    add_quiet_host(sim);
    sim_run(sim, 15 * MINUTE);
    sim_crash(sim, 1);
    sim_run(sim, 20 * MINUTE + 10 * S);
    sim_receiver_step_wall(sim, 60 * MINUTE);
    sim_run(sim, 25 * MINUTE);
    sim_crash(sim, 0);
    sim_run(sim, 40 * MINUTE);
    boot(sim, 0);
    sim_run(sim, 50 * MINUTE);
}

/* Dead already when the clock is set, and nobody knows it yet. */
static void clock_set_forward_host_dead(struct sim *sim)
{
    begin(sim);
    sim_crash(sim, 0);
    sim_run_for(sim, 50 * S);
    sim_receiver_step_wall(sim, 60 * MINUTE);
    sim_run(sim, 30 * MINUTE);
}

/* Labels go on slower, nothing is unknown, and an outage of 1000 s is 990 s long. */
static void clock_set_back(struct sim *sim)
{
    begin(sim);
    sim_receiver_step_wall(sim, -60 * MINUTE);
    sim_run(sim, 20 * MINUTE);
    sim_crash(sim, 0);
    sim_run_for(sim, 1000 * S);
    boot(sim, 0);
    sim_run(sim, 60 * MINUTE);
}

/* Off for ten minutes, back with a clock that was never set, which is mended ten minutes later. */
static void clock_never_set(struct sim *sim)
{
    begin(sim);
    sim_receiver_stop(sim);
    sim_run(sim, 20 * MINUTE);
    sim_receiver_step_wall(sim, -SIM_EPOCH_S * S);
    sim_receiver_start(sim);
    sim_run(sim, 30 * MINUTE);
    sim_receiver_step_wall(sim, SIM_EPOCH_S * S);
    sim_run(sim, 40 * MINUTE);
    sim_crash(sim, 0);
    sim_run(sim, 50 * MINUTE);
}

/* Maintenance planned for a wall time begins then, also if the clock is set before. */
static void clock_set_before_maintenance(struct sim *sim)
{
    begin(sim);
    sim_window_add(sim, "web1", 100 * MINUTE, 120 * MINUTE);
    sim_run(sim, 20 * MINUTE);
    sim_receiver_step_wall(sim, 60 * MINUTE);
    sim_run(sim, 41 * MINUTE); /* labelled 101 minutes */
    sim_crash(sim, 0);
    sim_run(sim, 80 * MINUTE);
}

/* Two machines with one key: the one that was known first keeps the record, until it is gone. */
static void clone_story(struct sim *sim)
{
    begin(sim);
    sim_add_host(sim, "web1", MINUTE);
    boot(sim, 1);
    sim_run(sim, 30 * MINUTE);
    sim_crash(sim, 0);
    sim_run(sim, 50 * MINUTE);
}

/* The other one has run for long already. */
static void clone_older(struct sim *sim)
{
    sim_add_host(sim, "web1", MINUTE);
    sim_boot(sim, 0);
    sim_run(sim, 5 * MINUTE);
    sim_add_host(sim, "web1", MINUTE);
    sim_receiver_start(sim);
    sim_boot(sim, 1);
    sim_start_agent(sim, 1);
    sim_run(sim, 20 * MINUTE);
    sim_start_agent(sim, 0);
    sim_run(sim, 40 * MINUTE);
}

static void receiver_stalled_shortly(struct sim *sim)
{
    begin(sim);
    sim_run(sim, 10 * MINUTE + 50 * S);
    sim_receiver_stall(sim, 14 * S);
    sim_run(sim, 30 * MINUTE);
}

/* A virtual machine goes back to a snapshot an hour old: heard again two intervals after its first beat. */
static void snapshot(struct sim *sim)
{
    begin(sim);
    sim_snapshot(sim, 0);
    sim_run(sim, 70 * MINUTE);
    sim_restore(sim, 0);
    sim_run(sim, 90 * MINUTE);
}

static const struct {
    const char *name;
    void (*tell)(struct sim *sim);
} stories[] = {
    {"in_time", in_time},
    {"late_only", late_only},
    {"silent", silent},
    {"unreachable", unreachable},
    {"reboot", reboot},
    {"reboot_unseen", reboot_unseen},
    {"reboot_after_agent_stopped", reboot_after_agent_stopped},
    {"agent_died", agent_died},
    {"agent_died_shortly", agent_died_shortly},
    {"agent_stopped_short", agent_stopped_short},
    {"agent_stopped_late", agent_stopped_late},
    {"agent_stopped_over_limit", agent_stopped_over_limit},
    {"agent_stopped_bye_lost", agent_stopped_bye_lost},
    {"moved", moved},
    {"moved_while_unreachable", moved_while_unreachable},
    {"shutdown_short", shutdown_short},
    {"shutdown_over_limit", shutdown_over_limit},
    {"shutdown_bye_lost", shutdown_bye_lost},
    {"maintenance", maintenance},
    {"maintenance_over", maintenance_over},
    {"receiver_off", receiver_off},
    {"receiver_off_host_dies", receiver_off_host_dies},
    {"receiver_off_while_down", receiver_off_while_down},
    {"receiver_killed", receiver_killed},
    {"receiver_crash_loop", receiver_crash_loop},
    {"receiver_killed_at_start", receiver_killed_at_start},
    {"frozen", frozen},
    {"frozen_receiver_stalled", frozen_receiver_stalled},
    {"not_frozen_receiver_stalled", not_frozen_receiver_stalled},
    {"shutdown_after_receiver_off", shutdown_after_receiver_off},
    {"reboot_while_receiver_stalls", reboot_while_receiver_stalls},
    {"receiver_stalled", receiver_stalled_story},
    {"receiver_stalled_shortly", receiver_stalled_shortly},
    {"receiver_deaf", receiver_deaf},
    {"receiver_isolated", receiver_isolated_story},
    {"receiver_killed_while_isolated", receiver_killed_while_isolated},
    {"receiver_path", receiver_path},
    {"receiver_path_first_back_rebooted", receiver_path_first_back_rebooted},
    {"clock_set_forward", clock_set_forward},
    {"clock_set_forward_host_dead", clock_set_forward_host_dead},
    {"clock_set_back", clock_set_back},
    {"clock_never_set", clock_never_set},
    {"clock_set_before_maintenance", clock_set_before_maintenance},
    {"clone", clone_story},
    {"clone_older", clone_older},
    {"snapshot", snapshot},
};

/* The trace of one story, to be freed. What is stored gives the same state when loaded. */
static char *trace_of(size_t story)
{
    struct sim_link link = {.delay_ns = 20 * NS_PER_MS};
    struct sim_options options = {.seed = 1, .to_receiver = link, .to_agent = link, .keep = true, .trace = true};
    struct sim *sim = sim_create(&options);
    stories[story].tell(sim);
    sim_check_replay(sim);
    sim_note_record(sim);
    char *text = strdup(sim->text);
    sim_destroy(sim);
    return text;
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 65536);
    if (file && text) {
        (void)!fread(text, 1, 65535, file);
        (void)fclose(file);
    }
    return text;
}

/* Prints the first line that differs. */
static void show_difference(const char *name, const char *golden, const char *now)
{
    while (*golden && *golden == *now) {
        const char *golden_end = strchr(golden, '\n'), *now_end = strchr(now, '\n');
        if (!golden_end || !now_end || golden_end - golden != now_end - now ||
            strncmp(golden, now, (size_t)(golden_end - golden)) != 0)
            break;
        golden = golden_end + 1;
        now = now_end + 1;
    }
    printf("%s differs from tests/sim/golden/%s.txt; golden, then now:\n%.*s\n%.*s\n", name, name,
           (int)strcspn(golden, "\n"), golden, (int)strcspn(now, "\n"), now);
}

static int write_story(const char *folder, size_t story)
{
    char path[512];
    char *text = trace_of(story);
    (void)snprintf(path, sizeof path, "%s/%s.txt", folder, stories[story].name);
    FILE *file = fopen(path, "w");
    int rc = file && fputs(text, file) >= 0 ? 0 : 1;
    if (file)
        rc |= fclose(file) != 0;
    free(text);
    return rc;
}

static int compare_story(size_t story)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/tests/sim/golden/%s.txt", TEST_SOURCE_DIR, stories[story].name);
    char *golden = read_file(path);
    char *text = trace_of(story);
    int rc = strcmp(golden, text) != 0;
    if (rc)
        show_difference(stories[story].name, golden, text);
    free(golden);
    free(text);
    return rc;
}

int main(int argc, char **argv)
{
    size_t count = sizeof stories / sizeof *stories;
    int different = 0;
    for (size_t i = 0; i < count; i++) {
        if (argc == 2 && strcmp(argv[1], stories[i].name) == 0) {
            char *text = trace_of(i);
            fputs(text, stdout);
            free(text);
        } else if (argc == 3 && strcmp(argv[1], "--write") == 0) {
            different += write_story(argv[2], i);
        } else if (argc == 1) {
            different += compare_story(i);
        }
    }
    if (argc == 1)
        printf("%zu stories, %d differ\n", count, different);
    return different > 0;
}
