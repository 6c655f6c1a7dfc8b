"""`manage.py replay`: the file format, the order of what is dropped, and agreement with the oracle."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checks.replay import replay_document
from checks.script import ScriptError
from tests.checks.oracle import Oracle

RULES = {"interval": 60, "down_after": 3, "up_after": 2, "quorum": 1}


def run(events: list[Any], **rules: Any) -> dict[str, Any]:
    return replay_document({"rules": RULES | rules, "events": events})


def ticks(letters: str, *, region: str = "r1", start: int = 0, step: int = 60) -> list[Any]:
    """One arrival a step, two seconds after its slot; a dot is a slot that never reports."""
    slots = ((start + index * step, letter) for index, letter in enumerate(letters))
    return [[slot + 2, region, slot, letter] for slot, letter in slots if letter != "."]


def merged(*lists: list[Any]) -> list[Any]:
    return sorted((event for events in lists for event in events), key=lambda event: event[0])


@pytest.mark.parametrize(
    ("letters", "incidents", "state"),
    [
        ("U", [], "up"),
        ("D", [], "degraded"),
        ("F", [], "new"),
        ("M", [], "new"),
        ("MMMMM", [], "unknown"),
        ("UFF", [], "up"),
        ("UFFF", [[60, 180, None, None]], "down"),
        ("UTFT", [[60, 180, None, None]], "down"),
        ("FFF", [[0, 120, None, None]], "down"),
        ("UFFUFF", [], "up"),
        ("UFFFU", [[60, 180, None, None]], "down"),
        ("UFFFUU", [[60, 180, 240, 300]], "up"),
        ("UFFFUFUU", [[60, 180, 360, 420]], "up"),
        ("UFFFDD", [[60, 180, 240, 300]], "degraded"),
        ("UFMF", [], "up"),
        ("UFMXF", [], "unknown"),  # 3 minutes of silence, and no good slot since
        ("UFMXFF", [[60, 300, None, None]], "down"),  # markers neither extend nor break a run
        ("UFF..F", [[60, 300, None, None]], "down"),  # 3 cadences are no gap
        ("UFF...F", [], "unknown"),  # more than 3 are
        ("UFFF....U", [[60, 180, None, None]], "down"),  # an open incident stays open
        ("UFFF....UU", [[60, 180, 480, 540]], "up"),
        ("UFFFU....U", [[60, 180, None, None]], "down"),  # the gap reset the good run
        ("UFFFUUFFFUU", [[60, 180, 240, 300], [360, 480, 540, 600]], "up"),
    ],
)
def test_one_region(letters: str, incidents: list[Any], state: str) -> None:
    outcome = run(ticks(letters))

    assert outcome["incidents"] == incidents
    assert outcome["state"] == state
    assert outcome["alerts"] == {
        "down": len(incidents),
        "up": sum(incident[2] is not None for incident in incidents),
    }


def test_quorum_takes_the_second_earliest_start_and_the_latest_completion() -> None:
    events = merged(
        ticks("UFFFFFFUU", region="a"),
        ticks("UUUFFFFFUU", region="b"),
        ticks("UUUUUUUUUU", region="c"),
    )

    assert run(events, quorum=2)["incidents"] == [[180, 300, 420, 480]]
    assert run(events, quorum=3)["incidents"] == []
    assert run(events)["incidents"] == [[60, 180, 480, 540]]


def test_a_gap_takes_a_regions_vote_for_opening_but_not_its_verdict() -> None:
    # a is down, vanishes for more than 3 cadences, and comes back with one bad result
    silent = ticks("FFF", region="a") + ticks("F", region="a", start=540)
    other = ticks("UUUUUUUUFFF", region="b")

    assert run(merged(silent, other), quorum=2)["incidents"] == []
    again = ticks("FF", region="a", start=600)
    assert run(merged(silent, other, again), quorum=2)["incidents"] == [[540, 660, None, None]]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ([1002, "r1", 1062, "U"], None),
        ([1002, "r1", 1063, "U"], "refused"),
        ([87_402, "r1", 1001, "U"], "refused"),
        ([87_401, "r1", 1001, "U"], None),
        ([1002, "r1", 940, "F"], "late"),
        ([1002, "r1", 940, "M"], "late"),
        ([1002, "r1", 1000, "F"], "duplicate"),
        ([1002, "r1", 1000, "M"], "duplicate"),
        ([1002, "r2", 940, "F"], None),
        ([99_000, "r1", 1000, "F"], "refused"),
    ],
)
def test_dropped(event: list[Any], reason: str | None) -> None:
    dropped = run([[1001, "r1", 1000, "U"], event])["dropped"]

    assert dropped == {name: int(name == reason) for name in ("duplicate", "late", "refused")}


def test_a_marker_is_replaced_by_one_real_result() -> None:
    outcome = run(
        [
            [70, "r1", 0, "M"],
            [71, "r1", 0, "X"],
            [72, "r1", 0, "U"],
            [73, "r1", 0, "F"],
        ]
    )

    assert outcome["state"] == "up"
    assert outcome["dropped"] == {"duplicate": 2, "late": 0, "refused": 0}


@pytest.mark.parametrize("verb", ["pause", "delete"])
def test_pausing_and_deleting_close_silently(verb: str) -> None:
    outcome = run([*ticks("UFFF"), [200, verb], *ticks("FFF", start=240)])

    assert outcome["incidents"] == [[60, 180, 200, 200]]
    assert outcome["alerts"] == {"down": 1, "up": 0}
    assert outcome["state"] == "paused"


def test_resuming_gives_new_and_forgets_the_run() -> None:
    before = [*ticks("UFF"), [150, "pause"], [151, "r1", 140, "F"], [290, "resume"]]

    assert run(before)["state"] == "new"
    assert run([*before, *ticks("F", start=300)])["state"] == "new"
    assert run([*before, [301, "r1", 289, "U"]])["state"] == "new"
    assert run([*before, *ticks("U", start=300)])["state"] == "up"
    assert run([*before, *ticks("FFF", start=300)])["incidents"] == [[300, 420, None, None]]


def maintained(letters: str, *windows: list[int]) -> dict[str, Any]:
    return replay_document(
        {"rules": RULES, "config": {"maintenance": list(windows)}, "events": ticks(letters)}
    )


def test_maintenance_is_stored_and_never_evaluated() -> None:
    assert maintained("UFFFFF", [60, 360])["incidents"] == []
    assert maintained("UFFFFF", [60, 360])["state"] == "up"
    assert maintained("UFFFFF", [60, 180])["incidents"] == [[180, 300, None, None]]


def test_entering_maintenance_resets_an_unfinished_run() -> None:
    assert maintained("UFFUF", [180, 240])["incidents"] == []
    assert maintained("UFFF", [121, 122])["incidents"] == []  # also when no slot falls into it


def test_an_incident_stays_open_through_maintenance_and_its_recovery_is_alerted() -> None:
    outcome = maintained("UFFFUUUUUUUUU", [240, 660])

    assert outcome["incidents"] == [[60, 180, 660, 720]]
    assert outcome["alerts"] == {"down": 1, "up": 1}
    assert maintained("UFFFUUUUUUU", [240, 660])["state"] == "down"


def test_excluded_slots_are_left_out_of_gaps_and_silence() -> None:
    assert maintained("UFFFUUUUUUUFU", [240, 660])["incidents"] == [[60, 180, None, None]]
    # a, down through the maintenance, still counts when b follows
    events = merged(ticks("FFF........F", region="a"), ticks("UUU........FFF", region="b"))
    document = {"rules": RULES | {"quorum": 2}, "events": events}
    assert replay_document(document)["incidents"] == []
    document["config"] = {"maintenance": [[180, 660]]}
    assert replay_document(document)["incidents"] == [[660, 780, None, None]]


def test_config_replaces_its_keys_from_then_on() -> None:
    assert run([*ticks("UF"), [65, "config", {"down_after": 2}], *ticks("F", start=120)])[
        "incidents"
    ] == [[60, 120, None, None]]
    cancelled = {
        "rules": RULES,
        "config": {"maintenance": [[0, 1000]]},
        "events": [*ticks("FF"), [65, "config", {"maintenance": []}], *ticks("FFF", start=120)],
    }
    assert replay_document(cancelled)["incidents"] == [[120, 240, None, None]]


BAD: list[tuple[Any, str]] = [
    ([], "the file must hold an object"),
    ({}, "events: is required"),
    ({"events": {}}, "events: must be a list"),
    ({"event": []}, "event: is not known here"),
    ({"rules": {"downafter": 3}, "events": []}, "rules.downafter: is not known here"),
    ({"rules": {"down_after": 0}, "events": []}, "rules.down_after: must be at least 1"),
    ({"rules": {"quorum": True}, "events": []}, "rules.quorum: must be a whole number"),
    ({"config": {"maintenance": [[2, 1]]}, "events": []}, "config.maintenance[0]: must not end"),
    ({"events": [[1, "a", 1]]}, "events[0]: must be [arrived, region, slot, outcome]"),
    ({"events": [[1, "a", 1, "Q"]]}, "events[0][3]: must be one of U, D, F, T, M, X"),
    ({"events": [[1, "a", 1, ["U"]]]}, "events[0][3]: must be one of"),
    ({"events": [[1, "a", 1.5, "U"]]}, "events[0][2]: must be a whole number"),
    ({"events": [[1, None, 1, "U"]]}, "events[0][1]: must be the name or number of a region"),
    ({"events": [[1, "stop"]]}, "events[0]: must be"),
    ({"events": [[1, "config", 3]]}, "events[0][2]: must be an object"),
]


@pytest.mark.parametrize(("document", "complaint"), BAD)
def test_a_bad_file_is_told_which_field_breaks_which_rule(document: Any, complaint: str) -> None:
    with pytest.raises(ScriptError) as caught:
        replay_document(document)

    assert str(caught.value).startswith(complaint)


class TestCommand:
    def test_prints_one_json_object_without_a_database(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "story.json"
        file.write_text(json.dumps({"rules": RULES, "events": ticks("UFFFUU")}))

        call_command("replay", str(file))

        assert json.loads(capsys.readouterr().out) == {
            "incidents": [[60, 180, 240, 300]],
            "alerts": {"down": 1, "up": 1},
            "state": "up",
            "dropped": {"duplicate": 0, "late": 0, "refused": 0},
        }

    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            (b'{"events": [[1, "a", 1, "Q"]]}', "events[0][3]: must be one of"),
            (b'{"events"', "is not JSON"),
            (b"\xff", "is not JSON"),
            (b"[" * 100_000, "is nested too deeply"),
            (None, "cannot be read"),
        ],
    )
    def test_a_bad_file(self, tmp_path: Path, content: bytes | None, complaint: str) -> None:
        file = tmp_path / "story.json"
        if content is not None:
            file.write_bytes(content)

        with pytest.raises(CommandError, match=r".*") as caught:
            call_command("replay", str(file))

        assert complaint in str(caught.value)


def story(seed: int, length: int) -> dict[str, Any]:
    """Runs, gaps, lateness, repeats, markers, pauses, maintenance and changes of the rules."""
    chance = random.Random(seed)
    interval = chance.choice([10, 60, 60, 60, 300])
    regions = ["a", "b", "c"][: chance.choice([1, 1, 2, 3])]
    windows = [_window(chance, interval) for _ in range(chance.choice([0, 0, 1, 2]))]
    events: list[Any] = []
    now = chance.randrange(0, 3 * interval)
    health = dict.fromkeys(regions, "U")
    for _ in range(length):
        now += chance.choice([0, 0, 1, interval // 2, interval, interval, 3 * interval])
        if chance.random() < 0.03:
            now += chance.choice([4 * interval, 7 * interval, 86_400])
        kind = chance.random()
        if kind < 0.03:
            events.append([now, chance.choice(["pause", "resume", "resume", "delete"])])
        elif kind < 0.08:
            events.append([now, "config", _change(chance, interval, now)])
        elif kind < 0.14 and events and len(events[-1]) == 4:
            events.append([now, *events[-1][1:3], chance.choice("UDFTMX")])
        else:
            region = chance.choice(regions)
            if chance.random() < 0.25:
                health[region] = chance.choice("UUDFFT")
            behind = chance.choice([0, 0, 0, 0, 0, interval, 3 * interval, 300, 86_460])
            ahead = chance.choice([0, 0, 0, 0, 0, 10, 50, 120])
            slot = (now - behind) // interval * interval + ahead
            letter = health[region] if chance.random() < 0.85 else chance.choice("UDFTMX")
            events.append([now, region, slot, letter])
    return {
        "rules": {
            "interval": interval,
            "down_after": chance.choice([1, 2, 3, 3]),
            "up_after": chance.choice([1, 2, 2, 3]),
            "quorum": chance.choice([1, 1, 2, len(regions)]),
        },
        "config": {"maintenance": windows},
        "events": events,
    }


def _window(chance: random.Random, interval: int, start: int = 0) -> list[int]:
    first = start + chance.randrange(-5 * interval, 30 * interval)
    return [first, first + chance.choice([0, 1, interval, 4 * interval, 20 * interval])]


def _change(chance: random.Random, interval: int, now: int) -> dict[str, Any]:
    return chance.choice(
        [
            {"maintenance": [_window(chance, interval, now)]},
            {"maintenance": []},
            {"down_after": chance.choice([1, 2, 4]), "up_after": chance.choice([1, 3])},
            {"interval": chance.choice([10, 60, 120])},
            {"quorum": chance.choice([1, 2, 3])},
        ]
    )


# a seed, not drawn choices: many times faster, and the length still shrinks
seeds = st.integers(0, 2**32)
documents = st.builds(story, seeds, st.integers(1, 60))
quick = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)


@quick
@given(documents)
def test_agrees_with_an_independent_replay(document: dict[str, Any]) -> None:
    assert replay_document(document) == Oracle(document).replay()


@quick
@given(documents, seeds)
def test_duplicates_change_nothing(document: dict[str, Any], seed: int) -> None:
    chance = random.Random(seed)
    events: list[Any] = []
    kept: set[tuple[Any, ...]] = set()
    repeats = 0
    for event in document["events"]:
        events.append(event)
        if len(event) == 4 and -60 <= event[0] - event[2] <= 86_400:
            kept.add((event[1], event[2]))
        if kept and chance.random() < 0.5:
            region, slot = chance.choice(sorted(kept))
            if -60 <= event[0] - slot <= 86_400:
                # a marker repeats whatever is there, a marker or a real result
                events.append([event[0], region, slot, chance.choice("MX")])
                repeats += 1

    once, often = replay_document(document), replay_document(document | {"events": events})

    assert often["dropped"].pop("duplicate") == once["dropped"].pop("duplicate") + repeats
    assert often == once


@quick
@given(documents)
def test_incidents_are_sound(document: dict[str, Any]) -> None:
    outcome = replay_document(document)

    for started, opened, ended, _ in outcome["incidents"]:
        assert started <= opened
        assert ended is None or ended >= started
    still_open = [incident for incident in outcome["incidents"] if incident[2] is None]
    assert len(still_open) <= 1
    assert (outcome["state"] == "down") == bool(still_open)
    assert outcome["alerts"]["down"] == len(outcome["incidents"])
    assert outcome["alerts"]["up"] <= len(outcome["incidents"]) - len(still_open)
