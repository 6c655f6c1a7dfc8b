"""The documents say what is so: every setting has its row, links lead somewhere, commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

from uptime.env import KNOWN

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_every_setting_has_its_row_and_every_row_its_setting() -> None:
    table = (ROOT / "docs/settings.md").read_text().partition("## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(rows) == sorted(KNOWN)


def test_every_switch_of_the_start_has_its_row() -> None:
    start = (ROOT / "uptime/embedded/__main__.py").read_text().partition("\n")[0]
    names = re.findall(r"\b[A-Z]{4,}\b", start)
    table = (ROOT / "docs/settings.md").read_text().partition("## ")[2]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_commands_and_files_exist(page: Path) -> None:
    text = page.read_text()
    known = get_commands()
    assert [name for name in re.findall(r"manage\.py (\w+)", text) if name not in known] == []
    benches = re.findall(r"-m bench\.(\w+)", text)
    places = {each.stem for each in (ROOT / "bench").iterdir()}  # a file, or a folder of files
    assert [name for name in benches if name not in places] == []
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [name for name in re.findall(r"`make ([\w-]+)", text) if name not in targets] == []
