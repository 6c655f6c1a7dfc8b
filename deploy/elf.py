"""Would each binary of an artefact load on Lambda? Machine, Python and glibc, read from the files themselves.

A package index may offer, and a packer may silently take, what was built for the machine that packs; on Lambda that
is an import error in the first invocation. Layout of the header: the ELF specification, e_machine at offset 18.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from deploy.target import GLIBC, PYC_MAGIC, PYTHON, Target

_ELF = b"\x7fELF"
_MACHINE = slice(18, 20)
_LIBRARY = re.compile(r"\.so(\.\d+)*$")
_TAG = re.compile(r"\.cpython-(\d+)-([\w-]+)\.so$")
_GLIBC = re.compile(rb"GLIBC_(\d+)\.(\d+)")


class WrongBinary(Exception):
    """The artefact would not load; a line for each file at fault."""


def check_archive(archive: Path, target: Target) -> int:
    """How many binaries the archive holds, all of them fit for `target`; raises WrongBinary.

    An archive without one is refused as well: each of ours has some, so they were lost or not looked at.
    """
    count = 0
    problems = []
    with zipfile.ZipFile(archive) as files:
        for name in files.namelist():
            if name.endswith("/"):
                continue
            data = files.read(name)
            if name.endswith(".pyc"):
                magic = int.from_bytes(data[:2], "little")
                if magic != PYC_MAGIC:
                    problems.append(f"{name}: bytecode {magic}, the runtime reads {PYC_MAGIC}")
            elif data.startswith(_ELF) or _LIBRARY.search(name):
                count += 1
                problems += [f"{name}: {problem}" for problem in _problems(name, data, target)]
    if not count:
        problems.append("no binary at all, so there is nothing to go by")
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise WrongBinary(f"{archive.name} does not fit Lambda on {target.architecture}:\n{lines}")
    return count


def _problems(name: str, data: bytes, target: Target) -> Iterator[str]:
    if not data.startswith(_ELF):
        yield "is no ELF file"
        return
    # Byte 5 says how the numbers are written: 1 is little-endian, as both architectures are.
    machine = int.from_bytes(data[_MACHINE], "little") if data[5] == 1 else -1
    if machine != target.machine:
        yield f"machine {machine}, expected {target.machine} ({target.architecture})"
    tag = _TAG.search(name)
    if tag:
        python = "".join(map(str, PYTHON))
        if tag[1] != python:
            yield f"for Python {tag[1]}, the runtime is {python}"
        if tag[2] != target.triplet:
            yield f"named for {tag[2]}, expected {target.triplet}"
    needs = max(((int(a), int(b)) for a, b in _GLIBC.findall(data)), default=(0, 0))
    if needs > GLIBC:
        yield "needs glibc {}.{}, the runtime has {}.{}".format(*needs, *GLIBC)
