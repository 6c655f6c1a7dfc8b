"""Starts the fan-out from its artefact alone, on this machine: nothing that it needs may have stayed behind."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

_PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[1])
import fanout_lambdas.dispatcher, fanout_lambdas.triggerer
begun = time.process_time()
import fanout_lambdas.worker as worker
old = {"version": 1, "minute": 0, "batch": 0, "region": "here", "not_before": 0, "deadline": 0, "probes": []}
answer = worker.handler(old, None)
taken = time.process_time() - begun
assert "deadline" in answer["refused"], answer

# What a worker loads for the checks that need it.
import backports.zstd, brotli, certifi, dns.message, jsonpath, re2
from fanout_lambdas.sealing import Sealer, new_key
sealer = Sealer([new_key()])
assert sealer.open(sealer.seal({"body": "secret"})) == {"body": "secret"}
print(taken)
"""
_ENVIRONMENT = {
    "UPTIME_REGION": "here",
    "UPTIME_INGEST_URL": "https://uptime.invalid/ingest/v1/results",
    "UPTIME_INGEST_KEY_ID": "here-1",
    "UPTIME_INGEST_SECRET": "not used",
    "OBJECT_STORE_URL": "s3://not-used",
    "PYTHONHASHSEED": "0",
}


class NotStarted(Exception):
    """The artefact does not run; the message is what Python said."""


def architecture() -> str | None:
    """What this machine could start: "arm64", "x86_64", or nothing when it is not Linux."""
    if platform.system() != "Linux":
        return None
    return {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine())


def start(stage: Path, python: Path) -> float:
    """CPU seconds until a worker has looked at its first batch; raises NotStarted."""
    # Neither the packages of this Python nor variables that would lead to others.
    done = subprocess.run(
        [str(python), "-I", "-S", "-B", "-c", _PROGRAM, str(stage)],
        env={"PATH": os.environ.get("PATH", ""), **_ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NotStarted(done.stderr.strip())
    return float(done.stdout)
