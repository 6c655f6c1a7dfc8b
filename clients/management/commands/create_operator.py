"""`manage.py create_operator EMAIL`: the first operator of an installation without the demo, and every further one."""

from __future__ import annotations

import sys
from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from clients.management.passwords import add_password_arguments, choose_password
from clients.models import User
from clients.operators import make_operator

EXAMPLES = """
examples:
  manage.py create_operator ada@example.com                asks for a password
  manage.py create_operator ada@example.com --generate     makes one and prints it
  echo "$PASSWORD" | manage.py create_operator ada@example.com --password-stdin

A user who exists already becomes an operator only after a question, or with --promote. Such a user keeps the
password, unless one is given or generated.
"""


class Command(BaseCommand):
    help = "Make an operator: somebody of the service's staff, who sees the fleet and no tenant's secrets."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        parser.add_argument("email", metavar="EMAIL", help="signs in with this address")
        parser.add_argument(
            "--promote", action="store_true", help="make an existing user an operator, unasked"
        )
        add_password_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        email = options["email"].strip().lower()
        if not options["promote"]:
            self._confirm(email, may_ask=not options["password_stdin"])
        chosen = choose_password(email, options)
        try:
            made = make_operator(email, password=chosen.password)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        verb = "is a new operator" if made.created else "is an operator"
        self.stdout.write(f"{made.user.email} {verb}.")
        if chosen.generated:
            self.stdout.write(f"Password: {chosen.password}")
        elif not made.password_set:
            self.stdout.write("The password is as it was.")

    def _confirm(self, email: str, *, may_ask: bool) -> None:
        """A slip of the pen must not make a client's member see the whole fleet."""
        if not User.objects.filter(email=email, is_staff=False).exists():
            return
        if not (may_ask and sys.stdin.isatty()):
            raise CommandError(
                f"{email} is a user already, and no operator. Add --promote to make them one."
            )
        if input(f"{email} is a user already. Make them an operator? [y/N] ").lower() != "y":
            raise CommandError("Nothing was changed.")
