"""Functions as a SAM template deploys them, and the emulator run from one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from bench.emulator.template import functions_in
from tests.bench.emulator.conftest import HERE
from uptime.embedded.places import PROJECT

TEMPLATE = """
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Memory: {Type: Number, Default: 256}
  Reserved: {Type: String, Default: ""}
  Bucket: {Type: String}
Conditions:
  IsReserved: !Not [!Equals [!Ref Reserved, ""]]
Globals:
  Function:
    Runtime: python3.12
    Timeout: 20
    Environment:
      Variables: {STACK: !Ref AWS::StackName, KIND: shared}
    EventInvokeConfig:
      MaximumRetryAttempts: 0
      MaximumEventAgeInSeconds: 60
      DestinationConfig:
        OnFailure: {Type: SQS, Destination: !GetAtt Letters.Arn}
Resources:
  Letters:
    Type: AWS::SQS::Queue
    Properties: {QueueName: !Sub "${AWS::StackName}-letters"}
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub ${AWS::StackName}-echo
      Handler: handlers.echo
      Role: !GetAtt SomeRole.Arn
      MemorySize: !Ref Memory
      ReservedConcurrentExecutions: !If [IsReserved, !Ref Reserved, !Ref AWS::NoValue]
      LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: WARN, LogGroup: !Ref Nowhere}
      Environment:
        Variables:
          KIND: own
          STORE: !Sub s3://${Bucket}/${!left}
          REGION: !Join ["-", [in, !Ref AWS::Region]]
          SECRET: !Sub "{{resolve:secretsmanager:${AWS::StackName}:SecretString:key}}"
  Plain:
    Type: AWS::Serverless::Function
    Properties:
      Handler: handlers.fail
      EventInvokeConfig: {MaximumRetryAttempts: 1}
  Else:
    Type: AWS::S3::Bucket
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    file = tmp_path / "template.yaml"
    file.write_text(TEMPLATE)
    return file


def test_a_function_is_read_as_it_is_deployed(template: Path) -> None:
    echo, plain = functions_in(
        template,
        code=HERE,
        python=Path("/python"),
        region="eu-central-1",
        stack="mine",
        parameters={"Bucket": "b", "Reserved": "7"},
        environment={"SECRET": "s"},
    )
    assert (echo.name, echo.handler, echo.region) == ("mine-echo", "handlers.echo", "eu-central-1")
    assert (echo.memory_mb, echo.timeout_s, echo.reserved) == (256, 20.0, 7)
    assert (echo.retries, echo.event_age_s, echo.on_failure) == (0, 60, "mine-letters")
    assert (echo.root, echo.python) == (HERE, Path("/python"))
    assert echo.environment == {
        "STACK": "mine",
        "KIND": "own",
        "STORE": "s3://b/${left}",
        "REGION": "in-eu-central-1",
        "SECRET": "s",
        "AWS_LAMBDA_LOG_LEVEL": "WARN",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
    }
    # A map of the function's own is merged with the shared one, as SAM does.
    assert (plain.retries, plain.event_age_s, plain.on_failure) == (1, 60, "mine-letters")
    assert (plain.name, plain.memory_mb, plain.reserved) == ("mine-Plain", 128, None)


def test_a_condition_may_leave_a_property_out(template: Path) -> None:
    echo, _ = functions_in(template, code=HERE, environment={"SECRET": "", "STORE": ""})
    assert echo.reserved is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "template.yaml, Echo: parameter Bucket has no default and was not given."),
        ({"parameters": {"Bucket": "b"}}, "resolve:secretsmanager.*can be read on AWS alone"),
        ({"parameters": {"Bukket": "b"}}, "The template has no parameter Bukket."),
        (
            {"environment": {"SECRET": "", "STORE": ""}, "parameters": {"Memory": "64"}},
            "template.yaml, Echo: uptime-echo: memory_mb is 64",
        ),
    ],
)
def test_what_cannot_be_known_is_named(
    template: Path, given: dict[str, dict[str, str]], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        functions_in(template, code=HERE, **given)  # type: ignore[arg-type]


def test_a_template_without_functions_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("Resources:\n  Bucket:\n    Type: AWS::S3::Bucket\n")
    with pytest.raises(ValueError, match=r"empty\.yaml has no AWS::Serverless::Function"):
        functions_in(file, code=HERE)


def test_our_own_template_can_be_read() -> None:
    functions = functions_in(
        PROJECT / "fanout_lambdas" / "template.yaml",
        code=PROJECT,
        parameters={"Bucket": "b", "IngestUrl": "https://uptime.example.com/"},
        environment={
            "UPTIME_INGEST_KEY_ID": "k",
            "UPTIME_INGEST_SECRET": "s",
            "UPTIME_SEALING_KEYS": "",
        },
    )
    assert [spec.name for spec in functions] == [
        "uptime-dispatcher",
        "uptime-triggerer",
        "uptime-worker",
    ]
    for spec in functions:
        assert (spec.retries, spec.event_age_s, spec.on_failure) == (0, 60, "uptime-dead-letters")


def run(template: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "bench.emulator", "--template", str(template)),
            *("--code", str(HERE), "--env", "SECRET=s", "--env", "STORE=s", *more),
        ],
        cwd=PROJECT,
        env={**os.environ, "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_serves_a_template_until_it_is_told_to_end(template: Path) -> None:
    with run(template, "--json") as process:
        assert process.stdout is not None
        name, _, endpoint = process.stdout.readline().strip().partition("=")
        assert name == "AWS_ENDPOINT_URL_LAMBDA"
        lambdas = boto3.client(
            "lambda",
            region_name="us-east-1",
            endpoint_url=endpoint,
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )
        answer = lambdas.invoke(FunctionName="uptime-echo", Payload=b"5")
        assert json.loads(answer["Payload"].read())["event"] == 5
        process.send_signal(signal.SIGINT)
        ledger = json.loads(process.communicate(timeout=20)[0])
        assert process.returncode == 0
    assert ledger["uptime-echo"]["finished"] == 1
    assert ledger["uptime-Plain"]["invocations"] == 0


def test_a_wrong_parameter_ends_it_with_a_sentence(template: Path) -> None:
    with run(template, "--parameter", "Bukket=b") as process:
        _, said = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "The template has no parameter Bukket." in said
    assert "Traceback" not in said
