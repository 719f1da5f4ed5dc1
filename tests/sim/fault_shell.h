/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fault_shell.h - what a real receiver has around its core to keep the record, on the disk of fault_disk.h.
 *
 * Journal, keeper, flush wheel and RRD files are those of the product; only the threads are played (fault_worker.c), and
 * sockets and clocks are those of the simulator. What an agent was told is safe is written down here, and each start of the
 * receiver is held against it. */
#ifndef TESTS_SIM_FAULT_SHELL_H
#define TESTS_SIM_FAULT_SHELL_H

#include "receiver/judge/receiver.h"
#include "tests/sim/random.h"
#include "tests/sim/sim.h"

struct fault_shell;

/* Keeps the record in that folder. */
struct fault_shell *fault_shell_create(const char *folder, uint64_t seed);
void fault_shell_destroy(struct fault_shell *shell);
/* For sim_options. */
const struct sim_shell *fault_shell_hooks(struct fault_shell *shell);
/* How the process that runs now ends if it is killed: with its machine? */
void fault_shell_cut_power(struct fault_shell *shell);
/* Asks for all files to be written; `done` is set when they are. */
void fault_shell_flush(struct fault_shell *shell, struct sim *sim, bool *done);
/* Whether state.rrd of all hosts is as new as it can be. */
bool fault_shell_is_settled(const struct fault_shell *shell);
/* The number up to which the beats of this run of the agent were called safe. */
uint32_t fault_shell_told(const struct fault_shell *shell, size_t host, uint64_t agent_start);
/* Whether the files of a host are being written, or the last try to do so has failed. */
bool fault_shell_is_writing(const struct fault_shell *shell, const char *name);
/* Beats that were called safe and were held against what a start loaded. */
uint64_t fault_shell_safe(const struct fault_shell *shell);

/* The share of ticks at which a thread gets nothing done. */
void fault_workers_set_busy(uint64_t seed, double busy);
void fault_workers_tick(void);

#endif
