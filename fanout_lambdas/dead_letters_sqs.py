"""Dead letters in a queue of SQS, where AWS Lambda lays them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fanout_lambdas.dead_letters import DeadLetter, QueueAway, read_letter
from fanout_lambdas.shared.contracts import ContractError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

log = logging.getLogger(__name__)

AT_ONCE = 10  # SQS hands out and deletes no more with one call
_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 3}, connect_timeout=3, read_timeout=10
)


class SqsDeadLetters:
    """The queue `queue_name` in `region`. A message that is no record of ours is logged and deleted."""

    def __init__(self, region: str, queue_name: str) -> None:
        self._place = f"{queue_name} in {region}"
        self._name = queue_name
        self._client: SQSClient = boto3.client("sqs", region_name=region, config=_CONFIG)

    def receive(self, most: int = 100) -> list[DeadLetter]:
        letters: list[DeadLetter] = []
        seen = 0
        while seen < most:
            with self._errors("read"):
                answer = self._client.receive_message(
                    QueueUrl=self._url, MaxNumberOfMessages=min(AT_ONCE, most - seen)
                )
            messages = answer.get("Messages", [])
            if not messages:
                break
            seen += len(messages)
            unreadable = []
            for message in messages:
                receipt = message["ReceiptHandle"]
                try:
                    letters.append(read_letter(message["Body"], receipt))
                except ContractError as error:
                    log.error(
                        "dead letter %s in %s is none of ours and is deleted: %s",
                        message.get("MessageId"),
                        self._place,
                        error,
                    )
                    unreadable.append(receipt)
            self._delete(unreadable)
        return letters

    def delete(self, letters: Sequence[DeadLetter]) -> None:
        self._delete([letter.receipt for letter in letters])

    def _delete(self, receipts: Sequence[str]) -> None:
        for start in range(0, len(receipts), AT_ONCE):
            group = receipts[start : start + AT_ONCE]
            with self._errors("written"):
                answer = self._client.delete_message_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(at), "ReceiptHandle": receipt}
                        for at, receipt in enumerate(group)
                    ],
                )
            failed = answer.get("Failed", [])
            if failed:
                raise QueueAway(
                    f"{len(failed)} of {len(group)} letters of the queue {self._place} could not "
                    f"be deleted: {failed[0].get('Message') or failed[0]['Code']}"
                )

    @cached_property
    def _url(self) -> str:
        return self._client.get_queue_url(QueueName=self._name)["QueueUrl"]

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise QueueAway(f"The queue {self._place} could not be {what}: {error}") from error
