#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_merged.py - several records as one: the command line over records made by hand, with the truth beside it second by second, and
plain rrdtool over the same files, also through two rrdcached.

The RRD files are made from the logs by `twobeat rebuild`, that is by the store of the receiver.
"""
import bisect
import contextlib
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from test_cli_offline import Host, Receiver, damage, live_host, percent, schema  # noqa: E402  pylint: disable=wrong-import-position
from world import TWOBEAT, Skip, check, equal, run_tests, wait_until  # noqa: E402  pylint: disable=wrong-import-position

DAY = 86400
ROW = 900
BEST_LAST = ("unknown", "down", "admin", "up")
SECONDS = ("up", "down", "admin", "unknown")


def twobeat(*words, data, code=0):
    chosen = [word for folder in data for word in ("--data", folder)]
    result = subprocess.run([str(w) for w in (TWOBEAT, *words, *chosen)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            timeout=120, env=dict(os.environ, TZ="UTC"), check=False)
    equal(result.returncode, code, f"exit of {words}: {result.stdout[-300:]} {result.stderr[-600:]}")
    check(result.stderr.count("\n") == (1 if result.stderr else 0), f"{words}: not one line of error: {result.stderr}")
    return result


def ask(*words, **how):
    return json.loads(twobeat(*words, "--json", **how).stdout)


def make_record(data, logs, alive):
    """`logs`: {name: [(at, state, cause), ...]}. The receiver was last alive, and its files are written, up to `alive`."""
    data.mkdir()
    with contextlib.closing(sqlite3.connect(data / "receiver.db")) as db:
        db.executescript("PRAGMA journal_mode = WAL;" + schema())
        for host, (name, lines) in enumerate(logs.items(), 1):
            db.execute("INSERT INTO hosts (id, name, first_at, position, written_to, lines) VALUES (?, ?, ?, 0, ?, ?)",
                       (host, name, lines[0][0], alive, len(lines)))
            db.executemany("INSERT INTO transitions (id, host, number, at, state, cause, earliest, latest, decided) VALUES (?,?,?,?,?,?,?,?,?)",
                           [(100000 * host + n, host, n, at, state, cause, at - 2, at + 1, at) for n, (at, state, cause) in enumerate(lines, 1)])
        db.execute("INSERT INTO runs (boot_id, started, started_ns, boottime_ns, alive, alive_ns, clean) VALUES (x'00', 1, 1, 1, ?, 1, 1)",
                   (alive,))
        db.commit()
    (data / "receiver.lock").touch()
    twobeat("rebuild", "*", data=[data])
    for backup in data.rglob("*.bak"):
        backup.unlink()


def files_only(data):
    """The same record without its database."""
    other = data.with_name(data.name + "-files")
    if not other.exists():
        shutil.copytree(data / "hosts", other / "hosts")
    return other


class Truth:
    """90 days of one host: what really happened, as (at, state, cause)."""

    def __init__(self, rng, start, end):
        self.start, self.end = start, end
        self.lines = [(start, "up", "")]
        at = start
        while (at := at + int(rng.expovariate(1 / (0.8 * DAY))) + 120) < end - 3 * 7200:
            self.lines.append((at, *rng.choice((("down", "silent"), ("down", "reboot"), ("down", "unreachable"), ("admin", "maintenance")))))
            at += rng.randrange(7, 7200)
            self.lines.append((at, "up", ""))
        self.times = [line[0] for line in self.lines]

    def at(self, second):
        return self.lines[bisect.bisect_right(self.times, second) - 1]

    def seconds(self):
        result = dict.fromkeys((*SECONDS, "unreachable"), 0)
        for (at, state, cause), end in zip(self.lines, [*self.times[1:], self.end]):
            result[state] += end - at
            result["unreachable"] += end - at if cause == "unreachable" else 0
        return result

    def seen(self, gaps):
        """The log of a receiver that was off in these gaps."""
        lines = [line for line in self.lines if not any(begin <= line[0] < end for begin, end in gaps)]
        for begin, end in gaps:
            lines += [(begin, "unknown", "receiver_off"), (end, *self.at(end)[1:])]
        return sorted(lines)


def plain_rrdtool(paths, start, end, step):
    """Seconds up, down, and known of two files merged by MAXNAN, and the figure, by nothing but rrdtool: the command that README shows."""
    words = ["rrdtool", "graph", "/dev/null", "--start", start, "--end", end - 1, "--step", step, "--width", 10000]
    for i, path in enumerate(paths, 1):
        words += [f"DEF:{name[0]}{i}={path}:{name}:AVERAGE" for name in ("up", "down", "admin", "known")]
        words += [f"CDEF:t{i}=u{i},d{i},+,a{i},+", f"CDEF:us{i}=u{i},t{i},/,k{i},*", f"CDEF:as{i}=a{i},t{i},/,k{i},*"]
    words += ["CDEF:k=k1,k2,MAXNAN", "CDEF:us=us1,us2,MAXNAN", "CDEF:as=as1,as2,MAXNAN", "CDEF:ds=k,us,-,as,-,0,MAX",
              "VDEF:U=us,TOTAL", "VDEF:D=ds,TOTAL", "VDEF:K=k,TOTAL", "CDEF:r=us,POP,U,U,D,+,/", "VDEF:R=r,MAXIMUM"]
    words += [f"PRINT:{v}:%.9lf" for v in "UDKR"]
    result = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60, check=False)
    equal(result.returncode, 0, f"rrdtool: {result.stderr}")
    return [float(value) for value in re.findall(r"^([0-9.]+)$", result.stdout, re.M)]


def test_each_off_for_another_week(rng):
    """Two receivers over 90 days, each off for a week of its own and for an hour or so now and then."""
    end = int(time.time()) // ROW * ROW - ROW
    start = end - 90 * DAY
    begun = -(-(start - DAY) // DAY) * DAY  # the hosts were heard before the period
    weeks = [(start + 20 * DAY + 4321, start + 27 * DAY + 4321), (start + 60 * DAY + 77, start + 67 * DAY + 99)]
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        folder = pathlib.Path(folder)
        truth = {f"web{i}": Truth(rng, begun, end) for i in range(6)}
        gaps = [[week] for week in weeks]
        for day in range(1, 88, 3):  # never both in one row: then nobody could tell from rows that they were not off together
            at = start + day * DAY + rng.randrange(7200)
            gap = (at, at + rng.randrange(5, 7200))
            if not any(begin - ROW < gap[1] and gap[0] < finish + ROW for begin, finish in weeks):
                gaps[day // 3 % 2].append(gap)
        data = [folder / "recv1", folder / "recv2"]
        for path, own in zip(data, gaps):
            make_record(path, {name: one.seen(own) for name, one in truth.items()}, end)
        twobeat("verify", data=data)
        period = ("--from", start, "--to", end)
        wanted = {}
        for name, one in truth.items():
            one.lines = [(max(at, start), *what) for (at, *what), until in zip(one.lines, [*one.times[1:], end]) if until > start]
            one.times = [line[0] for line in one.lines]
            wanted[name] = one.seconds()
        for path, week in zip(data, weeks):
            alone = ask("uptime", *period, data=[path])["hosts"]
            check(all(h["seconds"]["unknown"] >= week[1] - week[0] for h in alone), f"{path} alone was off for a week")
        began = time.monotonic()
        answer = ask("uptime", *period, data=data)
        print(f"merged from two logs in {time.monotonic() - began:.2f} s", flush=True)
        equal((answer["from"], answer["to"], answer["source"]), (start, end, "log"), "the period")
        equal({h["host"]: h["seconds"] for h in answer["hosts"]}, wanted, "every second of the truth, none unknown")
        for host in [*answer["hosts"], answer["fleet"]]:
            seconds = host["seconds"]
            equal((seconds["unknown"], f"{host['uptime_percent']:.6f}"), (0, percent(seconds)), "the figure")
        equal(ask("uptime", *period, data=data[::-1])["hosts"], answer["hosts"], "in any order")
        for name, seconds in wanted.items():
            up, down, known, ratio = plain_rrdtool([path / "hosts" / name / "state.rrd" for path in data], start, end, ROW)
            exact = seconds["up"] / (seconds["up"] + seconds["down"])
            check(abs(ratio - exact) < 1e-6, f"{name}: rrdtool says {ratio:.9f}, the truth is {exact:.9f}")
            equal(round(known), end - start, f"{name}: all seconds are known to rrdtool")
            check(abs(up - seconds["up"]) < 8 and abs(down - seconds["down"]) < 8, f"{name}: {up} up, {down} down, wanted {seconds}")
        check_rows(data, period, wanted)
        check_outages(data, start, end, truth)


def check_rows(data, period, wanted):
    """The same from records of which one or both have lost their database."""
    for chosen in ([files_only(data[0]), files_only(data[1])], [data[0], files_only(data[1])], [files_only(data[0]), data[1]]):
        began = time.monotonic()
        answer = ask("uptime", *period, data=chosen)
        took = time.monotonic() - began
        equal((answer["source"], answer["row_seconds"]), ("rrd", ROW), "source")
        for host in answer["hosts"]:
            seconds, exact = host["seconds"], wanted[host["host"]]
            ppm = 1e6 * abs(seconds["up"] / (seconds["up"] + seconds["down"]) - exact["up"] / (exact["up"] + exact["down"]))
            check(ppm < 1, f"{host}: off by {ppm} ppm from {exact}")
            equal((seconds["unknown"], seconds["unreachable"]), (0, None), f"unknown seconds of {host}")
            check(sum(seconds[state] for state in SECONDS) == sum(exact[state] for state in SECONDS), f"all seconds of {host}")
        print(f"merged from rows in {took:.2f} s", flush=True)
        text = twobeat("uptime", *period, data=chosen).stdout
        check("from RRD files in rows of 15 minutes" in text.splitlines()[0], text.splitlines()[0])
    year = ask("uptime", "--days", "364", data=[files_only(path) for path in data])
    equal((year["row_seconds"], year["from"] % DAY, year["to"] % DAY), (DAY, 0, 0), "days in UTC")
    check("receiver.db" in twobeat("outages", data=[data[0], files_only(data[1])], code=3).stderr, "outages need logs")


def check_outages(data, start, end, truth):
    """Each outage of the truth once, though some were begun by one receiver and ended by the other."""
    answer = ask("outages", "--from", start, "--to", end, data=data)["outages"]
    for name, one in truth.items():
        listed = [(o["from"], o["to"], o["state"]) for o in answer if o["host"] == name]
        wanted = [(line[0], until[0], line[1]) for line, until in zip(one.lines, one.lines[1:]) if line[1] != "up"]
        equal([(max(o[0], start), *o[1:]) for o in listed], wanted, f"outages of {name}")
    for outage in answer:
        equal((outage["id"], [s["receiver"] for s in outage["seen"]][0]), (None, str(data[0])), "who saw it")
        told = [s for s in outage["seen"] if s["state"] == outage["state"]]
        check(any(s["cause"] == outage["cause"] for s in told), f"{outage}")


def random_records(rng, folder):
    """Three short records that contradict each other; db3 has its own last sign of life, and hosts are not in all of them."""
    now = int(time.time())
    start = now - DAY // 2
    records = []
    for i, alive in enumerate((now - 600, now - 600 - rng.randrange(5000), now - 10000)):
        hosts = [Host(rng, name, start + rng.randrange(5000), alive, 60, DAY // 2 - 10000)
                 for name in ("db1", "web1", ("only1", "only2", "only3")[i])]
        make_record(folder / f"r{i}", {h.name: [line[:3] for line in h.lines] for h in hosts}, alive)
        records.append((folder / f"r{i}", alive, {h.name: h for h in hosts}))
    return start, now, records


def merged_state(records, name, second):
    """By the plainest rule; None past the end of all records that know the host."""
    knowing = [(alive, hosts[name]) for _, alive, hosts in records if name in hosts]
    states = [host.state(second) if second < alive else "unknown" for alive, host in knowing]
    return max(states, key=BEST_LAST.index)


def test_every_second_of_records_that_differ(rng):
    with tempfile.TemporaryDirectory() as folder:
        start, now, records = random_records(rng, pathlib.Path(folder))
        data = [record[0] for record in records]
        names = sorted({name for _, _, hosts in records for name in hosts})
        runs = {(path, name): host.runs() for path, _, hosts in records for name, host in hosts.items()}
        truth = {name: [merged_state(records, name, second) for second in range(start, now)] for name in names}
        for _ in range(5):
            first = rng.randrange(start, now)
            last = rng.randrange(first + 1, now + 1)
            answer = ask("uptime", "--from", first, "--to", last, data=data)
            equal([h["host"] for h in answer["hosts"]], names, "hosts of all records")
            for host in answer["hosts"]:
                part = truth[host["host"]][first - start:last - start]
                equal({state: host["seconds"][state] for state in SECONDS}, {state: part.count(state) for state in SECONDS},
                      f"{host['host']}, {first} to {last}")
        outages = ask("outages", "--from", start, "--to", now, data=data)["outages"]
        for name in names:
            ends = max(alive for _, alive, hosts in records if name in hosts)
            listed = ["up" if second < ends else "unknown" for second in range(start, now)]
            begins = min(hosts[name].lines[0][0] for _, _, hosts in records if name in hosts)
            listed[:begins - start] = ["unknown"] * (begins - start)
            for o in outages:
                if o["host"] == name:
                    until = o["to"] or ends
                    listed[o["from"] - start:until - start] = [o["state"]] * (until - o["from"])
                    check_seen(o, until, records, runs)
            wrong = [i + start for i, (a, b) in enumerate(zip(listed, truth[name])) if a != b]
            equal(wrong[:5], [], f"outages of {name} tell another state in {len(wrong)} seconds")
        text = twobeat("outages", "db1", "--from", start, "--to", now, data=data).stdout.splitlines()
        check(all(line.startswith("-\tdb1\t") and f"{data[2]}: " in line for line in text[1:]), f"what each saw: {text[1]}")
        rows = twobeat("outages", "db1", "--csv", "--from", start, "--to", now, data=data).stdout.splitlines()
        check(all(row.startswith(",db1,") for row in rows[1:]), f"CSV: {rows[1]}")
        twobeat("uptime", "only4", data=data, code=2)
        twobeat("uptime", "only1", "only3", data=data)


def check_seen(outage, until, records, all_runs):
    """What stands beside an outage is what that record says of the time, whole."""
    for path, alive, _ in records:
        seen = [s for s in outage["seen"] if s["receiver"] == str(path)]
        runs = [run for run in all_runs.get((path, outage["host"]), []) if run[0] < until and (run[1] or alive) > outage["from"]]
        if not runs:
            equal([(s["state"], s["from"], s["id"]) for s in seen], [("unknown", None, None)], f"no record: {outage}")
            continue
        equal([(s["from"], s["to"], s["state"], s["cause"] or "") for s in seen], [tuple(run) for run in runs], f"seen by {path}: {outage}")
        with contextlib.closing(sqlite3.connect(f"file:{path}/receiver.db?mode=ro", uri=True)) as db:
            ids = {row[0] for row in db.execute("SELECT transitions.id FROM transitions JOIN hosts ON hosts.id = host WHERE name = ?",
                                                (outage["host"],))}
        check(all(s["id"] in ids for s in seen), f"ids of that record: {seen}")


def test_what_somebody_said_in_one_record(_):
    """Relabelled in one: planned comes before down. Relabelled up stays an outage in the list."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        end = int(time.time()) - 1000
        log = [(end - 5000, "up", ""), (end - 4000, "down", "silent"), (end - 3000, "up", ""), (end - 2000, "down", "reboot"), (end - 1900, "up", "")]
        for name in ("a", "b"):
            make_record(folder / name, {"web1": log}, end)
        data = [folder / "a", folder / "b"]
        twobeat("outages", "relabel", 100002, "--as", "admin", "--reason", "wrong cable", data=[data[0]])
        twobeat("outages", "relabel", 100004, "--as", "up", "--reason", "was up", data=[data[1]])
        seconds = ask("uptime", "--from", end - 5000, "--to", end, data=data)["hosts"][0]["seconds"]
        equal(seconds, {"up": 4000, "down": 0, "unreachable": 0, "admin": 1000, "unknown": 0}, "the seconds")
        outages = ask("outages", data=data)["outages"]
        equal([(o["state"], o["from"], o["to"]) for o in outages], [("admin", end - 4000, end - 3000), ("up", end - 2000, end - 1900)], "outages")
        check("wrong cable" in outages[0]["notes"][0] and "was up" in outages[1]["notes"][0], f"notes: {outages}")
        equal([s["state"] for s in outages[0]["seen"]], ["admin", "down"], "what each says")
        for words in (("outages", "relabel", 100002, "--as", "up", "--reason", "x"), ("flush",), ("host", "list"), ("rebuild", "web1")):
            check("--data is given twice" in twobeat(*words, data=data, code=2).stderr, f"{words} works on one record")


def test_status_of_several(_):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        now = int(time.time())
        log = {"web1": [(now - 9000, "up", ""), (now - 4000, "down", "silent")], "web2": [(now - 9000, "up", "")],
               "copied": [(now - 9000, "down", "silent")]}
        make_record(folder / "live", {"web1": [(now - 9000, "up", "")]}, now)
        make_record(folder / "old", log, now - 3600)
        data = [folder / "live", folder / "old"]
        record = type("Record", (), {"data": data[0]})

        def status(*hosts):
            return {"status": {"ok": True, "updated": now, "hosts": list(hosts), "receiver": {"name": "recv1", "started": 1}}}
        for state, code in (("up", 0), ("late", 1), ("admin", 0), ("down", 2), ("unknown", 3)):
            with Receiver(record, status(live_host("web1", state), live_host("web2", "unknown", "receiver_isolated"))):
                answer = ask("status", data=data)
                hosts = {h["host"]: h for h in answer["hosts"]}
                equal(list(hosts), ["copied", "web1", "web2"], "the hosts of both")
                equal({n: h["state"] for n, h in hosts.items()}, {"web1": state, "web2": "unknown", "copied": "unknown"},
                      "an old copy is unknown, never down, and never up")
                equal([(s["receiver"], s["state"]) for s in hosts["web1"]["seen"]], [(str(data[0]), state), (str(data[1]), "unknown")], "seen")
                equal((hosts["web1"]["interval"], hosts["copied"]["since"], answer["updated"]), (60.0, now - 3600, now), "rhythm, and the end of the copy")
                equal([r["updated"] for r in answer["receivers"]], [now, now - 3600], "up to when each goes")
                text = twobeat("status", data=data[::-1]).stdout
                check(f"# {data[1]}: a copy, or of a stopped receiver: unknown from its end on, " in text, text)
                check(f"\t{data[1]} unknown, {data[0]} {state}" in text, text)
                twobeat("check", "web1", data=data, code=code)
                twobeat("status", "web1", data=data, code=1 if state == "down" else 0)
                twobeat("check", "copied", data=data, code=3)
                twobeat("status", "nohost", data=data, code=2)
        # Nobody runs: the latest record counts, and for a host that only the older one knows, that.
        answer = ask("status", data=data)
        equal({h["host"]: h["state"] for h in answer["hosts"]}, {"web1": "up", "web2": "up", "copied": "down"}, "as recorded last")
        equal(ask("status", "web1", data=data)["hosts"][0]["seen"][1]["state"], "unknown", "the older one ends before")
        check("all receivers are stopped" in twobeat("check", "web1", data=data, code=3).stdout, "check tells of now")
        # Up in one that runs, down in another that runs: up.
        other = type("Record", (), {"data": data[1]})
        with Receiver(record, status(live_host("web1", "down", "silent"))), Receiver(other, status(live_host("web1", "up"))):
            equal(ask("status", "web1", data=data)["hosts"][0]["state"], "up", "the best of both")
            twobeat("check", "web1", data=data)


def test_verify_takes_each_by_itself(rng):
    with tempfile.TemporaryDirectory() as folder:
        _, _, records = random_records(rng, pathlib.Path(folder))
        data = [record[0] for record in records]
        for words in ((), ("only2",)):
            lines = twobeat("verify", *words, data=data).stdout.splitlines()
            equal([line for line in lines if line.endswith(":")], [f"{path}:" for path in data], "each is named")
        damage(data[1] / "hosts" / "web1" / "state.rrd")
        answer = json.loads(twobeat("verify", "--json", data=data, code=1).stdout)["records"]
        equal([(r["data"], [h["host"] for h in r["hosts"] if not h["agrees"]]) for r in answer],
              [(str(data[0]), []), (str(data[1]), ["web1"]), (str(data[2]), [])], "which differs where")
        check("files" not in twobeat("verify", data=[data[0]]).stdout, "one alone")
        equal(sorted(json.loads(twobeat("verify", "--json", data=data[:1]).stdout)), ["hosts", "queued"], "JSON of one")


@contextlib.contextmanager
def rrdcached(data, folder):
    """A read-only exporter of the files of one record. Yields HOST:PORT."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["rrdcached", "-g", "-B", "-b", data, "-P", "FLUSH,FETCH,FETCHBIN,INFO,FIRST,LAST,PING", "-l", f"127.0.0.1:{port}",
             "-p", folder / f"{data.name}.pid"]
    with open(folder / f"{data.name}.log", "wb") as log, subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=log,
                                                                          stderr=log) as process:
        try:
            wait_until(lambda: say(port, "PING"), 10, lambda: f"rrdcached answers: {(folder / f'{data.name}.log').read_text()}")
            yield f"127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)


def say(port, line):
    """One command of rrdcached's protocol; None if nobody listens."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as s:
        s.sendall(line.encode() + b"\n")
        return s.recv(4096).decode()
    return None


def test_graph_merges_also_through_rrdcached(rng):
    if not shutil.which("rrdcached"):
        raise Skip("the program rrdcached is not installed")
    end = int(time.time()) // DAY * DAY
    start = end - 60 * DAY
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, contextlib.ExitStack() as stack:
        folder = pathlib.Path(folder)
        truth = Truth(rng, start, int(time.time()))
        gaps = [[(end - 12 * DAY - 500, end - 9 * DAY)], [(end - 5 * DAY, end - 4 * DAY + 17)]]
        data = [folder / "recv1", folder / "recv2"]
        for path, own in zip(data, gaps):
            make_record(path, {"web1": truth.seen(own)}, truth.end)
        remote = [f"rrdcached:{stack.enter_context(rrdcached(path, folder))}" for path in data]
        refused = say(int(remote[0].rsplit(":", 1)[1]), "UPDATE hosts/web1/state.rrd N:1:0:0:1")
        check(refused and refused.startswith("-1"), f"the exporter only reads: {refused}")
        for period, row in (("month", ROW), ("week", ROW), (time.strftime("%Y-%m", time.gmtime(end - 20 * DAY)), ROW)):
            figures = []
            for chosen in (data, data[::-1], remote, [remote[0], data[1]]):
                words = ask("graph", "web1", "--period", period, "--print-command", "-o", folder / "x.png", data=chosen)["command"]
                line = twobeat("graph", "web1", "--period", period, "--print-command", "-o", folder / "x.png", data=chosen).stdout
                done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, env=dict(os.environ, TZ="UTC"))
                equal((done.returncode, done.stderr), (0, ""), f"rrdtool: {line}")
                check((folder / "x.png").read_bytes().startswith(b"\x89PNG"), "a picture")
                equal(sum(":daemon=127.0.0.1\\:" in word for word in words), 4 * sum(str(c).startswith("rrdcached:") for c in chosen),
                      f"daemons in {shlex.join(words)}")
                figures.append(done.stdout.split()[-1])
            begin, finish = (int(next(w for w in words if w.startswith(option)).split("=")[1]) for option in ("--start=", "--end="))
            told = ask("uptime", "--from", max(begin, start), "--to", min(finish + 1, truth.end // row * row), data=data)["hosts"][0]
            equal(told["seconds"]["unknown"], 0, "nothing is unknown to both")
            equal(figures, [f"{told['uptime_percent']:.6f}"] * len(figures), f"the figure of {period}, merged from here and there")
        picture = folder / "drawn.svg"
        twobeat("graph", "web1", "--period", "week", "-o", picture, data=remote)
        check("<svg" in picture.read_text(), "drawn through rrdcached")
        for bad in ("rrdcached:", "rrdcached:unix:/run/rrdcached.sock", "rrdcached:/run/rrdcached.sock"):
            check("HOST:PORT" in twobeat("graph", "web1", "-o", picture, data=[bad], code=2).stderr, bad)
        shutil.rmtree(data[1] / "hosts" / "web1")
        twobeat("graph", "web1", "-o", picture, data=data)  # one of them is enough
        twobeat("graph", "web9", "-o", picture, data=data, code=2)


def main():
    if not shutil.which("rrdtool"):
        print("SKIP merged: the program rrdtool is not installed")
        return 0
    return run_tests("merged", globals(), at_once=2)


if __name__ == "__main__":
    check(TWOBEAT.exists(), f"{TWOBEAT} is not built")
    random.seed()
    sys.exit(main())
