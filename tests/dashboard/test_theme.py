"""Contrast of both themes by number (WCAG 2.2 AA), read from the style sheet's source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "static" / "src"
TEXT, GRAPHIC = 4.5, 3.0

STATES = ("up", "slow", "down", "maintenance")
PAGES = ("color-base-100", "color-base-200")
PAIRS = [
    *[("color-base-content", page, TEXT) for page in (*PAGES, "sunken", "tint-none")],
    *[("muted", page, TEXT) for page in (*PAGES, "sunken", "tint-none")],
    *[("color-primary", page, TEXT) for page in (*PAGES, "sunken", "tint-primary")],
    *[
        (f"color-{name}-content", f"color-{name}", TEXT)
        for name in ("primary", "neutral", "success", "error")
    ],
    *[
        (f"color-{name}-content", f"color-{name}", TEXT)
        for name in ("info", "warning", "secondary", "accent")
    ],
    ("color-error-content", "state-down", TEXT),
    *[(f"state-{state}", page, TEXT) for state in STATES for page in (*PAGES, f"tint-{state}")],
    *[("color-base-content", f"tint-{state}", TEXT) for state in STATES],
    ("state-none", "color-base-100", GRAPHIC),
    *[("control-line", page, GRAPHIC) for page in ("color-base-100",)],
    *[(f"phase-{p}", "color-base-100", TEXT) for p in ("dns", "connect", "tls", "wait", "receive")],
    ("chart-ink", "color-base-100", TEXT),
]


def themes() -> dict[str, dict[str, str]]:
    text = (SOURCE / "theme.css").read_text()
    blocks = re.findall(r'@plugin "daisyui/theme" \{\s*name: "(\w+)";(.*?)\n\}', text, re.S)
    return {name: dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", body)) for name, body in blocks}


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "paper", "least"), PAIRS)
def test_every_pair_has_enough_contrast(theme: str, ink: str, paper: str, least: float) -> None:
    tokens = themes()[theme]
    assert contrast(tokens[ink], tokens[paper]) >= least, f"{ink} on {paper} in {theme}"


def test_style_sheets_load_nothing_from_elsewhere_and_no_textures() -> None:
    for sheet in SOURCE.glob("*.css"):
        text = sheet.read_text()
        assert "url(" not in text, sheet.name
        assert "http" not in text, sheet.name
    assert "--noise: 0" in (SOURCE / "theme.css").read_text()


def test_templates_hold_no_inline_code_that_the_content_policy_would_refuse() -> None:
    root = SOURCE.parents[1]
    refused = re.compile(
        r"\sstyle=|\son\w+=|hx-on|\bjs:|javascript:|<style|<script(?![^>]*\ssrc=)|every [^\"']*\["
    )
    for template in root.glob("**/templates/**/*.html"):
        if (
            ".venv" in template.parts
            or "node_modules" in template.parts
            or "mail" in template.parts
        ):
            continue
        found = refused.search(template.read_text())
        assert found is None, f"{template.relative_to(root)}: {found and found.group()}"
