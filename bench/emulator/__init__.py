"""Lambda on this machine: unchanged boto3 invokes real handlers in AWS's own runtime client.

What it is: the Invoke API and the Runtime API on loopback, one `awslambdaric` process for each
execution environment, and the rules that AWS documents for concurrency, scaling, asynchronous
queues, retries, event age, on-failure destinations, payload sizes, cold starts and billing.

What it is not: there is no Firecracker, no AWS network and no AWS latency. The queues obey the
documented rules, but how fast a throttled queue drains is not documented, so that figure means
nothing here. Prices are applied to durations measured on this machine. CPU is that of this machine
unless `cpu_share` holds each environment to its memory's share, and INIT is never held. Processes
start a few at a time, and a waiting run takes the first environment that is free, so a burst makes
fewer cold starts here than where every machine is at hand. Not emulated: recursion detection, the
request rates of the API, layers, extensions, versions, aliases, log tails, SnapStart, provisioned
concurrency, IAM (every signature is good). Linux only.
"""

from __future__ import annotations

from bench.emulator.emulator import Emulator, EmulatorError
from bench.emulator.ledger import FunctionLedger
from bench.emulator.spec import Faults, FunctionSpec, Limits

__all__ = [
    "Emulator",
    "EmulatorError",
    "Faults",
    "FunctionLedger",
    "FunctionSpec",
    "Limits",
]
