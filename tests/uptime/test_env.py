"""A wrong value names its variable, what it is and what it should be; nothing secret is repeated."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from fanout_lambdas.planning import BATCHED, DIRECT, FANOUT, Topology
from uptime.env import Environment, read_environment

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
SAFE = {"SECRET_KEY": "s" * 40, "UPTIME_ENCRYPTION_KEYS": KEY}


def read(tmp_path: Path, **values: str) -> Environment:
    return read_environment({**SAFE, "UPTIME_STATE_DIR": str(tmp_path), **values})


WRONG = [
    ("DEBUG", "maybe", "'maybe'", "1 or 0"),
    ("SECRET_KEY", "short", "only 5 characters", "at least 32 characters"),
    ("UPTIME_ENCRYPTION_KEYS", "no base64!", "wrong in key 1 (not base64)", "32 random bytes"),
    ("UPTIME_ENCRYPTION_KEYS", f"{KEY},c2hvcnQ=", "wrong in key 2 (5 bytes)", "32 random bytes"),
    ("DATABASE_URL", "mysql://u:geheim@h/d", "'mysql://u:***@h/d'", "postgresql://USER"),
    ("DATABASE_URL", "postgresql://u:geheim@h:port/d", "***", "postgresql://USER"),
    ("DATABASE_URL", "postgresql://u@h", "'postgresql://u@h'", "/NAME"),
    ("CELERY_BROKER_URL", "http://x", "'http://x'", "redis://"),
    ("CELERY_BROKER_URL", "redis://:geheim@", "***", "with host"),
    ("OBJECT_STORE_URL", "file://relative/x", "'file://relative/x'", "file:///absolute"),
    ("OBJECT_STORE_URL", "/var/objects", "'/var/objects'", "s3://bucket"),
    ("EMAIL_URL", "mail.example.org", "'mail.example.org'", "smtp://"),
    ("EMAIL_URL", "smtp://u:ge@heim@", "***", "smtp://"),
    ("UPTIME_MAIL_FROM", "nobody", "'nobody'", "a mail address"),
    ("UPTIME_SITE_URL", "uptime.example.org", "'uptime.example.org'", "https://"),
    ("UPTIME_SITE_URL", "https://example.org/uptime", "/uptime'", "without a path"),
    ("UPTIME_INGEST_URL", "ftp://x", "'ftp://x'", "http:// or https://"),
    ("ALLOWED_HOSTS", "https://example.org", "'https://example.org'", "host names without scheme"),
    ("UPTIME_ALLOW_NETWORKS", "10.0.0.1/8", "'10.0.0.1/8'", "10.0.0.0/8"),
    ("UPTIME_STATE_DIR", "state", "'state'", "an absolute folder"),
    ("UPTIME_REGIONS", "Europe West", "'Europe West'", "lower-case"),
    ("UPTIME_CANARIES", "example.org", "'example.org'", "http:// or https://"),
    ("PROBE_ENGINE", "threads", "'threads'", "celery or lambda"),
    ("PROBE_TOPOLOGY", "wide", "'wide'", "direct, fanout, batched, or two numbers"),
    ("PROBE_TOPOLOGY", "0,0", "'0,0'", "checks per worker (1 to 1000)"),
    ("PROBE_TOPOLOGY", "100,1001", "'100,1001'", "(0 to 1000), such as 100,0"),
    ("PROBE_TOPOLOGY", "100", "'100'", "two numbers"),
    ("UPTIME_STACK", "my stack", "'my stack'", "letters, digits and hyphens"),
    ("UPTIME_STACK", "x" * 41, "xxx", "up to 40 letters"),
    ("UPTIME_CA_FILE", "/no/such/file.pem", "'/no/such/file.pem'", "a readable file of PEM"),
    ("PROBE_IN_FLIGHT", "0", "'0'", "from 1 to 1000"),
    ("PROBE_IN_FLIGHT", "many", "'many'", "from 1 to 1000"),
    ("PROBE_RESOLVER", "dns.example.org", "'dns.example.org'", "addresses of name servers"),
    ("PROBE_RESOLVER", "10.0.0.2:x", "'10.0.0.2:x'", "addresses of name servers"),
]


def test_a_network_may_be_opened_for_one_port(tmp_path: Path) -> None:
    environment = read(tmp_path, UPTIME_ALLOW_NETWORKS="10.0.0.0/8, 127.0.0.1/32:8081")
    assert environment.allow_networks == ("10.0.0.0/8", "127.0.0.1/32:8081")
    assert environment.problems == ()


@pytest.mark.parametrize(("variable", "value", "got", "expected"), WRONG)
def test_a_wrong_value_is_one_problem_and_the_default_stands_in(
    tmp_path: Path, variable: str, value: str, got: str, expected: str
) -> None:
    environment = read(tmp_path, **{variable: value})

    (problem,) = environment.problems
    assert problem.variable == variable
    assert got in problem.got
    assert expected in problem.expected
    assert "geheim" not in str(problem)
    assert "heim@" not in str(problem)


ON_LAMBDA = {
    "PROBE_ENGINE": "lambda",
    "UPTIME_REGIONS": "eu-central-1, us-gov-west-1",
    "OBJECT_STORE_URL": "s3://bucket/prefix",
    "UPTIME_SITE_URL": "https://uptime.example.org",
}


def test_an_installation_on_lambda_is_read_without_a_complaint(tmp_path: Path) -> None:
    environment = read(tmp_path, **ON_LAMBDA)

    assert environment.problems == ()
    assert environment.regions == ("eu-central-1", "us-gov-west-1")
    assert (environment.probe_topology, environment.stack) == (BATCHED, "uptime")


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("UPTIME_REGIONS", "local", "names of AWS regions, such as eu-central-1"),
        ("UPTIME_REGIONS", "eu-central-1,frankfurt", "names of AWS regions"),
        ("UPTIME_REGIONS", "eu-central-1a", "names of AWS regions"),
        ("OBJECT_STORE_URL", "file:///srv/objects", "cannot read a folder"),
        ("UPTIME_INGEST_URL", "http://uptime.example.org/ingest/v1/results", "a public https://"),
        ("UPTIME_INGEST_URL", "https://localhost/ingest/v1/results", "a public https://"),
        ("UPTIME_INGEST_URL", "https://10.0.0.5:8443/ingest/v1/results", "a public https://"),
    ],
)
def test_what_cannot_work_on_lambda_is_told(
    tmp_path: Path, variable: str, value: str, expected: str
) -> None:
    (problem,) = read(tmp_path, **{**ON_LAMBDA, variable: value}).problems

    assert (problem.variable, problem.got) == (variable, repr(value))
    assert expected in problem.expected
    assert "because PROBE_ENGINE is lambda" in problem.expected
    # The same value serves machines of one's own.
    assert read(tmp_path, **{variable: value}).problems == ()


def test_a_function_needs_a_database_and_a_mail_server(tmp_path: Path) -> None:
    function = {**ON_LAMBDA, "AWS_LAMBDA_FUNCTION_NAME": "uptime-production"}
    given = {
        "DATABASE_URL": "postgres://uptime:geheim@db.example.org:5432/uptime",
        "EMAIL_URL": "smtp+starttls://user:geheim@mail.example.org:587",
        "SECRET_KEY": "s" * 40,
        "UPTIME_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    }
    assert read(tmp_path, **function, **given).problems == ()
    problems = read(tmp_path, **function).problems
    assert [problem.variable for problem in problems] == ["DATABASE_URL", "EMAIL_URL"]


def test_one_wrong_value_is_told_once(tmp_path: Path) -> None:
    (problem,) = read(tmp_path, **{**ON_LAMBDA, "OBJECT_STORE_URL": "bucket"}).problems

    assert problem.variable == "OBJECT_STORE_URL"


def test_a_port_does_not_make_an_address_private(tmp_path: Path) -> None:
    url = "https://uptime.example.org:8443/ingest/v1/results"
    assert read(tmp_path, **ON_LAMBDA, UPTIME_INGEST_URL=url).problems == ()


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("direct", DIRECT),
        ("fanout", FANOUT),
        ("50,20", Topology(checks_per_worker=50, workers_per_triggerer=20)),
        ("100, 0", BATCHED),
    ],
)
def test_a_topology_is_a_preset_or_two_numbers(tmp_path: Path, text: str, shape: Topology) -> None:
    environment = read(tmp_path, PROBE_TOPOLOGY=text)

    assert (environment.probe_topology, environment.problems) == (shape, ())


def test_an_empty_environment_is_an_embedded_installation(tmp_path: Path) -> None:
    environment = read_environment({"UPTIME_STATE_DIR": str(tmp_path)})

    assert environment.problems == ()
    assert environment.database["HOST"] == str(tmp_path / "postgres" / "run")
    assert environment.object_store_url == f"file://{tmp_path}/objects"
    assert environment.email.backend == "uptime.embedded.mail.FolderBackend"
    assert environment.celery_broker_options["init_extension"] is False
    assert environment.site_url == "http://localhost:8000"
    assert not environment.debug
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_secrets_are_made_once(tmp_path: Path) -> None:
    first = read_environment({"UPTIME_STATE_DIR": str(tmp_path)})
    second = read_environment({"UPTIME_STATE_DIR": str(tmp_path)})

    assert first.secret_key == second.secret_key
    assert first.encryption_keys == second.encryption_keys


def test_beside_a_database_elsewhere_no_secret_is_made_up(tmp_path: Path) -> None:
    environment = read_environment(
        {"UPTIME_STATE_DIR": str(tmp_path), "DATABASE_URL": "postgresql://u:p@db/uptime"}
    )

    assert {p.variable for p in environment.problems} == {"SECRET_KEY", "UPTIME_ENCRYPTION_KEYS"}
    assert not (tmp_path / "secrets.json").exists()


def test_damaged_secrets_are_a_problem_and_are_kept(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    environment = read_environment({"UPTIME_STATE_DIR": str(tmp_path)})

    assert "damaged" in environment.problems[0].got
    assert (tmp_path / "secrets.json").read_text() == "{"


def test_each_address_replaces_one_embedded_part(tmp_path: Path) -> None:
    environment = read(
        tmp_path,
        DATABASE_URL="postgresql://me:p%40ss@db.example.org:6543/up?sslmode=require",
        CELERY_BROKER_URL="redis://cache:6379/1",
        OBJECT_STORE_URL="s3://bucket/prefix/",
        EMAIL_URL="smtp+starttls://me:secret@mail.example.org",
    )

    assert environment.problems == ()
    assert environment.database["NAME"] == "up"
    assert environment.database["PASSWORD"] == "p@ss"
    assert environment.database["PORT"] == "6543"
    assert environment.database["OPTIONS"]["sslmode"] == "require"
    assert environment.celery_broker_url == "redis://cache:6379/1"
    assert environment.celery_broker_options == {}
    assert environment.object_store_url == "s3://bucket/prefix"
    assert (environment.email.host, environment.email.port) == ("mail.example.org", 587)
    assert environment.email.starttls


def test_the_queue_is_told_the_whole_address_of_the_database(tmp_path: Path) -> None:
    from pgmq.base import PGMQConfig
    from psycopg.conninfo import conninfo_to_dict

    environment = read(
        tmp_path, DATABASE_URL="postgresql://o'me:p%20w@/my%20db?host=/run/my%20pg&sslmode=disable"
    )
    config = PGMQConfig(conn_string=environment.celery_broker_options["conn_string"])
    told = conninfo_to_dict(config.dsn)

    assert told == {
        "host": "/run/my pg",
        "port": "5432",
        "dbname": "my db",
        "user": "o'me",
        "password": "p w",
        "sslmode": "disable",
        "connect_timeout": "3",
        "tcp_user_timeout": "5000",
    }


def test_it_does_not_depend_on_the_process_environment(tmp_path: Path) -> None:
    before = dict(os.environ)
    read(tmp_path, DEBUG="1")
    assert dict(os.environ) == before
