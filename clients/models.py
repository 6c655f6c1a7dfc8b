"""Who owns what: users, clients (tenants), memberships, API keys and the audit log."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils import timezone

from clients.scoping import TenantManager

DEFAULT_CHECK_LIMIT = 10


class Role(models.TextChoices):
    """What a member may do, in falling order."""

    OWNER = "owner", "Owner"
    ADMIN = "admin", "Admin"
    EDITOR = "editor", "Editor"
    VIEWER = "viewer", "Viewer"


class Scope(models.TextChoices):
    """What an API key may do."""

    READ = "read", "Read"
    WRITE = "write", "Read and write"


class Theme(models.TextChoices):
    SYSTEM = "system", "Like my device"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


class UserManager(BaseUserManager["User"]):
    """Makes users; an operator is a user with `is_staff`."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person, known by e-mail address."""

    email = models.EmailField(max_length=254, unique=True)
    """Stored in lower case."""
    name = models.CharField(max_length=100, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    """Operators: staff of the service."""
    date_joined = models.DateTimeField(default=timezone.now)
    time_zone = models.CharField(max_length=64, default="UTC")
    theme = models.CharField(max_length=10, choices=Theme.choices, default=Theme.SYSTEM)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(email=Lower("email")), name="user_email_lower_case"
            ),
        ]

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name or self.email.split("@")[0]


class Client(models.Model):
    """A tenant: an organisation with members, checks and channels."""

    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=60, unique=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    check_limit = models.PositiveIntegerField(default=DEFAULT_CHECK_LIMIT)
    """How many checks the plan allows; an operator can change it."""
    minimum_interval_s = models.PositiveIntegerField(default=60)
    """Shortest interval the plan allows, in seconds (10-30 s stand behind a plan limit)."""
    suspended_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    members = models.ManyToManyField(User, through="Membership", related_name="clients")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~models.Q(name=""), name="client_name_not_empty"),
            models.CheckConstraint(
                condition=models.Q(minimum_interval_s__gte=10), name="client_minimum_interval"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A user's place in a client."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices)
    created_at = models.DateTimeField(db_default=Now())

    objects = TenantManager["Membership"]()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["client", "user"], name="membership_unique"),
            models.CheckConstraint(
                condition=models.Q(role__in=Role.values), name="membership_role_known"
            ),
        ]

    @property
    def can_write(self) -> bool:
        return self.role in {Role.OWNER, Role.ADMIN, Role.EDITOR}

    @property
    def can_manage(self) -> bool:
        return self.role in {Role.OWNER, Role.ADMIN}


class ApiKey(models.Model):
    """A key for the REST API; only the SHA-256 of its 32 random bytes is stored."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12, unique=True)
    """First characters, shown in lists so that a person can tell keys apart."""
    digest = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope.choices))
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager["ApiKey"]()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(scopes__len__gt=0)
                & models.Q(scopes__contained_by=list(Scope.values)),
                name="api_key_scopes_known",
            ),
        ]


class AuditEvent(models.Model):
    """Who did what to which object of a client; append only."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="audit_events")
    actor = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    actor_label = models.CharField(max_length=254)
    """E-mail address or key name at that time; stays when the user goes."""
    action = models.CharField(max_length=50)
    subject_kind = models.CharField(max_length=30)
    subject_id = models.BigIntegerField(null=True)
    detail = models.JSONField(default=dict)
    at = models.DateTimeField(db_default=Now())

    objects = TenantManager["AuditEvent"]()

    class Meta:
        indexes = [
            # the client's audit page and a check's change log
            models.Index(fields=["client", "-at"], name="audit_client_at"),
        ]


class RateBucket(models.Model):
    """How often something was done in one window of time; `clients.rate` counts it."""

    pk = models.CompositePrimaryKey("key", "window")
    key = models.CharField(max_length=100)
    window = models.DateTimeField()
    count = models.PositiveIntegerField()
