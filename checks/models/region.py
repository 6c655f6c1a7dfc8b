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
    other_sealing_key = EncryptedTextField(blank=True, default="", db_default="")
    """Opens what is sealed with it, and seals nothing: while keys rotate the next one, then the last one."""
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name

    @property
    def opening_keys(self) -> tuple[str, ...]:
        """What the region's workers must know."""
        return tuple(filter(None, (self.sealing_key, self.other_sealing_key)))


class IngestKey(models.Model):
    """A key that signs result batches of one region; two may be valid while they rotate."""

    region = models.ForeignKey(Region, on_delete=models.CASCADE, related_name="ingest_keys")
    key_id = models.CharField(max_length=40, unique=True)
    secret = EncryptedTextField()
    created_at = models.DateTimeField(db_default=Now())
    revoked_at = models.DateTimeField(null=True, blank=True)
