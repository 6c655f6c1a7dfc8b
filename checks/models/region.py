"""Where probes run, and the keys with which each place signs its results."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from clients.encryption import EncryptedTextField


class Region(models.Model):
    """A place that probes. The number stands in result rows, the code in contracts and pages."""

    id = models.SmallAutoField(primary_key=True)
    code = models.SlugField(max_length=30, unique=True)
    name = models.CharField(max_length=60)
    sealing_key = EncryptedTextField()
    """Fernet key with which tenants' secrets are sealed for this region's workers."""
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class IngestKey(models.Model):
    """A key that signs result batches of one region; two may be valid while they rotate."""

    region = models.ForeignKey(Region, on_delete=models.CASCADE, related_name="ingest_keys")
    key_id = models.CharField(max_length=40, unique=True)
    secret = EncryptedTextField()
    created_at = models.DateTimeField(db_default=Now())
    revoked_at = models.DateTimeField(null=True, blank=True)
