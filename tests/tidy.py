#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tidy.py ROOT [PURE_LIBRARY...] - the style rules of twobeat that a program can check.

Prints one line `PATH:LINE: what is wrong` for each finding and ends with 1 if there was one. The libraries are archives
whose objects must not refer to the outside world (nm -u): they are the proof that the cores read no clock and do no I/O.
"""
import pathlib
import re
import subprocess
import sys

FUNCTION_LINES_MAX = 75
FILE_LINES_MAX = 450
SPDX = "SPDX-License-Identifier: GPL-2.0-or-later"
FOLDERS = ("agent", "common", "contrib", "receiver", "tests", ".ci")
# Data, not code: corpora and vectors are bytes as they came.
DATA_FOLDERS = ("tests/fuzz/corpus", "tests/vectors")

BANNED_CALL = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|atoi|system|gets|strtok)\s*\(")
IMPURE_FILES = {"common/key_file.c", "common/settings.c", "common/log.c", "common/privileges.c", "common/sd_notify.c"}
PURE = re.compile(r"common/[^/]+|receiver/(judge|report)/.+|agent/(agent|backlog|kept|retry|sample_[^/]+)\.[ch]|"
                  r"receiver/record/(averages|timeline)\.[ch]")
IMPURE_INCLUDE = re.compile(r'\s*#\s*include\s*[<"](uv|rrd|sqlite3)\.h[>"]')
IMPURE_SYMBOL = re.compile(r"(uv_|rrd_|sqlite3_).*|time|clock_gettime|gettimeofday|socket|open(64)?|__open(64)?_2|openat(64)?|"
                           r"fopen(64)?|rand|random|getenv|secure_getenv")

findings = []


def find(path, line, why):
    findings.append(f"{path}:{line}: {why}")


def without_comments_and_strings(text):
    """The code alone, every line where it was."""
    token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return token.sub(lambda match: '""' + "\n" * match.group().count("\n"), text)


def check_functions(path, lines):
    """A function's body stands between a `{` and a `}` that begin their lines; only functions are written so."""
    start = None
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{":
            start = number
        elif line.startswith("}") and start is not None:
            if number - start + 1 > FUNCTION_LINES_MAX:
                find(path, start, f"function of {number - start + 1} lines (at most {FUNCTION_LINES_MAX})")
            start = None


def check_guard(path, lines):
    stem = re.sub(r"[^A-Z0-9]", "_", pathlib.PurePath(path).stem.upper())
    directives = [line.split() for line in lines if line.startswith("#")][:2]
    if len(directives) < 2 or [d[0] for d in directives] != ["#ifndef", "#define"] or directives[0][1:] != directives[1][1:]:
        find(path, 1, "no include guard (#ifndef X, #define X before anything else)")
    elif not directives[0][1].endswith(f"_{stem}_H"):
        find(path, 1, f"include guard {directives[0][1]} does not end in _{stem}_H")
    else:
        return directives[0][1]
    return None


def check_c(path, text, guards):
    lines = text.splitlines()
    if not path.startswith("tests/") and len(lines) > FILE_LINES_MAX:
        find(path, len(lines), f"file of {len(lines)} lines (at most {FILE_LINES_MAX})")
    code = without_comments_and_strings(text).splitlines()
    check_functions(path, code)
    for number, line in enumerate(code, 1):
        call = BANNED_CALL.search(line)
        if call:
            find(path, number, f"banned call {call.group(1)}()")
    if PURE.fullmatch(path) and path not in IMPURE_FILES:
        for number, line in enumerate(lines, 1):
            if IMPURE_INCLUDE.match(line):
                find(path, number, "a pure file includes " + line.split()[-1])
    if path.endswith(".h"):
        guard = check_guard(path, code)
        if guard is not None and guards.setdefault(guard, path) != path:
            find(path, 1, f"include guard {guard} is also that of {guards[guard]}")


def check_spdx(path, text):
    lines = text.split("\n", 2)
    line = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
    wanted = f"/* {SPDX} */" if path.endswith((".c", ".h")) else f"# {SPDX}"
    if line != wanted:
        find(path, 1, f"the first line is not `{wanted}`")


def is_code(path):
    if path.suffix in (".c", ".h", ".py", ".sh", ".cmake", ".service") or path.name == "CMakeLists.txt":
        return True
    if path.suffix:
        return False
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def check_library(library):
    result = subprocess.run(["nm", "-A", "-u", library], stdout=subprocess.PIPE, text=True, check=True)
    for line in result.stdout.splitlines():
        where, _, symbol = line.rpartition(" ")
        name = symbol.split("@")[0]
        if IMPURE_SYMBOL.fullmatch(name):
            member = ":".join(part for part in where.split(":")[:2])
            findings.append(f"{member}: a pure library calls {name}")


def main():
    root = pathlib.Path(sys.argv[1])
    paths = [root / "CMakeLists.txt"]
    for folder in FOLDERS:
        paths += sorted(path for path in (root / folder).rglob("*") if path.is_file())
    guards = {}
    count = 0
    for path in paths:
        name = path.relative_to(root).as_posix()
        if name.startswith(DATA_FOLDERS) or "__pycache__" in name or not is_code(path):
            continue
        text = path.read_text(encoding="utf-8")
        count += 1
        check_spdx(name, text)
        if path.suffix in (".c", ".h"):
            check_c(name, text, guards)
    for library in sys.argv[2:]:
        check_library(library)
    for line in findings:
        print(line)
    print(f"{count} files and {len(sys.argv) - 2} pure libraries looked at, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
