"""The fan-out runs where neither Django nor Celery nor the AWS library is installed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

PROGRAM = """
import importlib, pkgutil, sys

class Closed:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"django", "celery", "kombu", "psycopg", *sys.argv[1:]}:
            raise ImportError(name + " is not part of the fan-out")

sys.meta_path.insert(0, Closed())
import fanout_lambdas
for module in pkgutil.walk_packages(fanout_lambdas.__path__, "fanout_lambdas."):
    if not module.name.endswith(("objectstore_s3", "dead_letters_sqs", "invoke_aws", "__main__")):
        importlib.import_module(module.name)
print(len([name for name in sys.modules if name.startswith("fanout_lambdas")]))
"""

SHARED = """
import sys
import fanout_lambdas.shared.contracts, fanout_lambdas.shared.guarded_connect
import fanout_lambdas.shared.netguard, fanout_lambdas.shared.signing, fanout_lambdas.shared.slots
import fanout_lambdas.planning
own = {name.split(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
print(sorted(name for name in own if not name.startswith(("_", "sitecustomize"))))
"""

WORKER = """
import sys
import fanout_lambdas.worker
print(*sorted(set(sys.argv[1:]) & {name for name, module in sys.modules.items() if module}))
"""

WARM = """
import asyncio, os, sys
os.environ |= {
    "UPTIME_REGION": "eu", "UPTIME_INGEST_URL": "https://uptime.example.com/", "UPTIME_INGEST_KEY_ID": "eu-1",
    "UPTIME_INGEST_SECRET": "x", "OBJECT_STORE_URL": "s3://bucket",
}
import fanout_lambdas.worker
print(fanout_lambdas.worker.handler({"version": 1}, None))
print(*sorted({"boto3", "botocore"} & set(sys.modules)))
"""

# Each is installed where the tests run. What a cold start loads is billed, and every worker begins with one.
LATER = (
    "boto3",  # the object store in S3
    "botocore",
    "click",  # httpx's command line
    "cryptography",  # with the engine, and with sealed secrets
    "django",
    "dns",  # checks of kind "dns"
    "fanout_lambdas.dispatcher",
    "fanout_lambdas.planning",
    "fanout_lambdas.shared.contracts.parsed_batch",
    "fanout_lambdas.shared.contracts.snapshot",
    "html.entities",  # evidence of a probe with secrets
    "httpcore",  # with the reporter
    "jsonpath",  # JSON assertions
    "psycopg",
    "re2",  # regex assertions
    "rich",
)


def run(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_module_loads_without_the_web_application() -> None:
    assert int(run(PROGRAM, "boto3", "botocore")) > 20


def test_shared_and_planning_need_the_standard_library_alone() -> None:
    assert run(SHARED) == "['fanout_lambdas']"


def test_a_worker_starts_without_what_its_first_probe_may_not_need() -> None:
    for name in LATER:
        assert importlib.util.find_spec(name), (
            f"{name} is not installed: the test would see nothing"
        )
    assert run(WORKER, *LATER, "httpx") == "httpx"


def test_a_worker_with_its_spool_in_s3_serves_without_the_aws_library() -> None:
    """It is loaded when a report is spooled: on a small Lambda that takes seconds."""
    answer = run(WARM)
    assert "refused" in answer
    assert "boto" not in answer
