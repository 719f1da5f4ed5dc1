#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""machine.py [--boot-id ID] [--uptime SECONDS] PROGRAM [ARGUMENT...] - runs a program as if on another machine.

--boot-id   the kernel tells this boot id, by a bind mount in a mount namespace of its own
--uptime    the kernel says that it has been running for so long, by a time namespace: CLOCK_BOOTTIME and CLOCK_MONOTONIC
            (and with them /proc/uptime) begin there and run on; the wall clock is that of this machine

It becomes PROGRAM by exec, so the process id stays. Needs root.
"""
import argparse
import ctypes
import os
import pathlib
import tempfile
import time

CLONE_NEWTIME, CLONE_NEWNS = 0x80, 0x20000
MS_REC, MS_SLAVE, MS_BIND = 16384, 1 << 19, 4096
BOOT_ID = "/proc/sys/kernel/random/boot_id"

libc = ctypes.CDLL(None, use_errno=True)


def call(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def enter(path, kind):
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    call(libc.setns(fd, kind), f"setns {path}")
    os.close(fd)


def take_boot_id(text):
    call(libc.unshare(CLONE_NEWNS), "unshare mounts")
    call(libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_SLAVE), None), "mount /")
    with tempfile.NamedTemporaryFile("w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fchmod(file.fileno(), 0o444)
        call(libc.mount(file.name.encode(), BOOT_ID.encode(), None, ctypes.c_ulong(MS_BIND), None), f"mount {BOOT_ID}")


def take_uptime(seconds):
    """Offsets must be written before the first process is in the namespace; that is this one, by setns."""
    call(libc.unshare(CLONE_NEWTIME), "unshare time")
    wanted_ns = int(seconds * 1e9)
    lines = []
    for name, clock in (("monotonic", time.CLOCK_MONOTONIC), ("boottime", time.CLOCK_BOOTTIME)):
        offset_ns = wanted_ns - time.clock_gettime_ns(clock)
        lines.append(f"{name} {offset_ns // 10**9} {offset_ns % 10**9}\n")
    pathlib.Path("/proc/self/timens_offsets").write_text("".join(lines), encoding="ascii")
    enter("/proc/self/ns/time_for_children", CLONE_NEWTIME)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--boot-id")
    parser.add_argument("--uptime", type=float)
    parser.add_argument("program", nargs=argparse.REMAINDER)
    how = parser.parse_args()
    if how.boot_id:
        take_boot_id(how.boot_id)
    if how.uptime is not None:
        take_uptime(how.uptime)
    os.execv(how.program[0], how.program)


if __name__ == "__main__":
    main()
