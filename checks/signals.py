"""What the pipeline says after its commit: something to recheck, something to deliver.

A signal only saves time: the periodic jobs find the same rows without it. Senders send from
`transaction.on_commit`; listeners never raise.
"""

from __future__ import annotations

from django.dispatch import Signal

recheck_due = Signal()
delivery_due = Signal()
