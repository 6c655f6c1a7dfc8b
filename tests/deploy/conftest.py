"""A Python as Lambda has it, for packages that are made for it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from uv import find_uv_bin

from deploy.bytecode import interpreter
from deploy.target import ROOT, VERSION
from deploy.web import without

RUNTIME = {
    *("awslambdaric", "snapshot-restore-py", "simplejson", "boto3", "botocore", "s3transfer"),
    *("jmespath", "python-dateutil", "urllib3", "six"),
}
"""What Lambda's Python runtime holds."""


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds what Lambda's does and nothing of this project's."""
    python = interpreter()
    if python is None:
        pytest.skip(f"Python {VERSION}, which the packages are made for, is not on this machine")
    folder = tmp_path_factory.mktemp("runtime")
    lock = (ROOT / "requirements" / "dev.lock").read_text()
    others = frozenset(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)) - RUNTIME
    (folder / "runtime.lock").write_text(without(lock, others))
    locked = ("--require-hashes", "-r", str(folder / "runtime.lock"))
    for command in (
        ["venv", "--python", str(python), str(folder / "venv")],
        ["pip", "install", "--python", str(folder / "venv/bin/python"), "--no-deps", *locked],
    ):
        subprocess.run([find_uv_bin(), *command], capture_output=True, check=True)
    return folder / "venv/bin/python"
