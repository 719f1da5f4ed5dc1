#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_host.py - hosts that are forgotten and renamed, with a real receiver and real agents."""
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from world import RECEIVER, World, check, equal, run_tests, sleep_until, wait_until  # noqa: E402  pylint: disable=wrong-import-position

QUIET = {"env": {"ASAN_OPTIONS": "detect_leaks=0"}}  # the leak check cannot look into a process that changed its user


def up(receiver, *agents):
    for agent in agents:
        agent.start()
    for agent in agents:
        receiver.wait_state(agent.name, "up")
        wait_until(lambda name=agent.name: receiver.look(name)["interval"] < 1.1, 20, f"the interval of {agent.name} is learned")


def shown(receiver, *words):
    """The names in the lists of status, uptime and outages, which are the same."""
    lists = [[h["host"] for h in receiver.json("status", *words)["hosts"]],
             [h["host"] for h in receiver.json("uptime", *words)["hosts"]]]
    equal(sorted(lists[0]), lists[1], "status and uptime")
    return sorted(lists[0])


def causes(receiver, name):
    return [(o["state"], o["cause"]) for o in receiver.outages(name)]


def test_forget(_):
    """One that is gone leaves all lists and figures, over a kill, and comes back with its first heartbeat."""
    with World() as world:
        receiver = world.receiver().start()
        gone, stays = world.agent("web1", receiver), world.agent("web2", receiver)
        up(receiver, gone, stays)
        gone.kill()
        receiver.wait_state("web1", "down", 6)
        before = time.time()
        answer = receiver.json("host", "forget", "web1")
        equal((answer["forgotten"], answer["heard"]), ("web1", False), "the answer")
        check(before - 1 <= answer["at"] <= time.time(), f"from now on: {answer}")

        def check_forgotten():
            equal(shown(receiver), ["web2"], "all")
            equal(shown(receiver, "web*"), ["web2"], "by a pattern")
            check("web1" not in [o["host"] for o in receiver.outages()], "outages")
            fleet, alone = receiver.json("uptime"), receiver.json("uptime", "web2")
            check(fleet["fleet"]["uptime_percent"] == alone["fleet"]["uptime_percent"] == 100, f"the average: {fleet}")
            named = receiver.json("status", "web1")["hosts"][0]
            equal((named["state"], named["cause"], named["since"]), ("unknown", "forgotten", answer["at"]), "by name")
            equal(causes(receiver, "web1"), [("down", "silent"), ("unknown", "forgotten")], "its record")
            hosts = {h["host"]: h["forgotten"] for h in receiver.json("host", "list")["hosts"]}
            equal(hosts, {"web1": True, "web2": False}, "host list")
            check("forgotten" in receiver.twobeat("host", "list").stdout, "host list, as text")

        wait_until(lambda: len(causes(receiver, "web1")) == 2, 5, "it is stored")
        check_forgotten()
        line = receiver.twobeat("check", "web1", code=3).stdout
        check("UNKNOWN" in line and "taken out of alarms" in line, line)
        receiver.twobeat("flush")
        receiver.twobeat("verify")
        receiver.kill()
        receiver.start()
        receiver.wait_state("web2", "up", 10)
        equal(shown(receiver, "web*"), ["web2"], "after a kill")
        receiver.stop()
        equal([h["host"] for h in receiver.json("status")["hosts"]], ["web2"], "while the receiver is stopped")
        receiver.start()
        equal(receiver.json("host", "forget", "web1")["at"], answer["at"], "it is forgotten already")
        start = gone.start()
        receiver.wait_state("web1", "up", 10)
        last = wait_until(lambda: (o := receiver.outages("web1"))[-1]["to"] and o[-1], 5, "its record goes on")
        equal((last["cause"], last["from"]), ("forgotten", answer["at"]), "the last outage")
        check(start - 1 <= last["to"] <= time.time(), "up from the first heartbeat on")
        equal(shown(receiver), ["web1", "web2"], "all again")
        receiver.twobeat("check", "web1")
        receiver.twobeat("host", "forget", "nohost", code=2)
        receiver.twobeat("host", "forget", "web*", code=2)
        check(receiver.try_ask("forget", hosts=["web1", "web2"])["ok"] is False, "one at a time")
        check(receiver.try_ask("forget", hosts=["web*"])["ok"] is False, "no pattern")
        receiver.twobeat("flush")
        receiver.twobeat("verify")
        receiver.stop()


def test_forget_one_that_is_heard(_):
    with World() as world:
        receiver = world.receiver().start()
        agent = world.agent("web1", receiver)
        up(receiver, agent)
        text = receiver.twobeat("host", "forget", "web1").stdout
        check("next heartbeat opens" in text, text)
        receiver.wait_state("web1", "up", 5)
        wait_until(lambda: causes(receiver, "web1") == [("unknown", "forgotten")], 5, lambda: causes(receiver, "web1"))
        agent.stop()
        receiver.stop()


def test_forget_while_stopped(_):
    """The record ends where the receiver was last alive, and not with the time in which it was off."""
    with World() as world:
        receiver = world.receiver().start()
        gone, stays = world.agent("web1", receiver), world.agent("web2", receiver)
        up(receiver, gone, stays)
        gone.kill()
        stopped = receiver.stop()
        text = receiver.twobeat("host", "forget", "web1", **QUIET).stdout
        check("when it starts" in text, text)
        equal(shown(receiver), ["web2"], "while it is stopped")
        named = receiver.json("status", "web1")["hosts"][0]
        equal((named["state"], named["cause"]), ("unknown", "forgotten"), "by name")
        equal([h["forgotten"] for h in receiver.json("host", "list")["hosts"]], [True, False], "host list")
        receiver.start()
        receiver.kill()  # at once: whatever is stored by now, it is forgotten
        receiver.start()
        receiver.wait_state("web2", "up", 10)
        wait_until(lambda: causes(receiver, "web1") == [("unknown", "forgotten")], 5, lambda: causes(receiver, "web1"))
        check(abs(receiver.outages("web1")[0]["from"] - stopped) <= 2, "from its last sign of life on")
        equal(shown(receiver), ["web2"], "after it has started")
        receiver.twobeat("host", "forget", "nohost", code=2)
        gone.start()
        receiver.wait_state("web1", "up", 10)
        receiver.twobeat("flush", "web1")  # its return is stored
        receiver.kill()
        receiver.start()
        equal(shown(receiver), ["web1", "web2"], "what was asked for once is done once")
        stays.stop()
        receiver.stop()
        receiver.twobeat("host", "forget", "nohost", code=2, **QUIET)


# ---- rename ----

def listed(receiver):
    """name: alias"""
    return {h["host"]: h["alias"] for h in receiver.json("host", "list")["hosts"]}


def folders(receiver):
    return sorted(path.name for path in (receiver.data / "hosts").iterdir())


def written(receiver, *agents):
    """Hosts that are up and have files."""
    up(receiver, *agents)
    wait_until(lambda: receiver.twobeat("flush") and folders(receiver) == sorted(a.name for a in agents), 20, "files")


def goes_on(receiver, name):
    heard = receiver.look(name)["last_heard"]
    wait_until(lambda: receiver.look(name)["last_heard"] > heard + 1 and receiver.look(name)["state"] == "up", 10, f"{name} is heard")


def test_rename(_):
    """The old key counts until the new one was heard; history and files come along."""
    with World() as world:
        receiver = world.receiver().start()
        old, other = world.agent("web1", receiver), world.agent("db1", receiver)
        written(receiver, old, other)
        first = receiver.first_heard("web1")
        equal(receiver.json("host", "rename", "web1", "web01"), {"renamed": "web1", "to": "web01"}, "the answer")
        equal(folders(receiver), ["db1", "web01"], "files, as soon as it is answered")
        equal(listed(receiver), {"db1": None, "web01": "web1"}, "names")
        goes_on(receiver, "web01")
        equal(receiver.look("web1"), None, "the old name")
        for words, code in ((("web01", "db1"), 2), (("db1", "web1"), 2), (("nohost", "x"), 2), (("web1", "x"), 2), (("web*", "x"), 2),
                            (("web01", "web01"), 2), (("web01", "Web"), 2), (("web01", "../x"), 2), (("web01",), 2)):
            receiver.twobeat("host", "rename", *words, code=code)
        for bad in ({"to": 5}, {}, {"to": ""}, {"to": "a/b"}, {"to": "db1"}, {"to": "web01"}):
            check(receiver.try_ask("rename", hosts=["web01"], **bad)["ok"] is False, f"{bad} is refused")
        for bad in ([], ["web1"], ["web01", "db1"], ["*"]):
            check(receiver.try_ask("rename", hosts=bad, to="x")["ok"] is False, f"{bad} is refused")
        (receiver.data / "hosts" / "stranger").mkdir()
        check("move them away" in receiver.twobeat("host", "rename", "db1", "stranger", code=3).stderr, "files of no host")
        (receiver.data / "hosts" / "stranger").rmdir()
        receiver.kill()
        receiver.start()
        receiver.wait_state("web01", "up", 10)
        equal(listed(receiver), {"db1": None, "web01": "web1"}, "after a kill")
        goes_on(receiver, "web01")
        old.kill()
        new = world.agent("web01", receiver)
        new.start()
        wait_until(lambda: listed(receiver) == {"db1": None, "web01": None}, 15, lambda: f"the old name is let go of: {listed(receiver)}")
        goes_on(receiver, "web01")
        equal((receiver.first_heard("web01"), receiver.first_heard("db1") > 0), (first, True), "its history")
        receiver.twobeat("flush")
        receiver.twobeat("verify")
        old.start()  # whoever speaks under the old name is somebody else
        receiver.wait_state("web1", "up", 10)
        wait_until(lambda: "web1" in listed(receiver), 5, "a new host")
        check(receiver.first_heard("web1") > first, "with a record of its own")
        wait_until(lambda: receiver.twobeat("flush") and folders(receiver) == ["db1", "web01", "web1"], 20, "and files")
        receiver.twobeat("verify")
        receiver.stop()


def test_rename_there_and_back(_):
    with World() as world:
        receiver = world.receiver().start()
        agent = world.agent("a", receiver)
        written(receiver, agent)
        for to, alias in (("b", "a"), ("c", "a"), ("a", None), ("b", "a"), ("a", None)):
            receiver.twobeat("host", "rename", next(iter(listed(receiver))), to)
            equal((listed(receiver), folders(receiver)), ({to: alias}, [to]), to)
            goes_on(receiver, to)
        equal(len(receiver.json("status")["hosts"]), 1, "one host all the time")
        equal(receiver.outages("a"), [], "which was never missed")
        receiver.twobeat("verify")
        receiver.stop()


def test_rename_folder_that_cannot_be_moved(_):
    with World() as world:
        receiver = world.receiver().start()
        agent = world.agent("a", receiver)
        written(receiver, agent)
        (receiver.data / "hosts").chmod(0o555)
        line = receiver.twobeat("host", "rename", "a", "b", code=3).stderr
        check("is renamed, but its folder is not" in line, line)
        equal((listed(receiver), folders(receiver)), ({"b": "a"}, ["a"]), "the folder is as it was")
        receiver.twobeat("verify")
        check("try again" in receiver.twobeat("host", "rename", "b", "c", code=3).stderr, "one after the other")
        (receiver.data / "hosts").chmod(0o755)
        receiver.twobeat("flush")
        equal(folders(receiver), ["b"], "the folder follows")
        goes_on(receiver, "b")
        receiver.twobeat("verify")
        receiver.stop()


def test_rename_killed_at_any_instant(rng):
    with World() as world:
        receiver = world.receiver().start()
        agent = world.agent("a0", receiver)
        written(receiver, agent)
        outcomes = set()
        for turn in range(1, 9):
            name = next(iter(listed(receiver)))
            answers = []
            asking = threading.Thread(target=lambda to=f"a{turn}", host=name: answers.append(
                receiver.try_ask("rename", hosts=[host], to=to)))
            asking.start()
            time.sleep(rng.uniform(0, 0.25))
            receiver.kill()
            asking.join(20)
            done = bool(answers[0])
            names = listed(receiver)
            check(list(names) in ([name], [f"a{turn}"]) and (not done or list(names) == [f"a{turn}"]), f"{done}: {names}")
            outcomes.add((done, list(names) == [f"a{turn}"]))
            receiver.twobeat("verify")  # wherever the files are
            receiver.start()
            now = next(iter(names))
            receiver.wait_state(now, "up", 10)
            receiver.twobeat("flush")
            equal((listed(receiver), folders(receiver)), ({now: "a0" if now != "a0" else None}, [now]), f"turn {turn}")
            receiver.twobeat("verify")
        print(f"{len(outcomes)} outcomes: {sorted(outcomes)}")
        equal({o["cause"] for o in receiver.outages(now)} - {"receiver_off"}, set(), "nothing was made of it")
        receiver.stop()


def test_rename_while_stopped(_):
    """After a stop, and after a kill, which leaves facts to be replayed that were judged under the old name."""
    with World() as world:
        receiver = world.receiver().start()
        agent, gone = world.agent("web1", receiver), world.agent("x", receiver)
        written(receiver, agent, gone)
        receiver.stop()
        equal(receiver.json("host", "rename", "web1", "web2", **QUIET), {"renamed": "web1", "to": "web2"}, "the answer")
        equal((folders(receiver), listed(receiver)), (["web2", "x"], {"web2": "web1", "x": None}), "names and files")
        receiver.twobeat("verify")
        receiver.twobeat("host", "rename", "x", "web2", code=2, **QUIET)
        receiver.twobeat("host", "rename", "x", "web1", code=2, **QUIET)
        receiver.start()
        receiver.wait_state("web2", "up", 10)
        check(receiver.try_ask("maintenance_start", hosts=["db*"])["ok"], "maintenance of names to come")
        gone.kill()
        receiver.wait_state("x", "down", 10)
        before = wait_until(lambda: [o for o in receiver.outages("x") if o["cause"] == "silent"], 5, "it is recorded")
        receiver.kill()
        receiver.twobeat("host", "rename", "x", "db9", **QUIET)
        equal([o for o in receiver.outages("db9") if o["cause"] == "silent"][0]["from"], before[0]["from"], "what was recorded")
        receiver.start()
        receiver.wait_state("web2", "up", 10)
        lines = [(o["state"], o["from"]) for o in receiver.outages("db9")]
        check(("down", before[0]["from"]) in lines, f"judged under the old name, and not again: {lines}")
        equal(folders(receiver), ["db9", "web2"], "files")
        receiver.twobeat("flush")
        receiver.twobeat("verify")
        agent.stop()
        receiver.stop()


def test_rename_in_maintenance(_):
    """What was entered for the old name holds until the new one is heard."""
    with World() as world:
        receiver = world.receiver().start()
        old = world.agent("web1", receiver)
        written(receiver, old)
        receiver.json("maintenance", "start", "web1")
        old.kill()
        receiver.wait_state("web1", "admin", 10)
        receiver.json("host", "rename", "web1", "web01")
        receiver.wait_state("web01", "admin", 2)
        equal(receiver.json("maintenance", "list")["maintenance"][0]["pattern"], "web1", "as it was entered")
        new = world.agent("web01", receiver)
        new.start()
        receiver.wait_state("web01", "up", 10)
        wait_until(lambda: listed(receiver) == {"web01": None}, 15, "the old name is let go of")
        equal([o["state"] for o in receiver.outages("web01")], ["admin"], "and the record stays")
        receiver.kill()
        receiver.start()
        receiver.wait_state("web01", "up", 10)
        equal([o["state"] for o in receiver.outages("web01") if o["cause"] != "receiver_off"], ["admin"], "after a kill too")
        new.kill()
        receiver.wait_state("web01", "down", 10)
        receiver.stop()


def test_rename_into_maintenance(rng):
    """What fits the new name only holds from the renaming on, also if the receiver is killed at any instant of it."""
    with World() as world:
        receiver = world.receiver().start()
        agents = [world.agent(f"x{i}", receiver) for i in range(4)]
        others = [world.agent(f"z{i}", receiver) for i in range(4)]  # else the receiver would blame itself
        up(receiver, *agents, *others)
        check(receiver.try_ask("maintenance_start", hosts=["y*"])["ok"], "maintenance of names to come")
        for agent in agents:
            agent.kill()
        for agent in agents:
            receiver.wait_state(agent.name, "down", 20)
        for i in range(4):
            asking = threading.Thread(target=receiver.try_ask, args=("rename",), kwargs={"hosts": [f"x{i}"], "to": f"y{i}"})
            asking.start()
            time.sleep(rng.uniform(0.1, 0.3))
            receiver.kill()
            asking.join(20)
            receiver.start()
        renamed = [f"y{i}" for i in range(4) if f"y{i}" in listed(receiver)]
        check(renamed, "one at least is renamed")
        for name in renamed:
            receiver.wait_state(name, "admin", 20)
        sleep_until(time.time() + 2)
        for agent in agents:
            agent.start()
        for name in listed(receiver):
            receiver.wait_state(name, "up", 10)
        for name in renamed:
            wait_until(lambda name=name: receiver.outages(name)[-1]["to"], 5, f"{name} is back")
            told = [o for o in receiver.outages(name) if o["cause"] != "receiver_off"]
            equal(told[0]["state"], "down", f"{name} before it was renamed: {told}")
            check("admin" in [o["state"] for o in told], f"{name} after it was renamed: {told}")
        receiver.twobeat("flush")
        receiver.twobeat("verify")
        receiver.stop()


def test_rename_forgotten(_):
    with World() as world:
        receiver = world.receiver().start()
        agent = world.agent("a", receiver)
        written(receiver, agent)
        agent.kill()
        receiver.json("host", "forget", "a")
        receiver.json("host", "rename", "a", "b")
        receiver.kill()
        receiver.start()
        equal([(h["host"], h["alias"], h["forgotten"]) for h in receiver.json("host", "list")["hosts"]], [("b", "a", True)], "both")
        agent.start()
        receiver.wait_state("b", "up", 10)
        receiver.twobeat("flush")
        receiver.twobeat("verify")
        receiver.stop()


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    sys.exit(run_tests("host", globals()))
