#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""soak_peers.py - what test_peers.py does, over twenty seeds, and each file compared in whole minutes. Takes half an hour."""
import os
import sys

import test_peers
import sites
import world

SEEDS = int(os.environ.get("TWOBEAT_SEEDS", 20))

if __name__ == "__main__":
    world.check(world.AGENT.exists(), f"{world.AGENT} is not built")
    sites.Fleet.patience_s = 60
    STATUS = 0
    for seed in range(world.SEED, world.SEED + SEEDS):
        world.SEED = seed
        STATUS |= world.run_tests(f"soak peers {seed}", dict(vars(test_peers), test_one_direction_of_two=test_peers.one_direction_of_two), at_once=8)
    sites.print_latencies()
    sys.exit(STATUS)
