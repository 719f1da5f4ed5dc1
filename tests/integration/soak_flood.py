#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""soak_flood.py - floods of a minute each, and every type byte with every length: see test_flood.py. Takes ten minutes."""
import sys

from test_flood import FLOOD, floods, nothing_comes_of_it
from world import RECEIVER, check, run_tests


def test_flood(_):
    floods(hosts=20, seconds=60, rounds=3, stolen_s=60)


def test_without_a_key(_):
    nothing_comes_of_it(seconds=20, stride=1, rate=30000)


if __name__ == "__main__":
    check(RECEIVER.exists() and FLOOD.exists(), f"{RECEIVER} or {FLOOD} is not built")
    sys.exit(run_tests("soak flood", globals(), at_once=1))
