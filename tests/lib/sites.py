# SPDX-License-Identifier: GPL-2.0-or-later
"""Several receivers, and sites with hosts, in a network of their own; and what each receiver recorded, held against what was done."""
import collections
import concurrent.futures
import contextlib
import json
import signal
import sqlite3
import time

from network import Network
from record import check_minutes
from wiretap import Wiretap
from world import check, equal, wait_for, wait_until

T = 1.0
M = 0.5  # margin at that interval
PORT = 2004
BUSY = 1.5  # how much later a verdict may come on a busy machine
SLACK = 0.5  # of an edge, besides the second that its label is rounded down by
RANK = ("unknown", "down", "admin", "up")
latencies = []  # from each death to the verdict of each receiver

Span = collections.namedtuple("Span", "state causes begin end")  # edges: (low, high); end None: open


def around(t, before, after):
    """Where the label of an edge may lie that really was between `before` earlier and `after` later than t."""
    return t - before - 1 - SLACK, t + after + SLACK


def died(t):
    """Begin of an outage: the last beat was due within the last interval, the edge lies half an interval after it."""
    return around(t, T / 2, T / 2)


def down(t, end=None, causes=("silent",)):
    return Span("down", causes, died(t), end)


def isolated(begin, end, waited=T / 2):
    """Nothing was heard in that time. The last beat before is at most T old, the first one after was due at most T/2 before; or a peer
    heard the host when it was asked for, with a question that had waited so long for the cable."""
    return Span("unknown", ("receiver_isolated",), around(begin, T / 2, T / 2), around(end, waited, T))


class Fleet:
    """Receivers and sites. receivers: {name: place}, where the place may be a site; sites: {name: hosts in it}."""

    patience_s = 8  # for the end of a minute, before the files are compared

    def __init__(self, world, receivers, sites, peers=True, tapped=False, more_peers=None, seed=0):
        """more_peers: {name: {title: address}}, besides each other. tapped: what they say to each other passes self.wires."""
        self.world = world
        self.place = receivers
        self.network = Network(world, list(dict.fromkeys([*receivers.values(), *sites])))
        self.receivers, self.agents, self.wires, self.site_of = {}, {}, {}, {}
        self.ahead = {}  # what the wall clock of a receiver shows, besides the right time
        addresses = {name: (self.network.addresses[place], PORT) for name, place in receivers.items()}
        for name, place in receivers.items():
            others = {}
            for other in receivers if peers else ():
                if other == name:
                    continue
                to = addresses[other]
                if tapped:
                    self.wires[name, other] = Wiretap(world, self.network, to, f"{seed} {name} {other}")
                    to = self.wires[name, other].address
                others[other] = {"address": f"{to[0]}:{to[1]}"}
            others.update({title: {"address": address} for title, address in (more_peers or {}).get(name, {}).items()})
            receiver = world.receiver(name, listen=[f"{addresses[name][0]}:{PORT}"], peer=others)
            receiver.prefix = self.network.prefix(place)
            self.receivers[name] = receiver
        for site, count in sites.items():
            for number in range(count):
                self.add(f"{site}-{number}", site)

    def add(self, name, site):
        agent = self.world.agent(name, *[(self.network.addresses[place], PORT) for place in self.place.values()])
        agent.prefix = self.network.prefix(site)
        self.agents[name], self.site_of[name] = agent, site

    def hosts(self, *sites):
        return [name for name, site in self.site_of.items() if not sites or site in sites]

    def __iter__(self):
        return iter(self.receivers.values())

    def start(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda receiver: receiver.start(), self))
        self.wait_met()
        for agent in self.agents.values():
            agent.start()
        self.wait_up(*self.agents)
        wait_for(2.5 * T)  # four beats make a rhythm
        self.begin = int(time.time()) + 1

    def wait_met(self, seconds=4):
        """Each has proven itself to the others. Sooner than the next heartbeats between them are due."""
        for receiver in self:
            others = [name for name in receiver.settings["peer"] if name in self.receivers]
            wait_until(lambda r=receiver, o=others: all(peer["heard"] for peer in r.try_ask("status", hosts=["-"])["receiver"]["peers"]
                                                        if peer["name"] in o), seconds, f"{receiver.name} has met its peers")

    def states(self, receiver):
        return {host["host"]: host["state"] for host in receiver.try_ask("status")["hosts"]}

    def wait_up(self, *names, receivers=None, seconds=20):
        for receiver in receivers or self:
            wait_until(lambda r=receiver: (s := self.states(r)) and all(s.get(name) == "up" for name in names), seconds,
                       lambda r=receiver: f"{r.name}: {names} are up: {self.states(r)}")

    def kill(self, *names):
        """Returns when."""
        for name in names:
            self.agents[name].signal(signal.SIGKILL)
        at = time.time()
        for name in names:
            self.agents[name].process.wait(30)
            self.agents[name].process = None
        return at

    def wait_down(self, at, *names, receivers=None):
        """All of them say so in time: not later than two intervals and the margin after the last beat."""
        left = {(receiver, name) for receiver in receivers or self for name in names}
        while left:
            for receiver in {receiver for receiver, _ in left}:
                states = self.states(receiver)
                for name in [name for r, name in left if r is receiver and states[name] == "down"]:
                    left.remove((receiver, name))
                    latencies.append(time.time() - at)
            late = time.time() - at > 2 * T + M + BUSY
            check(not (left and late), f"dead since {at}, not down in time: {[(r.name, n, r.look(n)) for r, n in left]}")
            time.sleep(0.05)

    # what is recorded

    def lines(self, receiver):
        """All that was ever told, by host: (second, state, cause, when)."""
        told = collections.defaultdict(list)
        ahead = self.ahead.get(receiver.name, 0)
        with contextlib.closing(sqlite3.connect(f"file:{receiver.data}/receiver.db?mode=ro", uri=True)) as db:
            for name, at, state, cause, decided in db.execute("SELECT name, at, state, cause, decided FROM transitions JOIN hosts "
                                                              "ON host = hosts.id ORDER BY transitions.id"):
                told[name].append((at - ahead, state, cause, decided - ahead))
        return told

    def outages(self, receiver):
        """By host."""
        found = {name: [] for name in self.agents}
        ahead = self.ahead.get(receiver.name, 0)
        for outage in receiver.outages(start=time.time() - 86400 + ahead):
            outage["from"] -= ahead
            outage["to"] = outage["to"] and outage["to"] - ahead
            found[outage["host"]].append(outage)
        return found

    def check_spans(self, receiver, wanted, joined=(), corrected=()):
        """wanted: {host: spans}; of hosts that are not named nothing is recorded, and none of them was ever told to be down. Of hosts
        `joined`, spans of one kind that are a second apart are one: what another receiver heard may lie between. Those `corrected` were
        told to be down at first."""
        def wrong():
            found = self.outages(receiver)
            for name in joined:
                for before, after in list(zip(found[name], found[name][1:])):
                    if before["state"] == after["state"] and after["from"] - before["to"] <= 1:
                        after["from"] = before["from"]
                        found[name].remove(before)
            for name in self.agents:
                spans = wanted.get(name, [])
                fits = len(found[name]) == len(spans) and all(
                    o["state"] == s.state and o["cause"] in s.causes and s.begin[0] <= o["from"] <= s.begin[1] and
                    (o["to"] is None if s.end is None else o["to"] is not None and s.end[0] <= o["to"] <= s.end[1])
                    for o, s in zip(found[name], spans))
                if not fits:
                    told = [(o["state"], o["cause"], o["from"], o["to"]) for o in found[name]]
                    return f"{receiver.name} says of {name}: {told}, wanted {[tuple(s) for s in spans]}; told {self.lines(receiver)[name]}"
            return None
        wait_until(lambda: wrong() is None, 6, wrong)
        for name, lines in self.lines(receiver).items():
            if name not in corrected and not any(span.state == "down" for span in wanted.get(name, [])):
                check(all(state != "down" for _, state, *_ in lines), f"{receiver.name} never told that {name} is down: {lines}")

    def paths(self, receiver, name):
        """[begin, end) of the times in which the log says that another receiver heard it; end None: still."""
        kept = []
        for line in self.lines(receiver)[name]:
            while kept and kept[-1][0] >= line[0]:
                kept.pop()
            kept.append(line)
        found = []
        for (at, state, cause, _), (end, *_) in zip(kept, kept[1:] + [(None,)]):
            if (state, cause) != ("up", "path"):
                continue
            if found and found[-1][1] == at:
                found[-1] = (found[-1][0], end)
            else:
                found.append((at, end))
        return found

    def check_merged(self, wanted, end, always_up):
        """What `uptime` makes of the records of all that run: {host: {state: seconds}}."""
        words = [word for receiver in self if receiver.process is not None for word in ("--data", receiver.data)]
        told = json.loads(self.world.twobeat("uptime", *words, "--json", "--from", self.begin, "--to", end).stdout)["hosts"]
        equal({host["host"]: {state: host["seconds"][state] for state in RANK} for host in told}, wanted, "merged uptime")
        for host in told:
            if host["host"] in always_up:
                equal(f"{float(host['uptime_percent']):.6f}", "100.000000", f"merged uptime of {host}")

    def merge(self, always_up, files):
        """Per second up before admin before down before unknown. Those that always lived have 100 %. Each record by itself must
        be what `uptime` counts, and what rrdtool reads for the hosts `files`, as far as whole minutes are written."""
        end = int(time.time()) - 2
        best = {name: [0] * (end - self.begin) for name in self.agents}
        for receiver in self:
            if receiver.process is None:
                continue
            found, ahead = self.outages(receiver), self.ahead.get(receiver.name, 0)
            told = {host["host"]: host["seconds"] for host in receiver.uptime(self.begin + ahead, end + ahead)["hosts"]}
            for name, outages in found.items():
                seconds = [RANK.index("up")] * (end - self.begin)
                for outage in outages:
                    for second in range(max(outage["from"], self.begin), min(outage["to"] or end, end)):
                        seconds[second - self.begin] = RANK.index(outage["state"])
                best[name] = [max(pair) for pair in zip(best[name], seconds)]
                counted = {state: seconds.count(rank) for rank, state in enumerate(RANK)}
                equal({state: told[name][state] for state in RANK}, counted, f"uptime of {name} at {receiver.name}")
            receiver.twobeat("verify")
        if not self.ahead:
            self.check_merged({name: {state: seconds.count(rank) for rank, state in enumerate(RANK)} for name, seconds in best.items()}, end,
                              always_up)
        for name in always_up:
            equal([second for second in best[name] if RANK[second] != "up"], [], f"merged, {name} was always up")
        if 60 - time.time() % 60 < self.patience_s:
            wait_for(62.5 - time.time() % 60)
        for receiver in self:
            if receiver.process is not None and receiver.name not in self.ahead:
                check_minutes(receiver, files, self.begin // 60 * 60)
        return {name: [RANK[second] for second in seconds] for name, seconds in best.items()}

    def stop(self):
        """In order; none has flooded its log: there is a line for each change of each host, and some more."""
        for receiver in self:
            most_lines = 20 + sum(len(lines) for lines in self.lines(receiver).values())
            if receiver.process is not None:
                check(len(receiver.lines()) <= most_lines, f"{receiver.name} wrote {len(receiver.lines())} lines: {receiver.log()[-800:]}")
                receiver.stop()


def print_latencies():
    if latencies:
        latencies.sort()
        print(f"from death to verdict, {len(latencies)} verdicts: median {latencies[len(latencies) // 2]:.2f} s, longest {latencies[-1]:.2f} s; "
              f"two intervals and the margin: {2 * T + M} s", flush=True)
