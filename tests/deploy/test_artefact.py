"""The artefact of the fan-out as Lambda would run it: built, unpacked, described by the template, invoked.

An emulator of Lambda with AWS's own runtime client, S3 on loopback, and beside the artefact nothing but what Lambda's
own Python runtime brings.
"""

from __future__ import annotations

import hashlib
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.emulator import Emulator
from bench.emulator.template import functions_in
from deploy import trial
from deploy.artefact import MOST_BYTES, PACKAGE, build
from deploy.target import ROOT, TARGETS
from fanout_lambdas.invoke_aws import LambdaInvoker
from fanout_lambdas.objectstore import SPOOL, dispatch_key, snapshot_key
from fanout_lambdas.objectstore_s3 import S3Store
from fanout_lambdas.sealing import Sealer, new_key
from fanout_lambdas.shared.contracts import Outcome, Spooled, unpack
from fanout_lambdas.shared.contracts.dispatch import DispatchReport
from fanout_lambdas.shared.contracts.parsed_batch import parse_result_batch
from fanout_lambdas.shared.contracts.snapshot import CheckPlan, Snapshot
from fanout_lambdas.shared.signing import verify
from fanout_lambdas.shared.slots import MINUTE_S, minute_of
from tests.aws import REGION, aws_environment, aws_server, make_bucket, s3_client
from tests.targets import answer, receive, replies, serve

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("artefact")]

TEMPLATE = ROOT / "fanout_lambdas" / "template.yaml"
KEY_ID, SECRET = "eu-central-1-1", "open sesame"
CHECKS = 3


@dataclass(frozen=True, slots=True)
class Built:
    archive: Path
    unpacked: Path
    names: frozenset[str]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, runtime: Path) -> Built:
    """For this machine, so that it can run; with bytecode, since `runtime` is there."""
    architecture = trial.architecture()
    if architecture is None:
        pytest.skip("Lambda has no architecture like this machine's")
    folder = tmp_path_factory.mktemp("fanout")
    made = build(TARGETS[architecture], folder / "fanout.zip", stage=folder / "stage")
    assert made.bytecode
    with zipfile.ZipFile(made.path) as archive:
        archive.extractall(folder / "task")
        return Built(made.path, folder / "task", frozenset(archive.namelist()))


def test_it_is_small_and_holds_the_fan_out_alone(built: Built) -> None:
    assert built.archive.stat().st_size <= MOST_BYTES
    sources = [path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py")]
    assert {str(path.with_suffix(".pyc")) for path in sources} <= built.names
    packages = {name.partition("/")[0] for name in built.names}
    assert {"httpx", "cryptography", "re2", "dns", "certifi"} <= packages
    # boto3 is Lambda's; nothing of the web application or of the tools is anybody's here.
    assert packages.isdisjoint({"boto3", "botocore", "django", "celery", "pytest", "uptime", "bin"})
    left = [name for name in built.names if name.endswith((".py", ".yaml")) or "/tests/" in name]
    assert left == []


def test_the_same_sources_give_the_same_bytes(built: Built, tmp_path: Path) -> None:
    architecture = trial.architecture()
    assert architecture is not None
    again = build(TARGETS[architecture], tmp_path / "again.zip", stage=tmp_path / "elsewhere")
    both = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (built.archive, again.path)]
    assert both[0] == both[1]


def test_it_starts_with_nothing_else_on_its_path(built: Built, runtime: Path) -> None:
    assert trial.start(built.unpacked, runtime) > 0


def test_what_is_missing_from_it_is_named(built: Built, runtime: Path, tmp_path: Path) -> None:
    for entry in built.unpacked.iterdir():
        if entry.name != "httpx":
            (tmp_path / entry.name).symlink_to(entry)
    with pytest.raises(trial.NotStarted, match="No module named 'httpx'"):
        trial.start(tmp_path, runtime)


@dataclass(frozen=True, slots=True)
class Cloud:
    emulator: Emulator
    store: S3Store
    received: list[tuple[dict[str, str], bytes]]
    target_url: str
    sealing_key: str

    def run(self) -> Snapshot:
        """A snapshot, and the dispatcher's invocation for its minute."""
        sealed = Sealer([self.sealing_key]).seal({"headers": {"X-Key": "value"}})
        second = int(time.time()) - 6
        minute = minute_of(second)
        checks = tuple(
            CheckPlan(
                check_id=number,
                interval_s=MINUTE_S,
                phase_s=second - minute,
                regions=(REGION,),
                request={"url": self.target_url, "regex": ["^hel+o$"]},
                sealed={REGION: sealed},
            )
            for number in range(CHECKS)
        )
        plan = Snapshot(minute=minute, taken_at=minute, checks=checks)
        self.store.put(snapshot_key(minute), plan.to_bytes())
        shape = {"checks_per_worker": CHECKS, "workers_per_triggerer": 1, "billed": True}
        event = {"minute": minute, "region": REGION, "topology": shape}
        LambdaInvoker("uptime").invoke("dispatcher", event)
        assert self.emulator.drain(50)
        return plan


@pytest.fixture
def cloud(
    request: pytest.FixtureRequest,
    built: Built,
    runtime: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Cloud]:
    """The template's three functions; ingest answers with the status that the test names."""
    key = new_key()
    with (
        aws_server() as endpoint,
        serve(replies(answer())) as target,
        receive(request.param) as ingest,
    ):
        client = s3_client(endpoint)
        bucket = make_bucket(client)
        functions = functions_in(
            TEMPLATE,
            code=built.unpacked,
            python=runtime,
            region=REGION,
            parameters={"Bucket": bucket, "IngestUrl": ingest.url, "AlarmTopic": "none"},
            environment={
                **{k: v for k, v in aws_environment(endpoint).items() if "REGION" not in k},
                "UPTIME_INGEST_KEY_ID": KEY_ID,
                "UPTIME_INGEST_SECRET": SECRET,
                "UPTIME_SEALING_KEYS": key,
                "UPTIME_ALLOW_NETWORKS": "127.0.0.1",
            },
        )
        with Emulator(functions) as emulator:
            monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", emulator.endpoint)
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
            store = S3Store(bucket, client=client)
            yield Cloud(emulator, store, ingest.received, target.url(), key)


def outcomes(body: bytes) -> list[Outcome]:
    return [result.outcome for result in parse_result_batch(unpack(body)).batch.results]


@pytest.mark.parametrize("cloud", [202], indirect=True)
def test_a_minute_runs_from_snapshot_to_ingest(cloud: Cloud) -> None:
    plan = cloud.run()
    [(headers, body)] = cloud.received
    verify(headers, body, SECRET.encode(), int(time.time()))
    assert outcomes(body) == [Outcome.UP] * CHECKS
    report = DispatchReport.from_bytes(cloud.store.get(dispatch_key(plan.minute, REGION)))
    assert (report.planned, report.invoked, report.triggerers) == (CHECKS, 1, 1)
    ledger = cloud.emulator.ledger()
    assert {name: (each.finished, each.errors) for name, each in ledger.items()} == {
        "uptime-dispatcher": (1, 0),
        "uptime-triggerer": (1, 0),
        "uptime-worker": (1, 0),
    }
    assert cloud.emulator.dead_letters("uptime-dead-letters") == []


@pytest.mark.parametrize("cloud", [403], indirect=True)
def test_what_ingest_does_not_take_lies_in_the_bucket(cloud: Cloud) -> None:
    """Here the worker needs AWS's library, which it finds in the runtime."""
    cloud.run()
    [key] = cloud.store.list(SPOOL)
    spooled = Spooled.from_bytes(cloud.store.get(key))
    assert outcomes(spooled.body) == [Outcome.UP] * CHECKS
    assert cloud.emulator.ledger()["uptime-worker"].errors == 0
