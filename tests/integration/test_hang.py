#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_hang.py - file systems that stop answering while a real agent runs: no beat is late for it.

The file systems look like local disks (fuseblk on a loop device) but are served by this program, which speaks FUSE by
itself, so that it can take a question and never answer. A caller then sleeps where no signal reaches it, as with a dead
disk.
"""
import ctypes
import os
import pathlib
import select
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import protocol  # noqa: E402  pylint: disable=wrong-import-position
from world import AGENT, Skip, World, check, equal, need_root, run_tests, wait_until  # noqa: E402  pylint: disable=wrong-import-position

T_MS = 250
LATE_MS = 120  # the agent waits 20 ms once; the rest is for sanitizers on a busy machine
LIBC = ctypes.CDLL(None, use_errno=True)
DETACH = 2
INIT, STATFS, GETATTR, FORGET, INTERRUPT, DESTROY, BATCH_FORGET = 26, 17, 3, 2, 36, 38, 42


class DeadDisk:
    """A mounted file system that is 75 % full, and answers as long as `answers` is set."""

    def __init__(self, folder):
        self.at, self.image = folder, folder.with_suffix(".image")
        self.answers, self.asked = True, 0
        self.kept = []  # questions without an answer
        self.device = self.thread = None
        self.fd = -1
        self.closing = False

    def __enter__(self):
        self.at.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(1 << 20)
        try:
            self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
            self.device = subprocess.run(["losetup", "-f", "--show", str(self.image)], capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError) as why:
            self.__exit__()
            raise Skip(f"no FUSE or no loop devices here: {why}") from why
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0,allow_other,blksize=4096"
        if LIBC.mount(self.device.encode(), str(self.at).encode(), b"fuseblk", 0, options.encode()) != 0:
            number = ctypes.get_errno()
            self.__exit__()
            raise Skip(f"fuseblk cannot be mounted here: {os.strerror(number)}")
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.closing = True
        if self.thread:
            self.thread.join(10)
        if self.fd >= 0:
            os.close(self.fd)  # whoever waits is woken with an error
        LIBC.umount2(str(self.at).encode(), DETACH)
        if self.device:
            subprocess.run(["losetup", "-d", self.device], capture_output=True, check=False)

    def serve(self):
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        while not self.closing:
            if self.answers:
                while self.kept:
                    self.answer(*self.kept.pop())
            if poll.poll(50):
                try:
                    question = os.read(self.fd, 1 << 17)
                except OSError:
                    continue
                _, kind, unique = struct.unpack_from("=IIQ", question)
                if kind == STATFS:
                    self.asked += 1
                if self.answers:
                    self.answer(kind, unique)
                else:
                    self.kept.append((kind, unique))

    def answer(self, kind, unique):
        error, body = 0, b""
        if kind == INIT:
            body = struct.pack("=IIIIHHI", 7, 22, 0, 0, 0, 0, 4096)
        elif kind == STATFS:
            body = struct.pack("=5Q4I24x", 1000, 250, 250, 100, 90, 4096, 255, 4096, 0)
        elif kind == GETATTR:
            body = struct.pack("=QII6Q10I", 60, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
        elif kind in (FORGET, BATCH_FORGET, INTERRUPT):
            return
        elif kind != DESTROY:
            error = -38
        os.write(self.fd, struct.pack("=IiQ", 16 + len(body), error, unique) + body)


class Beats:
    """Every beat of an agent, as it was first sent."""

    def __init__(self, proxy, key):
        self.proxy, self.key = proxy, key
        self.decoded, self.all = 0, {}

    def look(self):
        while self.decoded < len(self.proxy.sent):
            header, payload = protocol.open_datagram(self.proxy.sent[self.decoded], self.key.key)
            self.decoded += 1
            if header.type == protocol.BEAT:
                beat = protocol.Beat.decode(payload)
                self.all.setdefault(beat.number, beat)
        return self.all

    def metric(self, name):
        """Of the newest beat; NaN before the first."""
        newest = max(self.look(), default=None)
        return self.all[newest].metrics[protocol.METRICS.index(name)] if newest else float("nan")

    def check_in_time(self, since):
        """All beats from that number on, none missing, none measured late. Returns (count, the latest in ms)."""
        beats = [beat for number, beat in sorted(self.look().items()) if number >= since]
        for before, beat in zip(beats, beats[1:]):
            equal((beat.number, beat.run_ms), (before.number + 1, before.run_ms + T_MS), "the next beat and its due instant")
        latest = max(beat.age_ms for beat in beats)
        check(latest <= LATE_MS, f"a beat was {latest} ms late of {len(beats)}")
        return len(beats), latest


def wait_value(beats, name, condition, what):
    wait_until(lambda: condition(beats.metric(name)), 15, lambda: f"{what}: {name} is {beats.metric(name)}")


def wait_beats(beats, count):
    goal = len(beats.look()) + count
    wait_until(lambda: len(beats.look()) >= goal, 30, f"{count} beats")


def threads(agent):
    return len(os.listdir(f"/proc/{agent.pid}/task"))


def start(world):
    receiver = world.receiver().start()
    proxy = world.proxy(receiver)
    agent = world.agent("hang", proxy, interval=f"{T_MS}ms")
    agent.start()
    return receiver, agent, Beats(proxy, world.key("hang"))


def test_one_of_several(_):
    need_root()
    with World() as world:
        receiver, agent, beats = start(world)
        with DeadDisk(world.folder / "disk") as disk, DeadDisk(world.folder / "other") as other:
            wait_value(beats, "disk_fullest", lambda v: v == 75, "the full disk")
            wait_beats(beats, 3)
            quiet = threads(agent)  # the loop, a helper, and perhaps one of a sanitizer
            check(quiet <= 3, f"{quiet} threads")
            since, disk.answers, asked = max(beats.look()), False, disk.asked
            other.asked = 0
            wait_until(lambda: disk.kept, 10, "the disk is asked")
            wait_beats(beats, 24)
            for i in range(3):  # the list of mounts changes
                beside = world.folder / f"beside{i}"
                beside.mkdir()
                LIBC.mount(b"none", str(beside).encode(), b"tmpfs", 0, None)
                wait_beats(beats, 2)
                LIBC.umount2(str(beside).encode(), DETACH)
            wait_beats(beats, 8)
            check(disk.asked <= asked + 2, f"a disk that hangs was asked {disk.asked - asked} times")
            check(other.asked > 20, f"the other one was asked {other.asked} times")
            equal(threads(agent), quiet + 1, "threads: another one beside the helper that hangs")
            check(beats.metric("disk_root") == beats.metric("disk_root"), "the root is still told")
            other.answers = False
            wait_value(beats, "disk_fullest", lambda v: v != 75, "no old value for a disk that hangs")
            wait_beats(beats, 8)
            count, latest = beats.check_in_time(since)
            print(f"{count} beats while disks hang, the latest {latest} ms after its instant", flush=True)
            check(len(receiver.outages("hang")) == 0, "no outage")
            disk.answers = other.answers = True
            wait_value(beats, "disk_fullest", lambda v: v == 75, "the disk is back")
            # A goodbye, too, waits for no disk.
            disk.answers = False
            wait_until(lambda: disk.kept, 10, "the disk is asked")
            wait_beats(beats, 3)
            asked_at = time.monotonic()
            agent.process.terminate()
            wait_until(lambda: "agent_stopped" in str(receiver.look("hang")) or b"\x05" == beats.proxy.sent[-1][4:5], 5, "the goodbye")
            check(time.monotonic() - asked_at < 2, "the goodbye came at once")
        equal(agent.process.wait(20), 0, "exit of the agent once the disk is given up")
        agent.process = None


def test_all_threads(_):
    """More dead disks than helper threads: what needs them is unknown, all else goes on, and it heals."""
    need_root()
    with World() as world:
        receiver, agent, beats = start(world)
        disks = [DeadDisk(world.folder / f"disk{i}") for i in range(6)]
        try:
            for disk in disks:
                disk.__enter__()
            wait_value(beats, "disk_fullest", lambda v: v == 75, "the full disks")
            wait_until(lambda: all(disk.asked for disk in disks), 10, "all are asked")
            since, quiet = max(beats.look()), threads(agent)
            for disk in disks:
                disk.answers = False
            wait_value(beats, "disk_root", lambda v: v != v, "no thread is left for the root")
            wait_beats(beats, 20)
            equal(threads(agent), quiet + 3, "threads: four helpers")
            for name in ("load1", "cpu_user", "mem_total", "mem_available", "net_in", "forks", "file_handles"):
                check(beats.metric(name) == beats.metric(name), f"{name} is not told any more")
            count, latest = beats.check_in_time(since)
            print(f"{count} beats while {len(disks)} disks hang, the latest {latest} ms after its instant", flush=True)
            equal(receiver.outages("hang"), [], "outages")
            for disk in disks:
                disk.answers = True
            wait_value(beats, "disk_fullest", lambda v: v == 75, "the disks are back")
            wait_value(beats, "disk_root", lambda v: v == v, "the root is back")
        finally:
            for disk in disks:
                disk.__exit__()
        agent.stop()


def test_many_mounts(_):
    """Ten thousand mounts that change all the time."""
    need_root()
    with World() as world:
        _, agent, beats = start(world)
        place = world.folder / "many"
        place.mkdir()
        try:
            if LIBC.mount(b"none", str(place).encode(), b"tmpfs", 0, None) != 0:
                raise Skip("tmpfs cannot be mounted here")
            for i in range(100):
                (place / str(i)).mkdir()
                for _ in range(100):
                    check(LIBC.mount(b"none", str(place / str(i)).encode(), b"tmpfs", 0, b"size=4k") == 0, "ten thousand mounts")
            since = max(beats.look())
            for _ in range(20):
                wait_beats(beats, 1)
                LIBC.mount(b"none", str(place / "0").encode(), b"tmpfs", 0, b"size=4k")
            wait_value(beats, "disk_root", lambda v: v == v, "the root among them")
            count, latest = beats.check_in_time(since)
            print(f"{count} beats with 10,000 mounts, the latest {latest} ms after its instant", flush=True)
        finally:
            LIBC.umount2(str(place).encode(), DETACH)
        agent.stop()


if __name__ == "__main__":
    check(AGENT.exists(), f"{AGENT} is not built")
    sys.exit(run_tests("hang", globals(), at_once=1))
