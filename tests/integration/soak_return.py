#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""soak_return.py - ten thousand hosts return at once, see test_return.py. Takes ten minutes, and 5 GB of disk."""
import shutil
import sys
import tempfile

from test_return import returns
from world import RECEIVER, Skip, check, run_tests

HOSTS = 10000
DISK_BYTES = 8 * 10**9


def test_ten_thousand_at_once(_):
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < DISK_BYTES:
        raise Skip(f"needs {DISK_BYTES // 10**9} GB in {tempfile.gettempdir()}, there are {free / 10**9:.1f}")
    returns(HOSTS, kills=False)


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    sys.exit(run_tests("soak return", globals()))
