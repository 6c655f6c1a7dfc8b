"""What this machine has run out of: says nothing about any target."""

from __future__ import annotations

import errno

_OURS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


def is_shortage(error: OSError) -> bool:
    """Were there no descriptors, buffers or memory left for it here?"""
    return error.errno in _OURS
