#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""soak_kill.py - a hundred kills under 2,000 beats a second, and a receiver that is away for four minutes: see test_kill.py. Takes a
quarter of an hour, and 3 GB of disk."""
import sys

from test_kill import away, kills
from world import RECEIVER, check, run_tests


def test_hundred_kills(rng):
    kills(rng, hosts=2000, count=100, gap_s=6, boundary_in_s=100)


def test_away_for_four_minutes(_):
    away(hosts=100, away_s=240, before_s=30, boundary_in_s=150, then_s=300)


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    sys.exit(run_tests("soak kill", globals(), at_once=1))
