# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory that runs out in programs that a test starts: see nomemory.c."""
import mmap
import os
import struct

from world import BUILD, check, own

MODULE = BUILD / "tests" / "libnomemory.so"
FIELDS = ("calls", "first", "count", "larger_than", "main_only", "failed")
TEXT_LEN = 256
TEXTS_AT = 8 * len(FIELDS)
PLACES_AT = TEXTS_AT + 2 * TEXT_LEN
PLACES = 16384
FOR_EVER = 1 << 60


class Shortage:
    """Programs started with its `environment` feel it, one at a time."""

    def __init__(self, folder, name="nomemory"):
        check(MODULE.exists(), f"{MODULE} is not built")
        path = own_file(folder / name, bytes(PLACES_AT + 8 * PLACES))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)
        # What an error path leaves behind when the process ends is no leak that anybody would feel.
        options = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0:detect_leaks=0")))
        self.environment = {"LD_PRELOAD": str(MODULE), "TWOBEAT_NOMEMORY": str(path), "ASAN_OPTIONS": options}

    def _put(self, name, value):
        struct.pack_into("=q", self.map, 8 * FIELDS.index(name), value)

    def get(self, name):
        return struct.unpack_from("=q", self.map, 8 * FIELDS.index(name))[0]

    def begin(self, first=0, count=1, larger_than=-1, main_only=False):
        """From now on, `count` calls fail from the first-th on; none if that is 0."""
        self._put("first", 0)
        self.map[TEXTS_AT:PLACES_AT] = bytes(PLACES_AT - TEXTS_AT)
        for name, value in (("failed", 0), ("count", count), ("larger_than", larger_than), ("main_only", main_only), ("calls", 0),
                            ("first", first)):
            self._put(name, value)

    def end(self):
        self._put("first", 0)

    def places(self):
        """Of each call, a number that tells from where it came."""
        return struct.unpack_from(f"={min(self.get('calls'), PLACES)}q", self.map, PLACES_AT)

    def _text(self, number):
        text = self.map[TEXTS_AT + number * TEXT_LEN:][:TEXT_LEN]
        return os.path.basename(text.split(b"\0")[0].decode())

    @property
    def asked(self):
        """The file of the program or library that asked in vain, at last."""
        return self._text(0)

    @property
    def aborted(self):
        """The one that called abort(), or whose assertion failed; empty if none did."""
        return self._text(1)


def own_file(path, content):
    path.write_bytes(content)
    path.chmod(0o666)
    return own(path)
