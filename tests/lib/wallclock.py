# SPDX-License-Identifier: GPL-2.0-or-later
"""A wall clock that a test can set, for programs that it starts: see wallclock.c."""
import os
import struct
import time

from world import BUILD, check

MODULE = BUILD / "tests" / "libwallclock.so"


class WallClock:
    """Programs started with its `environment` see it; `now` is what they see."""

    def __init__(self, folder):
        check(MODULE.exists(), f"{MODULE} is not built")
        self.path = folder / "wallclock"
        self.path.write_bytes(bytes(16))
        self.path.chmod(0o644)
        options = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
        self.environment = {"LD_PRELOAD": str(MODULE), "TWOBEAT_WALLCLOCK": str(self.path), "ASAN_OPTIONS": options}
        self.ahead = 0.0

    def set_ahead(self, seconds):
        """Of the real clock. One write of 8 bytes is seen whole."""
        self.ahead = seconds
        with open(self.path, "r+b", buffering=0) as file:
            file.write(struct.pack("=q", round(seconds * 1e9)))

    def hold_up(self, seconds):
        """Whoever reads it next waits so long before that, once."""
        with open(self.path, "r+b", buffering=0) as file:
            file.seek(8)
            file.write(struct.pack("=q", round(seconds * 1e9)))

    def set_to(self, wall):
        self.set_ahead(wall - time.time())

    def step(self, seconds):
        self.set_ahead(self.ahead + seconds)

    def now(self):
        return time.time() + self.ahead
