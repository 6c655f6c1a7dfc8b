"""The share of a processor is read where AWS and the kernel tell it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from fanout_lambdas.probe.cores import granted_cores


def cores(
    folder: Path, *, membership: str, files: Mapping[str, str], memory: str | None = None
) -> float:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "membership").write_text(membership)
    return granted_cores(
        {} if memory is None else {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory},
        cgroups=folder,
        membership=folder / "membership",
    )


@pytest.mark.parametrize(
    ("membership", "files", "memory", "expected"),
    [
        pytest.param("0::/\n", {}, None, 1.0, id="nothing limits us"),
        pytest.param("0::/\n", {}, "512", 512 / 1769, id="a small Lambda"),
        pytest.param("0::/\n", {}, "3008", 1.0, id="a large Lambda has more than a loop can use"),
        pytest.param("0::/\n", {}, "many", 1.0, id="not a number"),
        pytest.param("0::/a/b\n", {"a/b/cpu.max": "29000 100000\n"}, None, 0.29, id="v2"),
        pytest.param("0::/a/b\n", {"a/b/cpu.max": "max 100000\n"}, None, 1.0, id="v2, no limit"),
        pytest.param(
            "0::/a/b\n",
            {"a/b/cpu.max": "90000 100000\n", "a/cpu.max": "20000 100000\n"},
            None,
            0.2,
            id="v2, a parent is tighter",
        ),
        pytest.param(
            "0::/gone\n", {"cpu.max": "50000 100000\n"}, None, 0.5, id="v2 in a container"
        ),
        pytest.param("0::/\n", {"cpu.max": "0 100000\n"}, None, 1.0, id="a limit of nothing"),
        pytest.param(
            "4:memory:/m\n1:cpu:/x\n0::/\n",
            {"cpu/x/cpu.cfs_quota_us": "29000\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            None,
            0.29,
            id="v1",
        ),
        pytest.param(
            "1:cpu,cpuacct:/\n",
            {
                "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            None,
            1.0,
            id="v1, no limit",
        ),
    ],
)
def test_the_tightest_limit_counts(
    tmp_path: Path, membership: str, files: dict[str, str], memory: str | None, expected: float
) -> None:
    found = cores(tmp_path, membership=membership, files=files, memory=memory)
    assert found == pytest.approx(expected)


def test_a_system_without_cgroups_is_no_limit(tmp_path: Path) -> None:
    assert granted_cores({}, cgroups=tmp_path, membership=tmp_path / "none") == 1.0
