"""What the web application's package is made of, and what Zappa is told to make around it."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from deploy.package import BuildFailed
from deploy.target import TARGETS, VERSION
from deploy.web import LEFT_OUT, LOCK, stage_settings, without

LOCKED = """\
boto3==1.44.5 \\
    --hash=sha256:aa
boto3-stubs==1.0 ; python_version < '3.13' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
django==5.2 \\
    --hash=sha256:dd
"""


def test_a_package_leaves_the_lock_with_its_hashes_and_alone() -> None:
    assert without(LOCKED, frozenset({"boto3"})) == LOCKED.partition("    --hash=sha256:aa\n")[2]


def test_all_that_is_left_out_is_in_the_lock() -> None:
    locked = set(re.findall(r"^([\w.-]+)==", LOCK.read_text(), re.MULTILINE))
    assert locked >= LEFT_OUT


def test_the_function_is_for_the_machine_that_packages_are_made_for() -> None:
    settings = stage_settings()
    assert settings["runtime"] == f"python{VERSION}"
    assert settings["architecture"] in TARGETS


def test_every_event_names_a_job_and_comes_once_a_minute_at_most() -> None:
    events = stage_settings()["events"]
    for event in events:
        module, _, name = event["function"].rpartition(".")
        assert callable(getattr(import_module(module), name))
        assert re.fullmatch(
            r"rate\((1 (minute|hour)|[2-9]\d* (minutes|hours)|1\d+ minutes)\)", event["expression"]
        )
    assert len({event["function"] for event in events}) == len(events)


def test_no_stranger_may_invoke_the_function() -> None:
    """With a function URL Zappa 0.63 lets every AWS account call the Invoke API, and executes what comes by it."""
    settings = stage_settings()
    assert settings["function_url_enabled"] is False
    assert settings["manage_roles"] is False
    assert settings["debug"] is False


def test_an_unknown_stage_is_named() -> None:
    with pytest.raises(BuildFailed, match="no stage 'staging'"):
        stage_settings("staging")
