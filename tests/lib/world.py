# SPDX-License-Identifier: GPL-2.0-or-later
"""Real receivers and agents in a folder of their own, for the integration tests.

A World makes a folder and a site key, and starts daemons with configuration written into that folder. Receivers listen
on port 0 and are found by their first log line. Nothing waits for a fixed time: wait_until polls with a deadline. Daemons
write to files, so that none hangs on a full pipe, and whatever still runs when the World is left is killed by its pid.

A test file has functions test_*; run_tests runs all of them at once, since they mostly wait, and prints a line for each.
"""
import contextlib
import json
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import protocol

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("TWOBEAT_BUILD", ROOT / "build" / "dev"))
TWOBEAT = BUILD / "receiver" / "twobeat"
RECEIVER = BUILD / "receiver" / "twobeat-receiver"
AGENT = BUILD / "agent" / "twobeat-agent"
SEED = int(os.environ.get("TWOBEAT_SEED", time.time_ns() % 1000000))
NOBODY = pwd.getpwnam("nobody")
START_S = 20  # a daemon with sanitizers on a busy machine
COMMAND_S = 60


class Skip(Exception):
    """This test cannot run here; the text says why."""


def check(condition, why):
    if not condition:
        raise AssertionError(why)


def equal(got, wanted, what):
    check(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}")


def need_root():
    if os.environ.get("TWOBEAT_ALL") != "1":
        raise Skip("needs root: run tests/run --all")
    if os.geteuid() != 0:
        raise Skip("needs root")


def need_mount_namespace():
    """Where `/` is no mount there is none to be had."""
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode != 0:
        raise Skip("cannot make a mount namespace here, as in a chroot")


def wait_until(condition, seconds, what):
    """Polls until condition() is true, and returns what it returned. `what` names it if it never is."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < deadline, f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.03)


def sleep_until(wall, what="a point in time"):
    """Until the wall clock shows `wall`: for what is measured in whole minutes."""
    wait_until(lambda: time.time() >= wall, max(1, wall - time.time()) + 5, what)


def wait_for(seconds):
    """What has to last so long, lasts so long."""
    end = time.time() + seconds
    wait_until(lambda: time.time() >= end, seconds + 60, "time passes")


def quoted(value):
    """A value as libconfuse reads it."""
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(quoted(item) for item in value) + "}"
    return str(value) if isinstance(value, int) else '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def own(path):
    """Daemons that are started as root become the owner of their folder, or nobody: here it is nobody from the start."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    return path


def write_private(path, text):
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return own(path)


def write_config(path, settings):
    """A dictionary is blocks of that name: {title: {setting: value}}."""
    lines = []
    for name, value in settings.items():
        if isinstance(value, dict):
            lines += [f"{name} {quoted(title)} {{ {' '.join(f'{k} = {quoted(v)}' for k, v in block.items())} }}\n"
                      for title, block in value.items()]
        else:
            lines.append(f"{name} = {quoted(value)}\n")
    return write_private(path, "".join(lines))


running = []  # every process of every world, for the case that this program itself is told to end


def end_all(number, _):
    for process in list(running):
        if process.poll() is None:
            process.kill()
    os._exit(128 + number)


class Daemon:
    """A process whose output goes to files. Started by `start`, ended by `stop` or `kill`; may be started again."""

    def __init__(self, folder, program, config):
        self.folder, self.program, self.config = folder, program, config
        self.process = None
        self.log_path = folder / "log"
        self.starts = 0
        self.prefix = []  # a program that becomes this one, such as machine.py
        self.environment = {}  # besides ours

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def lines(self):
        """Of this run."""
        return self.log()[self.log_start:].splitlines()

    def spawn(self, extra=None):
        check(self.process is None, f"{self.program.name} runs already")
        self.log_start = len(self.log())
        self.starts += 1
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*self.prefix, self.program, "-c", self.config], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True,
                                            env=dict(os.environ, **self.environment, **(extra or {})))
        running.append(self.process)

    def signal(self, number):
        self.process.send_signal(number)

    def check_running(self):
        check(self.process.poll() is None, f"{self.program.name} ended with {self.process.poll()}: {self.log()[self.log_start:][-800:]}")

    def kill(self):
        """At once, as by a crash. Returns the wall time."""
        self.signal(signal.SIGKILL)
        self.process.wait(10)
        self.process = None
        return time.time()

    def stop(self, code=0, seconds=START_S):
        """In order. Returns the wall time at which it was asked to."""
        at = time.time()
        self.check_running()
        self.signal(signal.SIGTERM)
        got = self.process.wait(seconds)
        self.process = None
        equal(got, code, f"exit of {self.program.name} after SIGTERM ({self.log()[self.log_start:][-800:]})")
        return at

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self.process = None

    def rss_bytes(self):
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+) kB", text, re.M)[1]) * 1024


class Receiver(Daemon):
    def __init__(self, world, name, listen=("127.0.0.1:0",), **settings):
        folder = world.folder / name
        folder.mkdir()
        self.world, self.name = world, name
        self.data = folder / "data"
        self.data.mkdir(mode=0o750)
        own(self.data)
        self.settings = dict({"name": name, "listen": listen, "data": self.data,
                              "site_key_file": [world.site_key_path]}, **settings)
        super().__init__(folder, RECEIVER, folder / "receiver.conf")
        self.write_settings()

    def write_settings(self, **changes):
        self.settings.update(changes)
        write_config(self.config, self.settings)

    def start(self):
        """Returns once it answers. After the first time it listens on the ports that it got then."""
        self.spawn()
        found = wait_until(self._listening, START_S, lambda: f"the receiver listens; log: {self.log()[-800:]}")
        self.addresses = found
        self.write_settings(listen=[f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in found])
        wait_until(lambda: self.try_ask("status"), START_S, "the receiver answers on its socket")
        return self

    def _listening(self):
        self.check_running()
        found = [(m[1].strip("[]"), int(m[2])) for line in self.lines()
                 if (m := re.search(r"listening on (\S+):(\d+)$", line))]
        return found if len(found) == len(self.settings["listen"]) else None

    @property
    def address(self):
        """(host, port) to which one can send."""
        host, port = self.addresses[0]
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port

    def try_ask(self, op, **members):
        """One question over the control socket; None if nobody answers. Much quicker than starting the command line."""
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(str(self.data / "receiver.sock"))
                s.settimeout(10)
                s.sendall(json.dumps(dict({"op": op}, **members)).encode() + b"\n")
                return json.loads(s.makefile("rb").readline())
        except (OSError, ValueError):
            return None

    def twobeat(self, *words, code=0, env=None, **how):
        return self.world.twobeat(*words, "--data", self.data, code=code, env=dict(self.environment, **(env or {})), **how)

    def json(self, *words, **how):
        return json.loads(self.twobeat(*words, "--json", **how).stdout)

    def status(self, name):
        """The host as `twobeat status` tells; None if it is not known. Asked without naming it: that exits 1 if it is down."""
        return next((host for host in self.json("status")["hosts"] if host["host"] == name), None)

    def look(self, name):
        """The same, straight from the socket."""
        answer = self.try_ask("status", hosts=[name])
        return answer["hosts"][0] if answer and answer["hosts"] else None

    def state(self, name):
        host = self.look(name)
        return host and host["state"]

    def statistics(self):
        return self.json("status")["receiver"]["statistics"]

    def count(self):
        """The same, straight from the socket."""
        return self.try_ask("status", hosts=["-"])["receiver"]["statistics"]

    def wait_state(self, name, state, seconds=START_S):
        return wait_until(lambda: (host := self.look(name)) and host["state"] == state and host, seconds,
                          lambda: f"{name} is {state}, but it is {self.look(name)}")

    def outages(self, *names, start=None, end=None):
        words = ["--from", str(int(start or time.time() - 86400))] + (["--to", str(int(end))] if end else [])
        return self.json("outages", *names, *words)["outages"]

    def uptime(self, start, end, *names):
        return self.json("uptime", *names, "--from", str(int(start)), "--to", str(int(end)))

    def client(self, name, **how):
        return protocol.Client(self.world.key(name), self.address, **how)

    def first_heard(self, name):
        return next(h["first_heard"] for h in self.json("host", "list")["hosts"] if h["host"] == name)

    def written_to(self, name):
        return next(h["written_to"] for h in self.json("host", "list")["hosts"] if h["host"] == name)


class Agent(Daemon):
    def __init__(self, world, name, receivers, interval="1s", folder=None, **settings):
        folder = world.folder / (folder or f"agent-{name[:40]}")
        folder.mkdir()
        self.world, self.name = world, name
        self.state_dir = folder / "state"
        self.state_dir.mkdir()
        own(self.state_dir)
        key = world.key(name)
        addresses = [f"[{r[0]}]:{r[1]}" if ":" in r[0] else f"{r[0]}:{r[1]}"
                     for r in (getattr(r, "address", r) for r in receivers)]
        self.settings = dict({"receivers": addresses, "key_file": write_private(folder / "host.key", key.line() + "\n"),
                              "interval": interval, "state_dir": self.state_dir}, **settings)
        super().__init__(folder, AGENT, write_config(folder / "agent.conf", self.settings))

    def start(self):
        """Returns the wall time."""
        at = time.time()
        self.spawn()
        return at


class World:
    """Use in a `with` block."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="twobeat-"))
        self.folder.chmod(0o755)  # daemons that drop root must find their folder
        self.daemons = []
        self.stack = contextlib.ExitStack()
        self.site_key_path = write_private(self.folder / "site.key",
                                           protocol.KeyFile("site", os.urandom(32)).line() + "\n")
        self.site_key = protocol.KeyFile.parse(self.site_key_path.read_text()).key

    def __enter__(self):
        return self

    def __exit__(self, kind, why, _):
        for daemon in self.daemons:
            if why is None and daemon.process is not None and daemon.process.poll() not in (None, 0):
                why = AssertionError(f"{daemon.program.name} ended with {daemon.process.poll()}: {daemon.log()[-1500:]}")
        for daemon in self.daemons:
            daemon.end()
            if why is None and re.search(r"AddressSanitizer|runtime error:|LeakSanitizer|ThreadSanitizer", daemon.log()):
                why = AssertionError(f"{daemon.program.name}: {daemon.log()[-3000:]}")
        self.stack.close()
        if os.environ.get("TWOBEAT_KEEP"):
            print(f"kept: {self.folder}", flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        if kind is None and why is not None:
            raise why

    def key(self, name, generation=1):
        return protocol.KeyFile("host", protocol.derive_host_key(self.site_key, generation, name), name, generation)

    def receiver(self, name="recv", **settings):
        self.daemons.append(Receiver(self, name, **settings))
        return self.daemons[-1]

    def agent(self, name, *receivers, **settings):
        self.daemons.append(Agent(self, name, receivers, **settings))
        return self.daemons[-1]

    def proxy(self, receiver):
        """A Proxy before a receiver, closed with the world."""
        return self.stack.enter_context(Proxy(receiver))

    @staticmethod
    def twobeat(*words, code=0, user=None, group=None, timeout=COMMAND_S, env=None):
        result = subprocess.run([str(TWOBEAT), *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                                text=True, timeout=timeout, env=dict(os.environ, **(env or {})),
                                user=user, group=group, extra_groups=[] if user is not None else None, check=False)
        check(result.returncode == code, f"{words}: exit {result.returncode}, wanted {code}: {result.stdout[-300:]} {result.stderr[-800:]}")
        return result


class Proxy:
    """Stands between one agent and a receiver, keeps what passes, and can hold it back or send it back."""

    def __init__(self, receiver):
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.target = receiver.address
        self.address = self.front.getsockname()
        self.sent, self.answers = [], []
        self.reflects = False
        self.closing = False
        self.agent = None
        self.threads = [threading.Thread(target=self._forth, daemon=True),
                        threading.Thread(target=self._back, daemon=True)]
        self.front.settimeout(0.2)
        self.back.settimeout(0.2)
        for thread in self.threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing = True
        for thread in self.threads:
            thread.join(5)
        self.front.close()
        self.back.close()

    def _forth(self):
        while not self.closing:
            with contextlib.suppress(OSError):
                datagram, self.agent = self.front.recvfrom(2048)
                self.sent.append(datagram)
                if self.reflects:
                    self.front.sendto(datagram, self.agent)
                self.back.sendto(datagram, self.target)

    def _back(self):
        while not self.closing:
            with contextlib.suppress(OSError):
                datagram = self.back.recv(2048)
                self.answers.append(datagram)
                self.front.sendto(datagram, self.agent)


def run_tests(prefix, tests, at_once=4):
    """Runs functions test_NAME(rng), prints their result lines, returns the exit status."""
    print(f"seed {SEED} (set TWOBEAT_SEED to repeat)", flush=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end_all)
    words = sys.argv[1:]  # names of single tests
    tests = [test for name, test in tests.items() if name.startswith("test_")
             and (not words or name.removeprefix("test_") in words)]
    slots = threading.Semaphore(at_once)
    failed = []

    def run(test):
        name = f"{prefix} {test.__name__.removeprefix('test_')}"
        with slots:
            try:
                test(random.Random(SEED))
                print(f"ok {name}", flush=True)
            except Skip as why:
                print(f"SKIP {name}: {why}", flush=True)
            except Exception as why:  # pylint: disable=broad-except
                failed.append(name)
                place = traceback.extract_tb(why.__traceback__)
                lines = " < ".join(f"{pathlib.Path(f.filename).name}:{f.lineno}" for f in reversed(place[-4:]))
                print(f"FAIL {name}: {type(why).__name__} {' '.join(str(why).split())} [{lines}]", flush=True)

    threads = [threading.Thread(target=run, args=(test,)) for test in tests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1 if failed else 0
