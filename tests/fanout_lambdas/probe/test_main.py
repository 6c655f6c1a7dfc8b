"""The probe on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.targets import Target, answer, authority, replies, serve


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with serve(replies(answer())) as target:
        yield target


def run(*arguments: str, lines: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fanout_lambdas.probe", *arguments]
    return subprocess.run(command, input=lines, capture_output=True, text=True, check=False)


def test_one_url(target: Target) -> None:
    done = run("--allow", f"127.0.0.1/32:{target.port}", target.url())
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert (result["outcome"], result["http_status"]) == ("up", 200)


def test_nothing_is_open_unless_allowed(target: Target) -> None:
    done = run(target.url())
    assert done.returncode == 0
    assert json.loads(done.stdout)["reason"] == "blocked"


def test_lines_are_answered_in_order(target: Target) -> None:
    probes = [
        {"check_id": 1, "slot": 5, "url": target.url()},
        {"check_id": "named", "url": target.url(), "keyword": ["missing"]},
        {"check_id": 3, "url": target.url(), "regex": ["x"]},
        {"check_id": 4},
    ]
    lines = "".join(json.dumps(probe) + "\n" for probe in probes) + "\nnonsense\n"
    done = run("--allow", "127.0.0.1", "-", lines=lines)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [each["check_id"] for each in answers] == [1, "named", 3, 4, None]
    assert [each.get("reason") for each in answers[:2]] == ["none", "keyword"]
    assert answers[0]["slot"] == 5
    assert [each["error"]["field"] for each in answers[2:]] == ["regex", "url", ""]
    assert set(answers[2]) == {"check_id", "error"}


def test_own_authority(target: Target) -> None:
    with serve(replies(answer()), context=authority().context("127.0.0.1")) as secure:
        done = run("--allow", "127.0.0.1", "--ca", authority().ca_file, secure.url())
    assert json.loads(done.stdout)["outcome"] == "up"


@pytest.mark.parametrize(
    "arguments", [("--allow", "here", "-"), ("--ca", "/no/file", "-"), ("-x",)]
)
def test_wrong_calls_say_what_is_wrong(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr
