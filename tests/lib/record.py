# SPDX-License-Identifier: GPL-2.0-or-later
"""What a receiver recorded, held against what really happened, and against what plain rrdtool reads from its files."""
import re
import shutil
import subprocess
import time

from world import Skip, check, equal, wait_until


def close_to(got, wanted, slack, what):
    check(got is not None and abs(got - wanted) <= slack, f"{what}: {got}, wanted {wanted:.2f} +- {slack}")


def recorded(receiver, name, count, is_open=False):
    """The outages of a host, when what is known live is also stored."""
    def stored():
        outages = receiver.outages(name)
        check(len(outages) <= count, f"wanted {count} outages of {name}: {outages}")
        return outages if len(outages) == count and (outages[-1]["to"] is None) == is_open else None
    return wait_until(stored, 10, lambda: f"{count} outages of {name} recorded: {receiver.outages(name)}")


def check_span(outage, state, cause, start, end, slack=1.2):
    """Whole seconds: the label of an instant is the second it lies in, hence one second of slack and a little."""
    equal((outage["state"], outage["cause"]), (state, cause), f"outage {outage}")
    close_to(outage["from"], start, slack, f"begin of {outage}")
    if end is None:
        equal(outage["to"], None, f"end of {outage}")
    else:
        close_to(outage["to"], end, slack, f"end of {outage}")


def rrd_figures(receiver, name, start, end):
    """Seconds and uptime of [start, end), both whole minutes, by rrdtool alone."""
    path = receiver.data / "hosts" / name / "state.rrd"
    words = ["rrdtool", "graph", "/dev/null", "-s", start, "-e", end - 1, "-w", max(400, (end - start) // 60)]
    words += [f"DEF:{name[0]}={path}:{name}:AVERAGE" for name in ("up", "down", "admin", "known")]
    words += ["CDEF:t=u,d,+,a,+", "CDEF:us=u,t,/,k,*", "CDEF:ds=d,t,/,k,*", "CDEF:as=a,t,/,k,*",
              "CDEF:no=1,k,UN,0,k,IF,-",
              "VDEF:U=us,TOTAL", "VDEF:D=ds,TOTAL", "VDEF:A=as,TOTAL", "VDEF:N=no,TOTAL",
              "CDEF:q=us,POP,U,0.5,+,FLOOR,100000000,*,U,0.5,+,FLOOR,D,0.5,+,FLOOR,+,/,FLOOR,1000000,/",
              "VDEF:R=q,MAXIMUM"]
    words += [f"PRINT:{v}:%.6lf" for v in "UDANR"]
    result = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60, check=False)
    equal(result.returncode, 0, f"rrdtool: {result.stderr}")
    values = [float(value) for value in re.findall(r"^(-?nan|[0-9.]+)$", result.stdout, re.M)]
    equal(len(values), 5, f"what rrdtool printed: {result.stdout}")
    seconds = {state: 0 if value != value else value for state,
               value in zip(("up", "down", "admin", "unknown"), values)}
    return seconds, None if values[4] != values[4] else f"{values[4]:.6f}"


def check_minutes(receiver, names, start):
    """Compares the RRD files with the log, in the whole minutes from `start` on that are written. Returns their number."""
    if not shutil.which("rrdtool"):
        raise Skip("the program rrdtool is not installed")
    receiver.twobeat("flush")
    receiver.twobeat("verify")
    written = []
    for name in names:
        end = receiver.written_to(name) // 60 * 60
        written.append(max(0, (end - start) // 60))
        minutes = sorted({start, start + 60, end - 120, end - 60} if end - start > 600 else range(start, end, 60))
        for first, last in ([(start, end)] if end - start > 60 else []) + [(minute, minute + 60) for minute in minutes]:
            told = receiver.uptime(first, last, name)
            equal((told["from"], told["to"]), (first, last), "the period of uptime")
            seconds, percent = rrd_figures(receiver, name, first, last)
            wanted = {state: told["hosts"][0]["seconds"][state] for state in seconds}
            check(all(abs(seconds[state] - wanted[state]) < 1e-4 for state in seconds),
                  f"{name}: rrdtool says {seconds}, twobeat {wanted}, {first} to {last}")
            figure = told["hosts"][0]["uptime_percent"]
            equal(percent, None if figure is None else f"{float(figure):.6f}",
                  f"uptime of {name} by rrdtool, {first} to {last}")
    return min(written)


def check_record(receiver, names, since, now=time.time):
    """Waits until the minute is over and written, then compares the RRD files with the log. `since`: when the story began, by
    the clock `now`."""
    end = (int(now()) // 60 + 1) * 60 + 2.5
    wait_until(lambda: now() >= end, 70, "the end of the minute")
    check(check_minutes(receiver, names, int(since) // 60 * 60) > 0, f"{names} are not written; the story began at {since}")
