"""A package that is ready for Lambda, in figures, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deploy.target import ROOT, VERSION


class BuildFailed(Exception):
    """A package could not be made; the message says at which step and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Sizes in bytes. All `binaries` fit the machine it is for."""

    path: Path
    zipped: int
    unzipped: int
    binaries: int
    bytecode: bool

    def summary(self) -> str:
        path = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        text = (
            f"{path}: {self.zipped / 1e6:.1f} MB, {self.unzipped / 1e6:.1f} MB unpacked, "
            f"{self.binaries} binaries fit"
        )
        if self.bytecode:
            return text
        return (
            f"{text}, but without bytecode: Python {VERSION} is not on this machine, and "
            f"`uv python install {VERSION}` fetches it"
        )
