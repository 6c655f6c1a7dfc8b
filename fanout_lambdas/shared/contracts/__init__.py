"""The JSON contracts between the parts, version 1; golden files under tests/fixtures/contracts.

What every part speaks stands here. Snapshots stand in `contracts.snapshot` alone, and the reading of reports in
`contracts.parsed_batch`: a worker, whose every cold start is paid for, does neither.
"""

from __future__ import annotations

from fanout_lambdas.shared.contracts.batch import EXTRA_BATCHES_FROM, MAX_ATTEMPT, Batch
from fanout_lambdas.shared.contracts.expectations import (
    DEFAULT_STATUS,
    HEADER_OPS,
    JSON_OPS,
    HeaderRule,
    JsonRule,
    status_ranges,
)
from fanout_lambdas.shared.contracts.probe import FIELDS_OF, Probe
from fanout_lambdas.shared.contracts.reading import Fields, decode, encode
from fanout_lambdas.shared.contracts.report import (
    ResultBatch,
    Spooled,
    WorkerFigures,
    pack,
    unpack,
)
from fanout_lambdas.shared.contracts.request import RECORD_TYPES, Auth
from fanout_lambdas.shared.contracts.result import (
    PHASES,
    Assertion,
    Certificate,
    Evidence,
    Hop,
    Phases,
    Refusal,
    Result,
)
from fanout_lambdas.shared.contracts.words import (
    MAX_BODY_BYTES,
    MAX_DECODED_BYTES,
    MAX_EVIDENCE_BODY,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_PAYLOAD_BYTES,
    MAX_REDIRECTS,
    MAX_REGION,
    MAX_REQUEST_BODY_BYTES,
    MAX_RESULTS,
    MAX_SEND,
    MAX_TERM,
    MAX_TERMS,
    MAX_TIMEOUT_MS,
    MAX_URL,
    MAX_WIRE_BYTES,
    MIN_TIMEOUT_MS,
    VERSION,
    ContractError,
    Kind,
    Outcome,
    Reason,
)

__all__ = [
    "DEFAULT_STATUS",
    "EXTRA_BATCHES_FROM",
    "FIELDS_OF",
    "HEADER_OPS",
    "JSON_OPS",
    "MAX_ATTEMPT",
    "MAX_BODY_BYTES",
    "MAX_DECODED_BYTES",
    "MAX_EVIDENCE_BODY",
    "MAX_HEADERS",
    "MAX_HEADER_BYTES",
    "MAX_PAYLOAD_BYTES",
    "MAX_REDIRECTS",
    "MAX_REGION",
    "MAX_REQUEST_BODY_BYTES",
    "MAX_RESULTS",
    "MAX_SEND",
    "MAX_TERM",
    "MAX_TERMS",
    "MAX_TIMEOUT_MS",
    "MAX_URL",
    "MAX_WIRE_BYTES",
    "MIN_TIMEOUT_MS",
    "PHASES",
    "RECORD_TYPES",
    "VERSION",
    "Assertion",
    "Auth",
    "Batch",
    "Certificate",
    "ContractError",
    "Evidence",
    "Fields",
    "HeaderRule",
    "Hop",
    "JsonRule",
    "Kind",
    "Outcome",
    "Phases",
    "Probe",
    "Reason",
    "Refusal",
    "Result",
    "ResultBatch",
    "Spooled",
    "WorkerFigures",
    "decode",
    "encode",
    "pack",
    "status_ranges",
    "unpack",
]
