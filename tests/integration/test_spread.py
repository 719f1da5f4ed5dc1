#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Agents that list more receivers than they use: who speaks to whom, and what happens when the list changes.

Who is to be heard where is computed by tests/lib/protocol.py, from PROTOCOL.md.
"""
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import protocol  # noqa: E402  pylint: disable=wrong-import-position
from world import AGENT, World, check, equal, run_tests, wait_until, write_config  # noqa: E402  pylint: disable=wrong-import-position

SECONDS = 30


def text(receiver):
    return "{}:{}".format(*receiver.address)


def chosen(name, receivers, wanted=2):
    """Which of the receivers the host is to speak to."""
    texts = protocol.spread(name, [text(r) for r in receivers], wanted)
    return {r.name for r in receivers if text(r) in texts}


def states(receiver):
    return {h["host"]: h["state"] for h in receiver.try_ask("status")["hosts"]}


def heard_by(receivers):
    """Host -> names of the receivers that hear it now. One that has moved away is in no list."""
    found = {}
    for receiver in receivers:
        for host, state in states(receiver).items():
            if state == "up":
                found.setdefault(host, set()).add(receiver.name)
    return found


def wait_spread(agents, receivers, wanted=2):
    expected = {a.name: chosen(a.name, receivers, wanted) for a in agents}
    wait_until(lambda: heard_by(receivers) == expected, SECONDS,
               lambda: f"heard as chosen: {heard_by(receivers)}, wanted {expected}")
    return expected


def relist(agents, receivers):
    """The one edit on each host, and what one does to have it taken over: the half of them are started anew."""
    for number, agent in enumerate(agents):
        agent.settings["receivers"] = [text(r) for r in receivers]
        write_config(agent.config, agent.settings)
        if number % 2:
            agent.stop()
            agent.start()
        else:
            agent.signal(signal.SIGHUP)


def beats_of_two_intervals(receivers):
    """So that whoever is missed would be judged by now."""
    wanted = {r.name: r.count()["beats"] + 6 * max(1, len(states(r))) for r in receivers}
    wait_until(lambda: all(r.count()["beats"] >= wanted[r.name] for r in receivers), SECONDS, "six beats of every host")


def verdicts(receiver, *names):
    return [(o["host"], o["state"], o["cause"]) for o in receiver.outages(*names)]


def names_of(receiver):
    """All that it ever heard: who has moved away is in a list only if named."""
    return [h["host"] for h in receiver.json("host", "list")["hosts"]]


def contacts(agent):
    return [line.split()[1] for line in (agent.state_dir / "receivers").read_text().splitlines()]


def test_receivers_come_and_go(_):
    with World() as world:
        receivers = [world.receiver(f"recv{i}").start() for i in range(1, 4)]
        names = [f"web{i}" for i in range(12)]
        agents = [world.agent(name, *receivers, redundancy=2) for name in names]
        for agent in agents:
            agent.start()
        first = wait_spread(agents, receivers)
        check(all(len(by) == 2 for by in first.values()), f"each by two: {first}")
        sessions = {a.name: a.log().count("answers") for a in agents}

        # One is added. Only hosts that it gets move, and each of those leaves one other.
        fourth = world.receiver("recv4").start()
        relist(agents, receivers + [fourth])
        second = wait_spread(agents, receivers + [fourth])
        for name in names:
            gone, new = first[name] - second[name], second[name] - first[name]
            check((len(gone), new) in ((0, set()), (1, {"recv4"})), f"{name} moved from {first[name]} to {second[name]}")
        for agent in agents[::2]:  # those that were not started anew: who stayed noticed nothing
            new = len(second[agent.name] - first[agent.name])
            told = agent.log().count("knows that this host has moved")
            equal((agent.log().count("answers") - sessions[agent.name], told), (new, new), f"{agent.name}: {agent.log()}")

        # One is removed for good. Only its hosts move.
        left = [r for r in receivers if r.name != "recv1"] + [fourth]
        relist(agents, left)
        third = wait_spread(agents, left)
        for name in names:
            if "recv1" in second[name]:
                check(len(third[name] - second[name]) == 1, f"{name} moved from {second[name]} to {third[name]}")
            else:
                equal(third[name], second[name], f"{name} stays")
        wait_until(lambda: not states(receivers[0]), SECONDS, lambda: f"nobody is expected at recv1: {states(receivers[0])}")
        beats_of_two_intervals(left)

        # No verdict anywhere but that hosts moved, and that is told of exactly those that did.
        for receiver in receivers + [fourth]:
            away = {name for name in names if any(receiver.name in was[name] and receiver.name not in now[name]
                                                  for was, now in ((first, second), (second, third)))}
            wait_until(lambda r=receiver: set(verdicts(r, *names_of(r))) == {(n, "unknown", "moved") for n in away}, SECONDS,
                       lambda r=receiver: f"the record of {r.name}: {verdicts(r, *names_of(r))}, moved away: {away}")
            moved = {h["host"] for h in receiver.json("host", "list")["hosts"] if h["moved"]}
            equal(moved, {name for name in names if receiver.name in first[name] | second[name] and receiver.name not in third[name]},
                  f"moved by the list of {receiver.name}")
        receivers[0].stop()
        receivers[0].start()
        check(not states(receivers[0]), "nobody is expected after a restart either")


def test_receiver_that_is_away(_):
    """It is not there when the host moves. It is told when it is back, also by the next run of the agent."""
    with World() as world:
        gone, stays = world.receiver("gone").start(), world.receiver("stays").start()
        agents = [world.agent("web1", gone, stays), world.agent("web2", gone, stays)]
        for agent in agents:
            agent.start()
        for agent in agents:
            gone.wait_state(agent.name, "up")
        wait_until(lambda: len(names_of(gone)) == 2, SECONDS, "both are in its database")
        gone.kill()
        relist(agents, [stays])  # web2 is started anew
        agents[0].kill()  # and web1 dies with its farewell unsaid
        agents[0].start()
        for agent in agents:
            wait_until(lambda a=agent: contacts(a) == [text(stays), text(gone)], SECONDS,
                       lambda a=agent: f"who is still to be told is noted: {contacts(a)}")
        gone.start()
        wait_until(lambda: not states(gone), SECONDS, lambda: f"both have told it: {states(gone)}")
        for agent in agents:
            wait_until(lambda a=agent: verdicts(gone, a.name)[-1:] == [(a.name, "unknown", "moved")], SECONDS,
                       lambda a=agent: f"the record of {a.name} at gone: {verdicts(gone, a.name)}")
            wait_until(lambda a=agent: contacts(a) == [text(stays)], SECONDS, lambda a=agent: f"nobody is left to be told: {contacts(a)}")

        # It is listed again: an ordinary first heartbeat.
        relist(agents, [stays, gone])
        for agent in agents:
            gone.wait_state(agent.name, "up")
        time_up = time.time()
        wait_until(lambda: gone.look("web1")["last_heard"] > time_up + 3, SECONDS, "some more beats")
        for receiver in (stays, gone):  # web1 was killed, which is no false one
            down = [v for v in verdicts(receiver, *names_of(receiver)) if v[1] == "down" and v[2] != "agent_died"]
            equal(down, [], f"false verdicts of {receiver.name}")


if __name__ == "__main__":
    check(AGENT.exists(), f"{AGENT} is not built")
    sys.exit(run_tests("spread", globals(), at_once=2))
