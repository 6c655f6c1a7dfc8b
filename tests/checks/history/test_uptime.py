"""Rule 13: what uptime is, and that it is never rounded up."""

from __future__ import annotations

import pytest

from checks.history.uptime import Span, Uptime, uptime

DAY = (0, 86_400)


def test_all_measured_and_nothing_wrong() -> None:
    assert str(uptime(DAY, measured=[DAY], incidents=[])) == "100.00 %, 100.0 % of slots measured"


def test_nothing_measured_is_no_data_and_never_up() -> None:
    assert str(uptime(DAY, measured=[], incidents=[])) == "no data"


@pytest.mark.parametrize(
    ("incident_s", "share"), [(1, "99.99"), (9, "99.98"), (86_399, "0.00"), (86_400, "0.00")]
)
def test_it_is_rounded_down(incident_s: int, share: str) -> None:
    assert uptime(DAY, measured=[DAY], incidents=[(0, incident_s)]).share() == share


@pytest.mark.parametrize(
    ("measured", "incidents", "excluded", "figures"),
    [
        # incident time is measured also where no slot reported
        ([(0, 600)], [(900, 1000)], [], (1000, 700, 100)),
        # overlapping intervals and incidents are counted once
        ([(0, 600), (300, 900)], [(100, 200), (150, 250)], [], (1000, 900, 150)),
        # maintenance and pause are in no figure
        ([(0, 1000)], [(100, 500)], [(400, 600)], (800, 800, 300)),
        ([(0, 1000)], [(100, 500)], [(0, 1000)], (0, 0, 0)),
        ([(0, 1000)], [(0, 100)], [(10, 20), (15, 30), (50, 60)], (970, 970, 70)),
        # what lies outside the period, or is empty, does not matter
        ([(-500, 2000)], [(-100, 50), (990, 5000), (7, 7)], [], (1000, 1000, 60)),
    ],
)
def test_what_is_measured(
    measured: list[Span],
    incidents: list[Span],
    excluded: list[Span],
    figures: tuple[int, int, int],
) -> None:
    period_s, measured_s, incident_s = figures

    assert uptime((0, 1000), measured=measured, incidents=incidents, excluded=excluded) == Uptime(
        period_s=period_s, measured_s=measured_s, incident_s=incident_s
    )


def test_digits() -> None:
    figures = Uptime(period_s=1000, measured_s=998, incident_s=1)

    assert (figures.share(0), figures.share(3), figures.coverage()) == ("99", "99.899", "99.8")
