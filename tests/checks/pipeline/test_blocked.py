"""What the address guard refused of a tenant's leaves a trace with tenant and rule, once."""

from __future__ import annotations

import logging

import pytest

from checks.history.partitions import ensure_partitions
from checks.pipeline.ingest import ingest_batch
from fanout_lambdas.shared.contracts import Outcome, Reason
from tests.checks.pipeline.fleet import MINUTE, at, batch, check, client, result
from tests.regions import local_region

pytestmark = pytest.mark.django_db


def test_blocked_results_are_logged_with_tenant_and_rule(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ensure_partitions(now=at(MINUTE), days_ahead=1)
    region = local_region()
    good, inward, odd = check(), check(client("other")), check()
    message = "Not allowed (metadata): rebind.example.com resolves to\nrule=none."
    sent = batch(
        [
            result(good),
            result(inward, outcome=Outcome.DOWN, reason=Reason.BLOCKED, message=message),
            result(odd, outcome=Outcome.DOWN, reason=Reason.BLOCKED, message="Refused."),
        ]
    )
    with caplog.at_level(logging.WARNING, logger="checks.pipeline.blocked"):
        ingest_batch(sent, region=region, now=at(MINUTE + 60))
        ingest_batch(sent, region=region, now=at(MINUTE + 61))
    assert [record.getMessage() for record in caplog.records] == [
        f"blocked probe client={inward.client_id} check={inward.pk} rule=metadata",
        f"blocked probe client={odd.client_id} check={odd.pk} rule=unnamed",
    ]
