"""Check: what a client wants watched - target, request, assertions, interval, regions and policy."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.db.models.lookups import LessThanOrEqual

from clients.encryption import EncryptedTextField
from clients.models import Client
from clients.scoping import TenantManager

INTERVALS_S = (
    10,
    20,
    30,
    60,
    120,
    180,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10800,
    21600,
    43200,
    86400,
)
"""Allowed intervals, in seconds (design, Spread)."""
HEARTBEAT_S = (60, 366 * 86_400)
GRACE_S = (10, 31 * 86_400)
TIMEOUT_MS = (1_000, 30_000)
MAX_REDIRECTS = 10
MAX_BODY_BYTES = 1 << 20


class Kind(models.TextChoices):
    HTTP = "http", "Website or API"
    TCP = "tcp", "TCP port"
    TLS = "tls", "TLS certificate"
    DNS = "dns", "DNS record"
    HEARTBEAT = "heartbeat", "Heartbeat"
    """Not probed: the client's job calls us (rule 15)."""


class Method(models.TextChoices):
    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"
    OPTIONS = "OPTIONS"


class Family(models.TextChoices):
    ANY = "any", "IPv4 or IPv6"
    IPV4 = "4", "IPv4 only"
    IPV6 = "6", "IPv6 only"


class LatencyOutcome(models.TextChoices):
    """What a good answer that came too late makes of the check."""

    DEGRADED = "degraded", "Slow"
    DOWN = "down", "Down"


class State(models.TextChoices):
    """What we believe about a check (rule 11)."""

    NEW = "new", "New"
    UP = "up", "Up"
    DEGRADED = "degraded", "Slow"
    DOWN = "down", "Down"
    UNKNOWN = "unknown", "No data"
    PAUSED = "paused", "Paused"


class Check(models.Model):
    """One watched target of a client."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="checks")
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.HTTP)

    # request
    url = models.CharField(max_length=2048, blank=True)
    """The target in the form of its kind: https://..., tcp://host:port, tls://host, dns://name; a heartbeat
    has none."""
    method = models.CharField(max_length=7, choices=Method.choices, default=Method.GET)
    headers = EncryptedTextField(blank=True, default="")
    """JSON object of name to value; encrypted, because it may hold a tenant's credentials."""
    body = EncryptedTextField(blank=True, default="")
    auth = EncryptedTextField(blank=True, default="")
    """JSON object of basic or bearer credentials, as in the probe's contract."""
    timeout_ms = models.PositiveIntegerField(default=10_000)
    follow_redirects = models.BooleanField(default=True)
    max_redirects = models.PositiveSmallIntegerField(default=5)
    verify_tls = models.BooleanField(default=True)
    family = models.CharField(max_length=3, choices=Family.choices, default=Family.ANY)
    max_body_bytes = models.PositiveIntegerField(default=MAX_BODY_BYTES)
    send = EncryptedTextField(blank=True, default="")
    """What a TCP check says first."""
    record_type = models.CharField(max_length=5, default="A")
    name_server = models.CharField(max_length=300, blank=True, default="")
    """Whom a DNS check asks; empty means the worker's own resolver."""

    # assertions
    expected_status = ArrayField(models.CharField(max_length=7), default=list, blank=True)
    """Codes and ranges such as "200-299"; empty means 200-299."""
    keyword = ArrayField(models.CharField(max_length=500), default=list, blank=True)
    keyword_absent = ArrayField(models.CharField(max_length=500), default=list, blank=True)
    regex = ArrayField(models.CharField(max_length=1024), default=list, blank=True)
    regex_absent = ArrayField(models.CharField(max_length=1024), default=list, blank=True)
    json = models.JSONField(default=list, blank=True)
    """Rules over the JSON body, each {"path", "op", "value"}."""
    header = models.JSONField(default=list, blank=True)
    """Rules over the answer's headers, each {"name", "op", "value"}."""
    min_body_bytes = models.PositiveIntegerField(null=True, blank=True)
    expected_url = models.CharField(max_length=2048, blank=True, default="")
    """Where a chain of redirects has to end."""
    expect = models.CharField(max_length=1024, blank=True, default="")
    """What a TCP server has to say."""
    record_values = ArrayField(models.CharField(max_length=1024), default=list, blank=True)
    """DNS records that must be among the answers."""
    max_latency_ms = models.PositiveIntegerField(null=True, blank=True)
    max_latency_outcome = models.CharField(
        max_length=8, choices=LatencyOutcome.choices, default=LatencyOutcome.DEGRADED
    )
    cert_min_days = models.PositiveSmallIntegerField(null=True, blank=True, default=14)
    """Fewer days left on the certificate is degraded; an expired one is down."""

    # timing and policy
    interval_s = models.PositiveIntegerField(default=60)
    """Of a heartbeat: how often its job has to call, unless `cron` says when."""
    grace_s = models.PositiveIntegerField(default=300)
    """How late a heartbeat may be."""
    cron = models.CharField(max_length=100, blank=True, default="")
    timezone = models.CharField(max_length=64, default="UTC")
    """In which `cron` is read."""
    regions = ArrayField(models.PositiveSmallIntegerField())
    rotate = models.BooleanField(default=False)
    """With several regions: rounds rotate through them instead of running in all."""
    down_after = models.PositiveSmallIntegerField(default=3)
    up_after = models.PositiveSmallIntegerField(default=2)
    quorum = models.PositiveSmallIntegerField(null=True, blank=True)
    """Regions that must be down; empty means the majority."""

    # belief, written by the pipeline when it changes
    state = models.CharField(max_length=10, choices=State.choices, default=State.NEW)
    state_since = models.DateTimeField(db_default=Now())

    paused_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    version = models.PositiveIntegerField(default=1)
    """Grows with every change of configuration."""

    objects = TenantManager["Check"]()

    class Meta:
        indexes = [
            # the client's list
            models.Index(
                fields=["client", "name"],
                name="check_client_name",
                condition=models.Q(deleted_at=None),
            ),
            # the snapshot: everything that is probed
            models.Index(
                fields=["id"],
                name="check_active",
                condition=models.Q(deleted_at=None, paused_at=None),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(interval_s__in=INTERVALS_S)
                | models.Q(kind=Kind.HEARTBEAT, interval_s__range=HEARTBEAT_S),
                name="check_interval_allowed",
            ),
            models.CheckConstraint(
                condition=models.Q(timeout_ms__range=TIMEOUT_MS), name="check_timeout_range"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    LessThanOrEqual(models.F("timeout_ms"), (models.F("interval_s") - 1) * 1000)
                ),
                name="check_timeout_below_interval",
            ),
            models.CheckConstraint(
                condition=models.Q(kind__in=Kind.values), name="check_kind_known"
            ),
            models.CheckConstraint(
                condition=models.Q(method__in=Method.values), name="check_method_known"
            ),
            models.CheckConstraint(
                condition=models.Q(family__in=Family.values), name="check_family_known"
            ),
            models.CheckConstraint(
                condition=models.Q(grace_s__range=GRACE_S), name="check_grace_range"
            ),
            models.CheckConstraint(
                condition=models.Q(max_latency_outcome__in=LatencyOutcome.values),
                name="check_latency_outcome_known",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=State.values), name="check_state_known"
            ),
            models.CheckConstraint(
                condition=~models.Q(name="") & (~models.Q(url="") ^ models.Q(kind=Kind.HEARTBEAT)),
                name="check_name_and_url",
            ),
            models.CheckConstraint(
                condition=models.Q(down_after__range=(1, 10), up_after__range=(1, 10)),
                name="check_thresholds",
            ),
            models.CheckConstraint(
                condition=models.Q(max_redirects__lte=MAX_REDIRECTS), name="check_redirects"
            ),
            models.CheckConstraint(
                condition=models.Q(max_body_bytes__range=(1, MAX_BODY_BYTES)),
                name="check_body_limit",
            ),
            models.CheckConstraint(
                condition=models.Q(regions__len__range=(1, 20)), name="check_regions"
            ),
            models.CheckConstraint(
                condition=models.Q(quorum=None) | models.Q(quorum__gt=0),
                name="check_quorum",
            ),
        ]

    def __str__(self) -> str:
        return self.name
