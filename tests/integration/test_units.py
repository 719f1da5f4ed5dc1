#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The systemd units: accepted by systemd's own checks, and their sandboxes leave the programs what they need.

Programs run under the restrictions that the unit files name, without systemd (tests/lib/sandbox.py). Sanitizers do not live
under such filters, so the programs are those of a plain build.
"""
import functools
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import sandbox
import world
from world import ROOT, Skip, World, check, equal, need_root, own, run_tests, wait_until

UNITS = ROOT / "contrib" / "systemd"
EXPOSURE_MAX = 2.0
SANDBOX = ROOT / "tests" / "lib" / "sandbox.py"
BUILD_S = 200


def is_plain(build):
    cache = build / "CMakeCache.txt"
    return cache.exists() and re.search(r"^TWOBEAT_SANITIZE:\w+=$", cache.read_text(), re.M) and (build / "receiver" / "twobeat").exists()


building = threading.Lock()


@functools.cache
def make_plain_build():
    if is_plain(world.BUILD):
        return world.BUILD
    folder = ROOT / "build" / "release"
    commands = [["cmake", "--build", folder]]  # it may be older than the sources
    if not is_plain(folder):
        folder = pathlib.Path(tempfile.gettempdir()) / "build"
        commands = [["cmake", "-G", "Ninja", "-S", ROOT, "-B", folder, "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DTWOBEAT_TESTS=OFF"],
                    ["cmake", "--build", folder]]
    for command in commands:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BUILD_S, check=False)
        check(result.returncode == 0, f"build without sanitizers: {result.stdout[-1500:]} {result.stderr[-500:]}")
    return folder


def plain_build():
    """The folder of a build without sanitizers: the one under test, or build/release, or one made for this run."""
    with building:
        return make_plain_build()


def need_sandbox():
    need_root()
    if not shutil.which("systemd-analyze"):
        raise Skip("needs systemd-analyze")
    try:
        sandbox.Filter(sandbox.ALLOW)
    except OSError as why:
        raise Skip(f"needs libseccomp2: {why}") from why
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        raise Skip("needs the right to make a mount name space")


class Bus:
    """As much of a system bus as `systemctl is-system-running` needs; systemd's state is `state`."""

    def __init__(self, path, state):
        path.parent.mkdir(parents=True)
        self.state = state
        self.asked = 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        path.chmod(0o666)
        self.socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            client, _ = self.socket.accept()
            with client, client.makefile("rwb") as stream:
                self._talk(stream)

    def _talk(self, stream):
        stream.read(1)
        for line in iter(stream.readline, b""):
            answer = {b"AUTH": b"DATA\r\n", b"DATA": b"OK 0123456789abcdef0123456789abcdef\r\n",
                      b"NEGOTIATE_UNIX_FD": b"AGREE_UNIX_FD\r\n", b"BEGIN": b""}[line.split()[0]]
            stream.write(answer)
            stream.flush()
            if not answer:
                break
        while len(head := stream.read(16)) == 16:
            body_len, serial, fields_len = struct.unpack("<4xIII", head)
            rest = stream.read(-(-fields_len // 8) * 8 + body_len)
            if b"SystemState" in rest:
                self.asked += 1
                stream.write(self._reply(serial, b"v", b"\1s\0\0" + self._text(self.state)))
            else:
                stream.write(self._reply(serial, b"s", self._text(b":1.1")))
            stream.flush()

    @staticmethod
    def _text(value):
        return struct.pack("<I", len(value)) + value + b"\0"

    @staticmethod
    def _reply(serial, signature, body):
        fields = b"\5\1u\0" + struct.pack("<I", serial) + b"\x08\1g\0\1" + signature + b"\0"
        head = struct.pack("<cBBBIII", b"l", 2, 1, 1, len(body), serial, len(fields)) + fields
        return head + bytes(-len(head) % 8) + body


class Box:
    """Puts a daemon of a World into the sandbox of a unit: gives a program that starts it there."""

    def __init__(self, w, daemon, unit, state, change=lambda text: text):
        program = plain_build() / ("agent" if "agent" in daemon.program.name else "receiver") / daemon.program.name
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="box-", dir=w.folder))
        self.folder.chmod(0o755)
        self.scratch = self.folder / "scratch"
        self.scratch.mkdir()
        inside = self.folder / program.name
        shutil.copy(program, inside)
        unit_path = self.folder / unit
        text = (UNITS / unit).read_text(encoding="utf-8")
        changed = change(text)
        unit_path.write_text(changed, encoding="utf-8")
        script = self.folder / "start"
        script.write_text(f'#!/bin/sh\nexec python3 -B {SANDBOX} {unit_path} {state} {self.scratch} {inside} "$@"\n', encoding="ascii")
        script.chmod(0o755)
        daemon.program = script


class Manager:
    """Hears what a daemon tells its service manager."""

    def __init__(self, folder):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.path = folder / "notify"
        self.socket.bind(str(self.path))
        self.path.chmod(0o666)
        self.socket.setblocking(False)
        self.heard = ""
        self.environment = {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": "1000000"}

    def has(self, word):
        try:
            while True:
                self.heard += self.socket.recv(4096).decode() + "\n"
        except BlockingIOError:
            return word in self.heard


def stage(folder):
    """The units as installed, with programs to find: what systemd-analyze verify looks for."""
    units = folder / "units"
    units.mkdir()
    for unit in UNITS.glob("*.service"):
        text = unit.read_text(encoding="utf-8")
        for name in ("twobeat-agent", "twobeat-receiver"):
            text = text.replace(f"/usr/sbin/{name} ", "/bin/true ")
        (units / unit.name).write_text(text, encoding="utf-8")
    return units


def analyze(*words):
    result = subprocess.run(["systemd-analyze", "--no-pager", *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, timeout=60, check=False)
    return result.returncode, result.stdout + result.stderr


def test_verify(_):
    if not shutil.which("systemd-analyze"):
        raise Skip("needs systemd-analyze")
    with World() as w:
        for unit in sorted(stage(w.folder).glob("*.service")):
            # Manual pages are not in the system's folders yet; that they exist test_install.py sees.
            code, text = analyze("verify", "--man=no", unit)
            own_lines = [line for line in text.splitlines() if unit.name in line]
            equal((code, own_lines), (0, []), f"systemd-analyze verify {unit.name}: {text}")


def test_exposure(_):
    if not shutil.which("systemd-analyze"):
        raise Skip("needs systemd-analyze")
    for unit in ("twobeat-agent.service", "twobeat-receiver.service"):
        _, text = analyze("security", "--offline=true", UNITS / unit)
        found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", text)
        check(found and float(found[1]) <= EXPOSURE_MAX, f"exposure of {unit} is above {EXPOSURE_MAX}: {text[-200:]}")


def metrics(receiver, name):
    host = receiver.status(name)
    return {key: value for key, value in (host["metrics"] if host else {}).items() if value is not None}


def compare(boxed, free):
    """What hardly moves within seconds is the same; the rest is only there in both."""
    equal(set(boxed), set(free), "metrics that the agent can measure")
    for name, tolerance in (("mem_total", 0), ("disk_root", 2), ("disk_fullest", 2), ("inodes_fullest", 2), ("swap_used", 5), ("uptime", 10)):
        if name in free:
            check(abs(boxed[name] - free[name]) <= tolerance, f"{name} in the sandbox is {boxed[name]}, outside {free[name]}")


def test_agent(_):
    """It measures in the sandbox what it measures outside, tells systemd, and learns from it that the host goes down."""
    need_sandbox()
    with World() as w:
        receiver = w.receiver().start()
        boxed, free = w.agent("boxed", receiver), w.agent("free", receiver)
        free.program = plain_build() / "agent" / "twobeat-agent"
        box = Box(w, boxed, "twobeat-agent.service", boxed.state_dir)
        (box.scratch / "run" / "systemd" / "system").mkdir(parents=True)
        bus = Bus(box.scratch / "run" / "dbus" / "system_bus_socket", b"stopping") if shutil.which("systemctl") else None
        manager = Manager(w.folder)
        boxed.spawn(manager.environment)
        free.start()
        for name in ("boxed", "free"):
            receiver.wait_state(name, "up")
            # Rates need two heartbeats.
            wait_until(lambda n=name: "cpu_user" in metrics(receiver, n), 10, f"rates of {name}")
        for agent in (boxed, free):
            agent.check_running()
        compare(metrics(receiver, "boxed"), metrics(receiver, "free"))
        for word in ("READY=1", "WATCHDOG=1"):
            wait_until(lambda word=word: manager.has(word), 10, f"the agent says {word}")
        boxed.stop()
        check((boxed.state_dir / "run").exists(), "the state directory is writable")
        if bus is None:
            raise Skip("how it asks systemd whether the host goes down needs systemctl; all else is well")
        equal(bus.asked, 1, "questions to systemd")
        equal(receiver.wait_state("boxed", "admin")["cause"], "shutdown", "cause")


def test_agent_blinded(_):
    """The comparison sees a sandbox that hides something: with ProcSubset=pid there is no memory to measure."""
    need_sandbox()
    with World() as w:
        receiver = w.receiver().start()
        agent = w.agent("blind", receiver)
        Box(w, agent, "twobeat-agent.service", agent.state_dir, lambda text: text.replace("[Service]\n", "[Service]\nProcSubset=pid\n"))
        agent.start()
        wait_until(lambda: not agent.check_running() and agent.log() and receiver.look("blind") or agent.process.poll(), 10, "the agent starts")
        check("mem_total" not in metrics(receiver, "blind"), "memory is still measured")


def test_receiver(_):
    """In its sandbox it hears, answers, writes and stops."""
    need_sandbox()
    with World() as w:
        receiver = w.receiver()
        Box(w, receiver, "twobeat-receiver.service", receiver.data)
        manager = Manager(w.folder)
        spawn = receiver.spawn
        receiver.spawn = lambda: spawn(manager.environment)
        receiver.start()
        agent = w.agent("web1", receiver)
        agent.start()
        receiver.wait_state("web1", "up")
        check(receiver.status("web1")["metrics"], "metrics")
        # A file begins with the first full minute.
        wait_until(lambda: receiver.twobeat("flush") and (receiver.data / "hosts" / "web1" / "state.rrd").exists(), 80, "state.rrd")
        receiver.twobeat("maintenance", "start", "web1", "--for", "1h")  # by root, over the socket
        for word in ("READY=1", "WATCHDOG=1"):
            wait_until(lambda word=word: manager.has(word), 10, f"the receiver says {word}")
        receiver.signal(1)
        wait_until(lambda: manager.has("RELOADING=1") or "again" in receiver.log(), 10, lambda: f"it reloads: {receiver.log()}")
        receiver.check_running()
        agent.stop()
        receiver.stop()
        receiver.twobeat("verify")


def test_filters(_):
    """What the sandbox is for: the same restrictions refuse what neither program does."""
    need_sandbox()
    probe = """
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def refused(action, *errors):
    try:
        action()
    except OSError as why:
        assert why.errno in errors, why
    else:
        raise AssertionError(action)
refused(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW), errno.EAFNOSUPPORT)
refused(lambda: open("/etc/twobeat-probe", "w"), errno.EROFS, errno.EACCES)
refused(lambda: open("/proc/sys/kernel/hostname", "w"), errno.EROFS, errno.EACCES)
refused(lambda: os.chmod(os.environ["STATE"], 0o4755), errno.EPERM)
refused(lambda: os.setuid(0), errno.EPERM)
refused(lambda: os.sched_setaffinity(0, {0}), errno.EPERM)
libc.mmap.restype = ctypes.c_void_p
assert libc.mmap(None, 4096, 7, 0x22, -1, 0) == ctypes.c_void_p(-1).value and ctypes.get_errno() == errno.EPERM
assert libc.unshare(0x10000000) == -1
# And what both do.
open(os.environ["STATE"] + "/written", "w").close()
assert socket.getaddrinfo("localhost", 2004, type=socket.SOCK_DGRAM)
"""
    python = "/usr/bin/python3"  # one in a home folder would be hidden
    if not os.path.exists(python):
        raise Skip(f"needs {python}")
    for unit in ("twobeat-agent.service", "twobeat-receiver.service"):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            folder.chmod(0o755)
            for part in ("state", "scratch"):
                (folder / part).mkdir()
            result = subprocess.run(["python3", "-B", SANDBOX, UNITS / unit, own(folder / "state"), folder / "scratch", python, "-B",
                                     "-c", probe], env=dict(os.environ, STATE=str(folder / "state")), capture_output=True, text=True, timeout=60, check=False)
            equal(result.returncode, 0, f"probe under {unit}: {result.stderr[-600:]}")


if __name__ == "__main__":
    if os.geteuid() == 0 and os.environ.get("TWOBEAT_ALL") == "1":
        # Not in /tmp, which the units make private.
        with tempfile.TemporaryDirectory(prefix="twobeat-units-", dir="/var/lib") as base:
            os.chmod(base, 0o755)
            tempfile.tempdir = base
            sys.exit(run_tests("units", globals(), at_once=2))
    sys.exit(run_tests("units", globals(), at_once=2))
