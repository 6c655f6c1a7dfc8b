"""Reads the environment once into a typed `Environment`; a wrong value becomes a `Problem` that names itself.

Reading never fails: a wrong value is replaced by its default, and `uptime.setup_checks` stops every
command with the problems, so that people see one sentence and never a traceback.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from fanout_lambdas.config import DEFAULT_IN_FLIGHT
from fanout_lambdas.planning import BATCHED, Topology
from fanout_lambdas.probe.name_servers import NameServer
from uptime import env_forms as forms
from uptime import probe_forms
from uptime.embedded.places import database_url, default_state_dir, postgres_home
from uptime.embedded.secrets import Secrets, load_secrets, make_secrets, new_secrets
from uptime.env_forms import ConfigError, Mail

__all__ = ["KNOWN", "ConfigError", "Environment", "Mail", "Problem", "read_environment"]

# Every variable of ours; docs/settings.md explains them and a test keeps the two equal.
KNOWN: Final = (
    "DEBUG",
    "SECRET_KEY",
    "UPTIME_ENCRYPTION_KEYS",
    "DATABASE_URL",
    "CELERY_BROKER_URL",
    "OBJECT_STORE_URL",
    "EMAIL_URL",
    "UPTIME_MAIL_FROM",
    "UPTIME_SITE_URL",
    "UPTIME_INGEST_URL",
    "ALLOWED_HOSTS",
    "UPTIME_ALLOW_NETWORKS",
    "UPTIME_STATE_DIR",
    "UPTIME_REGIONS",
    "UPTIME_CANARIES",
    "PROBE_ENGINE",
    "PROBE_TOPOLOGY",
    "UPTIME_STACK",
    "PROBE_IN_FLIGHT",
    "PROBE_RESOLVER",
    "UPTIME_CA_FILE",
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One wrong or missing variable: its name, the value as far as it may be shown, the form expected."""

    variable: str
    got: str
    expected: str

    def __str__(self) -> str:
        return f"{self.variable} is {self.got}; expected {self.expected}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the environment says, with defaults for an embedded installation."""

    debug: bool
    secret_key: str
    encryption_keys: list[str]
    database_url: str
    database: dict[str, Any]
    celery_broker_url: str
    celery_broker_options: dict[str, Any]
    object_store_url: str
    email_url: str
    email: Mail
    mail_from: str
    site_url: str
    ingest_url: str
    allowed_hosts: list[str]
    allow_networks: tuple[str, ...]
    state_dir: Path
    regions: tuple[str, ...]
    canaries: tuple[str, ...]
    probe_engine: str
    probe_topology: Topology
    stack: str
    probe_in_flight: int
    ca_file: str
    name_servers: tuple[NameServer, ...]
    problems: tuple[Problem, ...]


def read_environment(environ: Mapping[str, str]) -> Environment:
    """Every setting, and the problems found on the way. An empty variable counts as absent."""
    problems: list[Problem] = []

    def read(variable: str, form: Callable[[str], T], default: T) -> T:
        text = environ.get(variable, "").strip()
        if not text:
            return default
        try:
            return form(text)
        except ConfigError as error:
            problems.append(Problem(variable=variable, got=error.got, expected=error.expected))
            return default

    state_dir = read("UPTIME_STATE_DIR", forms.absolute_path, default_state_dir())
    site_url = read("UPTIME_SITE_URL", forms.site_url, "http://localhost:8000")
    embedded_url = database_url(postgres_home(state_dir))
    url = read("DATABASE_URL", forms.database_url, embedded_url)
    broker = read("CELERY_BROKER_URL", forms.broker_url, "pgmq://")
    email_url = read("EMAIL_URL", forms.email_url, "file://")
    own_secrets = _secrets(environ, state_dir, problems, embedded=url == embedded_url)
    hosts = {"localhost", "127.0.0.1", "[::1]", urlsplit(site_url).hostname or "localhost"}
    environment = Environment(
        debug=read("DEBUG", forms.boolean, False),
        secret_key=read("SECRET_KEY", forms.secret_key, own_secrets.secret_key),
        encryption_keys=read(
            "UPTIME_ENCRYPTION_KEYS", forms.encryption_keys, list(own_secrets.encryption_keys)
        ),
        database_url=url,
        database=forms.database_settings(url),
        celery_broker_url=forms.broker_address(broker),
        celery_broker_options=forms.broker_options(broker, database_url=url),
        object_store_url=read(
            "OBJECT_STORE_URL", forms.object_store_url, f"file://{state_dir / 'objects'}"
        ),
        email_url=email_url,
        email=forms.mail(email_url),
        mail_from=read("UPTIME_MAIL_FROM", forms.mail_address, "Uptime <uptime@localhost>"),
        site_url=site_url,
        ingest_url=read("UPTIME_INGEST_URL", forms.http_url, f"{site_url}/ingest/v1/results"),
        allowed_hosts=read("ALLOWED_HOSTS", forms.hosts, sorted(hosts)),
        allow_networks=read("UPTIME_ALLOW_NETWORKS", probe_forms.networks, ()),
        state_dir=state_dir,
        regions=read("UPTIME_REGIONS", probe_forms.region_names, ("local",)),
        canaries=read("UPTIME_CANARIES", forms.http_urls, ()),
        probe_engine=read("PROBE_ENGINE", probe_forms.engine, "celery"),
        probe_topology=read("PROBE_TOPOLOGY", probe_forms.topology, BATCHED),
        stack=read("UPTIME_STACK", probe_forms.stack, "uptime"),
        probe_in_flight=read("PROBE_IN_FLIGHT", probe_forms.in_flight, DEFAULT_IN_FLIGHT),
        ca_file=read("UPTIME_CA_FILE", probe_forms.ca_file, ""),
        name_servers=read("PROBE_RESOLVER", probe_forms.name_servers, ()),
        problems=tuple(problems),
    )
    unfit = _unfit_for_lambda(environment) if environment.probe_engine == "lambda" else {}
    if environ.get("AWS_LAMBDA_FUNCTION_NAME"):
        unfit |= _unfit_in_a_function(environment, embedded=url == embedded_url)
    told = {problem.variable for problem in problems}
    problems += [
        Problem(variable=variable, got=repr(forms.masked(value)), expected=expected)
        for variable, (value, expected) in unfit.items()
        if variable not in told
    ]
    return replace(environment, problems=tuple(problems))


def _unfit_for_lambda(environment: Environment) -> dict[str, tuple[str, str]]:
    """What is well formed, but cannot work with probes on AWS: by variable its value and the form expected."""
    unfit: dict[str, tuple[str, str]] = {}
    if not all(probe_forms.is_aws_region(name) for name in environment.regions):
        unfit["UPTIME_REGIONS"] = (
            ",".join(environment.regions),
            "names of AWS regions, such as eu-central-1, because PROBE_ENGINE is lambda",
        )
    if not environment.object_store_url.startswith("s3://"):
        unfit["OBJECT_STORE_URL"] = (
            environment.object_store_url,
            "s3://bucket/prefix, because PROBE_ENGINE is lambda and workers on AWS cannot read a folder",
        )
    if not probe_forms.is_public_https(environment.ingest_url):
        unfit["UPTIME_INGEST_URL"] = (
            environment.ingest_url,
            "a public https:// address, such as https://uptime.example.org/ingest/v1/results, "
            "because PROBE_ENGINE is lambda and workers on AWS report there",
        )
    return unfit


def _unfit_in_a_function(environment: Environment, *, embedded: bool) -> dict[str, tuple[str, str]]:
    """What a function on Lambda cannot have, as nothing that it writes outlives it: likewise."""
    unfit: dict[str, tuple[str, str]] = {}
    if embedded:
        unfit["DATABASE_URL"] = (
            "",
            "postgres://user:password@host:5432/name, because a function has no database of its own",
        )
    if environment.email_url.startswith("file:"):
        unfit["EMAIL_URL"] = (
            environment.email_url,
            "smtp+starttls://user:password@host:587, because a function's files are lost with its mail",
        )
    return unfit


def _secrets(
    environ: Mapping[str, str], state_dir: Path, problems: list[Problem], *, embedded: bool
) -> Secrets:
    """The secrets that the environment does not give: kept ones, or new ones for an embedded database.

    With a database elsewhere nothing is made up: another machine would not be able to read what
    this one encrypts.
    """
    missing = [
        name
        for name in ("SECRET_KEY", "UPTIME_ENCRYPTION_KEYS")
        if not environ.get(name, "").strip()
    ]
    if not missing:
        return new_secrets()
    try:
        found = make_secrets(state_dir) if embedded else load_secrets(state_dir)
        if found is not None:
            return found
        got = "not set"
    except (OSError, ValueError) as error:
        got = f"not set, and the state directory has none to use ({error})"
    expected = {"SECRET_KEY": forms.SECRET_KEY_FORM, "UPTIME_ENCRYPTION_KEYS": forms.KEYS_FORM}
    problems.extend(Problem(variable=v, got=got, expected=expected[v]) for v in missing)
    return new_secrets()
