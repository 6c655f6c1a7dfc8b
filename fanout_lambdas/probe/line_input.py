"""Lines of a file descriptor for an event loop: pipes, terminals and plain files alike."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator

_CHUNK = 64 * 1024
_AHEAD = 4  # chunks that are read before somebody wants them


class LineTooLong(Exception):
    """Stands in the place of a line that was longer than allowed."""


async def read_lines(source: int, longest: int) -> AsyncIterator[bytes | LineTooLong]:
    """Each line without its end. Raises OSError where `source` cannot be read.

    The thread reads the descriptor itself, so that one which waits for a terminal or a pipe is no
    hindrance to the end of the process.
    """
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)

    def hand_over() -> None:
        chunk: bytes | OSError = b"?"
        while chunk and isinstance(chunk, bytes):
            room.acquire()
            try:
                chunk = os.read(source, _CHUNK)
            except OSError as error:
                chunk = error
            try:
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            except RuntimeError:  # the loop has ended before its input
                return

    threading.Thread(target=hand_over, name="input", daemon=True).start()
    rest, too_long = b"", False
    while chunk := await chunks.get():
        if isinstance(chunk, OSError):
            raise chunk
        room.release()
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield LineTooLong() if too_long or len(line) > longest else line
            too_long = False
        if len(rest) > longest:
            rest, too_long = b"", True
    if rest or too_long:
        yield LineTooLong() if too_long else rest
