"""What the pipeline says after its commit: something to recheck, something to deliver. A signal only saves time;
the periodic jobs find the same rows without it."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.dispatch import Signal

recheck_due = Signal()
delivery_due = Signal()


def after_commit(signal: Signal) -> None:
    """Send `signal` once the transaction under way is committed; a failing listener harms nobody."""
    transaction.on_commit(partial(signal.send_robust, sender=None))
