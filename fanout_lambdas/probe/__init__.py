"""The probe engine (hop 3): one process-wide engine, one result for every probe, no exceptions."""

from __future__ import annotations

import sys

# httpx loads its command line, and with it click and rich, wherever these happen to be installed: a fifth of
# a worker's cold start. To httpx this looks as if they were not.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
