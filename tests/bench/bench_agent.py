#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""bench_agent.py [--seconds N] - what the agent needs at an interval of 1 s, beside collectd and the floor.

All three run side by side, so that the noise of the machine is the same for them:
  agent     at 1 s, speaking to a real receiver on loopback
  collectd  measuring about the same at its own default of 10 s, sending to a port of loopback, writing no files
  floor     a bare libuv and libsodium process that seals 400 bytes and sends them each second (bench_floor.c)

TWOBEAT_BUILD names the build folder. Each figure is one line `NAME VALUE UNIT  # meaning`. CPU is that of the process
(user and system, nanoseconds of the scheduler). System calls are counted after that, as tracing them costs time. Memory
is looked at while nothing else here runs that has the same libraries in memory: of the floor before, of the rest after.
collectd is installed (collectd-core of Debian, which starts nothing, having no configuration) if this runs as root.
"""
import argparse
import collections
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import world  # noqa: E402  pylint: disable=wrong-import-position

FLOOR = world.BUILD / "tests" / "bench_floor"
GOALS = {"agent_cpu_us_per_beat": "goal: 300", "agent_pss": "goal: 1024", "agent_rss": "goal: 3072"}
COLLECTD_INTERVAL_S = 10
COLLECTD_PLUGINS = "load cpu memory swap processes df disk interface contextswitch network"
COLLECTD_CONFIG = """Hostname "bench"
FQDNLookup false
BaseDir "{folder}"
PIDFile "{folder}/collectd.pid"
PluginDir "/usr/lib/collectd"
TypesDB "/usr/share/collectd/types.db"
Interval {interval}
{load}
<Plugin network>
  Server "127.0.0.1" "{port}"
</Plugin>
"""


class Sink:
    """A UDP port of loopback whose datagrams are taken and thrown away."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.count = 0
        threading.Thread(target=self.drain, daemon=True).start()

    def drain(self):
        while self.socket.recv(65536):
            self.count += 1


def skip(name, why):
    print(f"SKIP {name}: {why}", flush=True)


def collectd_path():
    """The program, or None with a line that says why."""
    path = shutil.which("collectd", path="/usr/sbin:/usr/bin")
    if not path and os.geteuid() == 0 and shutil.which("apt-get"):
        print("collectd is missing: installing the Debian package collectd-core", flush=True)
        done = subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "collectd-core"], check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))
        path = shutil.which("collectd", path="/usr/sbin:/usr/bin")
        if not path:
            skip("collectd", f"cannot be installed: {done.stderr.strip()[-300:]}")
    elif not path:
        skip("collectd", "it is not installed (apt install collectd-core), and this is not root")
    return path


class Subject:
    """A process that is measured. `beats` tells how many it has made, None: by the clock."""

    def __init__(self, name, pid, interval, beats=None):
        self.name, self.pid, self.interval, self.beats = name, pid, interval, beats
        self.begin = self.elapsed = self.count = None

    def tasks(self, entry):
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            yield (task / entry).read_text()

    def status(self, file, pattern):
        return int(re.search(pattern, pathlib.Path(f"/proc/{self.pid}/{file}").read_text(), re.M)[1])

    def state(self):
        return {"at": time.monotonic(), "beats": self.beats() if self.beats else 0,
                "cpu_ns": sum(int(text.split()[0]) for text in self.tasks("schedstat")),
                "wake_ups": sum(int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)[1]) for text in self.tasks("status")),
                "written": self.status("io", r"^write_bytes: (\d+)")}

    def figure(self, name, value, unit, meaning):
        name = f"{self.name}_{name}"
        print(f"{name:<28} {value:12.2f} {unit:<6} # {', '.join(filter(None, (meaning, GOALS.get(name))))}", flush=True)

    def start(self):
        self.begin = self.state()

    def report(self):
        end = self.state()
        moved = {name: end[name] - self.begin[name] for name in end}
        seconds = moved["at"]
        beats = moved["beats"] if self.beats else seconds / self.interval
        world.check(beats >= seconds / self.interval * 0.5, f"{self.name}: only {beats} beats in {seconds:.1f} s")
        self.figure("cpu_ms_per_s", moved["cpu_ns"] / 1e6 / seconds, "ms", f"over {seconds:.1f} s")
        self.figure("cpu_us_per_beat", moved["cpu_ns"] / 1e3 / beats, "us", f"{beats:.0f} beats, one each {self.interval} s")
        self.figure("wake_ups_per_s", moved["wake_ups"] / seconds, "1/s", "voluntary switches of all threads")
        self.figure("written_per_s", moved["written"] / seconds, "B/s", f"to disks, {moved['written']} bytes in all")


    def memory(self):
        self.figure("pss", self.status("smaps_rollup", r"^Pss:\s+(\d+)"), "kB", "its share of memory")
        self.figure("rss", self.status("smaps_rollup", r"^Rss:\s+(\d+)"), "kB", "with all that others share")


def trace(subjects, folder, seconds):
    """Attaches strace to all, and tells the calls of each."""
    if not shutil.which("strace"):
        skip("system calls and datagrams", "strace is not installed")
        return
    tracers = [subprocess.Popen(["strace", "-f", "-qq", "-o", folder / f"{subject.name}.strace", "-p", str(subject.pid)],
                                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for subject in subjects]
    world.running.extend(tracers)
    begin = time.monotonic()
    world.sleep_until(time.time() + seconds, "the end of tracing")
    for subject, tracer in zip(subjects, tracers):
        elapsed = time.monotonic() - begin
        tracer.send_signal(signal.SIGINT)  # it detaches
        why = tracer.communicate(timeout=20)[1]
        path = folder / f"{subject.name}.strace"
        text = path.read_text(errors="replace") if path.exists() else ""
        calls = collections.Counter(re.findall(r"^\d+ +(\w+)\(", text, re.M))
        sizes = [int(n) for n in re.findall(r"\bsend(?:to|msg)?(?:\(.*| resumed.*) = (\d+)$", text, re.M)]
        if not calls:
            skip(f"{subject.name} system calls", f"strace tells nothing: {why.strip()[-200:]}")
            continue
        beats = elapsed / subject.interval
        most = ", ".join(f"{name} {count / beats:.1f}" for name, count in calls.most_common(5))
        subject.figure("calls_per_beat", sum(calls.values()) / beats, "calls", f"over {elapsed:.1f} s: {most}")
        if sizes:
            subject.figure("datagram", sum(sizes) / len(sizes), "B", f"UDP payload, mean; the largest {max(sizes)}")
            subject.figure("sent_per_s", sum(sizes) / elapsed, "B/s", f"{len(sizes) / elapsed:.2f} datagrams a second")


def spawn(stack, *words):
    """Ended with the stack, by its pid, if not before."""
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    world.running.append(process)

    def end():
        process.kill()
        process.wait(10)
    stack.callback(end)
    return process


def start_collectd(here, path):
    sink, folder = Sink(), here.folder / "collectd"
    folder.mkdir()
    config = folder / "collectd.conf"
    load = "\n".join(f"LoadPlugin {name}" for name in COLLECTD_PLUGINS.split())
    config.write_text(COLLECTD_CONFIG.format(folder=folder, interval=COLLECTD_INTERVAL_S, load=load, port=sink.port))
    process = spawn(here.stack, path, "-f", "-C", str(config))
    world.wait_until(lambda: sink.count > 0 or process.poll() is not None, 60, "collectd sends")
    world.check(process.poll() is None, f"collectd ended with {process.poll()}")
    return Subject("collectd", process.pid, COLLECTD_INTERVAL_S)


def measure(seconds, trace_seconds):
    collectd = collectd_path()
    with world.World() as here:
        sink = Sink()
        floor = spawn(here.stack, str(FLOOR), str(sink.port))
        subjects = [Subject("floor", floor.pid, 1, lambda: sink.count)]
        world.wait_until(lambda: sink.count > 2, 20, "the floor sends")
        subjects[0].memory()
        receiver = here.receiver().start()
        agent = here.agent("bench", receiver.address, interval="1s")
        agent.start()
        receiver.wait_state("bench", "up")
        subjects.append(Subject("agent", agent.pid, 1, lambda: receiver.statistics()["beats"]))
        if collectd:
            subjects.append(start_collectd(here, collectd))
        for subject in subjects:
            subject.start()
        world.sleep_until(time.time() + seconds, "the end of the measurement")
        for subject in subjects:
            subject.report()
        trace(subjects, here.folder, trace_seconds)
        floor.kill()
        floor.wait(10)
        receiver.kill()  # at once: the agent must not come to miss it
        for subject in subjects[1:]:
            subject.memory()


def main():
    parser = argparse.ArgumentParser(description="What the agent needs, beside collectd and the floor of this machine.")
    parser.add_argument("--seconds", type=float, default=60, help="how long CPU time is counted; 3600 for the record")
    parser.add_argument("--trace-seconds", type=float, default=20, help="how long system calls are counted after that")
    words = parser.parse_args()
    least = 2 * COLLECTD_INTERVAL_S
    if words.seconds < least or words.trace_seconds < COLLECTD_INTERVAL_S:
        parser.error(f"collectd measures every {COLLECTD_INTERVAL_S} s: at least {least} s, and {COLLECTD_INTERVAL_S} s of tracing")
    signal.signal(signal.SIGTERM, world.end_all)
    measure(words.seconds, words.trace_seconds)


if __name__ == "__main__":
    main()
