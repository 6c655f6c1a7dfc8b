"""What a batch's probes say: each read alone, its secrets opened, its patterns compiled once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fanout_lambdas.patterns import check_patterns
from fanout_lambdas.sealing import SECRET_FIELDS, SealBroken, Sealer
from fanout_lambdas.shared.contracts import ContractError, Outcome, Probe, Reason, Refusal, Result

log = logging.getLogger(__name__)


def read_probe(raw: Any, sealer: Sealer | None = None) -> Probe | Refusal | Result:
    """The probe in `raw`, its secrets opened. A refusal where it breaks the contract; a void
    result where its secrets cannot be opened, which is our fault and not the target's."""
    if not isinstance(raw, dict):
        return Refusal(check_id=None, error=ContractError("", "type", "A probe is an object."))
    sealed = raw.get("sealed")
    try:
        if sealed is None:
            return _checked(raw)
        plain = {name: value for name, value in raw.items() if name != "sealed"}
        if sealer is None or not isinstance(sealed, str):
            raise SealBroken("This worker has no sealing key.")
        opened = sealer.open(sealed)
        return _checked(plain | {name: opened[name] for name in SECRET_FIELDS if name in opened})
    except SealBroken as error:
        return _unopened(plain, str(error))
    except ContractError as error:
        return _refusal(raw, error)


def read_probes(
    raw: Sequence[Any], sealer: Sealer | None
) -> tuple[list[Probe], list[Result], list[Refusal]]:
    """Those to be probed, and the answers to those that cannot be."""
    probes: list[Probe] = []
    results: list[Result] = []
    refusals: list[Refusal] = []
    for each in raw:
        match read_probe(each, sealer):
            case Probe() as probe:
                probes.append(probe)
            case Result() as result:
                results.append(result)
            case Refusal() as refusal:
                # Not the message: it may quote what the tenant wrote.
                log.error(
                    "check=%s refused: %s %s",
                    refusal.check_id,
                    refusal.error.field,
                    refusal.error.rule,
                )
                refusals.append(refusal)
    return probes, results, refusals


def void(probe: Probe, message: str) -> Result:
    """The answer where the fault is ours."""
    return Result(
        check_id=probe.check_id,
        slot=probe.slot,
        outcome=Outcome.VOID,
        reason=Reason.INTERNAL,
        message=message,
    )


def _checked(raw: Any) -> Probe:
    probe = Probe.from_json(raw)
    check_patterns(probe)
    return probe


def _unopened(plain: Mapping[str, Any], message: str) -> Refusal | Result:
    try:
        probe = Probe.from_json(plain)
    except ContractError as error:
        return _refusal(plain, error)
    log.error("check=%s %s", probe.check_id, message)
    return void(probe, message)


def _refusal(raw: Mapping[str, Any], error: ContractError) -> Refusal:
    return Refusal(check_id=_shown_id(raw.get("check_id")), error=error)


def _shown_id(value: Any) -> int | str | None:
    if type(value) is int and 0 <= value < 2**63:
        return value
    if isinstance(value, str):
        return value[:64].replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    return None
