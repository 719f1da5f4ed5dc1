# SPDX-License-Identifier: GPL-2.0-or-later
"""What may be recorded of hosts whose every heartbeat, stop and start is known, and of a receiver that was off or stood still.

An independent reading of the table of states (see ARCHITECTURE.md), second by second: for each the set of states that are right.
It has one member but near an edge, and where the rules leave it to the rhythm that the receiver has learned.
"""
import math

UP, DOWN, ADMIN, UNKNOWN = "up", "down", "admin", "unknown"
LABEL_S = 1.2  # an instant is labelled by the second it lies in, and nothing takes no time
COMMIT_S = 2.5  # of what was heard in this time before a kill, nothing may be stored yet
PATH_S = 63  # hosts whose last beats are so close together can be lost together


class Absence:
    """Of the receiver: it stopped to observe in [from_lo, from_hi], and observed again in [to_lo, to_hi]. What nobody could
    store before its end, it heard in vain: since `unstored`, if that is earlier."""

    def __init__(self, kind, from_lo, from_hi):
        self.kind, self.from_lo, self.from_hi = kind, from_lo, from_hi
        self.to_lo = self.to_hi = math.inf
        self.tried = math.inf  # the first start; there are several if it was killed again at once
        self.unstored = from_lo

    def back(self, to_lo, to_hi):
        self.to_lo, self.to_hi = to_lo, to_hi
        self.tried = min(self.tried, to_lo)


class Host:
    """`passed` is filled by the relay: when heartbeats got to the receiver, whether it ran or not."""

    def __init__(self, name, interval_s, passed):
        self.name, self.t, self.passed = name, interval_s, passed
        self.m = (0.5, max(0.5, interval_s / 2))
        self.starts = []
        self.ends = []  # (when, whether it said goodbye)
        self.windows = []  # of maintenance: [begin of the command, its end, begin of the command that ended it, its end]
        self.lossy = []  # [from, to]

    def surely_up_s(self):
        return 2 * self.t

    def surely_down_s(self):
        """The rhythm may have been bent by an odd gap before."""
        return 3.5 * self.t + 1.5


class Gap:
    """Without a heartbeat that was heard, from `a` to `b`; the one that was heard at `a` passed at `passed`."""

    def __init__(self, host, a, b, passed, absences):
        self.host, self.a, self.b = host, a, b
        self.absences = [x for x in absences if x.from_lo < b and x.to_hi > a]
        self.killed_in = [x for x in self.absences if x.kind == "killed" and x.from_hi - a < COMMIT_S + host.t]
        # When the first heartbeat was missed; one that was heard just before a kill may have been forgotten.
        forgotten = COMMIT_S if self.killed_in else 0
        self.late_lo = a - forgotten + host.t + host.m[0] - 0.5
        self.late_hi = a + host.t + host.m[1] + 0.5
        ends = [(at, said) for at, said in host.ends if passed - 1 < at < b]
        self.goodbye = bool(ends and ends[-1][1])
        self.said_at = ends[-1][0] if self.goodbye else None
        self.ambiguous_goodbye = any(said for _, said in ends) and not self.goodbye
        # While it stops, one may still be heard.
        self.maybe = min((at for x in self.absences for at in host.passed if x.from_lo <= at <= x.from_hi), default=math.inf)
        self.new_start = any(passed - 1 < at < b for at in host.starts)
        self.with_many = False
        self.carried = set()  # states of an earlier gap, if its end may have been forgotten
        self.judged = self._judge_goodbye() if self.goodbye else self._judge()

    def _judge_goodbye(self):
        if self.b - self.a <= self.host.t:
            return {False}
        if self.b < self.late_hi + 1 or any(x.from_lo < self.late_hi + 1 for x in self.absences):
            return {True, False}
        return {True}

    def _judge(self):
        """Whether a second expectation lapsed while the receiver could hear: True, False or either."""
        low, high = self.host.surely_up_s(), self.host.surely_down_s()
        if not self.absences:
            length = self.b - self.a
            return {False} if length <= low else {True} if length >= high else {True, False}
        before = max(0, self.absences[0].from_hi - self.a)
        away = sum(min(x.to_lo, self.b) - x.from_hi for x in self.absences[1:])
        after = self.b - self.absences[0].to_lo - away
        # From the first start on the time in which it runs counts; a start gives a fresh chance once in a silence.
        at_most = self.b - self.absences[0].tried - sum(min(x.tried, self.b) - x.from_hi for x in self.absences[1:])
        stored = all(x.unstored >= x.from_lo for x in self.absences)
        if before <= low and at_most <= low:
            return {False}
        if before >= high and stored or after >= high * len(self.absences):
            return {True}
        return {True, False}

    def silent_states(self):
        states = {UNKNOWN} if self.goodbye else {DOWN}
        if self.ambiguous_goodbye:
            states = {UNKNOWN, DOWN}
        if self.with_many and not self.new_start:
            states |= {UNKNOWN}
        return states | self.carried

    def carry(self, earlier):
        """The first run after a kill goes on with what was stored: nothing of the heartbeat that ended `earlier`, maybe."""
        lost_from = min((x.unstored for x in self.absences), default=math.inf)
        if True in earlier.judged and lost_from - 0.5 < earlier.b:
            self.carried |= earlier.silent_states()
            self.judged = self.judged | {True, False}

    def after_window(self, second):
        """A goodbye inside of a window excuses to its end, and no longer."""
        for from_lo, from_hi, to_lo, to_hi in self.host.windows:
            if self.said_at is not None and from_lo - 1 < self.said_at < to_hi + 1 and second > to_lo - LABEL_S:
                surely = from_hi + 1 < self.said_at < to_lo - 1 and second > to_hi + LABEL_S
                return {DOWN} if surely else {DOWN, UNKNOWN}
        return None

    def base(self, second):
        states = set()
        if True in self.judged:
            states |= self.after_window(second) or self.silent_states()
        surely_from = max([self.late_hi + LABEL_S] + [x.to_hi + LABEL_S for x in self.absences
                                                      if x.from_lo - 1 < self.late_hi and x.to_hi + 1 > self.late_lo])
        inside = surely_from <= second and second + 1 <= self.b - self.host.t / 2 - LABEL_S
        if False in self.judged or not inside or second > self.maybe - self.host.t / 2 - LABEL_S - 1:
            states |= {UP}
        return states

    def in_maintenance(self, second, states):
        for from_lo, from_hi, to_lo, to_hi in self.host.windows:
            silent = states - {UP}
            if from_lo - LABEL_S <= second <= to_hi + LABEL_S and silent:
                inside = from_hi + LABEL_S <= second and second + 1 <= to_lo - LABEL_S
                states = (states & {UP}) | {ADMIN} | (set() if inside else silent)
        return states

    def in_absence(self, second, states):
        for x in self.absences:
            if not x.from_lo - LABEL_S <= second <= x.to_hi + LABEL_S:
                continue
            short = x.kind == "stalled" and x.to_lo - x.from_hi <= self.host.t / 4 + 0.5
            age = self.host.t / 2
            counts = not short and self.late_hi + age < x.to_lo and self.late_hi + age < self.b
            may_count = self.late_lo < x.to_hi + LABEL_S
            inside = x.from_hi + LABEL_S <= second and second + 1 <= min(x.to_lo, self.b - age) - LABEL_S
            if counts and inside and second > self.a + LABEL_S:
                states = {UNKNOWN}
            elif may_count:
                states = states | {UNKNOWN}
        return states

    def allowed(self, second):
        return self.in_absence(second, self.in_maintenance(second, self.base(second)))


class Truth:
    def __init__(self, hosts):
        self.hosts = {host.name: host for host in hosts}
        self.absences = []
        self.faults = []  # [from, to] in which nothing could be stored
        self.story = []  # (when, what)

    def tell(self, when, what):
        self.story.append((when, what))

    def heard(self, host):
        """When the receiver heard heartbeats, and when they passed: none while it was off; what came while it stood still, when
        it went on."""
        found = []
        for at in host.passed:
            x = next((x for x in self.absences if x.from_lo < at < x.to_hi and x.kind != "killed"
                      or x.from_hi < at < x.to_hi), None)
            if x is None:
                found.append((at, at))
            elif x.kind == "stalled":
                found.append((x.to_lo, at))
        return found

    def gaps(self, end):
        for x in self.absences:
            for start, stop in self.faults:
                if x.kind != "stalled" and start - 1 < x.from_hi and x.from_lo < stop + 2:
                    x.unstored = min(x.unstored, start - COMMIT_S)
        found = {}
        for name, host in self.hosts.items():
            heard = self.heard(host)
            pairs = zip(heard, [at for at, _ in heard[1:]] + [end])
            # With a beat that was forgotten, a kill makes a gap where there was hardly one.
            found[name] = [Gap(host, a, b, passed, self.absences) for (a, passed), b in pairs
                           if b - a > host.t + 0.2 or any(x.from_lo < b and a < x.to_hi for x in self.absences)]
            for earlier, gap in zip(found[name], found[name][1:]):
                gap.carry(earlier)
        lost = [gap for gaps in found.values() for gap in gaps if True in gap.judged]
        for gap in lost:
            together = {other.host.name for other in lost if abs(other.a - gap.a) < PATH_S}
            gap.with_many = len(together) >= 3 and 2 * len(together) >= len(self.hosts)
        return found

    def allowed(self, start, end):
        """{name: [states of each second of [start, end)]}"""
        gaps = self.gaps(end)
        found = {}
        for name, host in self.hosts.items():
            seconds = [{UP} for _ in range(start, end)]
            touched = set()
            for gap in gaps[name]:
                for second in range(max(start, int(gap.a) - 1), min(end, math.ceil(gap.b) + 2)):
                    states = gap.allowed(second)
                    # Where two gaps meet there was a beat between them.
                    seconds[second - start] = seconds[second - start] | states if second in touched else states
                    touched.add(second)
            for from_, to in [[x.unstored, x.from_hi] for x in self.absences if x.unstored < x.from_lo]:
                for second in range(max(start, int(from_) - 1), min(end, math.ceil(to) + 1)):
                    seconds[second - start] |= {UNKNOWN}
            for from_, to in host.lossy:
                for second in range(max(start, int(from_) - 1), min(end, math.ceil(to + 4 * host.t) + 1)):
                    seconds[second - start] |= {UP, DOWN, UNKNOWN, ADMIN}
            found[name] = seconds
        return found
