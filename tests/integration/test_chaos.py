#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_chaos.py - everything goes wrong at random, and at the end the record is what happened, second by second.

A receiver on a small file system of its own, and real agents behind cables that lose and carry nothing now and then. Processes
are killed, stopped and paused, the disk is full, files are damaged, the database is locked, hosts are in maintenance, and several
of that at once. The program writes down what it did and when a heartbeat passed; tests/lib/truth.py says what may be recorded.
soak_chaos.py does the same for minutes.
"""
import contextlib
import heapq
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from record import check_record  # noqa: E402  pylint: disable=wrong-import-position
from relay import Relay  # noqa: E402  pylint: disable=wrong-import-position
from test_faults import DAMAGES, STORED, WRITTEN, fill, mount, spoil_with  # noqa: E402  pylint: disable=wrong-import-position
from truth import Absence, Host, Truth  # noqa: E402  pylint: disable=wrong-import-position
from world import RECEIVER, START_S, World, check, equal, run_tests, wait_until  # noqa: E402  pylint: disable=wrong-import-position

FILES = ("state.rrd", "metrics.rrd", "net.rrd")
LENGTHS_S = ((0.3, 1.5), (3, 8), (8, 25), (20, 50))  # of what happens to a host
DATA_SIZE = "96m"


class Clock:
    """CLOCK_BOOTTIME, as the wall clock showed it at the beginning: what a receiver labels its record by."""

    def __init__(self):
        self.ahead = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)

    def __call__(self):
        return time.clock_gettime(time.CLOCK_BOOTTIME) + self.ahead


class Chaos:
    """Events at random, and what ends each of them after a while. Everything that was done goes to `truth`."""

    def __init__(self, rng, world, receiver, agents, relay, truth, clock, lengths, calm_s):
        self.rng, self.world, self.receiver, self.agents = rng, world, receiver, agents
        self.relay, self.truth, self.clock, self.lengths = relay, truth, clock, lengths
        self.later = []  # heap of (when, number, what ends it)
        self.numbers = 0
        self.busy = {}  # name of a host to when something may happen to it again; None while it does
        self.faults = {}  # name to [from, to]
        self.is_off = False
        self.calm_s = calm_s  # most events of the receiver come so long after one another
        self.calm_until = 0
        self.counts = Counter()
        self.refused = []  # how often, and why, a receiver did not start
        kinds = {"agent_killed": 8, "agent_paused": 8, "agent_stopped": 8, "cut": 8, "lossy": 2, "maintenance": 6,
                 "receiver_killed": 1, "receiver_stopped": 1, "receiver_paused": 1, "reload": 1, "flush": 2, "damage": 5, "locked": 1}
        if os.path.ismount(receiver.data):
            kinds["full"] = 1
        self.kinds = list(kinds.items())

    def tell(self, what):
        self.truth.tell(self.clock(), what)

    def after(self, seconds, action):
        self.numbers += 1
        heapq.heappush(self.later, (self.clock() + seconds, self.numbers, action))

    def length(self):
        return self.rng.uniform(*self.rng.choice(self.lengths))

    def run(self, seconds, every):
        end = self.clock() + seconds
        following = self.clock()
        while self.clock() < end or self.later:
            if self.later and self.later[0][0] <= self.clock():
                heapq.heappop(self.later)[2]()
            elif following <= self.clock() < end:
                kind = self.rng.choices([k for k, _ in self.kinds], [w for _, w in self.kinds])[0]
                if getattr(self, kind)() is not False:
                    self.counts[kind] += 1
                    following = self.clock() + self.rng.uniform(*every)
            else:
                time.sleep(0.01)

    # Hosts

    def free_host(self):
        """A host to which something may happen now. Between two events it beats for a while, as its rhythm must be learned."""
        now = self.clock()
        free = sorted(name for name in self.agents if self.busy.get(name, 0) is not None and self.busy.get(name, 0) < now)
        return self.rng.choice(free) if free else None

    def trouble(self, what, begin, end):
        name = self.free_host()
        if name is None:
            return False
        self.busy[name] = None
        seconds = self.length()
        self.tell(f"{name}: {what} for {seconds:.1f} s")
        begin(name)

        def over():
            end(name)
            self.tell(f"{name}: {what} is over")
            self.busy[name] = self.clock() + 6 * self.truth.hosts[name].t
        self.after(seconds, over)
        return True

    def start_agent(self, name):
        self.truth.hosts[name].starts.append(self.clock())
        self.agents[name].start()

    def agent_killed(self):
        def kill(name):
            self.agents[name].kill()
            self.truth.hosts[name].ends.append((self.clock(), False))
        return self.trouble("killed", kill, self.start_agent)

    def agent_stopped(self):
        def stop(name):
            self.truth.hosts[name].ends.append((self.clock(), True))
            self.agents[name].stop()
        return self.trouble("stopped", stop, self.start_agent)

    def agent_paused(self):
        return self.trouble("paused", lambda name: self.agents[name].signal(signal.SIGSTOP),
                            lambda name: self.agents[name].signal(signal.SIGCONT))

    def cut(self):
        def set_cut(name, is_cut):
            self.relay.cables[name].cut = is_cut
        return self.trouble("cut off", lambda name: set_cut(name, True), lambda name: set_cut(name, False))

    def lossy(self):
        def begin(name):
            self.truth.hosts[name].lossy.append([self.clock(), self.clock()])
            self.relay.cables[name].loss = 0.2

        def end(name):
            self.relay.cables[name].loss = 0.0
            self.truth.hosts[name].lossy[-1][1] = self.clock()
        return self.trouble("20 % loss", begin, end)

    def maintenance(self):
        """Of any host, whatever happens to it meanwhile."""
        idle = sorted(name for name, host in self.truth.hosts.items() if not host.windows or host.windows[-1][3] < self.clock())
        if self.is_off or self.faults or not idle:
            return False
        name = self.rng.choice(idle)
        asked = self.clock()
        self.receiver.twobeat("maintenance", "start", name, "--for", "1h")
        window = [asked, self.clock(), float("inf"), float("inf")]
        self.truth.hosts[name].windows.append(window)
        self.tell(f"{name}: maintenance")

        def end():
            if self.is_off or self.faults:
                self.after(0.5, end)
                return
            window[2] = self.clock()
            self.receiver.twobeat("maintenance", "end", name)
            window[3] = self.clock()
            self.tell(f"{name}: end of maintenance")
        self.after(self.length(), end)
        return True

    # The receiver

    def bring_back(self, absence):
        """Tried again as by systemd while it will not start, since the disk is full, say."""
        while True:
            spawned = self.clock()
            absence.tried = min(absence.tried, spawned)
            self.receiver.spawn()
            if self.rng.random() < 0.2:
                time.sleep(self.rng.uniform(0, 0.6))
                if self.receiver.process.poll() is None:
                    self.receiver.kill()
                    self.tell("receiver: killed while it starts")
                    continue
            wait_until(lambda: self.receiver.process.poll() is not None or self.receiver.try_ask("status", hosts=["-"]), START_S,
                       lambda: f"the receiver answers: {self.receiver.log()[-800:]}")
            if self.receiver.process.poll() is None:
                break
            check(self.faults, f"it does not start: {self.receiver.log()[-800:]}")
            self.refused.append(self.receiver.lines()[-1])
            self.receiver.process = None
            self.tell(f"receiver: does not start: {self.refused[-1]}")
            if self.later and self.later[0][0] <= self.clock() + 0.5:
                heapq.heappop(self.later)[2]()
            else:
                time.sleep(0.5)
        absence.back(spawned, self.clock())
        self.is_off = False
        self.tell(f"receiver: {absence.kind}, is over")

    def may_go_away(self):
        """Each time it leaves open for seconds, for all hosts, what is right. So not too often."""
        return not self.is_off and (self.clock() > self.calm_until or self.calm_s < 60 and self.rng.random() < 0.2)

    def go_away(self, absence, action):
        self.is_off = True
        seconds = self.rng.choice((0, self.rng.uniform(0, 1.5), self.rng.uniform(2, 10)))
        self.tell(f"receiver: {absence.kind} for {seconds:.1f} s")
        self.truth.absences.append(absence)
        self.calm_until = self.clock() + seconds + self.calm_s
        self.after(seconds, lambda: action(absence))
        return True

    def receiver_killed(self):
        if not self.may_go_away():
            return False
        self.receiver.check_running()
        self.receiver.kill()
        return self.go_away(Absence("killed", self.clock() - 2.5, self.clock()), self.bring_back)

    def receiver_stopped(self):
        if not self.may_go_away():
            return False
        asked = self.clock()
        self.receiver.stop()
        return self.go_away(Absence("stopped", asked, self.clock()), self.bring_back)

    def receiver_paused(self):
        if not self.may_go_away():
            return False
        self.receiver.check_running()
        self.receiver.signal(signal.SIGSTOP)

        def go_on(absence):
            absence.back(self.clock(), self.clock())
            self.receiver.signal(signal.SIGCONT)
            self.is_off = False
            self.tell("receiver: goes on")
        return self.go_away(Absence("stalled", self.clock(), self.clock()), go_on)

    def reload(self):
        if self.is_off:
            return False
        self.tell("receiver: reload")
        self.receiver.signal(signal.SIGHUP)
        return True

    def flush(self):
        if self.is_off:
            return False
        self.tell("receiver: flush")
        threading.Thread(target=self.receiver.try_ask, args=("flush",), daemon=True).start()
        return True

    # Files

    def fault(self, name, seconds, end):
        since = [self.clock(), float("inf")]
        self.faults[name] = since
        self.truth.faults.append(since)
        self.tell(f"{name} for {seconds:.1f} s")

        def over():
            end()
            since[1] = self.clock()
            del self.faults[name]
            self.tell(f"{name}: over")
        self.after(seconds, over)
        return True

    def full(self):
        """Not while it starts, since what fills the disk would hold up this program."""
        if self.faults:
            return False
        filler = fill(self.receiver.data)
        return self.fault("disk full", self.rng.uniform(1, 8), filler.unlink)

    def locked(self):
        if self.faults or self.is_off:
            return False
        db = sqlite3.connect(self.receiver.data / "receiver.db", isolation_level=None, timeout=5)
        try:
            db.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            db.close()
            return False

        def end():
            with contextlib.suppress(sqlite3.OperationalError):
                db.execute("ROLLBACK")
            db.close()
        return self.fault("database locked", self.rng.uniform(1, 8), end)

    def damage(self):
        """What cannot be written at all is not damaged, too: that needs room."""
        if self.faults:
            return False
        name = self.rng.choice(sorted(self.agents))
        path = self.receiver.data / "hosts" / name / self.rng.choice(FILES)
        what, spoil, _ = self.rng.choice(DAMAGES)
        if not path.is_file():
            return False
        for old in path.parent.glob("*.bad"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        self.tell(f"damage: {path.relative_to(self.receiver.data)} {what}")
        with contextlib.suppress(FileNotFoundError):  # the receiver puts it aside at this very moment
            spoil_with(spoil)(path)
        return True


def told_again(lines, trouble, over):
    """Of a trouble that was told twice without an end between; after a minute that is right, and says how often it was met."""
    found, is_on = [], False
    for line in lines:
        if re.search(trouble, line):
            if is_on and "times more since" not in line:
                found.append(line)
            is_on = True
        elif re.search(over, line):
            is_on = False
    return found


def check_lines(chaos, receiver, agents):
    """Nothing is told again and again: each trouble once and its end once, in each run of the receiver."""
    runs = re.split(r"(?m)^(?=.*listening on)", receiver.log())
    reasons = len(chaos.truth.faults) + chaos.counts["reload"] + chaos.counts["damage"] + 2
    for run in runs:
        lines = run.splitlines()
        for trouble, over in (("judging goes on", STORED), ("it will be written later", WRITTEN)):
            equal(told_again(lines, trouble, over), [], "told again")
        for line, times in Counter(line for line in lines if line not in chaos.refused).items():
            check(times <= reasons, f"{times} times: {line}")
    for agent in agents.values():
        for run in re.split(r"(?m)^(?=.*speaks for host)", agent.log()):
            equal(told_again(run.splitlines(), "trying on", r"receiver \S+ .*answers"), [], f"told again by {agent.name}")
    at_most = 12 * len(runs) + 12 * len(chaos.truth.story) + 2 * len(chaos.refused)
    check(len(receiver.log().splitlines()) < at_most, f"{len(receiver.log().splitlines())} lines about {len(chaos.truth.story)} events")


def recorded(receiver, names, start, end):
    """{name: [(state, cause) of each second]}, from the outages; and the figures of uptime agree with them."""
    found = {name: [("up", None)] * (end - start) for name in names}
    for span in receiver.outages(start=start, end=end):
        for second in range(max(start, span["from"]), min(end, span["to"] or end)):
            found[span["host"]][second - start] = (span["state"], span["cause"])
    for host in receiver.uptime(start, end)["hosts"]:
        count = Counter(state for state, _ in found[host["host"]])
        equal({state: host["seconds"][state] for state in ("up", "down", "admin", "unknown")},
              {state: count[state] for state in ("up", "down", "admin", "unknown")}, f"uptime and outages of {host['host']}")
    return found


def compare(truth, found, start, end):
    """Returns how many seconds were certain, by state, and lines about what is wrong."""
    certain, wrong = Counter(), []
    for name, allowed in truth.allowed(start, end).items():
        since = None
        for i, states in enumerate(allowed + [None]):
            bad = states is not None and found[name][i][0] not in states
            if states is not None and len(states) == 1:
                certain[next(iter(states))] += 1
            if bad and since is None:
                since = i
            elif not bad and since is not None:
                wrong.append(f"{name} from {start + since} to {start + i}: recorded {found[name][since]}, "
                             f"wanted one of {sorted(allowed[since])}")
                since = None
    return certain, wrong


def story_of(truth, wrong):
    """What happened around the first second that is wrong."""
    at = int(re.search(r"from (\d+)", wrong[0])[1])
    return [f"{when:.1f} {what}" for when, what in truth.story if at - 60 < when < at + 40]


def chaos(rng, seconds, every, hosts, lengths=LENGTHS_S, calm_s=15, with_rrd=True):
    names = [f"h{i:02}" for i in range(hosts)]
    clock = Clock()
    with World() as world:
        receiver = world.receiver()
        if os.environ.get("TWOBEAT_ALL") == "1" and os.geteuid() == 0:
            mount(world, receiver.data, DATA_SIZE)
        receiver.start()
        with Relay(receiver.address, names, clock, rng.random()) as relay:
            truth = Truth(Host(name, 1 + i % 3 // 2, relay.cables[name].passed) for i, name in enumerate(names))
            agents = {name: world.agent(name, relay.cables[name], interval=f"{host.t}s") for name, host in truth.hosts.items()}
            events = Chaos(rng, world, receiver, agents, relay, truth, clock, lengths, calm_s)
            began = clock()
            for name in names:
                events.start_agent(name)
            wait_until(lambda: all(len(host.passed) >= 4 for host in truth.hosts.values()), START_S, "four beats of each host")
            receiver.twobeat("flush")
            start = int(clock()) + 1
            events.run(seconds, every)
            for name in names:
                receiver.wait_state(name, "up")
            quiet = clock() + 5
            wait_until(lambda: clock() > quiet, 10, "the last silence is settled")
            end = int(clock()) - 3
            receiver.twobeat("flush", timeout=120)
            receiver.twobeat("verify", timeout=120)
            certain, wrong = compare(truth, recorded(receiver, names, start, end), start, end)
            print(f"{seconds} s, {hosts} hosts: {', '.join(f'{n} {what}' for what, n in sorted(events.counts.items()))}", flush=True)
            print(f"seconds of which only one state is right: {', '.join(f'{n} {what}' for what, n in sorted(certain.items()))}; "
                  f"{hosts * (end - start) - sum(certain.values())} others; {len(wrong)} times wrong", flush=True)
            for refused in sorted(set(events.refused)):
                print(f"did not start, {events.refused.count(refused)} times: {refused}", flush=True)
            check(not wrong, f"{wrong[:12]}; {wrong and story_of(truth, wrong)}")
            check_lines(events, receiver, agents)
            if with_rrd:
                check_record(receiver, names, began + 60, clock)
            for each in (*agents.values(), receiver):
                each.stop()
        receiver.twobeat("verify", timeout=120)


def test_at_random(rng):
    chaos(rng, 10, (0.2, 0.8), 12, lengths=((0.3, 1.5), (6, 9)), calm_s=1000, with_rrd=False)


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    sys.exit(run_tests("chaos", globals()))
