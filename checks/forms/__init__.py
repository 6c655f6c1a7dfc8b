"""The forms of checks, one for each kind: text as people type it, to the fields that the services judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from checks.forms.base import CheckForm
from checks.forms.heartbeat import HeartbeatForm
from checks.forms.probed import DnsForm, TcpForm, TlsForm
from checks.forms.web import WebForm
from checks.models import Check, Kind
from clients.models import Client

__all__ = ["FORMS", "CheckForm", "form_for"]

FORMS: Final[Mapping[Kind, type[CheckForm]]] = {
    Kind.HTTP: WebForm,
    Kind.TCP: TcpForm,
    Kind.TLS: TlsForm,
    Kind.DNS: DnsForm,
    Kind.HEARTBEAT: HeartbeatForm,
}


def form_for(
    kind: Kind, *args: Any, client: Client, check: Check | None = None, **kwargs: Any
) -> CheckForm:
    """The form of this kind, for a new check or a stored one."""
    return FORMS[kind](*args, client=client, check=check, **kwargs)
