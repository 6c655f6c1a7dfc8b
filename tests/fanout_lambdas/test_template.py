"""The deployment's templates: sound in CloudFormation's eyes, and each function with what it needs and no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from cfnlint.decode.cfn_yaml import load  # type: ignore[import-untyped]

from bench.emulator import FunctionSpec
from bench.emulator.template import functions_in
from deploy.check import TEMPLATES, templates
from deploy.target import ROOT, VERSION
from fanout_lambdas.config import DispatcherConfig, WorkerConfig
from fanout_lambdas.sealing import new_key
from fanout_lambdas.shared.slots import MINUTE_S
from fanout_lambdas.starting import REPORT_S

FANOUT, HOME = (load(str(ROOT / name)) for name in TEMPLATES)
# What CloudFormation takes from Secrets Manager.
SECRETS = {
    "UPTIME_INGEST_KEY_ID": "eu-central-1-1",
    "UPTIME_INGEST_SECRET": "open sesame",
    "UPTIME_SEALING_KEYS": new_key(),
}


@pytest.fixture(scope="module")
def functions() -> dict[str, FunctionSpec]:
    ingest = "https://uptime.example.com/ingest/v1/results"
    found = functions_in(
        ROOT / TEMPLATES[0],
        code=ROOT,
        region="eu-central-1",
        stack="stage",
        parameters={"Bucket": "objects", "IngestUrl": ingest, "AlarmTopic": "none"},
        environment=SECRETS,
    )
    return {spec.name: spec for spec in found}


def test_cfn_lint_finds_nothing() -> None:
    assert "finds nothing" in templates()


class Read(dict[str, str]):
    """Notes which variables are asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(variables)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)


def test_each_function_is_given_the_variables_that_it_reads_and_no_other(
    functions: dict[str, FunctionSpec],
) -> None:
    given = {name: Read(spec.environment) for name, spec in functions.items()}
    worker = WorkerConfig.from_env(given["stage-worker"])
    assert (worker.region, worker.object_store_url) == ("eu-central-1", "s3://objects")
    assert worker.sealing_keys == (SECRETS["UPTIME_SEALING_KEYS"],)
    for name in ("stage-dispatcher", "stage-triggerer"):
        config = DispatcherConfig.from_env(given[name])
        assert (config.stack, config.object_store_url) == ("stage", "s3://objects")
        assert config.threads > 1
    for variables in given.values():
        # The runtime itself reads AWS's; secrets were handed to all three above.
        unread = {name for name in variables if not name.startswith("AWS_")} - variables.names
        assert unread <= set(SECRETS)


def test_secrets_go_to_the_worker_alone_and_stand_nowhere() -> None:
    for name, resource in FANOUT["Resources"].items():
        variables = resource.get("Properties", {}).get("Environment", {}).get("Variables", {})
        held = {variable for variable in variables if variable in SECRETS}
        assert held == (set(SECRETS) if name == "Worker" else set())
        for variable in held:
            # Of a version that the deployment names: a rotation is a change, and so is its undoing.
            reference = variables[variable]["Fn::Sub"]
            assert reference.startswith("{{resolve:secretsmanager:${AWS::StackName}/")
            assert reference.endswith(f":SecretString:{variable}::${{RegionSecretVersion}}}}}}")
    assert not any("Secret" in name and "Default" in p for name, p in FANOUT["Parameters"].items())


def test_a_minute_that_failed_is_not_run_again_but_told(
    functions: dict[str, FunctionSpec],
) -> None:
    assert set(functions) == {"stage-dispatcher", "stage-triggerer", "stage-worker"}
    for spec in functions.values():
        assert (spec.retries, spec.event_age_s) == (0, 60)
        assert spec.on_failure == "stage-dead-letters"
    # Started up to a minute ahead, the dispatcher waits for its minute's end.
    assert functions["stage-dispatcher"].timeout_s >= 130
    # Started with a minute's first batch, a triggerer waits for its last one, and stops before its own end to report.
    assert functions["stage-triggerer"].timeout_s >= MINUTE_S + REPORT_S
    assert FANOUT["Globals"]["Function"]["Runtime"] == f"python{VERSION}"


def test_each_function_names_its_artefact_itself() -> None:
    """`aws cloudformation package` does not look into Globals: it would upload the template's folder instead."""
    functions = [
        each["Properties"]
        for each in FANOUT["Resources"].values()
        if each["Type"] == "AWS::Serverless::Function"
    ]
    assert [each.get("CodeUri") for each in functions] == ["../build/fanout.zip"] * 3


def test_concurrency_can_be_left_to_the_account() -> None:
    """A new account may have ten environments in all, and can reserve none."""
    given = {f"{name}Concurrency": "" for name in ("Dispatcher", "Triggerer", "Worker")}
    given |= {"Bucket": "objects", "IngestUrl": "https://example.com", "AlarmTopic": "none"}
    found = functions_in(ROOT / TEMPLATES[0], code=ROOT, parameters=given, environment=SECRETS)
    assert [spec.reserved for spec in found] == [None, None, None]


def rights(template: Any, role: str) -> dict[str, set[str]]:
    """Action > the ends of the resources on which it is allowed."""
    found: dict[str, set[str]] = {}
    for policy in template["Resources"][role]["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            for action in listed(statement["Action"]):
                ends = {end(resource) for resource in listed(statement["Resource"])}
                found.setdefault(action, set()).update(ends)
    return found


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def end(resource: dict[str, Any]) -> str:
    (how, what), *_ = resource.items()
    if how == "Fn::GetAtt":
        return ".".join(what)
    text: str = what
    assert text != "*"
    return text.replace("${AWS::StackName}", "stack").rpartition(":")[2]


LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}


def test_the_worker_may_spool_and_nothing_else() -> None:
    found = rights(FANOUT, "WorkerRole")
    assert {action: found.pop(action) for action in LOGS} == {
        action: {"WorkerLog.Arn"} for action in LOGS
    }
    assert found == {
        "s3:PutObject": {"${Bucket}/spool/*"},
        "sqs:SendMessage": {"DeadLetters.Arn"},
    }


def test_the_triggerer_may_start_workers_and_report() -> None:
    found = rights(FANOUT, "TriggererRole")
    assert found.pop("lambda:InvokeFunction") == {"stack-worker"}
    assert found.pop("s3:PutObject") == {"${Bucket}/dispatches/*"}
    assert set(found) == LOGS | {"sqs:SendMessage"}


def test_the_dispatcher_may_read_snapshots_start_both_and_report() -> None:
    found = rights(FANOUT, "DispatcherRole")
    assert found.pop("lambda:InvokeFunction") == {"stack-triggerer", "stack-worker"}
    assert found.pop("s3:GetObject") == {"${Bucket}/snapshots/*"}
    assert found.pop("s3:PutObject") == {"${Bucket}/dispatches/*"}
    assert found.pop("s3:ListBucket") == {"${Bucket}"}
    assert set(found) == LOGS | {"sqs:SendMessage"}


def test_the_web_application_may_not_touch_what_is_not_its_own() -> None:
    found = rights(HOME, "Role")
    assert found["lambda:InvokeFunction"] == {
        "${FanoutStack}-dispatcher",
        "${FanoutStack}-worker",
        "${WebFunction}",
    }
    prefixes = {f"${{Bucket.Arn}}/{name}/*" for name in ("snapshots", "dispatches", "spool")}
    assert found["s3:DeleteObject"] == found["s3:GetObject"] == prefixes
    assert found["s3:PutObject"] == {"${Bucket.Arn}/snapshots/*", "${Bucket.Arn}/spool-bad/*"}
    assert found["sqs:ReceiveMessage"] == {"${FanoutStack}-dead-letters"}
    assert {action.partition(":")[0] for action in found} == {"lambda", "logs", "s3", "sqs"}


def test_every_prefix_of_the_bucket_is_cleared_in_time() -> None:
    rules = HOME["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    days = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "Prefix" in rule}
    assert days == {"snapshots/": 14, "dispatches/": 2, "spool/": 30, "spool-bad/": 30}
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
