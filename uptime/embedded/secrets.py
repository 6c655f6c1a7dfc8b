"""The secrets of an embedded installation: made once, kept in the state directory for its owner alone."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from uptime.embedded.places import make_state_dir

NAME = "secrets.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What signs sessions and what encrypts tenants' credentials (the first key encrypts)."""

    secret_key: str
    encryption_keys: tuple[str, ...]


def new_secrets() -> Secrets:
    """Fresh random secrets."""
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return Secrets(secret_key=secrets.token_urlsafe(48), encryption_keys=(key,))


def load_secrets(state_dir: Path) -> Secrets | None:
    """The kept secrets, or None if there are none yet; OSError or ValueError if they cannot be read."""
    try:
        text = (state_dir / NAME).read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        found = json.loads(text)
        return Secrets(
            secret_key=str(found["secret_key"]),
            encryption_keys=tuple(str(key) for key in found["encryption_keys"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{state_dir / NAME} is damaged; restore it from a backup") from error


def make_secrets(state_dir: Path) -> Secrets:
    """The kept secrets; made first if there are none. Of two makers at once, one wins for both."""
    found = load_secrets(state_dir)
    if found is not None:
        return found
    make_state_dir(state_dir)
    fresh = new_secrets()
    draft = state_dir / f"{NAME}.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(
            {"secret_key": fresh.secret_key, "encryption_keys": list(fresh.encryption_keys)}, file
        )
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, state_dir / NAME)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    kept = load_secrets(state_dir)
    assert kept is not None
    return kept
