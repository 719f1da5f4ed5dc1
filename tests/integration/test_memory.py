#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_memory.py - memory runs out at the n-th call, once or from then on, in the start, the reload and the commands of the real
programs; and for a new host in a receiver that runs.

A program either works, or ends with one line and a status that is not 0: never by a signal or an assertion of ours, and never
late. Whatever happens, the record passes `twobeat verify` afterwards and has every line that it had. Libraries that end
the process themselves are named in a line of their own; that is told for no other file.

Calls are taken one from each place in the programs and libraries that allocates, and others at random; every one with
TWOBEAT_EVERY_CALL (soak_memory.py).
"""
import collections
import contextlib
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from shortage import FOR_EVER, Shortage  # noqa: E402  pylint: disable=wrong-import-position
from world import AGENT, RECEIVER, TWOBEAT, World, check, equal, own, run_tests, running, wait_until, write_config  # noqa: E402  pylint: disable=wrong-import-position

EVERY_CALL = os.environ.get("TWOBEAT_EVERY_CALL") == "1"
OTHERS = 20  # calls that are taken at random
FOR_GOOD = 15  # calls from which on all fail
LIMIT_S = 30
# jansson asserts in its lexer; libconfuse aborts when it has no memory for a default, its scanner asserts, or exits with 2; libuv aborts when it has none for the
# descriptors that it watches; GLib, which librrd uses to make a file, whenever it has none. What a program can do is to see before that
# there is enough (settings.c).
ABORTING = ("libconfuse.so.2", "libjansson.so.4", "libuv.so.1", "libglib-2.0.so.0")
CRASHING = ("librrd.so.8", "libpcre2-8.so.0", "libglib-2.0.so.0", "libasan.so")  # reached by librrd, which does not look at what it gets
SCANNER = "out of dynamic memory in yy"
# What may be said besides the one line: a reload was refused or taken, then memory for the running went out too.
BESIDES = "listening on|the stop is not recorded|: stopping$|the old settings stay|settings reloaded|going on with the settings|is loaded"


class Tally:
    """What became of the calls that failed."""

    def __init__(self, name):
        self.name, self.worked, self.refused = name, 0, 0
        self.aborted = collections.Counter()

    def tell(self):
        died = "; ".join(f"{library} ended the process at {count} of them" for library, count in sorted(self.aborted.items()))
        print(f"note memory {self.name}: {self.worked} failed calls were coped with, {self.refused} told{'; ' + died if died else ''}",
              flush=True)
        check(self.worked + self.refused > 0, "no call failed")

    @staticmethod
    def who_died(status, error, shortage):
        """The file of the library that ended the process, or crashed; empty: none."""
        if SCANNER in error and status == 2:
            return "libconfuse.so.2"
        if re.search("GLib-ERROR.*failed to allocate", error):
            return "libglib-2.0.so.0"
        if "AddressSanitizer: CHECK failed: sanitizer_linux" in error:  # when a thread begins, for itself
            return "libasan.so"
        if "AddressSanitizer: SEGV" in error:  # whoever was innermost of us and of the libraries that we call
            for frame in re.findall(r"^ +#\d+ .*", error, re.M):
                crash = re.search(r"\(\S*/([^/+]+)\+", frame)
                if crash or re.search(r"/(receiver|agent|common)/", frame):
                    return crash[1] if crash else ""
        if status == -signal.SIGSEGV and shortage.asked in CRASHING:  # without a sanitizer nothing better is known
            return shortage.asked
        return shortage.aborted if status in (-signal.SIGABRT, 1) else ""

    def take(self, what, status, error, shortage):
        """What a process said and how it ended. True if it worked."""
        if shortage.get("failed") == 0:
            check(status == 0, f"{what}: exit {status} though nothing failed: {error}")
            return True
        library = self.who_died(status, error, shortage)
        if library:
            check(library in ABORTING + CRASHING, f"{what}: {library} gave up: {error}")
            self.aborted[library] += 1
            return False
        check(not re.search(r"Sanitizer|runtime error:", error), f"{what}: {error[:3000]}")
        lines = [line for line in error.splitlines() if not re.search(f"hosts known| -> |{BESIDES}", line)]
        if status == 0:
            self.worked += 1
            return True
        check(status > 0, f"{what}: ended by signal {-status}, {shortage.asked} had asked: {error[-2000:]}")
        check(len(lines) == 1 and re.match("twobeat", lines[0]), f"{what}: exit {status} with one line, but it said {lines}")
        self.refused += 1
        return False


def chosen(rng, places):
    """The calls that are to fail, each by its number."""
    if EVERY_CALL:
        return range(1, len(places) + 1)
    by_place = collections.defaultdict(list)
    for number, place in enumerate(places, 1):
        by_place[place].append(number)
    picked = {rng.choice(numbers) for numbers in by_place.values()}
    return sorted(picked | set(rng.sample(range(1, len(places) + 1), min(OTHERS, len(places)))))


def ways(numbers, rng):
    """(number, how many fail from there on): each once, and some for good."""
    yield from ((number, 1) for number in numbers)
    numbers = list(numbers)
    yield from ((number, FOR_EVER) for number in (numbers if EVERY_CALL else rng.sample(numbers, min(FOR_GOOD, len(numbers)))))


def run_until(words, shortage, line, seconds=LIMIT_S):
    """Runs a daemon until it says `line`, then asks it to stop. Returns its status and what it said."""
    process = subprocess.Popen([*map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True, errors="replace", env=dict(os.environ, **shortage.environment))
    running.append(process)
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    said = []
    for each in process.stderr:
        said.append(each)
        if re.search(line, each):
            process.send_signal(signal.SIGTERM)
    status = process.wait()
    late = not timer.is_alive()
    timer.cancel()
    check(not late, f"ended within {seconds} s: {''.join(said)}")
    return status, "".join(said)


def lines_of(data):
    with contextlib.closing(sqlite3.connect(f"file:{data}/receiver.db?mode=ro", uri=True)) as db:
        return (set(db.execute("SELECT host, number, at, state, cause FROM transitions")), set(db.execute("SELECT id, name FROM hosts")),
                set(db.execute("SELECT id, pattern FROM maintenance")))


def make_record(world):
    """A receiver that was killed: hosts that are up, one that is down, one that is back; facts that wait to be replayed, and
    maintenance to come."""
    receiver = world.receiver(generations=[1, 2], revoke=["bad", "worse#1"], planned_limit="20m", time_zone="UTC").start()
    agents = [world.agent(name, receiver, interval="250ms") for name in ("one", "two", "back", "gone")]
    for agent in agents:
        agent.start()
    for agent in agents:
        receiver.wait_state(agent.name, "up")
    before = receiver.look("gone")["last_heard"]
    wait_until(lambda: receiver.look("gone")["last_heard"] > before + 1, 20, "a rhythm")
    for agent in agents[2:]:
        agent.kill()
        receiver.wait_state(agent.name, "down")
    receiver.twobeat("flush")
    agents[2].start()
    receiver.wait_state("back", "up")
    now = int(time.time())
    receiver.twobeat("maintenance", "plan", "tw*", "--from", now + 3600, "--to", now + 7200)
    return receiver, agents


def test_receiver_start(rng):
    """Settings, keys, sockets, the record loaded and replayed, threads; and the stop."""
    with World() as world:
        receiver, agents = make_record(world)
        receiver.kill()
        for agent in agents:
            agent.end()
        (receiver.data / "receiver.sock").unlink()
        template = world.folder / "template"
        shutil.copytree(receiver.data, template)
        known = lines_of(template)
        shortage, tally = Shortage(world.folder), Tally("receiver start")

        def attempt(number, count):
            shutil.rmtree(receiver.data)
            shutil.copytree(template, receiver.data)
            for path in (receiver.data, *receiver.data.rglob("*")):
                own(path)
            shortage.begin(number, count)
            return run_until([RECEIVER, "-c", receiver.config], shortage, "hosts known")
        equal(attempt(0, 0)[0], 0, "exit")
        places = shortage.places()
        check(len(places) > 1000, f"calls: {len(places)}")
        for turn, (number, count) in enumerate(ways(chosen(rng, places), rng)):
            what = f"call {number} of {len(places)}{' and all after it' if count > 1 else ''} fails"
            tally.take(what, *attempt(number, count), shortage)
            shortage.end()
            for before, after in zip(known, lines_of(receiver.data)):
                check(before <= after, f"{what}: lost {before - after}")
            if EVERY_CALL or turn % 16 == 0:
                receiver.start()
                receiver.twobeat("flush")
                receiver.twobeat("verify")
                receiver.kill()
                (receiver.data / "receiver.sock").unlink()
        tally.tell()


def reload_all(rng, daemon, restart, is_new, shortage, tally, good, kept):
    """Reloads with a failing call in the main thread. `is_new(turn)`: whether the settings of that turn are in force."""
    def reload(turn, number, count):
        daemon.write_name(turn)
        begin = len(daemon.log())
        shortage.begin(number, count, main_only=True)
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: daemon.process.poll() is not None or re.search(f"{good}|{kept}", daemon.log()[begin:]), LIMIT_S,
                   lambda: f"it says what became of the reload: {daemon.log()[begin:]}")
        shortage.end()
        return daemon.log()[begin:]
    said = reload(0, 0, 0)
    check(re.search(good, said), f"reloaded: {said}")
    places = shortage.places()
    for turn, (number, count) in enumerate(ways(range(1, len(places) + 1), rng), 1):
        what = f"reload, call {number} of {len(places)}{' and all after it' if count > 1 else ''} fails"
        begin = len(daemon.log())
        said = reload(turn, number, count)
        new = is_new(turn)  # asked before: it may be about to end, for what it had to do besides
        if daemon.process.poll() is not None:
            status, said = daemon.process.wait(), daemon.log()[begin:]
            # The reload before was said to be done, and then it was noticed what else was missing: our signal came too late.
            if shortage.get("failed") or "out of memory; stopping" not in said:
                tally.take(what, status, said, shortage)
            daemon.log_path.write_text("")  # a crash in a library has been judged
            daemon.process = None
            restart()
            continue
        check(not re.search(r"Sanitizer|runtime error:", said), f"{what}: {said[:3000]}")
        lines = [line for line in said.splitlines() if re.search(f"{good}|{kept}", line)]
        equal(len(lines), 1, f"{what}: lines that tell it: {said}")
        is_good = bool(re.search(good, lines[0]))
        equal(new, is_good, f"{what}: new settings, as it says {lines}")
        tally.worked += is_good
        tally.refused += not is_good


def test_receiver_reload(rng):
    """The settings of before stay, or the new ones are taken, and that is said."""
    with World() as world:
        shortage, tally = Shortage(world.folder), Tally("receiver reload")
        receiver, agents = make_record(world)
        receiver.stop()
        known = lines_of(receiver.data)
        receiver.environment = shortage.environment
        receiver.write_name = lambda turn: receiver.write_settings(name=f"name{turn}")
        receiver.start()

        def is_new(turn):
            answer = wait_until(lambda: receiver.process.poll() is not None or receiver.try_ask("status", hosts=["-"]), 20, "an answer")
            return answer is not True and answer["receiver"]["name"] == f"name{turn}"
        reload_all(rng, receiver, receiver.start, is_new, shortage, tally, "settings reloaded from", "the old settings stay")
        for name in ("one", "two", "back"):
            receiver.wait_state(name, "up")
        for before, after in zip(known, lines_of(receiver.data)):
            check(before <= after, f"lost {before - after}")
        receiver.twobeat("flush")
        receiver.twobeat("verify")
        for daemon in (*agents[:3], receiver):
            daemon.stop()
        tally.tell()


def test_agent(rng):
    """Its start up to the first answer, with a stop; then reloads."""
    with World() as world:
        shortage, tally = Shortage(world.folder), Tally("agent start")
        receiver = world.receiver().start()
        agent = world.agent("lean", receiver, interval="250ms", ignore_filesystems=["/none*"], interfaces=["lo", "eth*"])

        def attempt(number, count):
            shortage.begin(number, count)
            # With no memory at all it may never come to an answer: then it must be alive, and stop when it is told to.
            return run_until([AGENT, "-c", agent.config], shortage, " answers|trying on|cannot")
        equal(attempt(0, 0)[0], 0, "exit")
        places = shortage.places()
        for number, count in ways(chosen(rng, places), rng):
            tally.take(f"call {number} of {len(places)}, {count} fail", *attempt(number, count), shortage)
        tally.tell()

        tally = Tally("agent reload")
        agent.environment = shortage.environment
        shortage.begin()

        def write_name(turn):  # the interval tells which settings are in force
            agent.settings["interval"] = f"{250 + turn}ms"
            write_config(agent.config, agent.settings)
        agent.write_name = write_name

        def start():
            agent.start()
            wait_until(lambda: any(" answers" in line for line in agent.lines()), 20, "it is heard")
        start()
        reload_all(rng, agent, start, lambda turn: f"every {250 + turn} ms" in agent.log(), shortage, tally,
                   "is loaded: ", "going on with the settings as they were")
        receiver.wait_state("lean", "up")
        agent.stop()
        receiver.stop()
        tally.tell()


def test_commands(rng):
    """An answer or one line."""
    with World() as world:
        receiver, agents = make_record(world)
        receiver.twobeat("flush")
        shortage = Shortage(world.folder)
        for command in ("status", "uptime", "outages", "verify"):
            tally = Tally(f"twobeat {command}")
            words = [str(TWOBEAT), command, *(["one", "two"] if command == "status" else []), "--data", str(receiver.data)]

            def attempt(number, count):
                shortage.begin(number, count)
                result = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S, check=False,
                                        env=dict(os.environ, **shortage.environment))
                return result.returncode, result.stderr, len(result.stdout.splitlines())
            status, _, printed = attempt(0, 0)
            equal(status, 0, f"exit of {command}")
            places = shortage.places()
            for number, count in ways(chosen(rng, places), rng):
                status, error, got = attempt(number, count)
                what = f"{command}, call {number} of {len(places)}, {count} fail"
                if tally.take(what, status, error, shortage):
                    equal(got, printed, f"{what}: lines of the answer")
            tally.tell()
        for daemon in (*agents[:3], receiver):
            daemon.stop()


def test_running(rng):
    """A call of any thread fails while hosts are heard and files are written, made and made anew."""
    with World() as world:
        shortage, tally = Shortage(world.folder), Tally("running receiver")
        receiver, agents = make_record(world)
        receiver.stop()
        known = lines_of(receiver.data)
        receiver.environment = shortage.environment
        receiver.start()
        question = {"hosts": ["one", "back"]}

        def attempt(number, count):
            shortage.begin(number, count)
            for word in ("flush", "rebuild", "status"):
                receiver.try_ask(word, **question)
            if count == 1:
                wait_until(lambda: number == 0 or shortage.get("failed") or receiver.process.poll() is not None, 5, "it asks for memory")
            shortage.end()
        attempt(0, 0)
        places = shortage.places()
        check(len(places) > 100, f"calls: {len(places)}")
        numbers = rng.sample(range(1, len(places) + 1), 200 if EVERY_CALL else 6)  # each takes seconds
        for number, count in [*((number, 1) for number in numbers), *((number, FOR_EVER) for number in numbers[:2])]:
            begin = len(receiver.log())
            attempt(number, count)
            # Who stops does so in order, and that takes a moment.
            wait_until(lambda: receiver.process.poll() is not None or receiver.try_ask("status", hosts=["-"]), LIMIT_S,
                       lambda n=number, c=count, b=begin: f"it lives or ends, call {n}, {c} fail, {shortage.asked}: {receiver.log()[b:]}")
            if re.search("Sanitizer|runtime error:|out of memory; stopping", receiver.log()[begin:]):
                receiver.process.wait(LIMIT_S)  # it is about to end
            said = receiver.log()[begin:]
            if receiver.process.poll() is None:
                tally.worked += 1
                continue
            # What it said of files, journal and hosts before is no business of this test.
            failures = "\n".join(line for line in said.splitlines() if "out of memory; stopping" in line or "twobeat" not in line[:8])
            tally.take(f"call {number} of {len(places)}, {count} fail", receiver.process.wait(), failures, shortage)
            receiver.log_path.write_text("")  # a crash in a library has been judged
            receiver.process = None
            receiver.start()
        for name in ("one", "two", "back"):
            receiver.wait_state(name, "up")
        for before, after in zip(known, lines_of(receiver.data)):
            check(before <= after, f"lost {before - after}")
        receiver.twobeat("flush")
        receiver.twobeat("verify")
        equal([o for o in receiver.outages("one", "two", start=1) if o["state"] == "down"], [], "downtime of those that live")
        for daemon in (*agents[:3], receiver):
            daemon.stop()
        tally.tell()


def test_new_host(_):
    """No memory for one more host: the others are judged on, it is told once, and the host is taken on later."""
    with World() as world:
        shortage = Shortage(world.folder)
        receiver = world.receiver()
        receiver.environment = shortage.environment
        receiver.start()
        lives, dies, new = [world.agent(name, receiver, interval="500ms") for name in ("lives", "dies", "new")]
        for agent in (lives, dies):
            agent.start()
            receiver.wait_state(agent.name, "up")
        before = receiver.look("dies")["last_heard"]
        wait_until(lambda: receiver.look("dies")["last_heard"] > before + 2, 20, "a rhythm")
        # More than a batch of two hosts needs, and less than a new host wants to have before it.
        shortage.begin(1, FOR_EVER, larger_than=70000, main_only=True)
        new.start()
        wait_until(lambda: "no room for another host" in receiver.log(), 20, "it says so")
        dies.kill()
        receiver.wait_state("dies", "down")
        before = receiver.look("lives")["last_heard"]
        wait_until(lambda: receiver.look("lives")["last_heard"] > before + 3, 20, "the other is heard")
        equal((receiver.state("lives"), receiver.look("new")), ("up", None), "the others")
        check(shortage.get("failed") > 3, "it was tried more than once")
        shortage.end()
        receiver.wait_state("new", "up")
        wait_until(lambda: "there is room for other hosts again" in receiver.log(), 20, "it says that it is over")
        equal([len(re.findall(text, receiver.log())) for text in ("no room for another host", "there is room for")], [1, 1], "told once")
        equal(receiver.outages("lives"), [], "outages of the one that lives")
        receiver.twobeat("flush")
        receiver.twobeat("verify")
        for daemon in (lives, new, receiver):
            daemon.stop()


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    sys.exit(run_tests("memory", globals()))
