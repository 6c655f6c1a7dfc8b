"""Tenant scoping that fails closed: a tenant's rows are reached through their client or not at all.

`Model.objects.for_client(client)` is the way in. `Model.objects.filter(...)`, `get_object_or_404(Model)` and
everything else that would read over all tenants raises `ScopeMissing`. Pipeline verbs and operator pages that mean
every client say so with `Model.objects.across_clients()`, which a reader (and a test) can search for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from django.db import models

if TYPE_CHECKING:
    from clients.models import Client

Row = TypeVar("Row", bound=models.Model, covariant=True)


class ScopeMissing(RuntimeError):
    """A query over a tenant's table that names no client."""


class TenantQuerySet(models.QuerySet[Row]):
    """Rows of one client, or of all where `across_clients` was called for."""


class TenantManager(models.Manager[Row]):
    """Default manager of each model that belongs to a client."""

    def get_queryset(self) -> TenantQuerySet[Row]:
        # A related manager (client.checks, check.incidents) starts from a row that was scoped already.
        if hasattr(self, "instance"):
            return self._rows()
        raise ScopeMissing(
            f"{self.model.__name__}.objects needs a client: use for_client(client), "
            "or across_clients() in code that means every tenant."
        )

    def _rows(self) -> TenantQuerySet[Row]:
        return TenantQuerySet(self.model, using=self._db)

    def for_client(self, client: Client) -> TenantQuerySet[Row]:
        return self._rows().filter(client=client)

    def none(self) -> TenantQuerySet[Row]:
        return self._rows().none()

    def across_clients(self) -> TenantQuerySet[Row]:
        return self._rows()

    def create(self, **fields: Any) -> Row:
        return self._rows().create(**fields)

    def bulk_create(self, *args: Any, **kwargs: Any) -> list[Row]:
        return self._rows().bulk_create(*args, **kwargs)
