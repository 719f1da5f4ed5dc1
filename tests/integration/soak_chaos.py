#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""soak_chaos.py - everything goes wrong at random for minutes: see test_chaos.py. TWOBEAT_CHAOS_S says for how many seconds."""
import os
import sys

from test_chaos import chaos
from world import RECEIVER, check, run_tests

SECONDS = int(os.environ.get("TWOBEAT_CHAOS_S", 480))


def test_minutes(rng):
    chaos(rng, SECONDS, (0.5, 3.5), 12)


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    sys.exit(run_tests("soak chaos", globals()))
