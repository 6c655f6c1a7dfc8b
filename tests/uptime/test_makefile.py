"""The commands that people rely on exist, and the locks hold hashes but no address."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
LOCKS = [PROJECT / "requirements.lock", *sorted((PROJECT / "requirements").glob("*.lock"))]


def dry_run(target: str) -> str:
    argv = ["make", "--dry-run", "--always-make", "--no-print-directory", target]
    env = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        argv, cwd=PROJECT, env=env, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("target", "does"),
    [
        ("setup", "-m venv .venv"),
        ("setup", "--require-hashes -r requirements.lock"),
        ("assets", "npm ci --ignore-scripts"),
        ("up", "-m uptime.embedded"),
        ("test", "-m pytest"),
        ("check", "ruff check"),
        ("check", "ruff format --check"),
        ("check", "mypy"),
        ("check", "lint-imports"),
        ("check", "djlint"),
        ("check", "makemigrations --check"),
        ("check", "tests/test_architecture.py"),
        ("lock", "--generate-hashes"),
        ("bench", "for name in pipeline"),
    ],
)
def test_each_command_does_what_it_is_for(target: str, does: str) -> None:
    assert does in dry_run(target)


def test_setup_installs_no_development_tools() -> None:
    assert "dev.lock" not in dry_run("setup")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_locks_have_hashes_and_no_addresses(lock: Path) -> None:
    text = lock.read_text()
    pins = re.findall(r"^[a-z0-9][a-z0-9._-]*(?:\[[^]]*\])?==", text, flags=re.MULTILINE | re.I)

    assert pins
    assert text.count("==") >= len(pins)
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) >= len(pins)
    assert "://" not in text


def test_continuous_integration_runs_checks_and_tests() -> None:
    script = PROJECT / ".ci" / "run"

    assert os.access(script, os.X_OK)
    assert {"make check", "make test"} <= set(script.read_text().splitlines())
