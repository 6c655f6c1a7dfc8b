"""Folders for embedded servers under test."""

from __future__ import annotations

import os
from pathlib import Path


def let_root_pass(folder: Path) -> Path:
    """pytest keeps its folders private; root's server runs under an account that must get through."""
    if os.geteuid() == 0:
        for step in (folder, *folder.parents):
            mode = step.stat().st_mode
            if step.stat().st_uid == 0 and not mode & 0o001:
                step.chmod(mode | 0o011)
    return folder
