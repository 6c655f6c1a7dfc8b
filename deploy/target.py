"""What an artefact is built for: one architecture of Lambda, and the Python of its runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"

# Amazon Linux 2023. python3.11 runs on Amazon Linux 2, whose glibc 2.26 is too old for the wheels of cryptography.
PYTHON = (3, 12)
VERSION = ".".join(map(str, PYTHON))
GLIBC = (2, 34)
PYC_MAGIC = 3531  # the bytecode of 3.12


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`machine` is the ELF number (e_machine), `triplet` stands in the names of extension modules."""

    architecture: str
    machine: int
    triplet: str
    platform: str  # as uv names it; wheels for this glibc or an older one


TARGETS = {
    "arm64": Target(
        architecture="arm64",
        machine=183,
        triplet="aarch64-linux-gnu",
        platform="aarch64-manylinux_2_28",
    ),
    "x86_64": Target(
        architecture="x86_64",
        machine=62,
        triplet="x86_64-linux-gnu",
        platform="x86_64-manylinux_2_28",
    ),
}
