"""kill -9 of parts in the middle of a minute, and how long each takes to come back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.accounting import Account
from bench.installation import Installation

PARTS = {"worker": "probe", "web": "web", "postgres": "postgres", "jobs": "jobs", "beat": "beat"}
FIRST_S, APART_S = 25, 12
STILL_OURS_S = 0.5
"""What was under way when the part was killed may still be committed; that is no recovery."""


@dataclass(slots=True, kw_only=True)
class Kill:
    """One kill: when it is due, when it came, when the part was back."""

    part: str
    due: float
    pid: int = 0
    at: float = 0.0
    back_at: float = 0.0

    def to_json(self, account: Account) -> dict[str, Any]:
        stored = account.first_commit_after(self.at + STILL_OURS_S) if self.at else None
        return {
            "part": self.part,
            "killed_at_second": round(self.at % 60, 1),
            "process_back_s": round(self.back_at - self.at, 1) if self.back_at else None,
            "next_result_stored_s": round(stored - self.at, 1) if stored else None,
        }


def plan_kills(parts: Sequence[str], *, minute: int) -> list[Kill]:
    """One after the other, from the middle of this minute on."""
    return [
        Kill(part=part, due=minute + FIRST_S + number * APART_S)
        for number, part in enumerate(parts)
    ]


def do_kills(kills: Sequence[Kill], installation: Installation) -> list[Kill]:
    """Kill what is due and look who is back; call it often. Returns those that were killed now."""
    done = []
    for kill in kills:
        now = time.time()
        name = PARTS[kill.part]
        if not kill.at and now >= kill.due and name in installation.roots():
            kill.at, kill.pid = now, installation.kill(name)
            done.append(kill)
        elif kill.at and not kill.back_at:
            root = installation.roots().get(name)
            if root is not None and root.pid != kill.pid:
                kill.back_at = now
    return done
