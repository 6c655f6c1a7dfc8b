"""Where an embedded installation keeps its things: one state directory, and what lies in it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import quote

PROJECT = Path(__file__).resolve().parents[2]
DATABASE = "uptime"
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_LIMIT = 107  # of the operating system, in bytes


def default_state_dir() -> Path:
    """Beside the code for an ordinary user; for root where an ordinary account can reach it too."""
    if os.geteuid() != 0:
        return PROJECT / ".state"
    digest = hashlib.sha256(os.fsencode(PROJECT)).hexdigest()[:8]
    return Path("/var/lib/uptime") / digest


def postgres_home(state_dir: Path) -> Path:
    """The folder of the embedded PostgreSQL."""
    return state_dir / "postgres"


def socket_dir(home: Path) -> Path:
    """The folder of a server's socket: below its home, or a short one where that is too long."""
    near = Path(os.path.abspath(home)) / "run"
    if len(os.fsencode(near / SOCKET_NAME)) <= SOCKET_PATH_LIMIT:
        return near
    # The same for everybody who asks about this home, whatever TMPDIR says.
    digest = hashlib.sha256(os.fsencode(near)).hexdigest()[:12]
    return Path("/tmp") / f"uptime-{os.geteuid()}-{digest}"


def database_url(home: Path) -> str:
    """The URL of the database that a server below `home` serves, whether it runs or not."""
    return f"postgresql://{DATABASE}@/{DATABASE}?host={quote(str(socket_dir(home)), safe='/')}"


def make_state_dir(state_dir: Path) -> None:
    """Make the state directory; root's must be passable for the account that PostgreSQL runs under."""
    if os.geteuid() != 0:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return
    for folder in (*reversed(state_dir.parents), state_dir):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)  # whatever the umask says
