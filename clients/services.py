"""What is done to clients and their members: create, join, change role, leave, limits."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.text import slugify

from clients import audit
from clients.audit import Actor
from clients.models import Client, Membership, Role, User
from clients.people import confirm_address
from clients.texts import clean_line

MOST_CHECKS = 100_000
LAST_OWNER = "A client needs an owner. Make somebody else an owner first."


def create_client(*, name: str, owner: User, actor: Actor, **fields: Any) -> Client:
    """A client with its first owner."""
    if "check_limit" in fields:
        _require_limit(fields["check_limit"])
    try:
        name = clean_line(name, label="The name", longest=100)
    except ValidationError as error:
        raise ValidationError({"name": error}) from None
    with transaction.atomic():
        client = Client.objects.create(name=name, slug=_free_slug(name), **fields)
        Membership.objects.create(client=client, user=owner, role=Role.OWNER)
        confirm_address(owner)
        audit.record(
            client=client,
            actor=actor,
            action="client.created",
            subject_kind="client",
            subject_id=client.pk,
            detail={"name": name, "owner": owner.email},
        )
    return client


def add_member(*, client: Client, user: User, role: str, actor: Actor) -> Membership:
    """Give a user a place in a client; one who has a place already keeps it."""
    _require_role(role)
    with transaction.atomic():
        place, created = Membership.objects.for_client(client).get_or_create(
            user=user, defaults={"client": client, "role": role}
        )
        if not created:
            raise ValidationError(
                {"email": ValidationError(f"{user.email} is a member already.", code="duplicate")}
            )
        confirm_address(user)
        _record(place, actor, "member.added", {"email": user.email, "role": role})
    return place


def change_role(place: Membership, *, role: str, actor: Actor) -> Membership:
    """Give a member another role; the last owner stays owner."""
    _require_role(role)
    with transaction.atomic():
        _keep_an_owner(place, role)
        before, place.role = place.role, role
        if before != role:
            place.save(update_fields=["role"])
            _record(
                place, actor, "member.role", {"email": place.user.email, "role": [before, role]}
            )
    return place


def remove_member(place: Membership, *, actor: Actor) -> None:
    """Take a member's place away; the last owner cannot leave."""
    with transaction.atomic():
        _keep_an_owner(place, None)
        _record(place, actor, "member.removed", {"email": place.user.email, "role": place.role})
        place.delete()


def set_check_limit(client: Client, *, limit: int, actor: Actor) -> Client:
    """How many checks the plan allows. An operator's act; checks beyond a lower limit go on."""
    _require_limit(limit)
    with transaction.atomic():
        locked = Client.objects.select_for_update(no_key=True).get(pk=client.pk)
        before, client.check_limit = locked.check_limit, limit
        client.save(update_fields=["check_limit"])
        audit.record(
            client=client,
            actor=actor,
            action="client.check_limit",
            subject_kind="client",
            subject_id=client.pk,
            detail={"check_limit": [before, limit]},
        )
    return client


def _require_limit(limit: int) -> None:
    if type(limit) is not int or not 0 <= limit <= MOST_CHECKS:
        raise ValidationError(
            {
                "check_limit": ValidationError(
                    f"The limit must be a whole number from 0 to {MOST_CHECKS}.", code="range"
                )
            }
        )


def _keep_an_owner(place: Membership, role: str | None) -> None:
    """Lock the owners, so that two last owners cannot leave at once."""
    rows = Membership.objects.for_client(place.client).select_for_update()
    owners = list(rows.filter(role=Role.OWNER).order_by("pk"))
    if role != Role.OWNER and [owner.pk for owner in owners] == [place.pk]:
        raise ValidationError({"role": ValidationError(LAST_OWNER, code="last_owner")})


def _require_role(role: str) -> None:
    if role not in Role.values:
        listed = ", ".join(Role.values)
        raise ValidationError(
            {"role": ValidationError(f"The role must be one of {listed}.", code="choice")}
        )


def _record(place: Membership, actor: Actor, action: str, detail: dict[str, Any]) -> None:
    audit.record(
        client=place.client,
        actor=actor,
        action=action,
        subject_kind="member",
        subject_id=place.user_id,
        detail=detail,
    )


def _free_slug(name: str) -> str:
    """The name as a slug, with a number where it is taken."""
    base = slugify(name)[:50] or "client"
    taken = set(Client.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    number, slug = 1, base
    while slug in taken:
        number += 1
        slug = f"{base}-{number}"
    return slug
