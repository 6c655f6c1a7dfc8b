"""`make deploy-check`: would a deployment work? Templates, both packages and their binaries, without an account."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy import artefact, trial, web
from deploy.bytecode import interpreter
from deploy.elf import WrongBinary
from deploy.package import BuildFailed, Package
from deploy.target import BUILD, ROOT, TARGETS

TEMPLATES = ("fanout_lambdas/template.yaml", "deploy/home.yaml")


class CheckFailed(Exception):
    """One step found a fault; the message names it."""


Step = tuple[str, Callable[[], str]]


def run(steps: Sequence[Step]) -> int:
    """All of them, whatever the one before said: one run shows every fault."""
    failed = 0
    for number, (name, step) in enumerate(steps, start=1):
        print(f"{number}/{len(steps)} {name} ...", flush=True)
        begun = time.monotonic()
        try:
            said = step()
        except (CheckFailed, BuildFailed, WrongBinary, trial.NotStarted) as error:
            failed += 1
            print(f"    FAILED: {error}", flush=True)
        else:
            print(f"    ok, {time.monotonic() - begun:.0f} s: {said}", flush=True)
    print(f"{failed} of {len(steps)} checks failed." if failed else "Ready to deploy.")
    return 1 if failed else 0


def templates() -> str:
    command = [str(Path(sys.executable).with_name("cfn-lint")), *TEMPLATES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CheckFailed(done.stdout.strip() or done.stderr.strip())
    return f"cfn-lint finds nothing in {' and '.join(TEMPLATES)}"


def fan_out() -> str:
    return _built("arm64").summary()


def fan_out_here() -> str:
    architecture = trial.architecture()
    python = interpreter()
    if architecture is None or python is None:
        return "not started, this machine has not what Lambda has"
    _built(architecture)
    return f"a worker starts in {trial.start(_stage(architecture), python):.2f} s of CPU"


def web_application() -> str:
    stage = web.stage_settings()
    return web.build(TARGETS[stage["architecture"]], BUILD / "uptime-web.zip").summary()


def _built(architecture: str) -> Package:
    name = "fanout.zip" if architecture == "arm64" else f"fanout-{architecture}.zip"
    return artefact.build(TARGETS[architecture], BUILD / name, stage=_stage(architecture))


def _stage(architecture: str) -> Path:
    return BUILD / f"fanout-{architecture}"


STEPS = (
    ("templates", templates),
    ("fan-out for arm64", fan_out),
    ("fan-out on this machine", fan_out_here),
    ("web application", web_application),
)

if __name__ == "__main__":
    raise SystemExit(run(STEPS))
