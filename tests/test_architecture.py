"""What the import linter cannot see: arrows hidden in strings, queries without a client, files that grew too long."""

from __future__ import annotations

import ast
import gc
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from django.apps import apps
from django.db import models

from clients.scoping import ScopeMissing, TenantManager

ROOT = Path(__file__).resolve().parent.parent
# From the ground floor up; an arrow may only point down.
FLOORS = {
    name: floor
    for floor, names in enumerate(
        [
            ("fanout_lambdas",),
            ("clients",),
            ("checks",),
            ("alerts",),
            ("statuspages",),
            ("provisioning", "dashboard"),
            ("uptime",),
        ]
    )
    for name in names
}
OWN_MODELS = [model for model in apps.get_models() if model._meta.app_label in FLOORS]
TENANT_MODELS = [
    model
    for model in OWN_MODELS
    if any(field.name == "client" and field.is_relation for field in model._meta.get_fields())
]

# Where every client is meant. Rooms end with a slash; a file stands with its reason.
ACROSS_CLIENTS = {
    "checks/pipeline/": "the pipeline works on all checks",
    "checks/history/": "so do rollups and retention",
    "checks/heartbeats/calls.py": "the key of a call is what names the client",
    "checks/heartbeats/overdue.py": "judges what is due, whoever it belongs to",
    "checks/heartbeats/watched.py": "a part of the pipeline's verbs",
    "provisioning/": "writes across apps",
    "uptime/": "jobs",
    "dashboard/selectors/": "operators' pages",
    "alerts/claims.py": "sends what is due, whoever it belongs to",
    "alerts/delivery.py": "sends what is due, whoever it belongs to",
    "alerts/outbox.py": "reads all events",
    "alerts/records.py": "books attempts of claimed deliveries",
    "alerts/selectors.py": "operators' alert history",
    "clients/scoping.py": "defines it",
    "clients/access.py": "which clients does this user belong to?",
    "clients/apikeys.py": "the key is what names the client",
}
MOST_LINES = 300
BY_STRING = {"get_model", "import_string", "import_module", "__import__", "get_app_config"}


@lru_cache
def sources() -> tuple[tuple[str, str, ast.Module], ...]:
    """(path, text, tree) of every module of the product."""
    paths = [
        path
        for room in FLOORS
        for path in sorted((ROOT / room).rglob("*.py"))
        if "migrations" not in path.parts
    ]
    # A collection in the middle of a parse may finalise what another test left; CPython 3.11 parses for the traceback
    # of a complaining finaliser, and one parse inside another ends in a SystemError.
    gc.disable()
    try:
        return tuple(
            (str(path.relative_to(ROOT)), text, ast.parse(text))
            for path in paths
            for text in [path.read_text()]
        )
    finally:
        gc.enable()


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Attribute):
                yield function.attr, node
            elif isinstance(function, ast.Name):
                yield function.id, node


@pytest.mark.parametrize("model", OWN_MODELS, ids=lambda model: model.__name__)
def test_relations_point_down(model: type[models.Model]) -> None:
    own = FLOORS[model._meta.app_label]
    for field in model._meta.get_fields():
        target = field.related_model if field.concrete else None
        if isinstance(target, type) and target._meta.app_label in FLOORS:
            assert FLOORS[target._meta.app_label] <= own, f"{model.__name__}.{field.name}"


def test_no_arrow_hides_in_a_string() -> None:
    hidden = []
    for path, _, tree in sources():
        own = FLOORS[path.split("/")[0]]
        for name, call in calls(tree):
            if name not in BY_STRING:
                continue
            for argument in call.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    room = argument.value.split(".")[0]
                    if FLOORS.get(room, 0) > own:
                        hidden.append(f"{path}:{call.lineno} {name}({argument.value!r})")
    assert hidden == []


def test_the_fan_out_loads_without_django() -> None:
    program = """
import importlib, pkgutil, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"django", "celery", "zappa", "checks", "clients", "alerts", "uptime"}:
            raise ImportError(f"{name} is not part of the worker's package")

sys.meta_path.insert(0, Blocked())
import fanout_lambdas
for module in pkgutil.walk_packages(fanout_lambdas.__path__, "fanout_lambdas."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(len([name for name in sys.modules if name.startswith("fanout_lambdas")]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


@pytest.mark.parametrize("model", TENANT_MODELS, ids=lambda model: model.__name__)
def test_a_tenants_table_is_reached_through_its_client(model: type[models.Model]) -> None:
    manager = model._default_manager
    assert isinstance(manager, TenantManager)
    with pytest.raises(ScopeMissing):
        manager.all()


def test_no_shortcut_skips_the_client() -> None:
    names = {model.__name__ for model in TENANT_MODELS}
    found = []
    for path, _, tree in sources():
        for name, call in calls(tree):
            first = call.args[0] if call.args else None
            shortcut = name in {"get_object_or_404", "get_list_or_404"}
            if shortcut and isinstance(first, ast.Name) and first.id in names:
                found.append(f"{path}:{call.lineno} {name}({first.id})")
        if path == "clients/scoping.py":
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in {"_base_manager", "_rows"}:
                found.append(f"{path}:{node.lineno} .{node.attr}")
    assert found == []


def test_all_clients_are_meant_only_where_they_may_be() -> None:
    found = [
        f"{path}:{call.lineno}"
        for path, _, tree in sources()
        for name, call in calls(tree)
        if name == "across_clients" and not path.startswith(tuple(ACROSS_CLIENTS))
    ]
    assert found == []


def test_files_stay_short() -> None:
    long = {path: text.count("\n") for path, text, _ in sources()}
    grown = [
        f"{path}: {lines}"
        for path, lines in long.items()
        if lines > MOST_LINES and "/static/" not in path
    ]
    assert grown == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        path
        for path, text, tree in sources()
        if text.strip() and ast.get_docstring(tree) is None and not path.endswith("__init__.py")
    ]
    assert silent == []
