#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_faults.py - disks that are full, slow or broken, files that are damaged or gone, and descriptors, memory and names
that run out.

Each fault is real. While it lasts a host is killed, which must be found down in time, and the others must stay up; the trouble
is told in one line and its end in another; and afterwards the record holds what could not be written meanwhile.
"""
import contextlib
import errno
import fcntl
import json
import os
import pathlib
import random
import re
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from network import Network  # noqa: E402  pylint: disable=wrong-import-position
from wallclock import WallClock  # noqa: E402  pylint: disable=wrong-import-position
from world import BUILD, NOBODY, RECEIVER, Skip, World, check, equal, need_mount_namespace, need_root, own, run_tests, running, wait_until  # noqa: E402  pylint: disable=wrong-import-position

T = 1.0
DOWN_S = 2 * T + 0.5 + 4  # when a death must have been seen, on a busy machine
QUICK_S = 2.0  # an answer for which nobody waited for a disk, on a busy machine
PERIOD_S = 300  # of a row in metrics.rrd and net.rrd
MODULE = BUILD / "tests" / "libbadfiles.so"
STORED = "the journal can be written again"
WRITTEN = "RRD files can be written again"


class Fleet:
    """A receiver and agents: those of `names` live, and one dies each time it is asked for."""

    def __init__(self, world, names=("one", "two"), environment=None, **settings):
        self.world = world
        self.receiver = world.receiver(**settings)
        self.receiver.environment = environment or {}
        self.names = names
        self.deaths = 0
        self.agents = {}

    def start(self):
        self.receiver.start()
        self.agents = {name: self.world.agent(name, self.receiver) for name in self.names}
        for agent in self.agents.values():
            agent.start()
        self.began = time.time()
        self.next_victim()
        for name in self.names:
            self.receiver.wait_state(name, "up")
        return self

    def next_victim(self):
        self.deaths += 1
        self.victim = self.world.agent(f"victim{self.deaths}", self.receiver)
        self.victim.start()
        self.receiver.wait_state(self.victim.name, "up")
        before = self.receiver.look(self.victim.name)["last_heard"]
        wait_until(lambda: self.receiver.look(self.victim.name)["last_heard"] > before + 1, 20, "it has a rhythm")

    def judges_on(self):
        """Kills a host: it goes down in time, the others are up, and answers come quickly all the while."""
        self.victim.kill()
        killed = time.monotonic()
        state = None
        while state != "down":
            asked = time.monotonic()
            state = self.receiver.state(self.victim.name)
            took = time.monotonic() - asked
            check(took < QUICK_S, f"status took {took:.1f} s")
            check(asked - killed < DOWN_S, f"{self.victim.name} was killed {asked - killed:.1f} s ago and is {state}")
            time.sleep(0.05)
        for name in self.names:
            equal(self.receiver.state(name), "up", name)
        self.receiver.check_running()

    def check_log(self):
        """Every death is in the record, and nobody else was ever away."""
        for number in range(1, self.deaths):
            outages = wait_until(lambda n=number: self.receiver.outages(f"victim{n}"), 10, f"victim{number} in the record")
            equal([(o["state"], o["cause"]) for o in outages if o["cause"] != "clock_step"], [("down", "silent")], f"victim{number}")
        for name in self.names:
            equal([o for o in self.receiver.outages(name, start=1) if o["cause"] != "clock_step"], [], f"outages of {name}")
        self.receiver.twobeat("flush")
        self.receiver.twobeat("verify")


def said(daemon, pattern):
    return [line for line in daemon.lines() if re.search(pattern, line)]


def said_once(daemon, pattern, seconds=20):
    wait_until(lambda: said(daemon, pattern), seconds, lambda: f"it says {pattern}: {daemon.log()[-1500:]}")
    equal(len(said(daemon, pattern)), 1, f"lines with {pattern}: {said(daemon, pattern)}")


def flushed_once(receiver, pattern, seconds=20):
    """The same of what is told when files are written."""
    def told():
        receiver.twobeat("flush")
        return said(receiver, pattern)
    wait_until(told, seconds, lambda: f"it says {pattern}: {receiver.log()[-1500:]}")
    said_once(receiver, pattern)


def status_is_quick(receiver, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        asked = time.monotonic()
        check(receiver.try_ask("status", hosts=["-"]), "an answer")
        check(time.monotonic() - asked < QUICK_S, f"status took {time.monotonic() - asked:.1f} s")
        time.sleep(0.05)


def mount(world, folder, size="8m"):
    """A small file system of its own."""
    need_root()
    result = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0750,uid={NOBODY.pw_uid},gid={NOBODY.pw_gid}",
                             "tmpfs", folder], capture_output=True, text=True, check=False)
    if result.returncode:
        raise Skip(f"mount: {result.stderr.strip()}")
    world.stack.callback(subprocess.run, ["umount", "-l", folder], check=False)


def fill(folder):
    """Returns the file that takes all the room."""
    path = folder / "filler"
    with open(path, "wb", buffering=0) as file:
        for piece in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(piece)):
                    pass
    return path


class NameServer:
    """For the name recv.test: `mode` is silent, none (there is no such name) or answers (127.0.0.1)."""

    def __init__(self):
        self.mode = "silent"
        self.asked = {"silent": 0, "none": 0, "answers": 0}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.address = f"127.{random.randrange(1, 255)}.{random.randrange(255)}.53"
        self.socket.bind((self.address, 53))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                question, sender = self.socket.recvfrom(512)
                self.asked[self.mode] += 1
                if self.mode == "silent":
                    continue
                end = question.index(0, 12) + 5
                is_a = question[end - 3] == 1
                code, answers = (3, 0) if self.mode == "none" else (0, int(is_a))
                answer = question[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, answers, 0, 0) + question[12:end]
                if answers:
                    answer += struct.pack(">HHHIH4s", 0xC00C, 1, 1, 0, 4, socket.inet_aton("127.0.0.1"))
                self.socket.sendto(answer, sender)

    def prefix(self, folder):
        """Runs a program that asks this one."""
        need_mount_namespace()
        (folder / "resolv.conf").write_text(f"nameserver {self.address}\noptions timeout:1 attempts:1\n")
        (folder / "nsswitch.conf").write_text("hosts: files dns\n")
        return ["unshare", "--mount", "sh", "-ec", f"mount --bind {folder}/resolv.conf /etc/resolv.conf; "
                f"mount --bind {folder}/nsswitch.conf /etc/nsswitch.conf; exec \"$@\"", "sh"]


class Rows:
    """The wall clock of a receiver, by which its five minutes end when a test wants it."""

    def __init__(self, world):
        self.clock = WallClock(world.folder)
        self.environment = self.clock.environment

    def end_period(self, receiver, *names):
        """Returns when the row of the period that has just ended waits to be written."""
        before = self.clock.now()
        self.clock.step(PERIOD_S)
        for name in names:
            wait_until(lambda n=name: (receiver.look(n)["last_heard"] or 0) > before + PERIOD_S - 2, 20, f"the next beat of {name}")


def last_update(path):
    result = subprocess.run(["rrdtool", "last", path], capture_output=True, text=True, check=False)
    return int(result.stdout) if result.returncode == 0 else 0


def need_rrdtool():
    if not shutil.which("rrdtool"):
        raise Skip("the program rrdtool is not installed")


# Full disks


def test_full(_):
    """Database and RRD files on a full disk."""
    with World() as world:
        fleet = Fleet(world)
        mount(world, fleet.receiver.data)
        receiver = fleet.start().receiver
        filler = fill(receiver.data)
        said_once(receiver, "receiver.db.*(full|I/O).*judging goes on")
        fleet.judges_on()
        filler.unlink()
        said_once(receiver, STORED)
        fleet.next_victim()
        fleet.check_log()
        equal(len(said(receiver, "judging goes on")), 1, "told once")
        receiver.stop()


def test_full_stop(_):
    """A receiver that is stopped while the disk is full says what is lost; agents bring it again, and no verdict is wrong."""
    with World() as world:
        fleet = Fleet(world)
        mount(world, fleet.receiver.data)
        receiver = fleet.start().receiver
        filler = fill(receiver.data)
        said_once(receiver, "judging goes on")
        receiver.stop()
        check(said(receiver, "lost|not recorded"), f"it says so: {receiver.log()[-500:]}")
        filler.unlink()
        receiver.start()
        for name in fleet.names:
            receiver.wait_state(name, "up")
            wait_until(lambda n=name: receiver.look(n)["last_heard"] > time.time() - 3, 10, f"{name} is heard")
        receiver.twobeat("flush")
        receiver.twobeat("verify")
        for name in fleet.names:
            check(all(o["cause"] == "receiver_off" for o in receiver.outages(name, start=1)), f"{receiver.outages(name, start=1)}")
        receiver.stop()


def test_full_hosts(_):
    """Only the RRD files are on the full disk: the journal goes on, and rows wait."""
    need_rrdtool()
    with World() as world:
        rows = Rows(world)
        fleet = Fleet(world, environment=rows.environment)
        hosts = fleet.receiver.data / "hosts"
        hosts.mkdir(mode=0o750)
        own(hosts)
        mount(world, hosts)
        filler = fill(hosts)
        receiver = fleet.start().receiver
        rows.end_period(receiver, *fleet.names)
        flushed_once(receiver, "hosts/.*it will be written later")
        fleet.judges_on()
        rows.end_period(receiver, *fleet.names)
        check(not said(receiver, WRITTEN), "it is not over for anybody")
        filler.unlink()
        flushed_once(receiver, WRITTEN)
        fleet.check_log()
        for name in fleet.names:
            for file in ("metrics.rrd", "net.rrd"):
                check(last_update(hosts / name / file) > rows.clock.now() - PERIOD_S - 30, f"{file} of {name} is complete")
        equal(len(said(receiver, "it will be written later")), 1, f"told once: {said(receiver, 'later')}")
        receiver.stop()


# Broken and slow disks


class BadFiles:
    """See badfiles.c."""

    def __init__(self, folder):
        check(MODULE.exists(), f"{MODULE} is not built")
        self.path = folder / "badfiles"
        self.path.write_bytes(bytes(256))
        self.path.chmod(0o644)
        options = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
        self.environment = {"LD_PRELOAD": str(MODULE), "TWOBEAT_BADFILES": str(self.path), "ASAN_OPTIONS": options}

    def fail(self, number=0, wait_ms=0, text=""):
        with open(self.path, "r+b", buffering=0) as file:
            file.seek(8)
            file.write(text.encode() + bytes(1))
            file.seek(0)
            file.write(struct.pack("=ii", number, wait_ms))


def fail_files(number, text, trouble, over, wanted):
    with World() as world:
        files = BadFiles(world.folder)
        fleet = Fleet(world, environment=files.environment)
        receiver = fleet.start().receiver
        files.fail(number, text=text)
        (flushed_once if text == "/hosts/" else said_once)(receiver, trouble)
        check(re.search(wanted, said(receiver, trouble)[0]), f"{said(receiver, trouble)[0]} does not say {wanted}")
        fleet.judges_on()
        files.fail()
        flushed_once(receiver, over)
        fleet.next_victim()
        fleet.check_log()
        equal(len(said(receiver, trouble)), 1, "told once")
        receiver.stop()


def test_io_error_database(_):
    fail_files(errno.EIO, "receiver.db", "judging goes on", STORED, "receiver.db.*I/O")


def test_io_error_rrd(_):
    fail_files(errno.EIO, "/hosts/", "it will be written later", WRITTEN, "Input/output error")


def test_read_only(_):
    """As the kernel makes a file system on errors; by hand one cannot be made so while files are open."""
    fail_files(errno.EROFS, "/recv/data/", "judging goes on", STORED, "receiver.db")


def test_read_only_rrd(_):
    fail_files(errno.EROFS, "/hosts/", "it will be written later", WRITTEN, "Read-only")


def test_slow(_):
    """Every call takes a second, so a commit several: acks and judgement go on, and the loop waits for nothing."""
    with World() as world:
        files = BadFiles(world.folder)
        fleet = Fleet(world, environment=files.environment)
        receiver = fleet.start().receiver
        files.fail(wait_ms=1000, text=str(receiver.data))
        with receiver.client("asked") as client:
            client.beat_until_acked()
            for _ in range(3):
                asked = time.monotonic()
                client.beat_until_acked()
                check(time.monotonic() - asked < QUICK_S, f"an ack took {time.monotonic() - asked:.1f} s")
        fleet.judges_on()
        status_is_quick(receiver, 5)
        files.fail()
        fleet.next_victim()
        fleet.check_log()
        check(not said(receiver, "could not observe"), "no stall")
        receiver.stop()


# Damaged files


def damage_all(fleet, what, spoil, line):
    """Spoils the three files of the first host and sees them replaced, once told each, while nothing else is."""
    name = fleet.names[0]
    folder = fleet.receiver.data / "hosts" / name
    for file in ("state.rrd", "metrics.rrd", "net.rrd"):
        for old in folder.glob("*.bad"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        told = len(fleet.receiver.lines())
        spoil(folder / file)
        fleet.rows.end_period(fleet.receiver, *fleet.names)
        fleet.receiver.twobeat("flush")
        lines = fleet.receiver.lines()[told:]
        about = [text for text in lines if f"{name}/{file}" in text]
        check(len(about) == 1 and re.search(line, about[0]), f"{what} {file}: said {lines}")
        check(last_update(folder / file) > fleet.rows.clock.now() - PERIOD_S - 30, f"{what} {file}: it is written again")
        check(oct((folder / file).stat().st_mode & 0o777) == "0o640", f"{what} {file}: mode of the new file")
        fleet.receiver.twobeat("verify")


def spoil_with(function):
    def spoil(path):
        function(path)
        if path.exists():
            own(path)
    return spoil


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def other_rrd(path):
    path.unlink()
    subprocess.run(["rrdtool", "create", path, "--step", "17", "DS:a:GAUGE:60:0:U", "RRA:AVERAGE:0.5:1:10"], check=True)


def overwrite(path, content):
    path.write_bytes(content)


DAMAGES = [
    ("random", lambda path: overwrite(path, os.urandom(path.stat().st_size)), "no RRD file.*kept with .bad"),
    ("empty", lambda path: overwrite(path, b""), "is empty"),
    ("half", lambda path: overwrite(path, path.read_bytes()[:path.stat().st_size // 2]), "cut short.*kept with .bad"),
    ("zeroed at its begin", lambda path: overwrite(path, bytes(4096) + path.read_bytes()[4096:]), "no RRD file.*kept with .bad"),
    ("foreign", other_rrd, "another step or other data sources.*kept with .bad"),
    ("a folder", replace_by_folder, "is no file.*kept with .bad"),
    ("gone", pathlib.Path.unlink, "is gone"),
]


def damaged_fleet(world):
    need_rrdtool()
    rows = Rows(world)
    fleet = Fleet(world, environment=rows.environment)
    fleet.rows = rows
    fleet.start()
    rows.end_period(fleet.receiver, *fleet.names)
    rows.end_period(fleet.receiver, *fleet.names)
    fleet.receiver.twobeat("flush")
    return fleet


def test_damaged(_):
    with World() as world:
        fleet = damaged_fleet(world)
        other = fleet.receiver.data / "hosts" / fleet.names[1]
        inodes = [(other / file).stat().st_ino for file in ("metrics.rrd", "net.rrd")]
        for what, spoil, line in DAMAGES:
            damage_all(fleet, what, spoil_with(spoil), line)
        equal([(other / file).stat().st_ino for file in ("metrics.rrd", "net.rrd")], inodes, "the files of the other host")
        fleet.judges_on()
        fleet.next_victim()
        fleet.check_log()
        fleet.receiver.stop()


def test_folder_gone(_):
    """The folder of one host, then that of all."""
    with World() as world:
        fleet = damaged_fleet(world)
        receiver, hosts = fleet.receiver, fleet.receiver.data / "hosts"
        for folder in (hosts / fleet.names[0], hosts):
            told = len(receiver.lines())
            shutil.rmtree(folder)
            fleet.rows.end_period(receiver, *fleet.names)
            receiver.twobeat("flush")
            lines = [line for line in receiver.lines()[told:] if "is gone" in line]
            check(lines, f"it says so: {receiver.lines()[told:]}")
            for name in fleet.names:
                for file in ("state.rrd", "metrics.rrd", "net.rrd"):
                    check(last_update(hosts / name / file) > fleet.rows.clock.now() - PERIOD_S - 30, f"{file} of {name} is there")
            receiver.twobeat("verify")
        fleet.judges_on()
        fleet.next_victim()
        fleet.check_log()
        receiver.stop()


def test_power_cut(_):
    """What a power cut can leave: files as they were long before, and such with pages that were never written."""
    with World() as world:
        fleet = damaged_fleet(world)
        receiver, (first, second) = fleet.receiver, fleet.names
        paths = {name: [receiver.data / "hosts" / name / file for file in ("state.rrd", "metrics.rrd", "net.rrd")] for name in fleet.names}
        older = [path.read_bytes() for path in paths[first]]
        fleet.rows.end_period(receiver, *fleet.names)
        receiver.twobeat("flush")
        receiver.kill()
        for path, content in zip(paths[first], older):
            path.write_bytes(content)
        with open(paths[second][0], "r+b") as file:
            file.seek(8192)
            file.write(bytes(paths[second][0].stat().st_size - 8192))
        receiver.start()
        for name in fleet.names:
            receiver.wait_state(name, "up")
        fleet.rows.end_period(receiver, *fleet.names)
        receiver.twobeat("flush")
        said_once(receiver, f"{second}/state.rrd does not hold what the log says")
        equal(said(receiver, f"{first}/"), [], "what is older is gone on with")
        receiver.twobeat("verify")
        for path in paths[first] + paths[second]:
            check(last_update(path) > fleet.rows.clock.now() - PERIOD_S - 30, f"{path} is written on")
        receiver.stop()


def test_unreadable(_):
    """A file that cannot be opened may be a good one: it is left alone, its rows wait, and those of the others do not."""
    with World() as world:
        fleet = damaged_fleet(world)
        receiver, name = fleet.receiver, fleet.names[0]
        folder = receiver.data / "hosts" / name
        for file, others in (("metrics.rrd", ("net.rrd",)), ("state.rrd", ("metrics.rrd", "net.rrd"))):
            before = len(said(receiver, "it will be written later"))
            (folder / file).chmod(0)
            last = last_update(folder / file)
            fleet.rows.end_period(receiver, *fleet.names)
            fleet.rows.end_period(receiver, *fleet.names)
            receiver.twobeat("flush")
            equal(len(said(receiver, f"{name}/{file}: Permission denied; it will be written later")), 1, f"it is told: {receiver.log()[-800:]}")
            equal(len(said(receiver, "it will be written later")), before + 1, "and no more")
            equal(last_update(folder / file), last, f"{file} is as it was")
            for each in others:
                check(last_update(folder / each) > fleet.rows.clock.now() - PERIOD_S - 30, f"{each} is written meanwhile")
            receiver.twobeat("flush", fleet.names[1])
            ends = len(said(receiver, WRITTEN))
            equal(ends, before, "it is not over when another host is written")
            (folder / file).chmod(0o640)
            receiver.twobeat("flush")
            equal(len(said(receiver, WRITTEN)), before + 1, "the end is told")
            check(last_update(folder / file) > fleet.rows.clock.now() - PERIOD_S - 30, f"{file} is written later")
        check(not list(folder.glob("*.bad")), "nothing is put aside")
        fleet.check_log()
        receiver.stop()


def test_held(_):
    """Another process holds a lock on the files, as a long `rrdtool dump` does."""
    with World() as world:
        fleet = damaged_fleet(world)
        receiver, name = fleet.receiver, fleet.names[0]
        folder = receiver.data / "hosts" / name
        with contextlib.ExitStack() as held:
            for file in ("state.rrd", "metrics.rrd", "net.rrd"):
                fcntl.lockf(held.enter_context(open(folder / file, "r+b")), fcntl.LOCK_EX)
            fleet.rows.end_period(receiver, *fleet.names)
            fleet.rows.end_period(receiver, *fleet.names)
            receiver.twobeat("flush")
            said_once(receiver, f"{name}/.*lock.*it will be written later")
            fleet.judges_on()
        receiver.twobeat("flush")
        said_once(receiver, WRITTEN)
        for file in ("state.rrd", "metrics.rrd", "net.rrd"):
            check(last_update(folder / file) > fleet.rows.clock.now() - PERIOD_S - 30, f"{file} is written later")
        step = subprocess.run(["rrdtool", "fetch", folder / "metrics.rrd", "AVERAGE", "-s", str(int(fleet.rows.clock.now()) - 3 * PERIOD_S),
                               "-e", str(int(fleet.rows.clock.now()))],
                              capture_output=True, text=True, check=True).stdout
        check(len(re.findall(r"^\d+:.* \d\.\d+e", step, re.M)) >= 2, f"the rows of the time while it was held: {step}")
        fleet.next_victim()
        fleet.check_log()
        receiver.stop()


# The database


def test_locked(_):
    """For 20 seconds another process writes to the database."""
    with World() as world:
        fleet = Fleet(world)
        receiver = fleet.start().receiver
        with contextlib.closing(sqlite3.connect(receiver.data / "receiver.db", isolation_level=None)) as db:
            db.execute("BEGIN EXCLUSIVE")
            begin = time.monotonic()
            fleet.judges_on()
            status_is_quick(receiver, max(1, 20 - (time.monotonic() - begin)))
            said_once(receiver, "receiver.db.*locked.*judging goes on")
            db.execute("ROLLBACK")
        said_once(receiver, STORED)
        fleet.next_victim()
        fleet.check_log()
        receiver.stop()


def test_database_gone(_):
    """It is moved away and put back; then removed for good: only a restart begins another, and it says so."""
    with World() as world:
        fleet = Fleet(world)
        receiver = fleet.start().receiver
        path, away = receiver.data / "receiver.db", receiver.data / "away"
        path.rename(away)
        said_once(receiver, "receiver.db.*(moved|removed).*judging goes on")
        fleet.victim.kill()
        receiver.wait_state(fleet.victim.name, "down")
        away.rename(path)
        said_once(receiver, STORED)
        fleet.next_victim()
        fleet.check_log()
        path.unlink()
        wait_until(lambda: len(said(receiver, "receiver.db.*(moved|removed).*judging goes on")) == 2, 20, "it says so again")
        fleet.judges_on()
        receiver.stop()
        for each in receiver.data.glob("receiver.db*"):
            each.unlink()
        receiver.start()
        for name in fleet.names:
            receiver.wait_state(name, "up")
        receiver.twobeat("flush")
        receiver.twobeat("verify")
        receiver.stop()


def test_database_damaged(_):
    """What is damaged is not begun anew by itself: one line says what to do."""
    with World() as world:
        fleet = Fleet(world)
        receiver = fleet.start().receiver
        receiver.stop()
        with contextlib.closing(sqlite3.connect(receiver.data / "receiver.db")) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # or the log of SQLite would mend it
        with open(receiver.data / "receiver.db", "r+b") as file:
            file.write(os.urandom(4096))
        result = subprocess.run([RECEIVER, "-c", receiver.config], capture_output=True, text=True, timeout=30, check=False)
        check(result.returncode not in (0, -6, -11), f"exit {result.returncode}")
        lines = result.stderr.splitlines()
        check(len(lines) == 1 and re.search(r"receiver\.db.*; .*copy.*aside", lines[0]), f"one line that says what to do: {lines}")


# Descriptors, memory, crowds


def test_descriptors(_):
    """No descriptor is left: files and connections wait, judgement does not."""
    with World() as world:
        fleet = Fleet(world)
        fleet.receiver.prefix = ["prlimit", "--nofile=48:48"]
        receiver = fleet.start().receiver
        with contextlib.ExitStack() as held:
            def connect():
                connection = held.enter_context(socket.socket(socket.AF_UNIX))
                connection.settimeout(2)
                connection.connect(str(receiver.data / "receiver.sock"))
                return connection
            asking = connect().makefile("rwb")

            def ask(**question):
                asking.write(json.dumps(question).encode() + b"\n")
                asking.flush()
                return json.loads(asking.readline())

            def state(name):
                return ask(op="status", hosts=[name])["hosts"][0]["state"]
            equal(state("one"), "up", "over the held connection")
            def all_used():
                with contextlib.suppress(OSError):
                    connect()
                return len(list(pathlib.Path(f"/proc/{receiver.pid}/fd").iterdir())) >= 47
            wait_until(all_used, 20, "all are in use")
            ask(op="flush", hosts=[])
            said_once(receiver, "Too many open files.*it will be written later|unable to open.*it will be written later")
            fleet.victim.kill()
            wait_until(lambda: state(fleet.victim.name) == "down", DOWN_S, "the death is seen")
            equal([state(name) for name in fleet.names], ["up", "up"], "the living")
        flushed_once(receiver, WRITTEN)
        fleet.next_victim()
        fleet.check_log()
        receiver.stop()


def test_names(_):
    """The name server says nothing, then that there is no such name, then where the receiver is; at last it is silent again."""
    need_root()
    with World() as world, NameServer() as server:
        near, far = world.receiver("near").start(), world.receiver("far").start()
        agent = world.agent("named", near, ("recv.test", far.address[1]))
        agent.prefix = server.prefix(world.folder)
        agent.start()
        near.wait_state("named", "up")
        said_once(agent, "cannot look up receiver recv.test")
        server.mode = "none"
        before = near.look("named")["last_heard"]
        wait_until(lambda: server.asked["none"] > 1, 20, "it asks again")
        server.mode = "answers"
        far.wait_state("named", "up", 30)
        said_once(agent, "receiver recv.test could be looked up")
        server.mode = "silent"
        far.kill()
        said_once(agent, r"receiver recv.test.* has not answered \d+ beats")
        wait_until(lambda: len(said(agent, "cannot look up receiver recv.test")) == 2, 30, "it looks for another address in vain, and says so")
        far.start()
        far.wait_state("named", "up")
        wait_until(lambda: len(said(agent, r"recv\.test:\d+ \(127\.0\.0\.1\) answers")) == 2, 20, "first contact, and again")
        wait_until(lambda: near.look("named")["last_heard"] > before + 5, 20, "the other one hears it")
        equal(near.outages("named"), [], "and heard it all the while")
        for each in (agent, near, far):
            each.stop()


def test_interface(_):
    """The agent's network is gone and back, a receiver on its own machine hears it all the while."""
    need_root()
    with World() as world:
        network = Network(world)
        far = world.receiver("far", listen=["10.77.0.1:0"])
        far.prefix = network.prefix("recv")
        far.start()
        agents = [world.agent(name, far) for name in ("cut", "near")]
        for agent, place in zip(agents, ("site1", "site2")):
            agent.prefix = network.prefix(place)
            agent.start()
            far.wait_state(agent.name, "up")
        before = far.look("cut")["last_heard"]
        wait_until(lambda: far.look("cut")["last_heard"] > before + 2, 20, "a rhythm")
        network.pull("site1")
        cut = time.monotonic()
        far.wait_state("cut", "down", DOWN_S)
        check(time.monotonic() - cut < DOWN_S, "in time")
        equal(far.state("near"), "up", "the other")
        said_once(agents[0], "(cannot send to|no way to|not answered).*trying on")
        network.pull("site1", False)
        far.wait_state("cut", "up")
        wait_until(lambda: len(said(agents[0], "receiver 10.77.0.1:.* answers")) == 2, 20, "first contact, and again")
        equal(len(said(agents[0], "trying on")), 1, f"told once: {agents[0].log()}")
        equal(far.outages("near"), [], "the other")
        for each in (*agents, far):
            each.stop()


def test_crowd(_):
    """Ten thousand hosts that nobody knew, all within seconds: they are heard, their files follow at a bounded rate."""
    count, makes_per_s = 10000, 50
    with World() as world:
        fleet = Fleet(world)
        receiver = fleet.start().receiver
        began = time.monotonic()
        crowd = subprocess.Popen([BUILD / "tests" / "crowd", str(receiver.address[1]), world.site_key_path, str(count), "10"],
                                 stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        running.append(crowd)
        try:
            with contextlib.closing(sqlite3.connect(f"file:{receiver.data}/receiver.db?mode=ro", uri=True)) as db:
                wait_until(lambda: db.execute("SELECT count(*) FROM hosts").fetchone()[0] > count, 60, "all are known")
            fleet.judges_on()
            status_is_quick(receiver, 5)
            folders = len(list((receiver.data / "hosts").iterdir()))
            passed = time.monotonic() - began
            # The wheel writes metrics of whoever has some, the queue makes so many a second.
            check(folders < makes_per_s * (passed + 2) + 10, f"{folders} folders after {passed:.0f} s")
            fds = len(list(pathlib.Path(f"/proc/{receiver.pid}/fd").iterdir()))
            check(fds < 100, f"{fds} descriptors")
        finally:
            crowd.stdin.close()
            crowd.wait(20)
        receiver.stop()


# Agents


def test_agent_state(_):
    """The state folder is full, gone, or not to be written: one warning, and the host is up all the same."""
    need_root()
    with World() as world:
        receiver = world.receiver().start()
        full, gone, closed = [world.agent(name, receiver) for name in ("full", "gone", "closed")]
        mount(world, full.state_dir, "64k")
        fill(full.state_dir)
        closed.state_dir.chmod(0o500)
        for agent in (full, gone, closed):
            agent.start()
            receiver.wait_state(agent.name, "up")
        shutil.rmtree(gone.state_dir)
        for agent in (full, gone, closed):
            before = receiver.look(agent.name)["last_heard"]
            wait_until(lambda a=agent: receiver.look(a.name)["last_heard"] > before + 2, 20, "it goes on")
            agent.stop()
        for agent, why in ((full, "No space left"), (closed, "Permission denied")):
            equal(len(said(agent, f"state_dir .* cannot be written: {why}")), 2, f"a line at its start and at its end: {agent.log()}")
        said_once(gone, "state_dir .* cannot be written: No such file")
        receiver.stop()


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    sys.exit(run_tests("faults", globals()))
