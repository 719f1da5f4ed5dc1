#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""soak_memory.py - test_memory.py with every call, not some of them."""
import os
import pathlib
import sys

os.environ["TWOBEAT_EVERY_CALL"] = "1"
os.execv(sys.executable, [sys.executable, str(pathlib.Path(__file__).resolve().parent / "test_memory.py"), *sys.argv[1:]])
