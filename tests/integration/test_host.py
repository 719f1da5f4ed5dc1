#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_host.py - hosts that are forgotten and renamed, with a real receiver and real agents."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from world import RECEIVER, World, check, equal, run_tests, wait_until  # noqa: E402  pylint: disable=wrong-import-position

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
        stays.stop()
        receiver.stop()
        receiver.twobeat("host", "forget", "nohost", code=2, **QUIET)


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    sys.exit(run_tests("host", globals()))
