"""`manage.py create_client NAME OWNER_EMAIL`: a client and its first owner, who signs in and does the rest."""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from clients.management.passwords import add_password_arguments, choose_password
from clients.models import DEFAULT_CHECK_LIMIT
from clients.people import make_person
from clients.services import create_client

EXAMPLES = """
examples:
  manage.py create_client "Acme Ltd" ada@example.com                asks for a password
  manage.py create_client "Acme Ltd" ada@example.com --generate     makes one and prints it
  manage.py create_client "Acme Ltd" ada@example.com --limit 50     a plan of 50 checks
  echo "$PASSWORD" | manage.py create_client "Acme Ltd" ada@example.com --password-stdin

A user who exists already becomes the owner and keeps the password, unless one is given or generated.
Each call makes a new client, also when another has the same name.
"""


class Command(BaseCommand):
    help = "Make a client: an organisation with checks, channels and members, and its first owner."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        parser.add_argument("name", metavar="NAME", help="how the client is called")
        parser.add_argument("email", metavar="OWNER_EMAIL", help="the owner signs in with it")
        parser.add_argument(
            "--limit",
            type=int,
            default=DEFAULT_CHECK_LIMIT,
            metavar="N",
            help=f"how many checks the plan allows (default {DEFAULT_CHECK_LIMIT})",
        )
        add_password_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = choose_password(options["email"], options)
        try:
            with transaction.atomic():
                made = make_person(options["email"], password=chosen.password)
                client = create_client(
                    name=options["name"],
                    owner=made.user,
                    actor=None,
                    check_limit=options["limit"],
                )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        self.stdout.write(
            f"{client.name} is a new client ({client.slug}) with a plan of {client.check_limit} checks."
        )
        self.stdout.write(f"Its owner {made.user.email} signs in at {settings.SITE_URL}/")
        if chosen.generated:
            self.stdout.write(f"Password: {chosen.password}")
        elif not made.password_set:
            self.stdout.write("The password is as it was.")
