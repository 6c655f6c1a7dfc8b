"""The artefact of the fan-out: one zip for dispatcher, triggerer and worker, without Django.

The same sources, locks and Python give the same bytes, so that a deployment of what has not changed changes nothing.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from uv import find_uv_bin

from deploy.bytecode import interpreter, replace_sources
from deploy.elf import WrongBinary, check_archive
from deploy.package import BuildFailed, Package
from deploy.target import BUILD, ROOT, TARGETS, VERSION, Target

LOCK = ROOT / "requirements" / "worker.lock"
PACKAGE = ROOT / "fanout_lambdas"
MOST_BYTES = 10_000_000
# The names of packages and their licences stay: scanners of vulnerabilities read them from a deployed zip.
_DROPPED = (
    "bin",
    "cffi",  # cryptography runs with its C part alone
    "pycparser",
    "**/tests",
    "**/*.pyi",
    "**/__pycache__",
    "*.dist-info/RECORD",
    "*.dist-info/REQUESTED",
    "*.dist-info/INSTALLER",
    "*.dist-info/direct_url.json",
    "*.dist-info/uv_*.json",
)
_TIME = (1980, 1, 1, 0, 0, 0)


def build(target: Target, path: Path, *, stage: Path) -> Package:
    """Builds into the folder `stage`, which is emptied first; raises BuildFailed and WrongBinary."""
    shutil.rmtree(stage, ignore_errors=True)
    _install(target, stage)
    for pattern in _DROPPED:
        for found in list(stage.glob(pattern)):
            shutil.rmtree(found) if found.is_dir() else found.unlink()
    ignored = shutil.ignore_patterns("__pycache__", "template.yaml")
    shutil.copytree(PACKAGE, stage / PACKAGE.name, ignore=ignored)
    python = interpreter()
    if python is not None:
        _compile(stage, python)
    path.parent.mkdir(parents=True, exist_ok=True)
    unchecked = path.with_name(f"{path.stem}-unchecked.zip")
    unzipped = _zip(stage, unchecked)
    binaries = check_archive(unchecked, target)
    zipped = unchecked.stat().st_size
    if zipped > MOST_BYTES:
        raise BuildFailed(f"{path.name} would have {zipped:,} bytes, more than {MOST_BYTES:,}.")
    unchecked.replace(path)
    return Package(
        path=path,
        zipped=zipped,
        unzipped=unzipped,
        binaries=binaries,
        bytecode=python is not None,
    )


def _install(target: Target, stage: Path) -> None:
    command = [find_uv_bin(), "pip", "install", "--quiet", "--target", str(stage)]
    command += ["--python-platform", target.platform, "--python-version", VERSION]
    # The lock names everything; a source would be built for the machine at hand.
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(LOCK)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildFailed(f"The packages could not be installed: {done.stderr.strip()}")


def _compile(stage: Path, python: Path) -> None:
    try:
        replace_sources(stage, python)
    except subprocess.CalledProcessError as error:
        raise BuildFailed(f"The sources could not be compiled: {error.stdout}") from error


def _zip(stage: Path, path: Path) -> int:
    """Bytes before compression."""
    total = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted(entry for entry in stage.rglob("*") if entry.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(stage).as_posix(), date_time=_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = (
                3  # Unix: the rights count, and Lambda's user must be able to read
            )
            entry.external_attr = 0o100644 << 16
            data = file.read_bytes()
            total += len(data)
            archive.writestr(entry, data)
    return total


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.artefact", description=__doc__)
    parser.add_argument(
        "--architecture",
        choices=sorted(TARGETS),
        default="arm64",
        help="of the functions, as the template's parameter Architecture says; default: arm64",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=BUILD / "fanout.zip",
        help="where the template looks for it: build/fanout.zip, the default",
    )
    options = parser.parse_args(arguments)
    target = TARGETS[options.architecture]
    print(f"Building the fan-out for {target.architecture} and Python {VERSION}", flush=True)
    try:
        made = build(target, options.out, stage=BUILD / f"fanout-{target.architecture}")
    except (BuildFailed, WrongBinary) as error:
        print(error, file=sys.stderr)
        return 1
    print(made.summary())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
