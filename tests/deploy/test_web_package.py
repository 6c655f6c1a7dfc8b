"""The package of the web application as Lambda would run it: made by Zappa, unpacked, served by AWS's runtime client.

One environment, PostgreSQL and an S3 server on loopback; its package holds all that it imports beyond what Lambda's
own Python runtime brings.
"""

from __future__ import annotations

import base64
import gzip
import json
import platform
import re
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import boto3
import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection, connections

from bench.emulator import Emulator, FunctionSpec
from checks.history.partitions import ensure_partitions
from checks.models import IngestKey, MinuteRun, Region, Result
from clients.models import Client, User
from deploy.package import BuildFailed
from deploy.target import TARGETS
from deploy.web import build, stage_settings
from fanout_lambdas.sealing import new_key
from fanout_lambdas.shared.contracts import Outcome, pack
from fanout_lambdas.shared.signing import sign
from tests.aws import REGION, aws_environment, aws_server
from tests.checks.pipeline.fleet import at, batch, result
from tests.making import make_check

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

FUNCTION = "uptime-production"
HOST = "uptime.example.org"
KEY_ID, SECRET = "eu-1", "an-ingest-secret-of-the-region"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, runtime: Path) -> Path:
    """The unpacked package, made for this machine."""
    machine = "arm64" if platform.machine() == "aarch64" else platform.machine()
    folder = tmp_path_factory.mktemp("web")
    try:
        made = build(TARGETS[machine], folder / "web.zip")
    except BuildFailed as error:
        if "uv pip" in str(error):
            pytest.skip(f"The packages could not be fetched: {error}")
        raise
    with zipfile.ZipFile(made.path) as archive:
        archive.extractall(folder / "task")
    return folder / "task"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The function as its front door and its events reach it."""

    emulator: Emulator
    lambdas: Any
    bucket: Any
    log_folder: Path

    def invoke(self, event: dict[str, Any]) -> Any:
        answer = self.lambdas.invoke(FunctionName=FUNCTION, Payload=json.dumps(event).encode())
        said = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, f"{said}\n{self.logs()}"
        return said

    def request(
        self, method: str, path: str, *, body: bytes = b"", cookies: Any = (), **headers: str
    ) -> Any:
        """An HTTP request as the HTTP API hands it on under a domain of its own: payload format 2.0."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.invoke(
            {
                "version": "2.0",
                "routeKey": "$default",
                "rawPath": path,
                "rawQueryString": "",
                "cookies": list(cookies),
                "headers": {"host": HOST, "x-forwarded-proto": "https", **sent},
                "requestContext": {
                    "stage": "production",
                    "http": {"method": method, "path": path, "sourceIp": "198.51.100.7"},
                },
                "body": base64.b64encode(body).decode() if body else None,
                "isBase64Encoded": bool(body),
            }
        )

    def report(self, body: bytes, *, secret: str = SECRET) -> Any:
        signed = sign(body, KEY_ID, secret.encode(), int(time.time()))
        headers = {name.lower(): value for name, value in signed.items()}
        headers |= {"content-type": "application/octet-stream", "content-encoding": "gzip"}
        return self.request("POST", "/ingest/v1/results", body=body, **headers)

    def schedule(self, job: str) -> Any:
        """As the rule that Zappa makes for the job calls it."""
        rule = f"arn:aws:events:{REGION}:123456789012:rule/{FUNCTION}-uptime.jobs.{job}"
        return self.invoke({"detail-type": "Scheduled Event", "resources": [rule], "kwargs": {}})

    def logs(self) -> str:
        return "\n".join(each.read_text() for each in self.log_folder.rglob("*.log"))


@pytest.fixture
def region() -> Region:
    ensure_partitions(now=at(time.time()), days_ahead=1)
    region = Region.objects.create(code=REGION, name="Frankfurt", sealing_key=new_key())
    IngestKey.objects.create(region=region, key_id=KEY_ID, secret=SECRET)
    return region


def database_url(name: str) -> str:
    parts = connection.settings_dict
    port = f"&port={parts['PORT']}" if parts["PORT"] else ""
    host = quote(str(parts["HOST"]), safe="/")
    user = f"{quote(parts['USER'])}:{quote(parts['PASSWORD'])}"
    return f"postgresql://{user}@/{name}?host={host}{port}"


def environment(s3: str, bucket: str, database: str) -> dict[str, str]:
    return {
        **aws_environment(s3),
        **stage_settings()["aws_environment_variables"],
        "DATABASE_URL": database_url(database),
        "SECRET_KEY": settings.SECRET_KEY,
        "UPTIME_ENCRYPTION_KEYS": ",".join(settings.ENCRYPTION_KEYS),
        "OBJECT_STORE_URL": f"s3://{bucket}/uptime",
        "UPTIME_SITE_URL": f"https://{HOST}",
        "UPTIME_REGIONS": REGION,
        "UPTIME_CANARIES": "https://canary.example.org/",
        "EMAIL_URL": "smtp://127.0.0.1:9",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.fixture
def site(package: Path, runtime: Path, tmp_path: Path, region: Region) -> Iterator[Site]:
    wanted = stage_settings()
    with aws_server() as s3:
        store = boto3.resource(
            "s3", endpoint_url=s3, aws_access_key_id="testing", aws_secret_access_key="testing"
        )
        bucket = store.create_bucket(
            Bucket=f"uptime-{uuid4()}", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        web = FunctionSpec(
            name=FUNCTION,
            handler="handler.lambda_handler",
            memory_mb=wanted["memory_size"],
            timeout_s=wanted["timeout_seconds"],
            environment=environment(s3, bucket.name, connection.settings_dict["NAME"]),
            root=package,
            python=runtime,
            region=REGION,
        )
        probes = [
            FunctionSpec(
                name=f"uptime-{name}",
                handler="none",
                memory_mb=256,
                timeout_s=60,
                root=package,
                python=runtime,
                region=REGION,
                simulated_s=0.01,
            )
            for name in ("dispatcher", "triggerer", "worker")
        ]
        with Emulator([web, *probes], log_folder=tmp_path / "logs") as emulator:
            lambdas = boto3.client(
                "lambda",
                endpoint_url=emulator.endpoint,
                region_name=REGION,
                aws_access_key_id="testing",
                aws_secret_access_key="testing",
            )
            yield Site(
                emulator=emulator, lambdas=lambdas, bucket=bucket, log_folder=tmp_path / "logs"
            )


def text_of(answer: Any) -> str:
    body = answer["body"]
    return str(base64.b64decode(body).decode() if answer["isBase64Encoded"] else body)


def test_people_sign_in_and_see_the_style_sheet(site: Site) -> None:
    owner = User.objects.create_user("owner@acme.test")
    # As the product's own settings hash it; those of the tests are quicker.
    owner.password = PBKDF2PasswordHasher().encode("correct horse battery", "salt")
    owner.save()
    page = site.request("GET", "/accounts/login/")
    assert page["statusCode"] == 200
    assert 'type="password"' in text_of(page)

    [sheet] = re.findall(r'href="(/static/app\.[0-9a-f]+\.css)"', text_of(page))
    style = site.request("GET", sheet, accept_encoding="gzip")
    assert style["statusCode"] == 200
    assert style["headers"]["Content-Type"].startswith("text/css")
    assert "immutable" in style["headers"]["Cache-Control"]
    assert b"{" in gzip.decompress(base64.b64decode(style["body"]))

    [token] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', text_of(page))
    cookies = [each.partition(";")[0] for each in page["cookies"]]
    form = {
        "login": "owner@acme.test",
        "password": "correct horse battery",
        "csrfmiddlewaretoken": token,
    }
    entered = site.request(
        "POST",
        "/accounts/login/",
        body=urlencode(form).encode(),
        cookies=cookies,
        content_type="application/x-www-form-urlencoded",
        origin=f"https://{HOST}",
        referer=f"https://{HOST}/accounts/login/",
    )
    assert entered["statusCode"] == 302, text_of(entered)
    sessions = [each for each in entered["cookies"] if each.strip().startswith("sessionid=")]
    assert all("Secure" in each for each in sessions)
    home = site.request("GET", "/", cookies=[sessions[0].strip().partition(";")[0]])
    assert home["statusCode"] != 302 or "/accounts/login" not in home["headers"]["Location"]


def test_a_signed_report_is_stored_and_a_forged_one_is_not(site: Site, region: Region) -> None:
    one = make_check(Client.objects.create(name="Acme", slug="acme"), region)
    body = pack(batch([result(one, int(time.time()) - 2)], region=REGION).batch.to_json())
    answer = site.report(body)

    assert answer["statusCode"] == 200, text_of(answer)
    assert json.loads(text_of(answer))["accepted"] == 1
    assert Result.objects.across_clients().count() == 1
    forged = site.report(body, secret="a guess")
    assert (forged["statusCode"], Result.objects.across_clients().count()) == (403, 1)
    assert "refused a report from 198.51.100.7" in site.logs()


def test_the_clock_prepares_the_next_minutes(site: Site, region: Region) -> None:
    make_check(Client.objects.create(name="Acme", slug="acme"), region)
    site.schedule("tick")

    keys = [each.key for each in site.bucket.objects.filter(Prefix="uptime/snapshots/")]
    assert len(keys) >= 1, site.logs()
    assert MinuteRun.objects.count() == 2
    assert site.emulator.ledger()["uptime-dispatcher"].invocations == 2


def test_every_job_of_the_schedule_runs(site: Site) -> None:
    for event in stage_settings()["events"]:
        site.schedule(event["function"].removeprefix("uptime.jobs."))
    assert "Traceback" not in site.logs()


def test_a_first_failure_is_rechecked_without_waiting_for_the_clock(
    site: Site, region: Region
) -> None:
    # A day apart: a regular slot at the next point of the grid would take the recheck's place.
    client = Client.objects.create(name="Acme", slug="acme")
    one = make_check(client, region, interval_s=86_400)
    failed = batch([result(one, int(time.time()) - 2, Outcome.DOWN)], region=REGION)
    assert site.report(pack(failed.batch.to_json()))["statusCode"] == 200

    assert site.emulator.drain(30)
    ledger = site.emulator.ledger()
    assert ledger[FUNCTION].invocations == 2, site.logs()  # the report and the job that it started
    assert ledger["uptime-worker"].invocations == 1, site.logs()


def test_a_connection_that_died_while_the_environment_was_frozen_is_replaced(site: Site) -> None:
    assert site.request("GET", "/accounts/login/")["statusCode"] == 200
    site.schedule("watch")
    end_connections(connection.settings_dict["NAME"])

    site.schedule("watch")
    end_connections(connection.settings_dict["NAME"])
    answer = site.report(pack({"version": 1}))

    assert answer["statusCode"] == 400, text_of(answer)  # not 503: the key was looked up
    assert "the database is away" not in site.logs()
    assert site.emulator.ledger()[FUNCTION].cold_starts == 1


def test_nothing_is_written_beside_the_code(site: Site, package: Path) -> None:
    before = sorted(package.rglob("*"))
    site.schedule("tick")
    site.request("GET", "/accounts/login/")
    assert sorted(package.rglob("*")) == before


def test_migrations_run_in_the_function(
    site: Site, package: Path, runtime: Path, tmp_path: Path
) -> None:
    """`zappa manage production migrate` on an empty database."""
    name = "uptime_empty"
    with connection.cursor() as cursor:
        cursor.execute(f"create database {name}")
    try:
        spec = FunctionSpec(
            name=FUNCTION,
            handler="handler.lambda_handler",
            memory_mb=1024,
            timeout_s=60,
            environment=environment("http://127.0.0.1:9", "none", name),
            root=package,
            python=runtime,
            region=REGION,
        )
        with Emulator([spec], log_folder=tmp_path / "migrations") as emulator:
            lambdas = boto3.client(
                "lambda",
                endpoint_url=emulator.endpoint,
                region_name=REGION,
                aws_access_key_id="testing",
                aws_secret_access_key="testing",
            )
            answer = lambdas.invoke(
                FunctionName=FUNCTION, Payload=json.dumps({"manage": "migrate"}).encode()
            )
            assert "FunctionError" not in answer, answer["Payload"].read()
        assert tables(name) >= {"checks_check", "clients_user", "alerts_delivery"}
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"drop database {name} with (force)")


def end_connections(database: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = %s and pid <> pg_backend_pid()",
            [database],
        )


def tables(database: str) -> set[str]:
    other = connections["default"].copy()
    other.settings_dict = {**other.settings_dict, "NAME": database}
    with other.cursor() as cursor:
        cursor.execute("select relname from pg_class")
        found = {name for (name,) in cursor.fetchall()}
    other.close()
    return found
