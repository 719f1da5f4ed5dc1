#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""runner.py PRESET[:long]... - runs the built tests and counts them; called by tests/run.

For each preset: ctest (with `:long` only what is labelled long, else everything but that), then the integration tests
(with `:long` soak_*.py, else test_*.py), which print their own result lines: `ok NAME`, `FAIL NAME: why`, `SKIP NAME: why`.
They run one after the other; processes that one leaves behind are ended before the next begins, and told.
"""
import ctypes
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM_LIMIT_S = 300
SOAK_LIMIT_S = 7200
PR_SET_CHILD_SUBREAPER = 36

passed = 0
failed = []
skipped = []


def say(line):
    print(line, flush=True)


def count(line):
    """Takes one result line into account; returns whether it was one."""
    global passed
    match = re.match(r"(ok|FAIL|SKIP) (.+)", line)
    if not match:
        return False
    if match.group(1) == "ok":
        passed += 1
    else:
        (failed if match.group(1) == "FAIL" else skipped).append(match.group(2))
    return True


def report_skips(name, output):
    """Rows that a passed cmocka program skipped. Their reason is what they printed before, as `SKIP ROW: why`."""
    reasons = dict(re.findall(r"^SKIP ([^:\n]+): (.+)$", output, re.M))
    for row in dict.fromkeys(re.findall(r"^\[  SKIPPED \] (?!\d+ test)(.+?)\s*$", output, re.M)):
        count(f"SKIP {name}, {row}: {reasons.get(row, 'no reason given')}")
        say(f"SKIP {name}, {row}: {reasons.get(row, 'no reason given')}")


def run_ctest(build, long):
    say(f"running ctest in {build.relative_to(ROOT)}")
    with tempfile.TemporaryDirectory() as folder:
        results = pathlib.Path(folder) / "results.xml"
        subprocess.run(["ctest", "--test-dir", build, "--output-junit", results, "--output-on-failure", "--quiet",
                        "--test-output-size-passed", "1000000", "--test-output-size-failed", "1000000",
                        "-j", str(os.cpu_count() or 1), "-L" if long else "-LE", "^long$"],
                       stdin=subprocess.DEVNULL, check=False)
        if not results.exists():
            count("FAIL ctest: it did not run, see above")
            return
        cases = list(xml.etree.ElementTree.parse(results).getroot().iter("testcase"))
    for case in cases:
        name = case.get("name")
        output = case.findtext("system-out") or ""
        if case.find("skipped") is not None:
            reason = re.search(r"^SKIP (.+)$", output, re.M)
            line = f"SKIP {name}: {reason.group(1) if reason else case.find('skipped').get('message')}"
        elif case.get("status") == "run":
            line = f"ok {name}"
        else:
            why = case.find("failure")
            say(f"--- output of {name}\n{output}---")
            line = f"FAIL {name}: {why.get('message') if why is not None and why.get('message') else 'see its output above'}"
        count(line)
        say(line)
        if line.startswith("ok"):
            report_skips(name, output)


def processes_left():
    """Children of this process: as their subreaper it inherits whatever a test leaves behind."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        name, rest = re.match(r"\d+ \((.*)\) (.*)", stat, re.S).groups()
        if int(rest.split()[1]) == os.getpid():
            found.append((int(entry.name), name, rest.split()[0]))
    return found


def stop_strays(test):
    """Ends what the test left, and the children of that, until nothing is left. Zombies are only reaped."""
    deadline = time.monotonic() + 5
    told = set()
    while True:
        left = processes_left()
        for pid, name, state in left:
            if state != "Z":
                if pid not in told:
                    say(f"{test} left process {pid} ({name}) behind: ending it")
                    told.add(pid)
                os.kill(pid, signal.SIGTERM if time.monotonic() < deadline - 3 else signal.SIGKILL)
            else:
                os.waitpid(pid, 0)
        if not left or time.monotonic() > deadline:
            return
        time.sleep(0.05)


def run_program(path, build, limit_s):
    name = path.stem
    say(f"running {path.relative_to(ROOT)}")
    environment = dict(os.environ, TWOBEAT_BUILD=str(build), PYTHONUNBUFFERED="1", PYTHONDONTWRITEBYTECODE="1")
    process = subprocess.Popen([path], env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    expired = threading.Event()

    def expire():
        expired.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(limit_s, expire)
    results = 0
    failures_before = len(failed)

    def read_lines():
        nonlocal results
        for line in process.stdout:
            say(line.rstrip("\n"))
            results += count(line.rstrip("\n"))

    # A stray that keeps the pipe open must not keep us: the reader is left alone once the test itself has ended.
    reader = threading.Thread(target=read_lines, daemon=True)
    timer.start()
    reader.start()
    status = process.wait()
    timer.cancel()
    stop_strays(name)
    reader.join(10)
    why = None
    if expired.is_set():
        why = f"ran longer than {limit_s} s"
    elif status != 0 and len(failed) == failures_before:
        why = f"ended with {status} without a FAIL line"
    elif results == 0:
        why = "printed no result line"
    if why:
        count(f"FAIL {name}: {why}")
        say(f"FAIL {name}: {why}")


def main():
    os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, lambda number, frame: sys.exit(128 + number))
    try:
        for argument in sys.argv[1:]:
            preset, _, kind = argument.partition(":")
            build = ROOT / "build" / preset
            run_ctest(build, kind == "long")
            pattern, limit_s = ("soak_*.py", SOAK_LIMIT_S) if kind == "long" else ("test_*.py", PROGRAM_LIMIT_S)
            for path in sorted((ROOT / "tests" / "integration").glob(pattern)):
                if os.access(path, os.X_OK):
                    run_program(path, build, limit_s)
    finally:
        stop_strays("the test that was running")
    for title, names in (("failed", failed), ("skipped", skipped)):
        for name in names:
            say(f"{title}: {name}")
    say(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
