"""How much memory the probe's command takes: `python -m tests.hostile.peak CA_FILE`, URLs on standard input.

Each line holds the URLs that one fresh worker probes in turn. It prints their results, and then the
highest memory in KiB that this worker ever had. Workers are forks, so that their imports cost once.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from fanout_lambdas.probe.__main__ import main

TIMEOUT_MS = 1_000


def probe(urls: list[str], ca_file: str) -> None:
    probes = [json.dumps({"url": url, "timeout_ms": TIMEOUT_MS, "family": "4"}) for url in urls]
    reader, writer = os.pipe()
    os.write(writer, "\n".join(probes).encode())
    os.close(writer)
    os.dup2(reader, 0)
    sys.stdin = open(0)  # noqa: SIM115  it is the process's own
    main(["--allow", "127.0.0.1", "--ca", ca_file, "-"])
    print(peak_kib(), flush=True)


def peak_kib() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


if __name__ == "__main__":
    for line in sys.stdin:
        child = os.fork()
        if not child:
            probe(line.split(), sys.argv[1])
            os._exit(0)
        os.waitpid(child, 0)
