"""Geometry, words and escaping of the server-drawn charts."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dashboard.charts import (
    Band,
    Bucket,
    Cell,
    Day,
    Mark,
    Phases,
    day_bars,
    day_words,
    minute_strip,
    phases_chart,
    sparkline,
    waterfall,
)

START = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def cells(marks: list[Mark]) -> list[Cell]:
    return [Cell(at=START + MINUTE * n, mark=mark) for n, mark in enumerate(marks)]


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def bucket(n: int, total: float | None, *, p95: float | None = None, failures: int = 0) -> Bucket:
    mean = None if total is None else Phases(dns=total / 4, wait=total * 3 / 4)
    begin = START + timedelta(minutes=6 * n)
    return Bucket(
        start=begin,
        end=begin + timedelta(minutes=6),
        mean=mean,
        p95_ms=p95 if p95 is not None else total,
        max_ms=p95 if p95 is not None else total,
        results=6 if total is not None else failures,
        failures=failures,
    )


# Minute strip ------------------------------------------------------------------------------------


def test_strip_says_what_it_shows() -> None:
    marks = [Mark.UP] * 60
    marks[3], marks[58] = Mark.SLOW, Mark.DOWN
    assert minute_strip(cells(marks)).label == "Last 60 minutes: 58 up, 1 slow, 1 down at 13:58"


def test_strip_names_the_last_of_several_failures_in_the_readers_zone() -> None:
    marks = [Mark.DOWN, Mark.UP, Mark.DOWN]
    strip = minute_strip(cells(marks), zone=ZoneInfo("Europe/Berlin"))
    assert strip.label == "Last 3 minutes: 1 up; 2 down, last at 14:02"


def test_strip_has_one_path_for_each_state_and_at_most_six_elements() -> None:
    root = parse(minute_strip(cells([list(Mark)[n % 6] for n in range(60)])).svg)
    assert len(list(root)) == 6
    assert {element.get("class") for element in root} == {f"m-{mark.value}" for mark in Mark}


def test_strip_stands_every_bar_at_its_minute() -> None:
    root = parse(minute_strip(cells([Mark.UP, Mark.DOWN, Mark.UP])).svg)
    assert root.get("viewBox") == "0 0 11 24"
    up, down = (element.get("d") or "" for element in root)
    assert re.findall(r"M([\d.]+)", up) == ["0", "8"]
    assert re.findall(r"M([\d.]+)", down) == ["4"]


def test_states_differ_by_form_and_height_not_only_by_colour() -> None:
    forms = {parse(minute_strip(cells([mark])).svg)[0].get("d") for mark in Mark}
    assert len(forms) == len(Mark)


def test_an_empty_strip_says_so() -> None:
    assert minute_strip([]).label == "Last 0 minutes: no data"
    with pytest.raises(ValueError, match="at most 120"):
        minute_strip(cells([Mark.UP] * 121))


# Day bars and sparkline -----------------------------------------------------------------------------


def test_day_bars_show_down_time_from_the_top_with_two_pixels_at_least() -> None:
    days = [
        Day(on=date(2026, 11, 21), measured_s=86_400, down_s=30),
        Day(on=date(2026, 11, 22), measured_s=0, down_s=0),
        Day(on=date(2026, 11, 23), measured_s=86_400, down_s=43_200),
    ]
    strip = day_bars(days)
    paths = {element.get("class"): element.get("d") for element in parse(strip.svg)}
    assert paths["m-down"] == "M0 0h3v2h-3zM8 0h3v20h-3z"
    assert paths["m-up"] == "M0 2h3v38h-3zM8 20h3v20h-3z"
    assert paths["m-none"] == "M4 34h3v6h-3z"
    assert strip.label == "Last 3 days: 2 with data, down time on 2, 12 h in all"
    assert [day_words(day) for day in days][1:] == ["no data", "down 12 h, 100 % measured"]


def test_sparkline_keeps_gaps_and_marks_the_last_value() -> None:
    root = parse(sparkline([10, None, 20, 30], label="p95").svg)
    path, dot = list(root)
    assert (path.get("d") or "").count("M") == 2
    assert dot.get("cx") == "59.0"
    assert root.get("aria-label") == "p95"
    assert sparkline([]).svg == sparkline([None, 12, None]).svg == "", "no lone dot"


# Phases chart ---------------------------------------------------------------------------------------


def chart_of(buckets: list[Bucket], **rest: object):  # type: ignore[no-untyped-def]
    return phases_chart(buckets, start=START, end=START + timedelta(hours=1), **rest)  # type: ignore[arg-type]


def test_phases_stack_means_and_a_gap_stays_a_gap() -> None:
    chart = chart_of([bucket(0, 100), bucket(1, 100), bucket(2, None), bucket(3, 100)])
    areas = re.findall(r'class="area p-(\w+)"[^>]* d="([^"]+)"', chart.svg)
    assert [name for name, _ in areas] == ["wait", "dns"], "only what took place"
    assert all(path.count("M") == 2 for _, path in areas)
    whole, dns = areas[0][1], areas[-1][1]
    # The top of the stack is the mean of the total: 100 of 120 ms on a plot 220 high.
    assert whole.startswith("M0.0 220L0.0 36.7L50.0 36.7")
    assert dns.startswith("M0.0 220L0.0 174.2")


def test_an_outlier_is_marked_and_does_not_flatten_the_rest() -> None:
    many = [
        Bucket(
            start=START + MINUTE * n,
            end=START + MINUTE * (n + 1),
            mean=Phases(wait=100),
            p95_ms=120,
            max_ms=9_800 if n == 200 else 130,
            results=1,
        )
        for n in range(240)
    ]
    chart = phases_chart(many, start=START, end=START + MINUTE * 240)
    assert chart.svg.count('class="outlier"') == 1
    assert "max 9.80 s" in chart.svg
    assert "100 ms" in chart.svg


def test_limit_is_a_line_with_its_number_or_a_note_when_far_above() -> None:
    near = chart_of([bucket(0, 100)], limit_ms=250)
    assert 'class="limit-line"' in near.svg
    assert "Alert limit 250 ms" in near.svg
    far = chart_of([bucket(0, 100)], limit_ms=5_000)
    assert 'class="limit-line"' not in far.svg
    assert "Alert limit 5.00 s, above this range" in far.svg


def test_neighbouring_failures_are_one_band() -> None:
    buckets = [bucket(0, 100, failures=1), bucket(1, None, failures=6), bucket(5, 100, failures=1)]
    svg = chart_of(buckets).svg
    bands = re.findall(r'class="band-down" x="([\d.]+)%" y="20" width="([\d.]+)%"', svg)
    assert bands == [("0", "20.000"), ("50", "10.000")]


def test_maintenance_and_edits_are_marked_inside_the_range_only() -> None:
    hour = timedelta(hours=1)
    band = Band(start=START + MINUTE * 15, end=START + MINUTE * 30)
    outside = Band(start=START - hour * 2, end=START - hour)
    svg = chart_of(
        [bucket(0, 100)], maintenance=[band, outside], edits=[START + MINUTE * 30, START - hour]
    ).svg
    assert svg.count('class="band-maintenance"') == 1
    assert svg.count('class="edit-flag" x="50%"') == 1


def test_chart_has_the_same_numbers_as_a_table_and_a_sentence() -> None:
    chart = chart_of([bucket(0, 100, p95=180, failures=2), bucket(1, None)], limit_ms=500)
    assert chart.columns == ("Time", "DNS", "Wait", "Mean", "p95", "Checked", "Failed")
    assert chart.rows == (
        (
            "2026-11-23 13:00",
            "25 ms",
            "75 ms",
            "100 ms",
            "180 ms",
            "6",
            "2",
        ),
    )
    assert chart.label == (
        "Response time by phase: mean 100 ms, 95th percentile up to 180 ms, 2 failures, alert limit 500 ms"
    )
    assert chart_of([]).label == "Response time: no measurements in this range"


def test_without_a_good_answer_there_is_a_sentence_and_no_scale() -> None:
    failing = chart_of([bucket(0, None, failures=2), bucket(1, None, failures=1)], limit_ms=500)
    assert failing.label == "Response time: no successful answers in this range, 3 failures"
    assert ">No successful answers in this range<" in failing.svg
    assert 'class="band-down"' in failing.svg
    assert "grid-line" not in failing.svg
    assert "limit-line" not in failing.svg
    assert ">No measurements in this range<" in chart_of([]).svg
    assert "chart-empty" not in chart_of([bucket(0, 100)]).svg


def test_drawings_are_well_formed_escaped_and_free_of_inline_style() -> None:
    hostile = '"><script>alert(1)</script>'
    chart = chart_of([bucket(0, 100, failures=1)], limit_ms=90, name=hostile)
    for svg in (
        chart.svg,
        sparkline([1, 2], label=hostile).svg,
        minute_strip(cells([Mark.UP]), unit=hostile).svg,
        waterfall(Phases(dns=1, wait=20)).svg,
        day_bars([]).svg,
    ):
        parse(svg)
        assert "<script" not in svg
        assert "style=" not in svg


def test_times_below_the_chart_are_in_the_readers_zone() -> None:
    end = START + timedelta(hours=24)
    utc = phases_chart([], start=START, end=end)
    tokyo = phases_chart([], start=START, end=end, zone=ZoneInfo("Asia/Tokyo"))
    assert ">18:00<" in utc.svg
    assert ">15:00<" in utc.svg
    assert ">00:00<" in tokyo.svg
    week = phases_chart([], start=START, end=START + timedelta(days=7))
    assert ">Nov 25<" in week.svg


def test_a_chart_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValueError, match="ends after it starts"):
        phases_chart([], start=START, end=START)


def test_waterfall_begins_each_phase_where_the_last_ended() -> None:
    chart = waterfall(Phases(dns=10, connect=20, tls=30, wait=40))
    bars = re.findall(r'class="p-\w+" x="([\d.]+)%" y="\d+" width="([\d.]+)%"', chart.svg)
    for (left, width), (following, _) in itertools.pairwise(bars):
        assert float(left) + float(width) == pytest.approx(float(following), abs=0.02)
    assert [word for word, _ in chart.rows] == ["DNS", "Connect", "TLS", "Wait"]
    assert chart.rows[3] == ("Wait", "40 ms")
    assert chart.label.endswith("total 100 ms")
