#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_metrics.py - what a real agent tells, compared with what other tools tell of the same machine while it is moved.

The beats are read on their way to a real receiver. A counter must lie between what the tool told just before and just
after the beat; gauges are given the slack of the moment.
"""
import json
import mmap
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import protocol  # noqa: E402  pylint: disable=wrong-import-position
from world import AGENT, Skip, World, check, need_root, run_tests, wait_until  # noqa: E402  pylint: disable=wrong-import-position

CPUS = os.cpu_count()
MIB = 1 << 20


def tool(*words):
    if not shutil.which(words[0]):
        raise Skip(f"the program {words[0]} is not installed")
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60, check=True).stdout


def read(path):
    return pathlib.Path(path).read_text()


class Watch:
    """A receiver, an agent, and the beats between them."""

    def __init__(self, world, name="moved", program=AGENT, **settings):
        self.receiver = world.receiver(f"recv-{name}").start()
        self.proxy = world.proxy(self.receiver)
        self.key = world.key(name)
        self.agent = world.agent(name, self.proxy, interval="250ms", **settings)
        self.beats, self.decoded = {}, 0
        self.agent.program = program
        self.agent.start()
        self.beat()

    def last(self):
        """The newest beat."""
        while self.decoded < len(self.proxy.sent):
            header, payload = protocol.open_datagram(self.proxy.sent[self.decoded], self.key.key)
            self.decoded += 1
            if header.type == protocol.BEAT:
                beat = protocol.Beat.decode(payload)
                if not beat.flags & protocol.KEPT:
                    self.beats[beat.agent_start, beat.number] = beat
        return next(reversed(self.beats.values()), None)

    def beat(self):
        """The metrics of a beat that was measured after this was called: the next but one, as one may be under way."""
        self.last()
        seen = len(self.beats)
        wait_until(lambda: self.last() and len(self.beats) >= seen + 2, 20, "the agent beats")
        return self.metrics()

    def metrics(self):
        return dict(zip(protocol.METRICS, self.last().metrics))

    def between(self, name, look, slack=0.0):
        """A counter lies between what `look` tells before and after. Returns it."""
        low = look()
        value = self.beat()[name]
        high = look()
        check(low - slack <= value <= high + slack, f"{name} is {value}, the tool says {low} to {high}")
        return value

    def settles(self, name, look, slack):
        """A gauge gets as close to the tool as that, at one moment of some."""
        seen = []

        def close():
            seen.append((self.beat()[name], look()))
            return abs(seen[-1][0] - seen[-1][1]) <= slack
        wait_until(close, 15, lambda: f"{name}: agent and tool say {seen[-5:]}")
        return seen[-1][0]


def busy(seconds):
    return subprocess.Popen([sys.executable, "-c", f"import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"])


def stat_line(word):
    return int(re.search(rf"^{word} (\d+)", read("/proc/stat"), re.M)[1])


def cpu_times():
    """user and system seconds of all CPUs, each by its own line."""
    rows = [[int(n) for n in line.split()[1:]] for line in read("/proc/stat").splitlines() if re.match(r"cpu\d", line)]
    tick = os.sysconf("SC_CLK_TCK")
    return sum(r[0] + r[1] for r in rows) / tick, sum(r[2] + r[5] + r[6] for r in rows) / tick


def test_cpu_and_load(_):
    with World() as world:
        watch = Watch(world)
        user, told = cpu_times()[0], watch.beat()
        start = watch.last()
        busy_ones = [busy(6) for _ in range(CPUS)]
        wait_until(lambda: watch.last().run_ms > start.run_ms + 3000, 20, "three seconds of work")
        metrics, end = watch.metrics(), watch.last()
        share = (metrics["cpu_user"] - told["cpu_user"]) / (end.run_ms - start.run_ms) * 1000
        tool_share = (cpu_times()[0] - user) / CPUS / ((end.run_ms - start.run_ms) / 1000) * 100
        check(share > 60 and share <= 102 and abs(share - tool_share) < 20, f"cpu_user {share:.1f} %, /proc/stat {tool_share:.1f} %")
        rates = watch.receiver.look("moved")["metrics"]
        check(rates["cpu_user"] is not None and 50 < rates["cpu_user"] <= 100, f"the receiver's rate: {rates['cpu_user']}")
        quiet = told["load1"]
        loads = [watch.settles("load1", lambda: float(re.findall(r"[\d.]+", tool("uptime").split("load average")[1])[0]), 0.011)]
        wait_until(lambda: watch.beat()["load1"] > quiet or quiet > 2 * CPUS, 20, f"the load rises from {quiet}")
        loads.append(watch.settles("load15", lambda: float(re.findall(r"[\d.]+", tool("uptime").split("load average")[1])[2]), 0.011))
        for process in busy_ones:
            process.wait(60)
        # The kernel's own totals, as percent of all CPUs.
        watch.between("cpu_user", lambda: cpu_times()[0] * 100 / CPUS, 0.02 * 100)
        watch.between("cpu_system", lambda: cpu_times()[1] * 100 / CPUS, 0.02 * 100)


def test_tasks(_):
    with World() as world:
        watch = Watch(world)
        before = watch.between("forks", lambda: int(tool("vmstat", "-f").split()[0]))
        subprocess.run(["sh", "-c", "for i in $(seq 300); do /bin/true; done"], check=True)
        after = watch.between("forks", lambda: int(tool("vmstat", "-f").split()[0]))
        check(after - before >= 300, f"{after - before} forks, at least 300 were made")
        before = watch.between("context_switches", lambda: stat_line("ctxt"))
        here, there = socket.socketpair()
        echo = threading.Thread(target=lambda: [there.send(there.recv(1)) for _ in range(3000)])
        echo.start()
        for _ in range(3000):
            here.send(b"x")
            here.recv(1)
        echo.join()
        after = watch.between("context_switches", lambda: stat_line("ctxt"))
        check(after - before >= 6000, f"{after - before} context switches, at least 6000 were made")
        sleepers = [threading.Thread(target=time.sleep, args=(3,)) for _ in range(100)]
        counted = lambda: len(tool("ps", "-eLo", "pid", "--no-headers").split()) - 1
        # In a PID namespace ps sees only a part of the host.
        apart = int(read("/proc/loadavg").split()[3].split("/")[1]) > counted() + 20
        quiet = watch.beat()["processes"]
        for sleeper in sleepers:
            sleeper.start()
        told = watch.beat()["processes"] if apart else watch.settles("processes", counted, 8)
        check(told - quiet > 60, f"processes and threads: {quiet}, with 100 more {told}")
        watch.between("uptime", lambda: float(read("/proc/uptime").split()[0]), 0.3)
        for sleeper in sleepers:
            sleeper.join()


def free(column):
    return int(re.search(r"^Mem:\s+(.*)$", tool("free", "-b"), re.M)[1].split()[column])


def test_memory(_):
    with World() as world:
        watch = Watch(world)
        metrics = watch.beat()
        if not pathlib.Path("/sys/fs/cgroup/memory.max").exists():
            check(metrics["mem_total"] == free(0), f"mem_total {metrics['mem_total']}, free says {free(0)}")
        before = watch.settles("mem_available", lambda: free(5), 40 * MIB)
        block = bytearray(os.urandom(MIB)) * 400
        after = watch.settles("mem_available", lambda: free(5), 40 * MIB)
        check(before - after > 300 * MIB, f"{(before - after) / MIB:.0f} MiB less, 400 were taken ({len(block)})")
        used = watch.beat()
        check(abs(used["mem_used"] - (1 - used["mem_available"] / used["mem_total"]) * 100) < 1e-9, f"mem_used: {used}")
        swap = [int(n) for n in re.search(r"^Swap:\s+(.*)$", tool("free", "-b"), re.M)[1].split()]
        wanted = swap[1] / swap[0] * 100 if swap[0] else 0
        check(abs(used["swap_used"] - wanted) < 2, f"swap_used {used['swap_used']}, free says {wanted}")


def disks():
    """read and written bytes and operations of all disks that have a driver, from /sys."""
    total = [0, 0, 0]
    for stat in pathlib.Path("/sys/block").glob("*/stat"):
        if (stat.parent / "device").exists():
            f = [int(n) for n in stat.read_text().split()]
            total = [total[0] + f[2] * 512, total[1] + f[6] * 512, total[2] + f[0] + f[4]]
    return total


def direct_io(path, size):
    """Writes and reads past the page cache."""
    with mmap.mmap(-1, MIB) as block:
        block.write(os.urandom(MIB))
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)
        try:
            for i in range(size // MIB):
                os.pwritev(fd, [block], i * MIB)
            for i in range(size // MIB):
                os.preadv(fd, [block], i * MIB)
        finally:
            os.close(fd)


def test_disk(_):
    if not any(disks()):
        raise Skip("no disk of its own")
    with World() as world:
        watch = Watch(world)
        before = watch.beat()
        told = disks()
        try:
            direct_io(world.folder / "block", 48 * MIB)
        except OSError as why:
            raise Skip(f"no O_DIRECT here: {why}") from why
        moved = [b - a for a, b in zip(told, disks())]
        if moved[1] < 48 * MIB:
            raise Skip("the folder for temporary files is on no disk of its own")
        for i, name in enumerate(("disk_read", "disk_write", "disk_operations")):
            value = watch.between(name, lambda i=i: disks()[i])
            check(value - before[name] >= moved[i] * 0.999, f"{name} grew by {value - before[name]}, by /sys/block {moved[i]}")
        idle = watch.beat()["disk_busiest"]
        worker = threading.Thread(target=direct_io, args=(world.folder / "block", 256 * MIB))
        worker.start()
        highest = 0
        while worker.is_alive():
            highest = max(highest, watch.beat()["disk_busiest"])
        check(idle <= 100 and 5 < highest <= 100, f"the busiest disk: {highest} %, idle {idle} %")
        usage = shutil.disk_usage("/")
        watch.settles("disk_root", lambda: usage.used / (usage.used + usage.free) * 100, 0.5)


def test_handles_and_pressure(_):
    with World() as world:
        watch = Watch(world)
        allocated = lambda: int(read("/proc/sys/fs/file-nr").split()[0])  # noqa: E731
        quiet = watch.settles("file_handles", allocated, 64)
        files = [open("/dev/null", "rb") for _ in range(800)]  # pylint: disable=consider-using-with
        told = watch.settles("file_handles", allocated, 64)
        check(told - quiet > 500, f"file handles: {quiet}, with 800 more {told}")
        for file in files:
            file.close()
        for kind in ("memory", "io"):
            if not pathlib.Path(f"/proc/pressure/{kind}").exists():
                check(watch.beat()[f"pressure_{kind}"] != watch.beat()[f"pressure_{kind}"], "no pressure without a kernel that tells it")
                continue
            watch.between(f"pressure_{kind}", lambda k=kind: int(re.search(r"some .* total=(\d+)", read(f"/proc/pressure/{k}"))[1]) / 1e4, 0.01)


def test_connections(_):
    with World() as world:
        watch = Watch(world)
        established = lambda: int(re.search(r"^TCP:.*estab (\d+)", tool("ss", "-s"), re.M)[1])  # noqa: E731
        quiet = watch.settles("tcp_established", established, 4)
        with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
            pairs = [(socket.create_connection(server.getsockname()), server.accept()[0]) for _ in range(60)]
            told = watch.settles("tcp_established", established, 4)
            check(110 < told - quiet < 130, f"connections: {quiet}, with both ends of 60 more {told}")
            for one, other in pairs:
                one.close()
                other.close()


def test_restart(_):
    """Totals go on over a restart of the agent, killed or stopped, and what moved meanwhile is in them."""
    counters = ("cpu_user", "cpu_system", "forks", "context_switches", "disk_read", "disk_write", "disk_operations", "net_in", "net_out")
    with World() as world:
        watch = Watch(world)
        wait_until(lambda: (watch.agent.state_dir / "totals").exists(), 10, "the totals are noted")
        noted = (watch.agent.state_dir / "totals").stat().st_mtime_ns
        for end in (watch.agent.kill, watch.agent.stop):
            before = watch.beat()
            end()
            watch.agent.start()
            after = watch.beat()
            for name in counters:
                check(before[name] != before[name] or before[name] <= after[name] < before[name] * 1.2 + 1e8,
                      f"{name}: {before[name]}, after a restart {after[name]}")
        check((watch.agent.state_dir / "totals").stat().st_mtime_ns == noted, "the totals are written only when devices come or go")


class Veth:
    """A pair of interfaces, one end here, the other in a network namespace of its own."""

    def __init__(self):
        self.space, self.name = f"tb{os.getpid()}", f"tbv{os.getpid() % 100000}"

    def __enter__(self):
        try:
            tool("ip", "netns", "add", self.space)
            tool("ip", "link", "add", self.name, "type", "veth", "peer", "name", "far", "netns", self.space)
        except subprocess.CalledProcessError as why:
            self.__exit__()
            raise Skip(f"no network namespaces: {why.stderr}") from why
        inside = ("nsenter", f"--net=/run/netns/{self.space}")  # `ip -n` fails in a chroot, where / is no mount
        for words in (("ip", "addr", "add", "10.99.7.1/24", "dev", self.name), ("ip", "link", "set", self.name, "up"),
                      (*inside, "ip", "addr", "add", "10.99.7.2/24", "dev", "far"), (*inside, "ip", "link", "set", "far", "up")):
            tool(*words)
        return self

    def __exit__(self, *_):
        for words in (("link", "del", self.name), ("netns", "del", self.space)):
            subprocess.run(["ip", *words], capture_output=True, check=False)

    def send(self, count):
        """Datagrams of 1000 bytes to the far end."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for _ in range(count):
                s.sendto(bytes(1000), ("10.99.7.2", 9))

    @staticmethod
    def count(name):
        rows = json.loads(tool("ip", "-j", "-s", "link", "show", name))[0]["stats64"]
        return {"net_in": rows["rx"]["bytes"], "net_out": rows["tx"]["bytes"], "packets_in": rows["rx"]["packets"],
                "packets_out": rows["tx"]["packets"], "net_errors": rows["rx"]["errors"] + rows["tx"]["errors"],
                "net_drops": rows["rx"]["dropped"] + rows["tx"]["dropped"]}


def test_network(_):
    need_root()
    with Veth() as veth, World() as world:
        other = veth.name + "x"
        watch = Watch(world, interfaces=[veth.name, other])
        for name in veth.count(veth.name):
            watch.between(name, lambda n=name: veth.count(veth.name)[n])
        before = watch.beat()
        veth.send(3000)
        after = watch.beat()
        check(3000 * 1042 <= after["net_out"] - before["net_out"] < 3000 * 1042 + 20000, f"sent: {before['net_out']}, {after['net_out']}")
        for name in veth.count(veth.name):
            watch.between(name, lambda n=name: veth.count(veth.name)[n])
        # Another name, a restart, and an interface that comes with an old counter: nothing jumps, nothing is lost.
        tool("ip", "link", "set", veth.name, "down")
        tool("ip", "link", "set", veth.name, "name", other)
        tool("ip", "link", "set", other, "up")
        veth.send(100)
        watch.between("net_out", lambda: veth.count(other)["net_out"])
        tool("ip", "link", "add", veth.name, "type", "veth", "peer", "name", "far2", "netns", veth.space)
        tool("ip", "link", "set", other, "down")
        before = watch.beat()
        tool("ip", "link", "del", other)
        check(watch.beat()["net_out"] == before["net_out"], "an interface that goes takes nothing along")
        watch.agent.kill()
        watch.agent.start()
        check(watch.beat()["net_out"] >= before["net_out"], "a restart takes nothing away")


class SmallDisk:
    """An ext4 file system in a file, with few inodes."""

    def __init__(self, world, inodes=64):
        self.folder, self.inodes = world.folder, inodes
        self.at = world.folder / "mnt"
        self.device = None

    def __enter__(self):
        image = self.folder / "image"
        with open(image, "wb") as file:
            file.truncate(16 * MIB)
        tool("mkfs.ext4", "-q", "-F", "-N", self.inodes, image)
        self.at.mkdir()
        try:
            self.device = tool("losetup", "-f", "--show", image).strip()
            tool("mount", self.device, self.at)
        except subprocess.CalledProcessError as why:
            self.__exit__()
            raise Skip(f"no loop mounts: {why.stderr}") from why
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", str(self.at)], capture_output=True, check=False)
        if self.device:
            subprocess.run(["losetup", "-d", self.device], capture_output=True, check=False)


def df(what, at):
    return float(tool("df", f"--output={what}", at).split()[-1].rstrip("%"))


def test_file_systems(_):
    need_root()
    with World() as world:
        watch = Watch(world)
        with SmallDisk(world) as disk:
            total, used = df("itotal", disk.at), df("iused", disk.at)
            for i in range(int(total - used)):
                (disk.at / f"file{i}").touch()
            told = watch.settles("inodes_fullest", lambda: df("iused", disk.at) / total * 100, 0.01)
            check(told == 100, f"all inodes are in use, told {told} %")
            (disk.at / "file0").write_bytes(bytes(13 * MIB))
            wanted = lambda: df("used", disk.at) / (df("used", disk.at) + df("avail", disk.at)) * 100  # noqa: E731
            told = watch.settles("disk_fullest", wanted, 0.5)
            check(told > 80, f"disk_fullest is {told} %")
        watch.settles("inodes_fullest", lambda: df("iused", "/") / df("itotal", "/") * 100, 1)


class MemoryGroup:
    """A control group that may have so much memory."""

    def __init__(self, limit):
        old = pathlib.Path("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists()
        self.root = pathlib.Path("/sys/fs/cgroup/memory" if old else "/sys/fs/cgroup")
        self.at = self.root / f"twobeat-test-{os.getpid()}"
        self.limit, self.limit_file = limit, "memory.limit_in_bytes" if old else "memory.max"

    def __enter__(self):
        if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
            raise Skip("no mount namespaces to be made here (in a chroot, / is no mount)")
        try:
            if self.limit_file == "memory.max" and (self.root / "cgroup.controllers").exists():
                (self.root / "cgroup.subtree_control").write_text("+memory")
            self.at.mkdir()
            (self.at / self.limit_file).write_text(str(self.limit))
        except OSError as why:
            self.__exit__()
            raise Skip(f"no memory groups to be made here: {why}") from why
        return self

    def __exit__(self, *_):
        if self.at.exists():
            wait_until(lambda: not (self.at / "cgroup.procs").read_text(), 10, "the group is empty")
            self.at.rmdir()

    def wrap(self, world, name, as_container):
        """A program that starts the agent in the group; as in a container, the group is also all that can be seen."""
        path = world.folder / name
        mount = f"mount --bind {self.at} {self.root} &&" if as_container else ""
        path.write_text(f"#!/bin/sh\necho $$ > {self.at}/cgroup.procs\nexec unshare -m sh -c '{mount} exec \"$0\" \"$@\"' {AGENT} \"$@\"\n")
        path.chmod(0o755)
        return path


def test_container(_):
    """In a container memory is what the container may have; a limit of the agent alone changes nothing."""
    need_root()
    total = free(0)
    with MemoryGroup(512 * MIB) as group:
        for as_container, wanted in ((True, 512 * MIB), (False, total)):
            with World() as world:
                watch = Watch(world, program=group.wrap(world, "wrapped", as_container))
                wait_until(lambda w=watch, v=wanted: w.beat()["mem_total"] == v, 10,
                           lambda w=watch, v=wanted: f"mem_total is {w.beat()['mem_total']}, wanted {v}")
                metrics = watch.beat()
                used = metrics["mem_total"] - metrics["mem_available"]
                check(0 < used < metrics["mem_total"] and (used < 100 * MIB or not as_container), f"{used} bytes are in use")
                check(abs(metrics["mem_used"] - used / wanted * 100) < 1e-9, f"mem_used is {metrics['mem_used']} %")
                watch.agent.stop()


if __name__ == "__main__":
    check(AGENT.exists(), f"{AGENT} is not built")
    tempfile.tempdir = os.environ.get("TMPDIR", "/var/tmp")  # on a disk, if there is one
    sys.exit(run_tests("metrics", globals(), at_once=1))
