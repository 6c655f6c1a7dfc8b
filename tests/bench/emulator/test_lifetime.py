"""Nothing outlives its owner, however that ends; and what cannot start says so."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from bench.accuracy.share import CGROUPS, NoCgroup
from bench.emulator import Emulator, EmulatorError
from bench.emulator.held import Hold
from tests.bench.emulator.conftest import ENDED_S, HERE, client, function, invoke
from uptime.embedded.places import PROJECT

OWNER = f"""
import sys, time
from pathlib import Path
import boto3
from bench.emulator import Emulator, FunctionSpec

functions = [FunctionSpec(name=name, handler="handlers." + name, memory_mb=128, timeout_s=90,
                          root=Path({str(HERE)!r}), python=Path(sys.executable))
             for name in ("echo", "sleep")]
with Emulator(functions) as emulator:
    emulator.warm("echo", 1)
    lambdas = boto3.client("lambda", endpoint_url=emulator.endpoint, region_name="us-east-1",
                           aws_access_key_id="any", aws_secret_access_key="any")
    lambdas.invoke(FunctionName="sleep", InvocationType="Event", Payload=b'{{"s": 80}}')
    while not emulator.ledger()["sleep"].cold_starts:
        time.sleep(0.02)
    print(emulator.pid, *emulator.processes(), flush=True)
    time.sleep(60)
"""
"""One environment is idle, one in the middle of a run."""


def lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def all_end(pids: list[int]) -> bool:
    until = time.monotonic() + ENDED_S
    while any(map(lives, pids)):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def test_all_processes_end_with_the_context() -> None:
    with Emulator([function("echo"), function("sleep")]) as emulator:
        emulator.warm("echo", 1)
        lambdas = client(emulator)
        lambdas.invoke(FunctionName="sleep", InvocationType="Event", Payload=b'{"s": 60}')
        until = time.monotonic() + ENDED_S
        while len(pids := [emulator.pid, *emulator.processes()]) < 3:
            assert time.monotonic() < until
            time.sleep(0.02)
    assert all_end(pids)


@pytest.mark.parametrize("victim", ["owner", "emulator"])
def test_all_processes_end_when_one_above_is_killed(victim: str) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(OWNER)], cwd=PROJECT, stdout=subprocess.PIPE
    )
    with owner:
        assert owner.stdout is not None
        emulator, *environments = map(int, owner.stdout.readline().split())
        assert len(environments) == 2
        assert all(map(lives, environments))
        os.kill({"owner": owner.pid, "emulator": emulator}[victim], signal.SIGKILL)
        assert all_end([*environments, *([emulator] if victim == "owner" else [])])
        owner.kill()


def test_the_owner_hears_of_an_emulator_that_died() -> None:
    with Emulator([function("echo")]) as emulator:
        os.kill(emulator.pid, signal.SIGKILL)
        with pytest.raises((OSError, EmulatorError)):
            emulator.warm("echo", 1)


def test_an_endpoint_can_be_known_before() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Emulator([function("echo")], port=port) as emulator:
        assert emulator.endpoint == f"http://127.0.0.1:{port}"
        with (
            pytest.raises(EmulatorError, match="address already in use"),
            Emulator([function("echo")], port=port),
        ):
            pass


def test_wrong_questions_are_answered_in_a_sentence() -> None:
    with Emulator([function("echo")]) as emulator:
        with pytest.raises(EmulatorError, match=r"The emulator knows no 'missing'\."):
            emulator.warm("missing", 1)
        with pytest.raises(EmulatorError, match=r"The emulator knows no 'eu-west-1'\."):
            emulator.ledger(region="eu-west-1")


def test_a_python_that_is_not_there_is_a_failed_init() -> None:
    lost = dataclasses.replace(function("echo"), python=Path("/nowhere/python"))
    with Emulator([lost]) as emulator:
        answer = client(emulator).invoke(FunctionName="echo")
        assert answer["FunctionError"] == "Unhandled"
        assert b"/nowhere/python" in answer["Payload"].read()
        with pytest.raises(EmulatorError, match="/nowhere/python"):
            emulator.warm("echo", 1)


def test_an_environment_has_the_cpu_of_its_memory() -> None:
    try:
        Hold()
    except NoCgroup:
        pytest.skip("no cgroup with a CPU quota can be made here")
    with Emulator([function("burn", memory_mb=354, timeout_s=20)], cpu_share=True) as emulator:
        lambdas = client(emulator)
        shares = [invoke(lambdas, "burn", {"s": 0.8}) for _ in range(2)]
        ours = f"uptime-bench-{emulator.pid}-*"
        assert len([*CGROUPS.glob(ours), *(CGROUPS / "cpu").glob(ours)]) == 1
    # A fifth of a core, give or take the period in which it is counted; a loaded machine gives less.
    assert 0.02 < max(shares) < 0.32
    assert not [*CGROUPS.glob(ours), *(CGROUPS / "cpu").glob(ours)]


def test_without_cgroups_a_cpu_share_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoCgroup, match="No cgroup with a CPU quota can be made"):
        Hold(cgroups=tmp_path)
