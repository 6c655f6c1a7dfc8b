"""A second, slow reading of the state rules to hold the production code against.

It shares no code with `checks`: it keeps the whole list of what was evaluated and, after every
arrival, works each region's verdict out of that list from the beginning, by looking back.
"""

from __future__ import annotations

from typing import Any, NamedTuple

DEFAULTS: dict[str, Any] = {
    "interval": 60,
    "down_after": 3,
    "up_after": 2,
    "quorum": 1,
    "maintenance": [],
}


class Entry(NamedTuple):
    """One evaluated result with the settings it met, or (outcome None) a cut by maintenance."""

    slot: int
    outcome: str | None
    settings: dict[str, Any]

    @property
    def bad(self) -> bool:
        return self.outcome in ("F", "T")


class Verdict(NamedTuple):
    down: bool
    counting: bool
    first: int | None
    done: int | None
    good_run_first: int | None


def excluded(slot: int, settings: dict[str, Any]) -> bool:
    return any(slot in range(start, end) for start, end in settings["maintenance"])


def gap_between(before: Entry, after: Entry) -> bool:
    interval = after.settings["interval"]
    slots_between = range(before.slot + interval, after.slot, interval)
    left_out = len([slot for slot in slots_between if excluded(slot, after.settings)])
    return bool(after.slot - before.slot - left_out * interval > 3 * interval)


def cut_between(before: Entry, after: Entry) -> bool:
    inside = range(before.slot + 1, after.slot)
    return any(
        set(range(max(start, inside.start), min(end, inside.stop)))
        for start, end in after.settings["maintenance"]
    )


def verdict_of(entries: list[Entry]) -> Verdict:
    """Look at each entry in turn and, from it, back over its run."""
    down: bool | None = None
    counting = False
    first = done = None
    results: list[Entry] = []
    run_start = 0  # where the run of the newest result begins, as an index into `results`
    for entry in entries:
        run = results[run_start:]
        finished = bool(run) and down is run[-1].bad and (not run[-1].bad or counting)
        if entry.outcome is None:
            run_start = run_start if finished else len(results)
            continue
        if results and gap_between(results[-1], entry):
            counting, run_start = False, len(results)
        elif (results and not finished and cut_between(results[-1], entry)) or (
            run and run[-1].bad != entry.bad
        ):
            run_start = len(results)
        results.append(entry)
        run = results[run_start:]
        if entry.bad and len(run) >= entry.settings["down_after"] and not (down and counting):
            down, counting, first, done = True, True, run[0].slot, entry.slot
        if not entry.bad and len(run) >= entry.settings["up_after"]:
            down, counting, first, done = False, False, None, None
    tail = results[run_start:]
    good_first = tail[0].slot if tail and not tail[0].bad else None
    return Verdict(bool(down), counting, first, done, good_first)


class Oracle:
    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.settings = DEFAULTS | document.get("rules", {}) | document.get("config", {})
        self.lists: dict[Any, list[Entry]] = {}
        self.newest: dict[Any, int] = {}
        self.real: set[tuple[Any, int]] = set()
        self.marked: set[tuple[Any, int]] = set()
        self.incidents: list[list[int | None]] = []
        self.up_alerts = 0
        self.dropped = {"duplicate": 0, "late": 0, "refused": 0}
        self.paused = False
        self.born = -(10**12)
        self.stage = "new"  # new, seen or unknown
        first = document["events"][0]
        self.begun = min(first[0], first[2]) if len(first) == 4 else first[0]

    def replay(self) -> dict[str, Any]:
        for event in self.document["events"]:
            if len(event) == 4:
                self.arrival(*event)
            else:
                self.act(*event)
        self.listen(self.document["events"][-1][0])
        return {
            "incidents": self.incidents,
            "alerts": {"down": len(self.incidents), "up": self.up_alerts},
            "state": self.state(),
            "dropped": self.dropped,
        }

    @property
    def incident(self) -> list[int | None] | None:
        return self.incidents[-1] if self.incidents and self.incidents[-1][2] is None else None

    def results(self) -> list[Entry]:
        return [e for entries in self.lists.values() for e in entries if e.outcome is not None]

    def listen(self, now: int) -> None:
        """Silence for 3 cadences and at least 3 minutes makes unknown."""
        interval = self.settings["interval"]
        heard = max((e.slot for e in self.results()), default=self.begun)
        slots = range(heard + interval, now + 1, interval)
        left_out = len([slot for slot in slots if excluded(slot, self.settings)])
        quiet = now - heard - left_out * interval
        if not self.paused and self.incident is None and quiet >= max(3 * interval, 180):
            self.stage = "unknown"

    def arrival(self, at: int, region: Any, slot: int, outcome: str) -> None:
        key, marker = (region, slot), outcome in "MX"
        if slot - at > 60 or at - slot > 24 * 3600:
            self.dropped["refused"] += 1
            return
        if key in self.real or (marker and key in self.marked):
            self.dropped["duplicate"] += 1
            return
        (self.marked if marker else self.real).add(key)
        if slot <= self.newest.get(region, slot - 1):
            self.dropped["late"] += 1
            return
        if marker or self.paused or slot < self.born or excluded(slot, self.settings):
            return
        self.listen(at)
        self.newest[region] = slot
        self.lists.setdefault(region, []).append(Entry(slot, outcome, self.settings))
        self.judge(region, slot, good=outcome in "UD")

    def judge(self, region: Any, slot: int, *, good: bool) -> None:
        quorum = self.settings["quorum"]
        verdicts = {name: verdict_of(entries) for name, entries in self.lists.items()}
        down = [verdict for verdict in verdicts.values() if verdict.down]
        counting = [verdict for verdict in down if verdict.counting]
        if self.incident is None and len(counting) >= quorum:
            firsts = sorted(v.first for v in counting if v.first is not None)
            dones = [v.done for v in counting if v.done is not None]
            self.incidents.append([firsts[quorum - 1], max(dones), None, None])
        elif self.incident is not None and good and len(down) < quorum:
            started, ended = self.incident[0], verdicts[region].good_run_first
            assert started is not None
            assert ended is not None
            self.incident[2:] = [max(started, ended), slot]
            self.up_alerts += 1
        if good or self.incident is not None:
            self.stage = "seen"

    def act(self, at: int, verb: str, change: dict[str, Any] | None = None) -> None:
        if verb == "config":
            assert change is not None
            self.listen(at)
            for entries in self.lists.values():
                here = Entry(at, None, self.settings)
                past = [entry for entry in entries if entry.outcome is not None]
                if past and cut_between(past[-1], here):
                    entries.append(here)
            self.settings = self.settings | change
        elif verb == "resume" and self.paused:
            self.paused, self.stage = False, "new"
            self.born = self.begun = at
        elif verb in ("pause", "delete") and not self.paused:
            if self.incident is not None:
                started = self.incident[0]
                assert started is not None
                self.incident[2:] = [max(at, started)] * 2
            self.paused, self.lists = True, {}

    def state(self) -> str:
        if self.paused:
            return "paused"
        if self.incident is not None:
            return "down"
        if self.stage != "seen":
            return self.stage
        results = [
            [entry.outcome for entry in entries if entry.outcome is not None][-1]
            for entries in self.lists.values()
        ]
        return "degraded" if results.count("D") >= self.settings["quorum"] else "up"
