# SPDX-License-Identifier: GPL-2.0-or-later
"""Thousands of hosts that speak as real agents do (tests/bench/fleet.c), what receivers told them, and what is in the record."""
import contextlib
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import time

from world import BUILD, START_S, check, wait_until

FLEET = BUILD / "tests" / "fleet"
RECORDED = BUILD / "tests" / "recorded"
PERIOD_S = 300


def mask_of(ranges):
    """Of "1-7,9-9": bit n stands for number n."""
    mask = 0
    for part in filter(None, ranges.split(",")):
        first, last = map(int, part.split("-"))
        mask |= (1 << (last + 1)) - (1 << first)
    return mask


class Told:
    """Of one host: how many beats it made, how many were acked, which are safe, and the bytes of each 5-minute period."""

    def __init__(self, words):
        self.start, self.sent, self.acked, first = map(int, words[1:5])
        self.moved = {first + i * PERIOD_S: int(bytes_) for i, bytes_ in enumerate(words[5].split(","))}
        self.safe = mask_of(words[6]) if len(words) > 6 else 0


class Second:
    """What the fleet says each second of the first receiver."""

    def __init__(self, line):
        (_, self.datagrams, self.kept, self.acks, self.challenges, self.waiting,
         self.p50_ms, self.p99_ms, self.worst_ms) = map(int, line.split())
        self.at = time.monotonic()


class Fleet:
    """Hosts h0, h1, ...; use in a `with` block."""

    def __init__(self, count, interval_s, *receivers, spread=1, keep=256, ahead_s=0):
        check(FLEET.exists(), f"{FLEET} is not built")
        world = receivers[0].world
        self.names = [f"h{i}" for i in range(count)]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fleet-", dir=world.folder))
        words = [FLEET, world.site_key_path, count, interval_s, spread, keep, f"{ahead_s:.6f}"]
        self.process = subprocess.Popen([str(w) for w in words] + [str(r.address[1]) for r in receivers],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seconds = []
        self.answers = 0
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            if line == "told\n":
                self.answers += 1
            else:
                self.seconds.append(Second(line))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()
        self.reader.join(10)

    def say(self, *words):
        check(self.process.poll() is None, f"the fleet has ended with {self.process.returncode}")
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def tell(self, receiver=0):
        """{name: Told} as of now."""
        path = self.folder / "told"
        before = self.answers
        self.say("tell", receiver, path)
        wait_until(lambda: self.answers > before, START_S, "the fleet tells")
        lines = (line.split() for line in path.read_text().splitlines())
        return {words[0]: Told(words) for words in lines}

    def settled(self, seconds):
        """Waits until all is acked and nothing kept is sent any more, for three seconds in a row."""
        before = len(self.seconds)

        def quiet():
            last = self.seconds[before:][-3:]
            return len(last) == 3 and all(s.kept == 0 and s.challenges == 0 for s in last)
        wait_until(quiet, seconds, lambda: f"all kept beats are sent: {[s.__dict__ for s in self.seconds[-3:]]}")


class Account:
    """Which of the beats that were called safe were found in a record, each of them at least once."""

    def __init__(self):
        self.found = {}
        self.lost = {}

    def check(self, told, data):
        """`told`: before the record in the folder `data` was copied, while nobody wrote to it."""
        result = subprocess.run([RECORDED, data], capture_output=True, text=True, timeout=300, check=False)
        check(result.returncode == 0, f"the record cannot be loaded: {result.stderr}")
        record = {}
        for line in result.stdout.splitlines():
            words = line.split()
            record[words[0]] = (int(words[1]), int(words[2]), mask_of(words[3]) if len(words) > 3 else 0)
        for name, host in told.items():
            start, newest, known = record.get(name, (0, 0, 0))
            oldest = max(1, newest - 511)
            missing = (host.safe >> oldest << oldest) & ~known if start == host.start else host.safe
            if missing:
                self.lost[name] = self.lost.get(name, 0) | missing
            self.found[name] = self.found.get(name, 0) | (host.safe & known)

    def line(self, told):
        """What is printed at the end; lost is also what was called safe and not found at any time."""
        safe = sum(host.safe.bit_count() for host in told.values())
        found = sum((self.found.get(name, 0) & host.safe).bit_count() for name, host in told.items())
        lost = sum((host.safe & ~self.found.get(name, 0) | self.lost.get(name, 0)).bit_count()
                   for name, host in told.items())
        return {"sent": sum(host.sent for host in told.values()), "acked": sum(host.acked for host in told.values()),
                "safe": safe, "found": found, "lost": lost}


def copy_record(receiver, to):
    """Of a receiver that does not run: as it is, with the log of its database."""
    to.mkdir()
    for name in ("receiver.db", "receiver.db-wal"):
        if (receiver.data / name).exists():
            shutil.copy(receiver.data / name, to / name)
    return to


def net_rows(receiver, names):
    """{name: {start of a period: (in, out) bytes}} of every known row of net.rrd, by plain rrdtool."""
    check(shutil.which("rrdtool"), "the program rrdtool is not installed")
    commands = "".join(f"fetch {receiver.data}/hosts/{name}/net.rrd AVERAGE -r 300 -s -86400 -e +86400\n" for name in names)
    result = subprocess.run(["rrdtool", "-"], input=commands, capture_output=True, text=True, timeout=300, check=False)
    answers = re.split(r"^OK .*\n", result.stdout, flags=re.M)
    check(len(answers) == len(names) + 1, f"rrdtool: {result.stdout[-300:]} {result.stderr[-300:]}")
    found = {}
    for name, answer in zip(names, answers):
        rows = re.findall(r"^(\d+): ([-+.\de]+) ([-+.\de]+)$", answer, re.M)
        found[name] = {int(end) - PERIOD_S: (float(in_) * PERIOD_S, float(out) * PERIOD_S) for end, in_, out in rows}
    return found


def check_traffic(receiver, told, before):
    """The rows of all periods that ended before `before` are what the counters moved by, to the byte. Returns the total."""
    total = 0
    rows = net_rows(receiver, list(told))
    for name, host in told.items():
        wanted = {start: (bytes_, 2 * bytes_) for start, bytes_ in host.moved.items() if start + PERIOD_S <= before}
        got = {start: (round(row[0]), round(row[1])) for start, row in rows[name].items() if start + PERIOD_S <= before}
        check(got == wanted, f"{receiver.name}, {name}: net.rrd has {got}, the counters moved by {wanted}")
        check(all(abs(value - round(value)) < 0.1 for row in rows[name].values() for value in row),
              f"{name}: bytes are not whole: {rows[name]}")
        total += sum(row[0] for row in got.values())
    return total
