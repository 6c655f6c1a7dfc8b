"""Execution environments: real processes of AWS's runtime client."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.emulator import Emulator, EmulatorError
from tests.bench.emulator.conftest import ENDED_S, HERE, client, function, invoke, start

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def emulator(emulated: Callable[..., Emulator], logs: Path) -> Emulator:
    return emulated(
        function("echo"),
        function("sleep", timeout_s=0.5),
        function("die"),
        function("broken", handler="broken.handler"),
        function("missing", handler="handlers.nothing"),
        function("surroundings", memory_mb=256, timeout_s=7.0, environment={"OWN": "x"}),
        function("call", handler="caller.call"),
        function("tick"),
        function("hold", memory_mb=512),
        function("child"),
        log_folder=logs,
    )


@pytest.fixture(scope="module")
def lambdas(emulator: Emulator) -> LambdaClient:
    return client(emulator)


def fails(lambdas: LambdaClient, name: str, event: object = None) -> dict[str, str]:
    answer = lambdas.invoke(FunctionName=name, Payload=json.dumps(event).encode())
    assert answer["FunctionError"] == "Unhandled"
    failure: dict[str, str] = json.loads(answer["Payload"].read())
    return failure


def test_the_first_call_starts_an_environment_and_the_next_reuses_it(
    emulator: Emulator, lambdas: LambdaClient
) -> None:
    first = invoke(lambdas, "echo", 1)
    cold = emulator.ledger()["echo"]
    assert (cold.cold_starts, cold.invocations) == (1, 1)
    assert cold.init_s > 0.01
    # INIT is measured apart from the run, and billed with it.
    assert cold.durations[0] < cold.init_s + cold.durations[0] <= cold.billed_s
    assert invoke(lambdas, "echo", 2)["pid"] == first["pid"]
    warm = emulator.ledger()["echo"]
    assert (warm.cold_starts, warm.invocations, warm.init_s) == (1, 2, cold.init_s)
    assert warm.max_memory_mb > 5


def test_a_run_over_its_timeout_is_killed_and_the_next_starts_cold(
    emulator: Emulator, lambdas: LambdaClient
) -> None:
    assert invoke(lambdas, "sleep", {"s": 0.01}) == 0.01
    (pid,) = {*emulator.processes()} & _running("handlers.sleep", emulator)
    failure = fails(lambdas, "sleep", {"s": 30})
    assert failure["errorType"] == "Sandbox.Timedout"
    assert failure["errorMessage"].endswith("Task timed out after 0.50 seconds")
    assert pid not in emulator.processes()
    assert invoke(lambdas, "sleep", {"s": 0.01}) == 0.01
    ledger = emulator.ledger()["sleep"]
    assert (ledger.timeouts, ledger.errors, ledger.finished, ledger.cold_starts) == (1, 1, 2, 2)
    assert ledger.durations[1] == 0.5


def test_a_process_that_ends_in_the_middle_fails_its_run(
    emulator: Emulator, lambdas: LambdaClient
) -> None:
    failure = fails(lambdas, "die")
    assert failure["errorType"] == "Runtime.ExitError"
    assert failure["errorMessage"].endswith("Runtime exited with error: exit status 3")
    assert fails(lambdas, "die")
    assert emulator.ledger()["die"].cold_starts == 2


def test_a_process_that_is_killed_while_idle_costs_a_cold_start(
    emulator: Emulator, lambdas: LambdaClient
) -> None:
    assert invoke(lambdas, "hold", {"mb": 1})
    before = emulator.ledger()["hold"]
    (pid,) = _running("handlers.hold", emulator)
    os.kill(pid, 9)
    _until(lambda: pid not in emulator.processes())
    assert invoke(lambdas, "hold", {"mb": 1})
    after = emulator.ledger()["hold"]
    assert (after.cold_starts - before.cold_starts, after.errors) == (1, 0)


def test_what_a_handler_leaves_running_ends_with_its_environment(
    lambdas: LambdaClient, tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    fails(lambdas, "child", {"file": str(file)})
    left = int(file.read_text())
    _until(lambda: not _alive(left))


def test_a_waiting_run_takes_the_environment_that_is_free_first(
    emulated: Callable[..., Emulator],
) -> None:
    emulator = emulated(function("sleep"))
    lambdas = client(emulator)
    for _ in range(30):
        start(lambdas, "sleep", {"s": 0.02})
    assert emulator.drain(ENDED_S)
    ledger = emulator.ledger()["sleep"]
    assert ledger.finished == 30
    # One was asked for by each; those not yet begun when an older one came free are never started.
    started = -1
    while started < len(emulator.processes()):
        started = len(emulator.processes())
        time.sleep(1.0)
    assert ledger.cold_starts <= started < 30


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("broken", "RuntimeError", "this module breaks while it is loaded"),
        ("missing", "Runtime.HandlerNotFound", "Handler 'nothing' missing"),
    ],
)
def test_an_init_that_fails_is_told_to_the_caller(
    emulator: Emulator, lambdas: LambdaClient, name: str, kind: str, said: str
) -> None:
    failure = fails(lambdas, name)
    assert failure["errorType"] == kind
    assert said in failure["errorMessage"]
    assert emulator.ledger()[name].billed_s > 0
    with pytest.raises(EmulatorError, match=said):
        emulator.warm(name, 1)


def test_a_function_finds_what_it_finds_on_aws(emulator: Emulator, lambdas: LambdaClient) -> None:
    found = invoke(lambdas, "surroundings")
    expected = {
        "AWS_LAMBDA_FUNCTION_NAME": "surroundings",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "LAMBDA_TASK_ROOT": str(HERE),
        "_HANDLER": "handlers.surroundings",
        "AWS_ENDPOINT_URL_LAMBDA": emulator.endpoint,
        "OWN": "x",
    }
    assert {name: found["variables"][name] for name in expected} == expected
    assert {"AWS_ACCESS_KEY_ID", "AWS_LAMBDA_RUNTIME_API"} < found["variables"].keys()
    assert found["arn"] == "arn:aws:lambda:us-east-1:123456789012:function:surroundings"
    assert 6_000 < found["left_ms"] <= 7_000
    assert str(HERE) in found["path"]
    # Nothing of the caller's own environment leaks in.
    assert "PYTEST_CURRENT_TEST" not in found["variables"]


def test_each_run_has_a_trace_of_its_own(lambdas: LambdaClient) -> None:
    traces = [invoke(lambdas, "surroundings")["variables"]["_X_AMZN_TRACE_ID"] for _ in range(2)]
    assert all(trace.startswith("Root=1-") for trace in traces)
    assert traces[0] != traces[1]


def test_functions_can_invoke_each_other(lambdas: LambdaClient) -> None:
    answer = invoke(lambdas, "call", {"function": "echo"})
    assert answer["status"] == 200
    assert json.loads(answer["payload"])["event"] == {"far": 1}


def test_nothing_runs_between_two_runs(lambdas: LambdaClient) -> None:
    before = invoke(lambdas, "tick")
    assert before > 0
    time.sleep(0.5)
    assert invoke(lambdas, "tick") - before < 20  # 50 if the thread had gone on


def test_output_is_logged_by_environment(lambdas: LambdaClient, logs: Path) -> None:
    seen = invoke(lambdas, "echo")["request_id"]
    files = [*(logs / "echo").iterdir()]
    assert any(f"seen {seen}" in file.read_text() for file in files)


def test_the_most_memory_is_in_the_ledger(emulator: Emulator, lambdas: LambdaClient) -> None:
    invoke(lambdas, "hold", {"mb": 1})
    small = emulator.ledger()["hold"].max_memory_mb
    invoke(lambdas, "hold", {"mb": 100})
    assert 90 < emulator.ledger()["hold"].max_memory_mb - small < 130


def test_more_memory_than_granted_kills_where_that_is_asked_for(
    emulated: Callable[..., Emulator],
) -> None:
    emulator = emulated(function("hold"), memory_limit=True)
    lambdas = client(emulator)
    assert invoke(lambdas, "hold", {"mb": 1}) == 1
    failure = fails(lambdas, "hold", {"mb": 200, "s": 4})
    assert failure["errorType"] == "Runtime.ExitError"
    # Also a run that is over before anyone looked.
    assert fails(lambdas, "hold", {"mb": 200})["errorType"] == "Runtime.ExitError"
    assert emulator.ledger()["hold"].max_memory_mb > 128


def test_environments_started_before_are_not_cold(emulated: Callable[..., Emulator]) -> None:
    emulator = emulated(function("echo"), idle_s=1.5)
    emulator.warm("echo", 2)
    assert len(emulator.processes()) == 2
    invoke(client(emulator), "echo")
    ledger = emulator.ledger()["echo"]
    assert (ledger.cold_starts, ledger.init_s, ledger.peak_environments) == (0, 0.0, 2)
    # Nobody needs them for a while.
    _until(lambda: not emulator.processes())
    invoke(client(emulator), "echo")
    assert emulator.ledger()["echo"].cold_starts == 1


def _running(handler: str, emulator: Emulator) -> set[int]:
    def command(pid: int) -> str:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")

    return {pid for pid in emulator.processes() if handler in command(pid)}


def _alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def _until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + ENDED_S
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)
