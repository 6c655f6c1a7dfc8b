"""Regions by their codes; the database knows them by number."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class RegionCodes(serializers.ListField):
    """A list of codes."""

    child = serializers.CharField()

    def to_representation(self, data: Any) -> list[Any]:
        codes = self._codes()
        return [codes.get(number, str(number)) for number in data]

    def read(self, value: Any) -> Any:
        """Codes as numbers; what is no code stays wrong, for the service to refuse."""
        if not isinstance(value, list):
            return value
        numbers = {code: number for number, code in self._codes().items()}
        return [numbers.get(each, -1) if isinstance(each, str) else "" for each in value]

    def _codes(self) -> dict[int, str]:
        codes: dict[int, str] = self.context["region_codes"]
        return codes
