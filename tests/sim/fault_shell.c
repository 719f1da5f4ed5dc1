/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fault_shell.c - see fault_shell.h. */
#include "tests/sim/fault_shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "receiver/listen/keeper.h"
#include "receiver/record/journal.h"
#include "tests/sim/fault_disk.h"

#define FLUSH_INTERVAL_NS (120 * NS_PER_S)

/* What an agent was told: all of its beats from one number to another are safe. */
struct told_safe {
    uint64_t agent_start;
    uint32_t from, safe;
};

struct fault_shell {
    struct sim_shell hooks;
    char folder[256];
    uint8_t boot_id[BOOT_ID_LEN];
    struct sim_random random;
    struct journal *journal;
    struct keeper *keeper;
    struct receiver *receiver;
    bool power_cut;
    struct told_safe told[SIM_HOSTS_MAX];
    uint64_t checked;
};

static void clear_away(struct fault_shell *shell)
{
    keeper_destroy(shell->keeper);
    journal_close(shell->journal);
    receiver_destroy(shell->receiver);
    shell->keeper = NULL;
    shell->journal = NULL;
    shell->receiver = NULL;
}

/* As receiver/listen/daemon_start.c does it. */
static int load(struct fault_shell *shell, struct sim *sim, struct instant now, struct wall wall, struct error *error)
{
    struct journal_start start;
    struct receiver_options options = {.planned_limit_ns = sim->options.planned_limit_ns,
                                       .conservative = sim->options.conservative,
                                       .host_count_max = SIM_HOSTS_MAX};
    struct keeper_options keeper = {.data = shell->folder, .flush_interval_ns = FLUSH_INTERVAL_NS, .zone = "UTC"};
    sim_random_fill(&shell->random, options.secret, sizeof options.secret);
    shell->receiver = receiver_create(&options);
    shell->journal = journal_open(shell->folder, error);
    if (!shell->journal || journal_load(shell->journal, shell->receiver, &start, error) != 0)
        return -1;
    sim->lines_seen = receiver_lines(shell->receiver)->count;
    sim->store.has_run = start.has_run;
    sim->store.alive = start.has_run ? start.alive.ns - sim_instant(0).ns : 0;
    receiver_start(shell->receiver, now, wall, start.has_run ? start.alive : INSTANT_NEVER);
    const struct host_table *table = receiver_hosts(shell->receiver);
    for (uint32_t id = 1; id <= table->count && start.has_run && !start.clean; id++)
        table->hosts[id]->suspect = true;
    if (journal_begin_run(shell->journal, &start, shell->boot_id, now, now.ns,
                          labels_of(receiver_labels(shell->receiver), now), error) != 0)
        return -1;
    shell->keeper = keeper_create(NULL, shell->receiver, shell->journal, &keeper, error);
    return shell->keeper ? 0 : -1;
}

static void check_told(struct fault_shell *shell, struct sim *sim)
{
    for (size_t i = 0; i < sim->host_count; i++) {
        const struct told_safe *told = &shell->told[i];
        const char *name = sim->hosts[i].name;
        const struct host *host = host_table_find(receiver_hosts(shell->receiver), name, strlen(name));
        if (told->safe == 0)
            continue;
        if (!host)
            sim_fail(sim, "%s: beat %u was called safe, and the host is not known any more", name, told->safe);
        if (host->agent_start != told->agent_start && host->agent_start != sim->hosts[i].agent_start)
            sim_fail(sim, "%s: beat %u was called safe, and that run of the agent is not known", name, told->safe);
        if (host->agent_start != told->agent_start)
            continue;
        for (uint32_t number = told->from; number <= told->safe; number++, shell->checked++)
            if (!numbers_is_known(&host->numbers, number))
                sim_fail(sim, "%s: beat %u was called safe (up to %u), and is lost", name, number, told->safe);
    }
}

static struct receiver *start(void *context, struct sim *sim, struct instant now, struct wall wall)
{
    struct fault_shell *shell = context;
    struct error error;
    shell->power_cut = false;
    if (load(shell, sim, now, wall, &error) != 0) {
        sim_note(sim, "the receiver cannot start: %s", error.text);
        clear_away(shell);
        if (disk_is_dead())
            disk_revive(false);
        return NULL;
    }
    check_told(shell, sim);
    return shell->receiver;
}

static void tick(void *context, struct instant now)
{
    struct fault_shell *shell = context;
    fault_workers_tick();
    keeper_tick(shell->keeper, now);
}

static void acked(void *context, struct sim *sim, size_t host, const struct beat *beat, uint32_t safe)
{
    struct fault_shell *shell = context;
    struct told_safe *told = &shell->told[host];
    (void)sim;
    if (safe == 0 || (told->agent_start == beat->agent_start && safe <= told->safe))
        return;
    uint32_t from = told->agent_start == beat->agent_start ? told->from : beat->oldest_kept;
    *told = (struct told_safe){beat->agent_start, from, safe};
}

static void end(void *context, struct instant now, bool in_order)
{
    struct fault_shell *shell = context;
    if (!in_order)
        disk_die();
    keeper_stop(shell->keeper, now);
    clear_away(shell);
    if (in_order)
        return;
    disk_revive(shell->power_cut);
    if (shell->power_cut)
        sim_random_fill(&shell->random, shell->boot_id, sizeof shell->boot_id);
}

struct fault_shell *fault_shell_create(const char *folder, uint64_t seed)
{
    struct fault_shell *shell = calloc(1, sizeof *shell);
    if (!shell)
        abort();
    (void)snprintf(shell->folder, sizeof shell->folder, "%s", folder);
    sim_random_init(&shell->random, seed, 902);
    shell->hooks = (struct sim_shell){.context = shell, .start = start, .tick = tick, .acked = acked, .end = end};
    return shell;
}

void fault_shell_destroy(struct fault_shell *shell)
{
    free(shell);
}

const struct sim_shell *fault_shell_hooks(struct fault_shell *shell)
{
    return &shell->hooks;
}

void fault_shell_cut_power(struct fault_shell *shell)
{
    shell->power_cut = true;
}

static void is_done(void *context)
{
    *(bool *)context = true;
}

void fault_shell_flush(struct fault_shell *shell, struct sim *sim, bool *done)
{
    uint32_t hosts[SIM_HOSTS_MAX];
    uint32_t count = receiver_hosts(shell->receiver)->count;
    for (uint32_t i = 0; i < count; i++)
        hosts[i] = i + 1;
    if (keeper_flush(shell->keeper, hosts, count, is_done, done) != 0)
        sim_fail(sim, "out of memory");
}

bool fault_shell_is_settled(const struct fault_shell *shell)
{
    return keeper_outdated(shell->keeper) == 0;
}

uint32_t fault_shell_told(const struct fault_shell *shell, size_t host, uint64_t agent_start)
{
    const struct told_safe *told = &shell->told[host];
    return told->agent_start == agent_start ? told->safe : 0;
}

bool fault_shell_is_writing(const struct fault_shell *shell, const char *name)
{
    const struct host *host = host_table_find(receiver_hosts(shell->receiver), name, strlen(name));
    return host && (host->in_flush || host->unwritten);
}

uint64_t fault_shell_safe(const struct fault_shell *shell)
{
    return shell->checked;
}
