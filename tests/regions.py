"""The region of the tests, with the keys that the pipeline needs."""

from __future__ import annotations

from cryptography.fernet import Fernet

from checks.models import IngestKey, Region

KEY_ID = "local-1"
SECRET = "an-ingest-secret-for-tests"


def local_region() -> Region:
    region, created = Region.objects.get_or_create(
        code="local", defaults={"name": "Local", "sealing_key": Fernet.generate_key().decode()}
    )
    if created:
        IngestKey.objects.create(region=region, key_id=KEY_ID, secret=SECRET)
    return region
