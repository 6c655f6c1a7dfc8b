"""`python -m bench.emulator`: the functions of a SAM template at a local Lambda endpoint, until Ctrl-C.

Then: AWS_ENDPOINT_URL_LAMBDA=<the endpoint> with any AWS client and any credentials. The ledger is printed last.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

import bench.emulator
from bench.emulator.emulator import Emulator, EmulatorError
from bench.emulator.ledger import FunctionLedger
from bench.emulator.spec import Limits
from bench.emulator.template import functions_in
from bench.ending import ending_on_signals

LISTS = ("durations", "begun")


def main(given: Sequence[str] | None = None) -> int:
    options = _options(given)
    console = Console(stderr=True)
    with contextlib.ExitStack() as stack:
        logs = options.log_folder or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="uptime-lambda-"))
        )
        try:
            functions = functions_in(
                options.template,
                code=options.code.resolve(),
                python=options.python,
                region=options.region,
                stack=options.stack,
                parameters=dict(options.parameter),
                environment=dict(options.env),
            )
            emulator = stack.enter_context(
                Emulator(
                    functions,
                    limits=Limits(concurrency=options.concurrency),
                    invoke_latency_s=options.invoke_latency_ms / 1e3,
                    cpu_share=options.cpu_share,
                    memory_limit=options.memory_limit,
                    time_scale=options.time_scale,
                    log_folder=logs.resolve(),
                    sqs_endpoint=options.sqs_endpoint,
                    port=options.port,
                )
            )
        except (ValueError, OSError, EmulatorError) as error:
            console.print(f"[red]{error}[/red]")
            return 2
        for spec in functions:
            console.print(f"{spec.name}: {spec.handler}, {spec.memory_mb} MB, {spec.timeout_s:g} s")
        console.print(f"Output of the environments: {logs}")
        print(f"AWS_ENDPOINT_URL_LAMBDA={emulator.endpoint}", flush=True)
        with ending_on_signals(), contextlib.suppress(KeyboardInterrupt):
            signal.pause()
        ledger = emulator.ledger()
    if options.json:
        print(json.dumps({name: asdict(each) for name, each in ledger.items()}))
    else:
        console.print(_table(ledger))
    return 0


def _table(ledger: Mapping[str, FunctionLedger]) -> Table:
    table = Table("", *ledger, title="Ledger")
    for key in (name for name in FunctionLedger.__dataclass_fields__ if name not in LISTS):
        values = (getattr(each, key) for each in ledger.values())
        table.add_row(key, *(f"{v:,.3f}" if isinstance(v, float) else f"{v:,}" for v in values))
    return table


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    return name, value


def _options(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.emulator",
        description=bench.emulator.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--template", type=Path, required=True, help="a SAM template")
    add("--code", type=Path, required=True, help="folder of the unpacked code of its functions")
    add("--python", type=Path, default=Path(sys.executable), help="must have awslambdaric")
    add("--port", type=int, default=0, help="of the endpoint; 0 is any free one")
    add("--region", default="us-east-1")
    add("--stack", default="uptime", help="the stack's name")
    add("--parameter", type=_pair, action="append", default=[], metavar="NAME=VALUE")
    add(
        "--env",
        type=_pair,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="for each function",
    )
    add("--concurrency", type=int, default=Limits().concurrency, help="of the account")
    add("--invoke-latency-ms", type=float, default=0.0)
    add("--time-scale", type=float, default=1.0, help="0.1: queues wait a tenth as long")
    add("--cpu-share", action="store_true", help="CPU by memory, where a cgroup can be made")
    add("--memory-limit", action="store_true", help="kill what uses more than its memory")
    add("--log-folder", type=Path)
    add("--sqs-endpoint", help="where dead letters are sent as well")
    add("--json", action="store_true", help="print the ledger as one JSON object")
    return parser.parse_args(given)


if __name__ == "__main__":
    raise SystemExit(main())
