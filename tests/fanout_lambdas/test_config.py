"""Settings from the environment, and the worker's Lambda handler built from them."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import pytest

from fanout_lambdas import worker
from fanout_lambdas.config import (
    DEFAULT_IN_FLIGHT,
    ConfigError,
    DispatcherConfig,
    WorkerConfig,
    user_agent,
)
from fanout_lambdas.sealing import Sealer, new_key
from fanout_lambdas.shared.contracts import Batch, Outcome, unpack
from fanout_lambdas.shared.contracts.parsed_batch import parse_result_batch
from fanout_lambdas.shared.signing import verify
from tests.nameserver import name_server
from tests.targets import answer, receive, replies, serve

ENVIRON = {
    "UPTIME_REGION": "eu",
    "UPTIME_INGEST_URL": "https://uptime.example.com/ingest/v1/results",
    "UPTIME_INGEST_KEY_ID": "eu-1",
    "UPTIME_INGEST_SECRET": "open sesame",
    "OBJECT_STORE_URL": "s3://bucket/prefix",
}


def test_defaults_open_nothing() -> None:
    config = WorkerConfig.from_env(ENVIRON)
    assert (config.region, config.secret) == ("eu", b"open sesame")
    assert config.in_flight == DEFAULT_IN_FLIGHT
    assert config.allow.entries == ()
    assert "sesame" not in repr(config)


@pytest.mark.parametrize("name", ENVIRON)
def test_missing_variable_names_itself(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is not set"):
        WorkerConfig.from_env({**ENVIRON, name: " "})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UPTIME_INGEST_URL", "uptime.example.com"),
        ("PROBE_IN_FLIGHT", "0"),
        ("PROBE_IN_FLIGHT", "many"),
        ("PROBE_RESOLVER", "10.0.0.2,dns.example.com"),
        ("UPTIME_ALLOW_NETWORKS", "10.0.0.0/33"),
    ],
)
def test_wrong_value_names_variable_and_value(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is '{value}'"):
        WorkerConfig.from_env({**ENVIRON, name: value})


def test_dispatcher_needs_only_an_object_store() -> None:
    config = DispatcherConfig.from_env({"OBJECT_STORE_URL": "s3://bucket"})
    assert (config.stack, config.threads) == ("uptime", 20)
    environ = {
        "OBJECT_STORE_URL": "s3://bucket",
        "UPTIME_STACK": "stage",
        "UPTIME_INVOKE_THREADS": "1",
    }
    config = DispatcherConfig.from_env(environ)
    assert (config.stack, config.threads) == ("stage", 1)
    with pytest.raises(ConfigError, match="OBJECT_STORE_URL is not set"):
        DispatcherConfig.from_env({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UPTIME_STACK", "up time"),
        ("UPTIME_STACK", "x" * 51),
        ("UPTIME_INVOKE_THREADS", "0"),
        ("UPTIME_INVOKE_THREADS", "201"),
        ("UPTIME_INVOKE_THREADS", "²"),
    ],
)
def test_wrong_dispatcher_value_names_variable_and_value(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is '{value}'"):
        DispatcherConfig.from_env({"OBJECT_STORE_URL": "s3://bucket", name: value})


def test_user_agent_says_where_to_complain() -> None:
    assert user_agent("https://example.com/about") == "Uptime/1.0 (+https://example.com/about)"
    assert user_agent() == "Uptime/1.0"


def test_handler_probes_and_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_process", cache(worker._process.__wrapped__))
    now = int(time.time())
    key = new_key()
    zone = {"www.example.com A": "127.0.0.1"}
    with (
        serve(replies(answer())) as target,
        receive(202) as ingest,
        name_server(zone) as names,
    ):
        environ = {
            **ENVIRON,
            "UPTIME_INGEST_URL": ingest.url,
            "OBJECT_STORE_URL": f"file://{tmp_path}",
            "UPTIME_ALLOW_NETWORKS": f"127.0.0.1/32:{target.port}",
            "UPTIME_SEALING_KEYS": key,
            "PROBE_RESOLVER": names.place,
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        sealed = Sealer([key]).seal({"headers": {"X-Key": "value"}})
        url = target.url(host="www.example.com")
        batch = Batch(
            minute=now - now % 60,
            number=0,
            region="eu",
            not_before=now,
            deadline=now + 60,
            paced=False,
            probes=({"check_id": 1, "slot": now, "url": url, "sealed": sealed},),
        )
        first = worker.handler(batch.to_json(), None)
        again = worker.handler({**batch.to_json(), "attempt": 2}, None)
        repeated = worker.handler(batch.to_json(), None)
        stale = worker.handler({**batch.to_json(), "not_before": 1, "deadline": 2}, None)
        broken = worker.handler({"version": 1}, None)
    assert first == again == {"results": 1, "refusals": 0}
    assert "repeat" in repeated["refused"]
    assert "deadline" in stale["refused"]
    assert "minute" in broken["refused"]
    reports = []
    for headers, body in ingest.received:
        verify(headers, body, b"open sesame", int(time.time()))
        reports.append(parse_result_batch(unpack(body)).batch)
    assert [report.results[0].outcome for report in reports] == [Outcome.UP, Outcome.UP]
    assert [report.worker.cold_start for report in reports] == [True, False]
