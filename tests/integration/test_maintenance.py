#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_maintenance.py - maintenance that is planned ahead, and files that are made anew, with a real receiver and real agents."""
import json
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from world import RECEIVER, World, check, equal, run_tests, sleep_until, wait_until  # noqa: E402  pylint: disable=wrong-import-position

SLACK = 1.2  # labels are whole seconds


def listed(receiver, *words):
    return {w["id"]: w for w in receiver.json("maintenance", "list", *words)["maintenance"]}


def spans(receiver, name, count):
    """(state, cause, from, to) of the outages, once there are so many."""
    def told():
        outages = receiver.outages(name)
        return outages if len(outages) == count else None
    found = wait_until(told, 10, lambda: f"{count} outages of {name}: {receiver.outages(name)}")
    return [(o["state"], o["cause"], o["from"], o["to"]) for o in found]


def near(got, wanted, what):
    check(got is not None and abs(got - wanted) <= SLACK, f"{what}: {got}, wanted {wanted}")


def in_zone(at, zone="Europe/Berlin"):
    """As a person types it."""
    return subprocess.run(["date", "-d", f"@{at}", "+%Y-%m-%d %H:%M:%S"], capture_output=True, text=True, check=True,
                          env=dict(os.environ, TZ=zone)).stdout.strip()


def up_for_a_while(receiver, *agents):
    for agent in agents:
        agent.start()
    for agent in agents:
        receiver.wait_state(agent.name, "up")
        wait_until(lambda name=agent.name: receiver.look(name)["interval"] < 1.1, 20, f"the interval of {agent.name} is learned")


def test_planned(_):
    """One host dies inside the window, one is dead before it and one comes for the first time while it runs."""
    with World() as world:
        receiver = world.receiver().start()
        inside, before = world.agent("web1", receiver), world.agent("web2", receiver)
        up_for_a_while(receiver, inside, before)
        start = int(time.time()) + 4
        zone = {"env": {"TZ": "Europe/Berlin"}}
        answer = json.loads(receiver.twobeat("maintenance", "plan", "web*", "--from", in_zone(start), "--to",
                                             in_zone(start + 6), "--reason", "disk", "--json", **zone).stdout)
        equal((answer["from"], answer["to"]), (start, start + 6), "the times that were typed")
        number = answer["ids"][0]
        equal(listed(receiver)[number], {"id": number, "pattern": "web*", "from": start, "to": start + 6, "reason": "disk",
                                         "state": "planned", "origin": None}, "list")
        check(in_zone(start) in receiver.twobeat("maintenance", "list", **zone).stdout, "times in the zone")
        died = before.kill()
        receiver.wait_state("web2", "down", 6)
        check(time.time() < start, "this machine is too slow for the test: the window has begun already")
        sleep_until(start + 1)
        equal(listed(receiver)[number]["state"], "running", "it runs")
        receiver.wait_state("web2", "admin", 2)
        receiver.wait_state("web1", "up", 1)
        inside_died = inside.kill()
        late = world.agent("web3", receiver)
        late.start()
        receiver.wait_state("web3", "up", 4)
        late_died = late.kill()
        receiver.wait_state("web1", "admin", 4)
        for name in ("web1", "web2", "web3"):
            receiver.wait_state(name, "down", 10)
            check(start + 5.8 < time.time(), f"{name} is down while it is planned")
        told = spans(receiver, "web1", 2)
        equal([t[:2] for t in told], [("admin", "maintenance"), ("down", "silent")], f"web1: {told}")
        near(told[0][2], inside_died, "web1 went")
        equal((told[0][3], told[1][2]), (start + 6, start + 6), f"to the end: {told}")
        told = spans(receiver, "web2", 3)
        equal([t[:2] for t in told], [("down", "silent"), ("admin", "maintenance"), ("down", "silent")], f"web2: {told}")
        near(told[0][2], died, "web2 went")
        equal(told[1][2:], (start, start + 6), f"web2: {told}")
        check(abs(spans(receiver, "web3", 2)[0][2] - late_died) < 2, "web3, which nobody knew when it was planned")
        check(number not in listed(receiver) and listed(receiver, "--all")[number]["state"] == "over", "it is over")
        check("is over" in receiver.twobeat("maintenance", "cancel", number, code=3).stderr, "what is over is not cancelled")
        receiver.stop()


def test_cancelled(_):
    """Taken back before it begins, it has no effect, nor after a crash that replays all of it; a running one is ended."""
    with World() as world:
        receiver = world.receiver().start()
        agent = world.agent("db1", receiver)
        up_for_a_while(receiver, agent)
        start = int(time.time()) + 4
        plan = ("maintenance", "plan", "db1", "--from", start, "--to", start + 3600)
        number = receiver.json(*plan)["ids"][0]
        equal(receiver.json("maintenance", "cancel", number), {"cancelled": number}, "cancel")
        window = listed(receiver, "--all")[number]
        equal((window["from"], window["to"], window["state"]), (start, start, "over"), "cancelled")
        equal(listed(receiver), {}, "nothing is planned")
        for bad in (number, number + 1):
            receiver.twobeat("maintenance", "cancel", bad, code=3)
        agent.kill()
        receiver.wait_state("db1", "down", 6)
        sleep_until(start + 2)
        equal([t[:2] for t in spans(receiver, "db1", 1)], [("down", "silent")], "the window that was cancelled")
        receiver.kill()
        receiver.start()
        sleep_until(time.time() + 1.5)
        check(all(o["state"] != "admin" for o in receiver.outages("db1")), f"after a crash: {receiver.outages('db1')}")
        begin = int(time.time()) + 2
        number = receiver.json("maintenance", "plan", "db?", "--from", begin, "--to", begin + 3600)["ids"][0]
        receiver.wait_state("db1", "admin", 6)
        sleep_until(begin + 2)
        receiver.json("maintenance", "cancel", number)
        ended = time.time()
        receiver.wait_state("db1", "down", 4)
        last = wait_until(lambda: (o := receiver.outages("db1"))[-1]["state"] == "down" and o, 5, "down is recorded")
        equal(last[-2]["from"], begin, "admin from the beginning")
        near(last[-1]["from"], ended, "down from the moment in which it was cancelled")
        now = int(time.time())
        for bad in ({"from": now - 5, "to": now + 60}, {"from": now + 60, "to": now + 60}, {"from": now + 60}, {},
                    {"from": now + 60, "to": 2**62}, {"from": "x", "to": "y"}, {"from": now + 1.5, "to": now + 60},
                    {"from": -2**63, "to": 2**63 - 1}, {"from": now + 60, "to": now + 90, "reason": 5}):
            check(receiver.try_ask("maintenance_plan", hosts=["db1"], **bad)["ok"] is False, f"plan {bad} is refused")
        for bad in ({}, {"id": None}, {"id": "1"}, {"id": 2**62}, {"id": -1}, {"id": 1.5}):
            check(receiver.try_ask("maintenance_cancel", **bad)["ok"] is False, f"cancel {bad} is refused")
        check(receiver.try_ask("maintenance_plan", **{"from": now + 60, "to": now + 90})["ok"] is False, "no hosts")
        equal(listed(receiver), {}, "what was refused")
        receiver.stop()


def test_overlapping(_):
    """Two windows are one: down from the end of the later one, also if one of them is taken back meanwhile. One that begins and ends
    within the other changes nothing, and one that lies apart begins anew."""
    with World() as world:
        receiver = world.receiver().start()
        agents = [world.agent(name, receiver) for name in ("db1", "web1")]
        up_for_a_while(receiver, *agents)
        for agent in agents:
            agent.kill()
        for agent in agents:
            receiver.wait_state(agent.name, "down", 6)
        t = int(time.time()) + 3
        plans = (("db1", 0, 6), ("d*", 4, 10), ("db1", 5, 6), ("db?", 13, 16), ("web1", 0, 10), ("web?", 4, 7))
        ids = [receiver.json("maintenance", "plan", name, "--from", t + a, "--to", t + b)["ids"][0] for name, a, b in plans]
        sleep_until(t + 5.5)
        equal([receiver.state(n) for n in ("db1", "web1")], ["admin", "admin"], "in both windows")
        receiver.twobeat("maintenance", "cancel", ids[4])
        cancelled = time.time()
        sleep_until(t + 17)
        told = spans(receiver, "db1", 5)
        equal([o[0] for o in told], ["down", "admin", "down", "admin", "down"], f"db1: {told}")
        equal([o[2] for o in told[1:]], [t, t + 10, t + 13, t + 16], f"db1: {told}")
        told = spans(receiver, "web1", 3)
        equal([o[0] for o in told], ["down", "admin", "down"], f"web1, cancelled at {cancelled - t}: {told}")
        equal([o[2] for o in told[1:]], [t, t + 7], f"web1: {told}")
        receiver.stop()


def test_planned_while_stopped(_):
    """Entered into the record, over a stop: the receiver finds it when it starts."""
    with World() as world:
        receiver = world.receiver().start()
        agent = world.agent("db1", receiver)
        up_for_a_while(receiver, agent)
        agent.kill()
        receiver.wait_state("db1", "down", 6)
        receiver.stop()
        begin = int(time.time()) + 4
        ids = [receiver.json("maintenance", "plan", "db1", "--from", begin + add, "--to", begin + add + 3600,
                             env={"ASAN_OPTIONS": "detect_leaks=0"})["ids"][0] for add in (0, 1)]
        receiver.twobeat("maintenance", "cancel", ids[1], env={"ASAN_OPTIONS": "detect_leaks=0"})
        receiver.start()
        receiver.wait_state("db1", "admin", 8)
        check(time.time() >= begin, "not before it begins")
        ends = wait_until(lambda: (o := receiver.outages("db1"))[-1]["state"] == "admin" and o, 5, "admin is recorded")
        near(ends[-1]["from"], begin, "its begin")
        check(receiver.json("maintenance", "plan", "db1", "--from", begin + 9999, "--to", begin + 99999)["ids"][0] > ids[1], "ids")
        receiver.stop()


def test_rebuild(_):
    """Files that cannot be read. One that can, and differs, is made anew in test_cli_offline.py."""
    with World() as world:
        receiver = world.receiver().start()
        agent = world.agent("db1", receiver)
        up_for_a_while(receiver, agent)
        path = receiver.data / "hosts" / "db1" / "state.rrd"
        wait_until(lambda: receiver.twobeat("flush") and
                   (receiver.written_to("db1") or 0) > receiver.first_heard("db1"), 20, "it is written")
        receiver.twobeat("verify")
        whole = path.read_bytes()
        for damage in (b"no RRD file", whole[:100], bytes(len(whole))):
            path.write_bytes(damage)
            receiver.twobeat("verify", code=1)
            equal(receiver.json("rebuild", "d*"), {"rebuilt": ["db1"]}, "rebuild")
            receiver.twobeat("verify")
            equal(path.with_name("state.rrd.bak").read_bytes(), damage, "the old file")
        receiver.twobeat("rebuild", "nohost", code=2)
        check(receiver.try_ask("rebuild")["ok"] is False, "a rebuild must name hosts")
        path.unlink()
        path.mkdir()  # cannot be replaced
        line = receiver.twobeat("rebuild", "db1", code=3).stderr
        check("cannot make state.rrd anew" in line, line)
        path.rmdir()
        receiver.twobeat("rebuild", "db1")
        receiver.twobeat("verify")
        agent.stop()
        receiver.stop()


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    sys.exit(run_tests("maintenance", globals()))
