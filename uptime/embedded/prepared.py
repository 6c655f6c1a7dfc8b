"""Whether the database and the static files already fit this code, told without loading Django."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import psycopg

from uptime.embedded.places import PROJECT

NAME = "prepared.json"


def code_digest() -> str:
    """Changes with whatever could change the tables or the collected static files."""
    paths = [PROJECT / "requirements.lock", PROJECT / "uptime" / "settings.py"]
    paths += PROJECT.glob("*/migrations/*.py")
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(str(path.relative_to(PROJECT)).encode())
        digest.update(path.read_bytes() if path.exists() else b"")
    for path in sorted((PROJECT / "static" / "dist").rglob("*")):
        status = path.stat()
        digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()


def applied_digest(database_url: str) -> str:
    """The migrations that the database has seen; '' for a database that has seen none."""
    with psycopg.connect(database_url, connect_timeout=10) as connection:
        try:
            rows = connection.execute(
                "select app, name from django_migrations order by 1, 2"
            ).fetchall()
        except psycopg.errors.UndefinedTable:
            return ""
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def is_prepared(state_dir: Path, database_url: str) -> bool:
    """Whether `prepare` has nothing to do."""
    try:
        noted = json.loads((state_dir / NAME).read_text())
        return bool(
            noted["static"] == str(state_dir / "static")
            and noted["code"] == code_digest()
            and noted["applied"] == applied_digest(database_url)
        )
    except (OSError, ValueError, KeyError, TypeError, psycopg.Error):
        return False


def note_prepared(state_dir: Path, database_url: str) -> None:
    """Remember that everything fits."""
    noted = {
        "static": str(state_dir / "static"),
        "code": code_digest(),
        "applied": applied_digest(database_url),
    }
    draft = state_dir / f"{NAME}.draft"
    draft.write_text(json.dumps(noted))
    draft.replace(state_dir / NAME)
