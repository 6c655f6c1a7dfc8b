"""`make deploy-check` goes on after a fault, shows it, and ends with 1."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy import artefact, check
from deploy.elf import WrongBinary
from deploy.package import BuildFailed
from deploy.target import TARGETS

STEPS = [name for name, _ in check.STEPS]


def wrong() -> str:
    raise WrongBinary("fanout.zip does not fit Lambda on arm64:\n  a.so: machine 62")


def test_all_steps_run_and_each_fault_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.run([("one", wrong), ("two", lambda: "two is fine")]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == [
        "1/2 one ...",
        "    FAILED: fanout.zip does not fit Lambda on arm64:",
        "  a.so: machine 62",
    ]
    assert said[3] == "2/2 two ..."
    assert said[4].startswith("    ok, 0 s: two is fine")
    assert said[5] == "1 of 2 checks failed."


def test_without_a_fault_it_is_ready(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.run([("one", lambda: "fine")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Ready to deploy."


def test_templates_and_both_packages_are_looked_at() -> None:
    assert STEPS == [
        "templates",
        "fan-out for arm64",
        "fan-out on this machine",
        "web application",
    ]


def test_a_wrong_template_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = tmp_path / "wrong.yaml"
    template.write_text("Resources: {Queue: {Type: AWS::SQS::Queue, Properties: {Nme: x}}}")
    monkeypatch.setattr(check, "TEMPLATES", (str(template),))
    with pytest.raises(check.CheckFailed, match=r"'Nme' was unexpected"):
        check.templates()


def test_a_package_that_is_not_the_locked_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "worker.lock"
    lock.write_text(f"idna==3.20 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(artefact, "LOCK", lock)
    with pytest.raises(BuildFailed, match=r"The packages could not be installed: .*idna"):
        artefact.build(TARGETS["arm64"], tmp_path / "made.zip", stage=tmp_path / "stage")
    assert not (tmp_path / "made.zip").exists()
