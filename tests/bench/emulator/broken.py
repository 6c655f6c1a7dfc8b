"""A function whose module cannot be loaded."""

from __future__ import annotations

raise RuntimeError("this module breaks while it is loaded")
