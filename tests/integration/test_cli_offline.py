#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_cli_offline.py - the command line over a record made by hand, while no receiver runs.

The record is built with Python's sqlite3 and the real rrdtool; the truth is an array with the state of every second, made
here in the plainest way. A socket served by the test stands for a receiver where one has to answer.
"""
import calendar
import contextlib
import csv
import datetime
import fcntl
import io
import json
import os
import pathlib
import pwd
import random
import re
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("TWOBEAT_BUILD", ROOT / "build" / "dev"))
TWOBEAT = BUILD / "receiver" / "twobeat"
SEED = int(os.environ.get("TWOBEAT_SEED", time.time_ns() % 1000000))
STATES = ("unknown", "up", "down", "admin")
CAUSES = {"unknown": ("receiver_off", "receiver_path"), "up": ("",), "down": ("silent", "unreachable", "reboot"),
          "admin": ("maintenance", "shutdown")}
ZONE = "Europe/Berlin"
NOBODY = pwd.getpwnam("nobody")
failed = False


class Skip(Exception):
    pass


def check(condition, why):
    if not condition:
        raise AssertionError(why)


def equal(got, wanted, what):
    check(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}")


def run(*words, data, code=0, user=None, env=None, program=TWOBEAT):
    everything = dict(os.environ, TZ=ZONE, LC_ALL="C.UTF-8", **(env or {}))
    result = subprocess.run([str(program), *map(str, words), "--data", str(data)], stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, timeout=60, env=everything, user=user, group=user and NOBODY.pw_gid,
                            extra_groups=[] if user else None)
    check(result.returncode == code, f"{words}: exit {result.returncode}, wanted {code}: {result.stdout[-300:]} {result.stderr[-600:]}")
    check(result.stderr.count("\n") == (1 if result.stderr else 0), f"{words}: not one line of error: {result.stderr}")
    check(not result.stderr or result.stderr.startswith("twobeat: "), f"{words}: {result.stderr}")
    return result


def ask(*words, **how):
    return json.loads(run(*words, "--json", **how).stdout)


def schema():
    text = (ROOT / "receiver" / "record" / "schema.h").read_text()
    body = text[text.index("#define SCHEMA_SQL"):]
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', body))


class Host:
    """A log of random lines, and what it means second by second."""

    def __init__(self, rng, name, first, end, count, settled):
        self.name, self.first, self.end = name, first, end
        self.lines = []  # at, state, cause, earliest, latest, restates
        self.number = [0] * (end - first)
        at = first
        for number in range(1, count + 1):
            state = "up" if number == 1 else rng.choice(STATES)
            cause = rng.choice(CAUSES[state])
            restates = None
            if number > 2 and rng.random() < 0.2 and at > first + 100:
                at -= rng.randrange(1, 100)  # takes earlier lines back
                restates = rng.randrange(2, number)
            self.lines.append((at, state, cause, at - rng.randrange(30), at + rng.randrange(30), restates))
            self.number[at - first:] = [number] * (end - at)
            at += rng.choice((1, 5, 59, 60, 61, 600, rng.randrange(1, 2 * settled // count)))
            if at >= end:
                break

    def state(self, second):
        """The state in [second, second + 1)."""
        if second < self.first or second >= self.end:
            return "unknown"
        return self.lines[self.number[second - self.first] - 1][1]

    def cause(self, second):
        return self.lines[self.number[second - self.first] - 1][2]

    def seconds(self, start, end):
        result = {"up": 0, "down": 0, "unreachable": 0, "admin": 0, "unknown": 0}
        for second in range(start, end):
            state = self.state(second)
            result[state] += 1
            result["unreachable"] += state == "down" and self.cause(second) == "unreachable"
        return result

    def first_number(self, number):
        while self.lines[number - 1][5]:
            number = self.lines[number - 1][5]
        return number

    def runs(self):
        """(from, to or None, state, cause) of each stretch of the same state and cause."""
        result = []
        for second in range(self.first, self.end):
            key = (self.state(second), self.cause(second))
            if not result or result[-1][2:] != key:
                if result:
                    result[-1] = (result[-1][0], second, *result[-1][2:])
                result.append((second, None, *key))
        return result


def percent(seconds):
    """Six decimals, rounded down, in integers."""
    known = seconds["up"] + seconds["down"]
    if not known:
        return None
    millionths = seconds["up"] * 10**8 // known
    return f"{millionths // 10**6}.{millionths % 10**6:06d}"


def rrd_updates(host, second, written_to):
    """From `second` on. Unknown time is zeros up to the next full minute, U for whole minutes, zeros for the begun minute at its end."""
    values = {"up": "1:0:0:1", "down": "0:1:0:1", "admin": "0:0:1:1"}
    while second < written_to:
        state, end = host.state(second), second
        while end < written_to and host.state(end) == state:
            end += 1
        if state != "unknown":
            yield f"{end}:{values[state]}"
        else:
            full, last = -(-second // 60) * 60, end // 60 * 60
            if last > full:
                if full > second:
                    yield f"{full}:0:0:0:0"
                yield f"{last}:U:U:U:0"
            if end > last or last <= full:
                yield f"{end}:0:0:0:0"
        second = end


def make_rrd(path, host, written_to):
    path.parent.mkdir(parents=True)
    start = host.first // 86400 * 86400  # else librrd stretches `known` over the part of a row before the file began
    archives = ["RRA:AVERAGE:0.999999:1:1500", "RRA:AVERAGE:0.999999:15:9600", "RRA:AVERAGE:0.999999:1440:3660"]
    sources = [f"DS:{name}:GAUGE:1000000000:0:1" for name in ("up", "down", "admin", "known")]
    subprocess.run(["rrdtool", "create", path, "--start", str(start), "--step", "60", *sources, *archives], check=True)
    updates = list(rrd_updates(host, start, written_to))
    for i in range(0, len(updates), 500):
        subprocess.run(["rrdtool", "update", path, *updates[i:i + 500]], check=True)


class Record:
    """A data directory. `crash` leaves the database as a killed receiver does: with -wal and -shm."""

    def __init__(self, folder, rng, crash=False):
        self.data = pathlib.Path(folder)
        self.data.mkdir(exist_ok=True)
        self.now = int(time.time())
        self.alive = self.now - 600
        self.started = self.alive - 3 * 86400
        self.alive_ns = 987654321000000000
        settled = self.alive - self.started - 1000
        self.hosts = [Host(rng, name, self.started + late, self.alive, 60, settled)
                      for name, late in (("db1", 0), ("web1", 61), ("web2.example", 86399))]
        self.written_to = self.alive - 180
        for host in self.hosts:
            make_rrd(self.data / "hosts" / host.name / "state.rrd", host, self.written_to)
        self.make_database(crash)
        (self.data / "receiver.lock").touch()

    def make_database(self, crash):
        child = os.fork() if crash else 0
        if child:
            os.waitpid(child, 0)
            return
        db = sqlite3.connect(self.data / "receiver.db")
        db.executescript("PRAGMA journal_mode = WAL;" + schema())
        for index, host in enumerate(self.hosts, 1):
            db.execute("INSERT INTO hosts (id, name, first_at, position, written_to, lines) VALUES (?, ?, ?, 0, ?, 999)",
                       (index, host.name, host.first, self.written_to))
            for number, (at, state, cause, earliest, latest, restates) in enumerate(host.lines, 1):
                db.execute("INSERT INTO transitions (id, host, number, at, state, cause, earliest, latest, decided, restates)"
                           " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                           (1000 * index + number, index, number, at, state, cause, earliest, latest, latest, restates))
        offset_ns = self.alive * 10**9 - self.alive_ns
        db.execute("INSERT INTO runs (boot_id, started, started_ns, boottime_ns, alive, alive_ns, clean)"
                   " VALUES (x'00', ?, ?, 1, ?, ?, 1)",
                   (self.started, self.started * 10**9 - offset_ns, self.alive, self.alive_ns))
        db.execute("INSERT INTO labels (from_ns, offset_ns, base_ns, slow) VALUES (?, ?, ?, 0)",
                   (self.started * 10**9 - offset_ns, offset_ns, self.started * 10**9))
        db.commit()
        if crash:
            os._exit(0)
        db.close()

    def rows(self, sql):
        with contextlib.closing(sqlite3.connect(self.data / "receiver.db")) as db:
            return db.execute(sql).fetchall()


class Receiver(threading.Thread):
    """Answers as a running receiver would, and holds its lock."""

    def __init__(self, record, answers):
        super().__init__(daemon=True)
        self.answers, self.asked = answers, []
        self.path = record.data / "receiver.sock"
        self.lock = open(record.data / "receiver.lock", "r+", encoding="ascii")
        fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(self.path))
        self.server.listen(8)

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.server.accept()
                with peer, peer.makefile("rw", encoding="utf-8") as stream:
                    question = json.loads(stream.readline())
                    self.asked.append(question)
                    stream.write(json.dumps(self.answers[question["op"]]) + "\n")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.lock.close()
        self.path.unlink()


def period_truth(record, start, end, names=None):
    return {host.name: host.seconds(start, end) for host in record.hosts if names is None or host.name in names}


def test_uptime_matches_every_second(record, rng):
    periods = [(record.started - 5000, record.now), (record.started, record.alive), (record.alive - 1, record.alive + 5),
               (record.alive + 1, record.alive + 90)]
    for _ in range(6):
        start = rng.randrange(record.started, record.alive)
        periods.append((start, rng.randrange(start + 1, record.now)))
    for start, end in periods:
        answer = ask("uptime", "--from", start, "--to", end, data=record.data)
        equal((answer["from"], answer["to"], answer["source"]), (start, end, "log"), "period")
        truth = period_truth(record, start, end)
        equal({h["host"]: h["seconds"] for h in answer["hosts"]}, truth, f"seconds of {start}..{end}")
        total = {key: sum(host[key] for host in truth.values()) for key in ("up", "down", "unreachable", "admin", "unknown")}
        equal(answer["fleet"]["seconds"], total, "fleet")
        equal(sum(total.values()) - total["unreachable"], (end - start) * len(record.hosts), "all seconds")
        for got, seconds in [(h, truth[h["host"]]) for h in answer["hosts"]] + [(answer["fleet"], total)]:
            figure = got["uptime_percent"]
            equal(None if figure is None else f"{figure:.6f}", percent(seconds), "percent")


def test_uptime_prints_plain_lines(record, _):
    lines = run("uptime", "--from", record.started, "--to", record.alive, "web*", data=record.data).stdout.splitlines()
    equal(lines[1].split("\t"), ["HOST", "UPTIME %", "UP", "DOWN", "UNREACHABLE", "ADMIN", "UNKNOWN"], "headings")
    truth = period_truth(record, record.started, record.alive, ("web1", "web2.example"))
    for line in lines[2:4]:
        name, figure, *seconds = line.split("\t")
        equal(figure, percent(truth[name]) or "no data", name)
        equal(list(map(int, seconds)), list(truth[name].values()), name)
    check(lines[4].startswith("(fleet)\t") and len(lines) == 5, "fleet line")
    check(re.search(r" CES?T to .* CES?T", lines[0]), "times name their zone: " + lines[0])


def test_uptime_mean_of_hosts(record, _):
    answer = ask("uptime", "--from", record.started, "--to", record.alive, "--mean", "hosts", data=record.data)
    figures = [round(h["uptime_percent"] * 10**6) for h in answer["hosts"] if h["uptime_percent"] is not None]
    equal(round(answer["fleet"]["uptime_percent"] * 10**6), sum(figures) // len(figures), "mean")


def plain_record(data, logs, alive):
    """A record of hosts with these lines (at, state, cause); the receiver was last alive at `alive`."""
    data.mkdir()
    with contextlib.closing(sqlite3.connect(data / "receiver.db")) as db:
        db.executescript("PRAGMA journal_mode = WAL;" + schema())
        for host, (name, lines) in enumerate(logs.items(), 1):
            db.execute("INSERT INTO hosts (id, name, first_at, position, written_to) VALUES (?, ?, ?, 0, 0)", (host, name, lines[0][0]))
            for number, (at, state, cause) in enumerate(lines, 1):
                db.execute("INSERT INTO transitions (host, number, at, state, cause, earliest, latest, decided) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                           (host, number, at, state, cause, at, at, at))
        db.execute("INSERT INTO runs (boot_id, started, started_ns, boottime_ns, alive, alive_ns, clean) VALUES (x'00', 1, 1, 1, ?, 1, 1)",
                   (alive,))
        db.commit()
    (data / "receiver.lock").touch()


def test_uptime_at_its_edges(_, __):
    """Hosts younger than the period, heard once, never down, down for a second in half a century, planned or unknown throughout."""
    end = int(time.time()) - 1000
    start = end - 10 * 86400
    ages = 315532800  # 1980
    logs = {"always": [(ages, "up", "")],
            "later": [(end - 500, "up", "")],  # after the period that ends at end - 600
            "nothing": [(ages, "up", ""), (start - 5, "unknown", "receiver_off"), (end + 1, "up", "")],
            "once": [(end - 86400, "up", ""), (end - 86400 + 30, "down", "silent")],
            "one-second": [(ages, "up", ""), (end - 700, "down", "unreachable"), (end - 699, "up", "")],
            "planned": [(ages, "up", ""), (start, "admin", "maintenance"), (end, "up", "")],
            "young": [(end - 4000, "up", ""), (end - 3000, "down", "reboot"), (end - 2990, "up", "")]}

    def seconds(lines, first, last):
        result = {"up": 0, "down": 0, "unreachable": 0, "admin": 0, "unknown": last - first}
        for (at, state, cause), until in zip(lines, [line[0] for line in lines[1:]] + [end]):
            length = max(0, min(until, end, last) - max(at, first))
            result["unknown"] -= length
            result[state] += length
            result["unreachable"] += length if cause == "unreachable" else 0
        return result
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "data"
        plain_record(data, logs, end)
        for first, last in ((start, end - 600), (ages - 86400, end - 600), (start, end + 500), (end - 699, end - 600), (end - 700, end - 699),
                            (end, end + 100), (ages - 86400, ages), (start, start + 86400)):
            wanted = {name: seconds(lines, first, last) for name, lines in logs.items()}
            total = {key: sum(host[key] for host in wanted.values()) for key in wanted["once"]}
            answer = ask("uptime", "--from", first, "--to", last, data=data)
            equal({h["host"]: h["seconds"] for h in answer["hosts"]}, wanted, f"seconds of {first}..{last}")
            equal(answer["fleet"]["seconds"], total, f"seconds of the fleet in {first}..{last}")
            figures = {h["host"]: h["uptime_percent"] for h in answer["hosts"]}
            for name, figure in [*figures.items(), ("(fleet)", answer["fleet"]["uptime_percent"])]:
                one = total if name == "(fleet)" else wanted[name]
                equal(None if figure is None else f"{figure:.6f}", percent(one), f"{name} in {first}..{last}")
                equal(figure == 100, one["up"] > 0 and one["down"] == 0, f"{name} in {first}..{last}: 100 only without downtime")
            lines = run("uptime", "--from", first, "--to", last, data=data).stdout.splitlines()
            equal([line.split("\t")[1] for line in lines[2:]], [percent(wanted[n]) or "no data" for n in sorted(logs)] + [percent(total) or "no data"],
                  "the text")
            mean = ask("uptime", "--from", first, "--to", last, "--mean", "hosts", data=data)["fleet"]
            known = [one["up"] * 10**8 // (one["up"] + one["down"]) for one in wanted.values() if one["up"] + one["down"]]
            equal(mean["uptime_percent"] if mean["uptime_percent"] is None else round(mean["uptime_percent"] * 10**6),
                  sum(known) // len(known) if known else None, "the mean of the hosts that have a figure")
            equal(mean["seconds"], total, "its seconds")
        answer = ask("uptime", "one-second", "--from", ages, "--to", end, data=data)["hosts"][0]
        equal((answer["uptime_percent"], answer["seconds"]["down"]), (99.999999, 1), "a second in half a century")


def test_periods_in_the_time_zone(record, _):
    def period(*words):
        answer = ask("uptime", "db1", *words, data=record.data)
        return answer["from"], answer["to"]
    equal(period("--from", "2026-03-29", "--to", "2026-03-29 12:00"), (1774738800, 1774778400), "a day that lost an hour")
    equal(period("--from", "2026-01-15T10:00:00Z", "--to", "2026-01-15T10:00:01+00:00"), (1768471200, 1768471201), "ISO 8601")
    equal(period("--from", "2026-01-15T10:00-0530", "--to", "2026-01-15 16:30:07"), (1768491000, 1768491007), "zones")
    equal(period("--month", "2025-10"), (1759269600, 1761951600), "a month with 745 hours")
    start, end = period()
    check(end - start == 90 * 86400 and abs(end - time.time()) < 30, "90 days up to now")
    start, end = period("--days", "7")
    equal(end - start, 7 * 86400, "7 days")
    for bad in (("--from", "2026-02-30"), ("--month", "2026-13"), ("--days", "0"), ("--days", "1", "--month", "2026-01"),
                ("--to", "5"), ("--from", "2026-01-01 25:00"), ("--from", "10", "--to", "10"), ("--from", "x")):
        run("uptime", *bad, data=record.data, code=2)


def test_outages_match_every_second(record, rng):
    for _ in range(8):
        start = rng.randrange(record.started - 100, record.alive)
        end = rng.randrange(start + 1, record.now)
        wanted = []
        for index, host in enumerate(record.hosts, 1):
            for begin, finish, state, cause in host.runs():
                if state == "up" or begin >= end or (finish is not None and finish <= start):
                    continue
                line = host.lines[host.number[begin - host.first] - 1]
                after = host.lines[host.number[finish - host.first] - 1] if finish else None
                wanted.append({"host": host.name, "state": state, "from": begin, "to": finish, "cause": cause, "notes": [],
                               "seconds": (finish or record.alive) - begin,
                               "bounds": {"from": [line[3], line[4]], "to": [after[3], after[4]] if after else None},
                               "id": 1000 * index + host.first_number(host.number[begin - host.first])})
        answer = ask("outages", "--from", start, "--to", end, data=record.data)["outages"]
        equal([(o["host"], o["from"]) for o in answer], [(o["host"], o["from"]) for o in wanted], "which outages")
        for got, want in zip(answer, wanted):
            # Who told first can be a line that a taken-back one restated or prolonged: any line of the host will do here.
            check(1000 < got["id"] < 5000, "id")
            want["id"] = got["id"]
            equal(got, want, "outage")
        text = run("outages", "--from", start, "--to", end, "--csv", data=record.data).stdout
        rows = list(csv.DictReader(io.StringIO(text)))
        equal([(int(r["id"]), r["host"], int(r["seconds"]), r["cause"]) for r in rows],
              [(o["id"], o["host"], o["seconds"], o["cause"]) for o in answer], "CSV")
        plain = run("outages", "--from", start, "--to", end, data=record.data).stdout.splitlines()
        equal([int(line.split("\t")[0]) for line in plain[1:]], [o["id"] for o in answer], "lines")


def test_verify_agrees_and_finds_a_difference(record, _):
    answer = ask("verify", data=record.data)
    equal([(h["host"], h["agrees"], h["written_to"], h["differing_rows"], h["first_difference"]) for h in answer["hosts"]],
          [(h.name, True, record.written_to, 0, None) for h in record.hosts], "agreement")
    equal(run("verify", data=record.data).stdout, "3 hosts compared, 0 differ\n", "summary")
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "data"
        shutil.copytree(record.data, copy)
        # A later restatement that the file has not followed: ten seconds more of another state, 20 minutes before its end.
        at = record.written_to - 1200
        state = "down" if record.hosts[1].state(at) != "down" else "up"
        with contextlib.closing(sqlite3.connect(copy / "receiver.db")) as db:
            db.execute("INSERT INTO transitions (host, number, at, state, cause, earliest, latest, decided) VALUES (2, 1000, ?, ?, '', ?, ?, ?)",
                       (at, state, at, at, at))
            db.commit()
        # The receiver knows nothing of the line yet: it will make the file anew, so that is no difference.
        answer = ask("verify", data=copy)
        equal([(h["host"], h["agrees"], h["queued"]) for h in answer["hosts"]],
              [(h.name, True, h.name == "web1") for h in record.hosts], "queued")
        equal(answer["queued"], 1, "how many")
        equal(run("verify", data=copy).stdout, "3 hosts compared, 0 differ, 1 queued\n", "summary")
        check("web1: queued" in run("verify", "web1", data=copy).stdout, "queued by name")
        damage(copy / "hosts" / "web1" / "state.rrd", 0)
        check(not ask("verify", "web1", data=copy, code=1)["hosts"][0]["agrees"], "what differs before the change")
        shutil.copy(record.data / "hosts" / "web1" / "state.rrd", copy / "hosts" / "web1")
        with contextlib.closing(sqlite3.connect(copy / "receiver.db")) as db:
            db.execute("UPDATE hosts SET lines = 1000, changed_from = ? WHERE id = 2", (-2**63,))
            db.commit()
        (copy / "hosts" / "web1" / "state.rrd").unlink()
        check("web1: queued" in run("verify", "web1", data=copy).stdout, "a file that is to be made whatever it holds")
        shutil.copy(record.data / "hosts" / "web1" / "state.rrd", copy / "hosts" / "web1")
        with contextlib.closing(sqlite3.connect(copy / "receiver.db")) as db:
            db.execute("UPDATE hosts SET changed_from = NULL WHERE id = 2")  # it says that it has written it
            db.commit()
        (copy / "hosts" / "db1" / "state.rrd").unlink()
        answer = ask("verify", data=copy, code=1)
        rows = {h["host"]: h for h in answer["hosts"]}
        check(not rows["web1"]["agrees"] and rows["web1"]["differing_rows"] > 0, "the changed log")
        check(at < rows["web1"]["first_difference"] <= at + 86400, "the first row that differs")
        check(not rows["db1"]["agrees"] and rows["db1"]["differing_rows"] is None and rows["db1"]["error"], "the missing file")
        check(rows["web2.example"]["agrees"], "the others")
        lines = run("verify", data=copy, code=1).stdout.splitlines()
        equal([line.split(":")[0] for line in lines], ["db1", "web1", "3 hosts compared, 2 differ"], "text")


def graph_truth(host, words, row, written_to):
    start = int(next(w for w in words if w.startswith("--start=")).split("=")[1])
    end = int(next(w for w in words if w.startswith("--end=")).split("=")[1]) + 1
    equal((start % row, end % row), (0, 0), "on rows")
    return percent(host.seconds(max(start, host.first), min(end, written_to // row * row)))


def test_graph_command_prints_the_same_figure(record, _):
    month = time.strftime("%Y-%m", time.localtime(record.started))
    for host in record.hosts:
        for period, row in (("day", 60), ("week", 900), ("month", 900), (month, 900)):
            words = ask("graph", host.name, "--period", period, "--print-command", "-o", "x.png", data=record.data)["command"]
            line = run("graph", host.name, "--period", period, "--print-command", "-o", "x.png", data=record.data).stdout
            equal([w for w in shlex.split(line) if not w.startswith(("--start", "--end"))],
                  [w for w in words if not w.startswith(("--start", "--end"))], "the same command")
            with tempfile.TemporaryDirectory() as folder:
                done = subprocess.run(["sh", "-c", shlex.join(words)], cwd=folder, capture_output=True, text=True, check=False,
                                      env=dict(os.environ, TZ=ZONE, LC_ALL="C"))
                equal((done.returncode, done.stderr), (0, ""), "rrdtool")
                check((pathlib.Path(folder) / "x.png").read_bytes().startswith(b"\x89PNG"), "a picture")
            wanted = graph_truth(host, words, row, record.written_to)
            figure = done.stdout.split()[-1]
            equal(None if "nan" in figure else figure, wanted, f"figure of {host.name}, {period}")
            # A host that was written up to the end of the period has the digits of `uptime` there.
            if period == "week" and wanted:
                seconds = ask("uptime", host.name, "--from", host.first, "--to", record.written_to // row * row, data=record.data)
                equal(f"{seconds['hosts'][0]['uptime_percent']:.6f}", wanted, "uptime and graph")


def test_graph_draws(record, _):
    with tempfile.TemporaryDirectory() as folder:
        for period in ("day", "week", "month", "year", "2026-01"):
            picture = pathlib.Path(folder) / f"{period}.png"
            run("graph", "db1", "--period", period, "-o", picture, data=record.data)
            width = int.from_bytes(picture.read_bytes()[16:20], "big")
            check(900 <= width <= 1000, f"{period} is {width} pixels wide")
        picture = pathlib.Path(folder) / "a 'b'.svg"
        equal(ask("graph", "db1", "-o", picture, data=record.data), {"file": str(picture)}, "JSON")
        text = picture.read_text()
        check("<svg" in text, "an SVG")
        odd = pathlib.Path(folder) / "data: a"
        shutil.copytree(record.data / "hosts", odd / "hosts")
        run("graph", "db1", "-o", picture, data=odd)
        check("receiver.db" in run("outages", data=odd, code=3).stderr, "outages need the database")
        run("graph", "nohost", "-o", picture, data=odd, code=2)
    for bad in (("nohost", "-o", "x.png"), ("../db1", "-o", "x.png"), ("db1",), ("db1", "-o", "x.gif"), ("db1", "--what", "load", "-o", "x.png"),
                ("db1", "--period", "decade", "-o", "x.png"), ("--fleet", "-o", "x.png")):
        run("graph", *bad, data=record.data, code=2)


def test_status_of_a_stopped_receiver(record, _):
    last = {h.name: h.state(record.alive - 1) for h in record.hosts}
    answer = ask("status", data=record.data)
    equal({h["host"]: h["state"] for h in answer["hosts"]}, last, "states")
    equal((answer["updated"], answer["receiver"]["stopped"], answer["receiver"]["started"]),
          (record.alive, record.alive, record.started), "times")
    for name, state in last.items():
        run("status", name, data=record.data, code=1 if state == "down" else 0)
    lines = run("status", data=record.data).stdout.splitlines()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.alive))
    check("stopped since " + stamp in lines[0], lines[0])
    line = run("check", "db1", data=record.data, code=3).stdout
    check(line.startswith("TWOBEAT UNKNOWN - ") and stamp in line and line.count("\n") == 1, line)
    check("stopped" in run("flush", data=record.data, code=3).stderr, "flush")
    equal([h["host"] for h in ask("host", "list", data=record.data)["hosts"]], sorted(last), "host list")


def test_unknown_hosts_and_commands(record, _):
    for words in (("status", "nohost"), ("uptime", "no*"), ("outages", "db1", "nohost"), ("verify", "nohost"),
                  ("maintenance", "start", "nohost"), ("maintenance", "plan", "nohost", "--from", int(time.time()) + 60, "--to", int(time.time()) + 90),
                  ("rebuild", "nohost"), ("maintenance", "cancel", "99"), ("outages", "relabel", "5", "--as", "up"), ("traffic",),
                  ("host", "drop", "db1"), ("maintenance", "list", "db1"), ("maintenance",), ("status", "--what"), ()):
        run(*words, data=record.data, code=2)
    check(run("check", "nohost", data=record.data, code=3).stdout.startswith("TWOBEAT UNKNOWN - "), "check")
    check(run("check", "db1", "web1", data=record.data, code=3).stdout.startswith("TWOBEAT UNKNOWN - "), "check of two")
    for words in ((), ("status",), ("check",), ("maintenance", "start"), ("maintenance", "plan"), ("maintenance", "cancel"), ("rebuild",),
                  ("key", "host"), ("key",), ("graph",)):
        check(run(*words, "--help", data=record.data).stdout.startswith("usage: twobeat"), f"help of {words}")


def test_maintenance_of_a_stopped_receiver(record, _):
    before = int(time.time())
    answer = ask("maintenance", "start", "web*", "db1", "--for", "2h", "--reason", "new disk", data=record.data)
    rows = record.rows("SELECT id, pattern, starts, ends, starts_ns, ends_ns, reason, entered FROM maintenance ORDER BY id")
    equal(answer["ids"], [row[0] for row in rows], "ids")
    for row, pattern in zip(rows, ("web*", "db1")):
        equal((row[1], row[3] - row[2], row[6], row[7]), (pattern, 7200, "new disk", row[2]), "row")
        check(before <= row[2] <= time.time(), "starts now")
        equal((row[4], row[5]), tuple(record.alive_ns + (t - record.alive) * 10**9 for t in row[2:4]), "judging clock")
    check("no maintenance" in run("maintenance", "end", "web1", data=record.data, code=2).stderr, "web1 is not web*")
    run("maintenance", "start", "web1", data=record.data)
    equal(ask("maintenance", "end", "web*", data=record.data)["ended"], [rows[0][0], rows[1][0] + 1], "ended")
    left = record.rows("SELECT id, ends, ends_ns FROM maintenance WHERE ends IS NULL OR ends > strftime('%s') + 5")
    equal([row[0] for row in left], [rows[1][0]], "what still runs")
    for row in record.rows("SELECT ends, ends_ns FROM maintenance"):
        equal(row[1], record.alive_ns + (row[0] - record.alive) * 10**9, "end on the judging clock")
    for bad in (("--for", "2"), ("--for", "2h", "--until", "2030-01-01"), ("--until", "2020-01-01"), ("--reason", "a\nb")):
        run("maintenance", "start", "db1", *bad, data=record.data, code=2)
    run("maintenance", "end", "db1", data=record.data)
    with open(record.data / "receiver.lock", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run("maintenance", "start", "db1", data=record.data, code=3)


def maintenance(record, *words):
    return {w["id"]: w for w in ask("maintenance", "list", *words, data=record.data)["maintenance"]}


def clock_change(month):
    """The last Sunday of that month next year."""
    day = datetime.date(time.gmtime().tm_year + 1, month, 31)
    return day - datetime.timedelta((day.weekday() + 1) % 7)


def test_maintenance_is_planned_while_stopped(record, _):
    """Nights on which clocks change, in Europe/Berlin: an hour that is not there, and one that comes twice."""
    before = set(maintenance(record, "--all"))
    spring, autumn = clock_change(3), clock_change(10)
    night = spring.strftime("%Y-%m-%d"), autumn.strftime("%Y-%m-%d")
    change = calendar.timegm(spring.timetuple()) + 3600, calendar.timegm(autumn.timetuple()) + 3600  # at 1:00 in Greenwich
    nights = ((f"{night[0]} 01:30", f"{night[0]} 03:30", change[0] - 1800, 3600),
              (f"{night[1]} 01:30", f"{night[1]} 03:30", change[1] - 5400, 10800),
              (f"{night[1]} 02:30+02:00", f"{night[1]} 02:30+01:00", change[1] - 1800, 3600),
              (night[0], (spring + datetime.timedelta(1)).strftime("%Y-%m-%d"), change[0] - 7200, 23 * 3600),
              (night[1], (autumn + datetime.timedelta(1)).strftime("%Y-%m-%d"), change[1] - 10800, 25 * 3600))
    for start, end, first, length in nights:
        answer = ask("maintenance", "plan", "web*", "db1", "--from", start, "--to", end, "--reason", "kernel", data=record.data)
        equal((answer["from"], answer["to"] - answer["from"], len(answer["ids"])), (first, length, 2), f"{start} to {end}")
        for number, pattern in zip(answer["ids"], ("web*", "db1")):
            equal(maintenance(record)[number], {"id": number, "pattern": pattern, "from": answer["from"], "to": answer["to"],
                                                "reason": "kernel", "state": "planned", "origin": None}, "list")
            row = record.rows(f"SELECT starts_ns, ends_ns, entered FROM maintenance WHERE id = {number}")[0]
            equal(row[:2], tuple(record.alive_ns + (answer[t] - record.alive) * 10**9 for t in ("from", "to")), "judging clock")
            check(abs(row[2] - time.time()) < 60, "entered now")
    lines = run("maintenance", "list", data=record.data).stdout.splitlines()
    equal(lines[0].split("\t"), ["ID", "STATE", "HOSTS", "FROM", "TO", "REASON"], "headings")
    check(f"\tplanned\tweb*\t{night[0]} 01:30:00 CET\t{night[0]} 03:30:00 CEST\tkernel" in lines[-10], f"times in the zone: {lines}")
    now = int(time.time())
    for bad in (("--from", now - 5, "--to", now + 60), ("--from", now + 90, "--to", now + 60), ("--from", now + 60), ("--to", now + 60),
                ("--from", now + 60, "--to", now + 60), ("--from", now + 60, "--to", "2400-01-01"), ("--from", "x", "--to", now + 60),
                ("--from", now + 60, "--to", now + 90, "--reason", "a\nb")):
        run("maintenance", "plan", "db1", *bad, data=record.data, code=2)
    for start, end, why in ((f"{night[0]} 02:30", f"{night[0]} 05:00", "skip"), (f"{night[0]} 01:00", f"{night[0]} 02:00", "skip"),
                            (f"{night[1]} 02:00", f"{night[1]} 05:00", "+02:00"), (f"{night[1]} 01:00", f"{night[1]} 02:59:59", "+01:00")):
        line = run("maintenance", "plan", "db1", "--from", start, "--to", end, data=record.data, code=2).stderr
        check(why in line and night[why != "skip"] in line, f"{start} to {end}: {line}")
    planned = sorted(set(maintenance(record, "--all")) - before)
    equal(len(planned), 10, "what was refused is not entered")
    equal(ask("maintenance", "cancel", planned[0], data=record.data), {"cancelled": planned[0]}, "cancel")
    row = record.rows(f"SELECT starts, ends, starts_ns, ends_ns FROM maintenance WHERE id = {planned[0]}")[0]
    equal((row[0], row[2]), (row[1], row[3]), "no length is left, on both clocks")
    equal(maintenance(record, "--all")[planned[0]]["state"], "over", "cancelled")
    check(planned[0] not in maintenance(record), "only --all tells")
    for bad in (planned[0], 0, "x", "", 10**30, planned[-1] + 1):
        run("maintenance", "cancel", bad, data=record.data, code=2)
    running = ask("maintenance", "start", "db1", data=record.data)["ids"][0]
    equal((maintenance(record)[running]["state"], maintenance(record)[running]["to"]), ("running", None), "open")
    run("maintenance", "cancel", running, data=record.data)
    check(abs(maintenance(record, "--all")[running]["to"] - time.time()) < 60, "what runs ends now")
    with open(record.data / "receiver.lock", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run("maintenance", "cancel", planned[1], data=record.data, code=3)
        equal(set(maintenance(record)), set(planned[1:]), "the list needs no lock")
    for number in planned[1:]:
        run("maintenance", "cancel", number, data=record.data)


def fetched(path, step, end):
    """Seconds of each row of an archive that ends at or before `end` and holds something: up, down, admin."""
    text = subprocess.run(["rrdtool", "fetch", path, "AVERAGE", "-r", str(step), "-s", str(end - 900 * 9000), "-e", str(end)],
                          capture_output=True, text=True, check=True).stdout
    rows = {}
    for at, up, down, admin, known in re.findall(r"^(\d+): (\S+) (\S+) (\S+) (\S+)$", text, re.M):
        values = [float(v) for v in (up, down, admin)]
        if int(at) <= end and sum(values) > 0:
            rows[int(at)] = tuple(round(v / sum(values) * float(known) * step) for v in values)
    return rows


def test_rebuild_of_a_stopped_record(_, rng):
    with tempfile.TemporaryDirectory() as folder:
        record = Record(pathlib.Path(folder) / "data", rng)
        path = record.data / "hosts" / "db1" / "state.rrd"
        host = record.hosts[0]
        # A file that tells of five days before the log begins, as after the loss of a database.
        while True:  # one that knows enough of them
            older = Host(rng, "older", host.first - 5 * 86400, host.first, 40, 4 * 86400)
            if sum(older.state(second) != "unknown" for second in range(older.first, host.first, 900)) > 150:
                break
        both = Host(rng, "both", older.first, host.end, 1, 1)
        both.state = lambda second: (older if second < host.first else host).state(second)
        shutil.rmtree(path.parent)
        make_rrd(path, both, record.written_to)
        before = fetched(path, 900, host.first // 900 * 900)
        check(len(before) > 100, f"rows before the log: {len(before)}")
        run("verify", data=record.data)
        damage(path)
        run("verify", data=record.data, code=1)
        damaged = path.read_bytes()
        equal(ask("rebuild", "db1", data=record.data), {"rebuilt": ["db1"]}, "rebuild")
        run("verify", data=record.data)
        equal(fetched(path, 900, host.first // 900 * 900), before, "rows that are older than the log")
        equal(path.with_name("state.rrd.bak").read_bytes(), damaged, "the old file")
        web = record.data / "hosts" / "web1" / "state.rrd"
        web.write_bytes(b"no RRD file")
        run("verify", data=record.data, code=1)
        lines = run("rebuild", "*", data=record.data).stdout.splitlines()
        equal([line.split(":")[0] for line in lines], ["db1", "web1", "web2.example"], "all")
        run("verify", data=record.data)
        with open(record.data / "receiver.lock", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            run("rebuild", "db1", data=record.data, code=3)


def damage(path, index=-1):
    """Changes the newest (or another) minute (or quarter of an hour) in which the host was wholly up or down, as rrdtool does it."""
    text = subprocess.run(["rrdtool", "dump", path], capture_output=True, text=True, check=True).stdout
    archives = [match.start() for match in re.finditer("</rra>", text)]
    for begin, end in ((0, archives[0]), (archives[0], archives[1])):
        rows = [match for match in re.compile(r"<row><v>([01][.]0[^<]+)</v><v>([01][.]0[^<]+)</v>").finditer(text, begin, end)
                if float(match[1]) + float(match[2]) == 1]
        if rows:
            break
    row = rows[index]
    xml = path.with_suffix(".xml")
    xml.write_text(text[:row.start()] + f"<row><v>{row[2]}</v><v>{row[1]}</v>" + text[row.end():], encoding="utf-8")
    subprocess.run(["rrdtool", "restore", "-f", xml, path], check=True)
    xml.unlink()


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root, to become another user")
    if subprocess.run(["test", "-x", TWOBEAT], user="nobody", check=False).returncode != 0:
        raise Skip(f"the user nobody cannot reach {TWOBEAT}")


def open_to_all(data):
    data.parent.chmod(0o755)
    for path in [data, *data.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_changes_leave_the_files_to_their_owner(record, rng):
    need_root()
    with tempfile.TemporaryDirectory() as folder:
        data = Record(pathlib.Path(folder) / "data", rng).data
        (data / "receiver.lock").unlink()
        pathlib.Path(folder).chmod(0o755)
        for path in [data, *data.rglob("*")]:
            os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
        run("status", data=data)
        # The leak check cannot look into a process that changed its user.
        for words in (("maintenance", "start", "db1"), ("maintenance", "cancel", 1), ("rebuild", "db1")):
            run(*words, data=data, env={"ASAN_OPTIONS": "detect_leaks=0"})
        check((data / "hosts" / "db1" / "state.rrd.bak").exists(), "the old file")
        equal({path.name: path.stat().st_uid for path in data.rglob("*") if path.stat().st_uid != NOBODY.pw_uid}, {}, "root's files")
        check((data / "receiver.db-wal").exists(), "the -wal stays for readers")


def test_another_user_reads_a_stopped_record(record, rng):
    need_root()
    with tempfile.TemporaryDirectory() as folder:
        crashed = Record(pathlib.Path(folder) / "data", rng, crash=True)
        data = crashed.data
        check((data / "receiver.db-wal").stat().st_size > 0 and (data / "receiver.db-shm").exists(), "as after a kill")
        open_to_all(data)
        words = ("uptime", "--from", crashed.started, "--to", crashed.alive, "--json")
        wanted = {h.name: h.seconds(crashed.started, crashed.alive) for h in crashed.hosts}

        def seconds():
            answer = json.loads(run(*words, data=data, user="nobody").stdout)
            return {h["host"]: h["seconds"] for h in answer["hosts"]}
        equal(seconds(), wanted, "with -wal and -shm")
        shm = (data / "receiver.db-shm").read_bytes()
        (data / "receiver.db-shm").unlink()
        check("-wal" in run(*words, data=data, user="nobody", code=3).stderr, "changes that cannot be brought in")
        (data / "receiver.db-shm").write_bytes(shm)
        # The last one to close a database without persistent WAL takes -wal and -shm away, as a backup does.
        with contextlib.closing(sqlite3.connect(data / "receiver.db")) as db:
            db.execute("SELECT count(*) FROM hosts").fetchall()
        check(not (data / "receiver.db-wal").exists(), "the database alone")
        equal(seconds(), wanted, "the database alone")
        with open(data / "receiver.lock", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            check("in use" in run(*words, data=data, user="nobody", code=3).stderr, "not while a receiver runs")


def live_host(name, state, cause=None):
    return {"host": name, "state": state, "cause": cause, "since": 1700000000, "last_heard": 1700000090.5, "next_expected": 1700000150,
            "interval": 60.0, "margin": 1.5, "loss": 0.01, "metrics": {"load1": 0.25, "mem_used": 40.0, "net_in": 1250000.0, "cpu_user": None}}


def test_a_running_receiver_is_asked(record, _):
    names = ("db1", "web1", "web2.example")
    for state, code in (("up", 0), ("admin", 0), ("late", 1), ("down", 2), ("unknown", 3)):
        status = {"ok": True, "updated": 1700000100, "hosts": [live_host("db1", state, "silent" if state == "down" else None)],
                  "receiver": {"name": "recv1", "started": 1}}
        with Receiver(record, {"status": status}) as receiver:
            line = run("check", "db1", data=record.data, code=code).stdout
            check(line.startswith(f"TWOBEAT {state.upper()} - db1 {state} since "), line)
            check(" age=9.5s interval=60s margin=1.5s loss=1% load1=0.25 mem_used=40%" in line.split("|")[1], line)
            run("status", "db1", data=record.data, code=1 if state == "down" else 0)
            answer = ask("status", data=record.data)
            equal(answer, {key: status[key] for key in ("updated", "hosts", "receiver")}, "as received")
            cells = run("status", data=record.data).stdout.splitlines()[-1].split("\t")
            equal((cells[0], cells[1], cells[9], cells[13]), ("db1", state, "0.25", "10Mbit"), "cells")
            equal(receiver.asked[0], {"op": "status", "hosts": ["db1"]}, "question")
    answers = {"status": {"ok": True, "updated": 1, "hosts": [live_host(n, "up") for n in names], "receiver": {}},
               "maintenance_start": {"ok": True, "ids": [7], "from": 1700000000}, "maintenance_end": {"ok": True, "ended": [7]},
               "flush": {"ok": False, "error": "the disk is full"}}
    with Receiver(record, answers) as receiver:
        equal(ask("maintenance", "start", "web*", "--until", "2040-01-01", "--reason", "x", data=record.data),
              {"ids": [7], "from": 1700000000, "until": 2208985200}, "start")
        equal(receiver.asked[-1], {"op": "maintenance_start", "hosts": ["web*"], "until": 2208985200, "reason": "x"}, "told")
        equal(ask("maintenance", "end", "web*", data=record.data), {"ended": [7]}, "end")
        run("maintenance", "start", "nohost", data=record.data, code=2)
        check("the disk is full" in run("flush", data=record.data, code=3).stderr, "the receiver's own words")
        # What is not yet marked as seen is no part of a period that ends now.
        equal(ask("uptime", data=record.data)["to"], record.alive, "end of the period")
        with subprocess.Popen([TWOBEAT, "status", "--watch", "--data", record.data], stdout=subprocess.PIPE, text=True) as watcher:
            blocks = 0
            for line in watcher.stdout:
                blocks += line == "\n"
                if blocks == 2:
                    break
            watcher.terminate()
        equal(blocks, 2, "a block each second")
        answers["flush"] = {"ok": True}
        equal(run("flush", data=record.data).stdout, "", "flush")


def test_keys(record, _):
    with tempfile.TemporaryDirectory() as folder:
        site = pathlib.Path(folder) / "site.key"
        run("key", "site", "-o", site, data=record.data)
        equal(site.stat().st_mode & 0o777, 0o600, "mode")
        kept = site.read_text()
        run("key", "site", "-o", site, data=record.data, code=2)
        equal(site.read_text(), kept, "not overwritten")
        first = run("key", "host", "web1", "--site-key", site, data=record.data).stdout
        equal(run("key", "host", "web1", "--site-key", site, data=record.data).stdout, first, "the same key again")
        check(run("key", "host", "web1", "--generation", 2, "--site-key", site, data=record.data).stdout != first, "generation 2")
        secret = kept.split()[-1]
        view = run("key", "view", "--site-key", site, data=record.data).stdout
        check(secret not in first and secret not in view and secret not in run("key", "host", "A", "--site-key", site, data=record.data,
                                                                               code=2).stderr, "the site key stays where it is")
        check(run("key", "site", data=record.data).stdout.split()[-1] != secret, "each site key is new")
        site.chmod(0o644)
        run("key", "host", "web1", "--site-key", site, data=record.data, code=3)


def main():
    global failed
    print(f"seed {SEED} (set TWOBEAT_SEED to repeat)")
    os.environ["TZ"] = ZONE
    time.tzset()
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    if not shutil.which("rrdtool"):
        for name, _ in tests:
            print(f"SKIP {name}: the program rrdtool is not installed")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        record = Record(pathlib.Path(folder) / "data", random.Random(SEED))
        for name, test in tests:
            try:
                test(record, random.Random(SEED))
                print(f"ok cli {name.removeprefix('test_')}", flush=True)
            except Skip as why:
                print(f"SKIP cli {name.removeprefix('test_')}: {why}", flush=True)
            except (AssertionError, OSError, ValueError, LookupError, subprocess.SubprocessError) as why:
                failed = True
                print(f"FAIL cli {name.removeprefix('test_')}: {type(why).__name__} {' '.join(str(why).split())}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
