"""Sends dead letters to an SQS endpoint, such as moto's server."""

from __future__ import annotations

from collections.abc import Callable

import boto3


def sender(region: str, endpoint: str) -> Callable[[str, str], None]:
    """`send(queue name, body)`; raises what botocore raises."""
    client = boto3.client(
        "sqs",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id="EMULATOR",
        aws_secret_access_key="emulator",
    )
    urls: dict[str, str] = {}

    def send(queue: str, body: str) -> None:
        if queue not in urls:
            urls[queue] = client.get_queue_url(QueueName=queue)["QueueUrl"]
        client.send_message(QueueUrl=urls[queue], MessageBody=body)

    return send
