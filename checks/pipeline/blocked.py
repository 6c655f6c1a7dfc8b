"""Results that the address guard ended: somebody's check points into a network it may not reach."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from checks.pipeline.fresh import FreshResult
from fanout_lambdas.shared.contracts import Reason

logger = logging.getLogger(__name__)

# The worker's sentence begins with it; what follows may hold text of the tenant's.
_RULE = re.compile(r"Not allowed \(([a-z0-9_]{1,32})\)")


def log_blocked(fresh: Iterable[FreshResult]) -> None:
    """One line for each, with tenant and rule. The worker, which knows no tenant, cannot say it."""
    for result in fresh:
        if result.reason is Reason.BLOCKED:
            rule = _RULE.match(result.message)
            logger.warning(
                "blocked probe client=%s check=%s rule=%s",
                result.client_id,
                result.check_id,
                rule[1] if rule else "unnamed",
            )
