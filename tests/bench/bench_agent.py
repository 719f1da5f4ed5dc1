#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""bench_agent.py [SECONDS] - what the real agent needs: CPU per beat, and memory, at 250 ms and at 1 s.

TWOBEAT_BUILD names the build folder. The agents speak to a real receiver on loopback; each figure is one line
`NAME VALUE UNIT  # meaning`. CPU is that of the process (user and system, nanoseconds of the scheduler).
"""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import world  # noqa: E402

INTERVALS = {"250ms": 0.25, "1s": 1.0}


def cpu_ns(pid):
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


def memory_kb(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise KeyError(name)


def beats(receiver):
    return receiver.statistics()["beats"]


def measure(interval, seconds):
    with world.World() as here:
        receiver = here.receiver().start()
        agent = here.agent("bench", receiver.address, interval=interval)
        agent.start()
        receiver.wait_state("bench", "up")
        first, begin, start = beats(receiver), cpu_ns(agent.pid), time.monotonic()
        # The figure is a rate: how long it really took does not matter.
        world.sleep_until(time.time() + seconds, "the end of the measurement")
        count = beats(receiver) - first
        spent = cpu_ns(agent.pid) - begin
        elapsed = time.monotonic() - start
        world.check(count >= seconds / INTERVALS[interval] * 0.5, f"only {count} beats in {elapsed:.1f} s")
        figures = (
            ("cpu_us_per_beat", spent / count / 1000, "us", f"{count} beats in {elapsed:.1f} s (goal: 300)"),
            ("pss_kb", memory_kb(agent.pid, "Pss"), "kB", "goal: 1024"),
            ("rss_kb", memory_kb(agent.pid, "Rss"), "kB", "goal: 3072"),
        )
        for name, value, unit, meaning in figures:
            print(f"{'agent_' + interval + '_' + name:<28} {value:12.1f} {unit:<6} # {meaning}", flush=True)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    for interval in INTERVALS:
        measure(interval, seconds)


if __name__ == "__main__":
    main()
