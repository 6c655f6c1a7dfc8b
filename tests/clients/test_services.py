"""Clients and their members: there is always an owner; limits are an operator's act."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from clients import services
from clients.models import AuditEvent, Client, Membership
from tests.conftest import Personas


def place_of(personas: Personas, who: str) -> Membership:
    return Membership.objects.for_client(personas.client).get(user=getattr(personas, who))


def test_a_new_client_has_an_owner_and_a_free_slug(personas: Personas) -> None:
    made = services.create_client(name=" Acme ", owner=personas.stranger, actor=personas.operator)
    assert (made.name, made.slug) == ("Acme", "acme-2")
    assert Membership.objects.for_client(made).get().role == "owner"
    assert AuditEvent.objects.for_client(made).get().actor_label == "ops@uptime.test"
    with pytest.raises(ValidationError) as error:
        services.create_client(name="", owner=personas.stranger, actor=None)
    assert list(error.value.error_dict) == ["name"]
    assert (
        services.create_client(name="株式会社", owner=personas.owner, actor=None).slug == "client"
    )


def test_the_last_owner_stays(personas: Personas) -> None:
    owner = place_of(personas, "owner")
    for act in (
        lambda: services.change_role(owner, role="admin", actor=personas.owner),
        lambda: services.remove_member(owner, actor=personas.owner),
    ):
        with pytest.raises(ValidationError, match="needs an owner"):
            act()
    services.change_role(place_of(personas, "editor"), role="owner", actor=personas.owner)
    services.remove_member(owner, actor=personas.owner)
    assert not Membership.objects.for_client(personas.client).filter(user=personas.owner).exists()


def test_members_come_once_and_with_a_known_role(personas: Personas) -> None:
    add = {"client": personas.client, "user": personas.stranger, "actor": personas.owner}
    with pytest.raises(ValidationError):
        services.add_member(**add, role="king")
    services.add_member(**add, role="viewer")
    with pytest.raises(ValidationError, match="member already"):
        services.add_member(**add, role="owner")
    assert place_of(personas, "stranger").role == "viewer"


@pytest.mark.parametrize("limit", [-1, 2**31, True, "10", None])
def test_a_limit_is_a_sensible_number(personas: Personas, limit: int) -> None:
    with pytest.raises(ValidationError):
        services.set_check_limit(personas.client, limit=limit, actor=personas.operator)


def test_a_limit_is_logged(personas: Personas) -> None:
    services.set_check_limit(personas.client, limit=25, actor=personas.operator)
    assert Client.objects.get(pk=personas.client.pk).check_limit == 25
    line = AuditEvent.objects.for_client(personas.client).get()
    assert line.detail == {"check_limit": [10, 25]}
