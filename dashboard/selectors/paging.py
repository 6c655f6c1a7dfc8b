"""Pages of rows by number, newest first: the number grows with the time of making (hop 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet

PAGE_SIZE = 50
Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Row]):
    """One page, and the number before which the next begins; None on the last."""

    rows: list[Row]
    older: int | None


def page_of(rows: QuerySet[Row], *, before: int | None) -> Page[Row]:
    rows = rows.order_by("-pk")
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows[: PAGE_SIZE + 1])
    more = len(found) > PAGE_SIZE
    found = found[:PAGE_SIZE]
    return Page(rows=found, older=found[-1].pk if more else None)
