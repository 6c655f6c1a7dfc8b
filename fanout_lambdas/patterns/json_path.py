"""JSON paths (RFC 9535): parsed by a library, walked here so that no path is expensive.

The library's own walk keeps each value's location and has no limit on its work. Here a walk has a
limit, and a filter may only name single values of the element it judges, which makes its cost known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import jsonpath
from jsonpath import filter as filters
from jsonpath import segments, selectors

from fanout_lambdas.patterns.limits import Allowance
from fanout_lambdas.shared.contracts import ContractError

# In values looked at, as an allowance counts:
_DESCENT_WORK = 10  # an object or array below ".."
_FILTER_WORK = 25  # a part of a filter expression, for each element it judges
_MAX_FILTER_DEPTH = 20
_KEPT = 256  # compiled paths in a process

_ORDERS = frozenset({"<", "<=", ">", ">="})
_FUNCTIONS = ("length", "count", "value")
_TOKEN = re.compile(r"'?TOKEN_(\w+)'?")

Take = Callable[[Any], Iterable[Any]]


class _Environment(jsonpath.JSONPathEnvironment):
    def setup_function_extensions(self) -> None:
        # match() and search() would bring a second engine for regular expressions, one without limits.
        super().setup_function_extensions()
        self.function_extensions = {
            name: function
            for name, function in self.function_extensions.items()
            if name in _FUNCTIONS
        }

    def compare(self, left: object, operator: str, right: object) -> bool:
        if operator in _ORDERS and (_is_boolean(left) or _is_boolean(right)):
            # Python takes true for 1; in RFC 9535 2.3.5.2.2 booleans have no order.
            return "=" in operator and super().compare(left, "==", right)
        return super().compare(left, operator, right)


def _is_boolean(operand: object) -> bool:
    if isinstance(operand, jsonpath.NodeList):
        return len(operand) == 1 and isinstance(operand[0].obj, bool)
    return isinstance(operand, bool)


_environment = _Environment(strict=True)


class JsonPath:
    """One compiled path."""

    __slots__ = ("_steps",)

    def __init__(self, path: str) -> None:
        """Raises jsonpath.JSONPathError, or ValueError with a sentence."""
        if not path.startswith("$"):
            raise ValueError("a JSON path begins with $, like $.status")
        query = _environment.compile(path)
        assert isinstance(query, jsonpath.JSONPath)  # strict paths are never compound
        self._steps = [
            (
                isinstance(segment, segments.JSONPathRecursiveDescentSegment),
                [_step(selector) for selector in segment.selectors],
            )
            for segment in query.segments
        ]

    def select(self, document: Any, allowance: Allowance) -> list[Any]:
        """The values at this path, in the document's order; raises TooMuchWork."""
        nodes = [document]
        for descends, steps in self._steps:
            if descends:
                nodes = _descend(nodes, allowance)
            found: list[Any] = []
            for node in nodes:
                if isinstance(node, (dict, list)):
                    for take, work in steps:
                        allowance.take(1 + work * len(node))
                        found.extend(take(node))
            nodes = found
        return nodes


def compiled(path: str, field: str) -> JsonPath:
    try:
        return _compiled(path)
    except jsonpath.JSONPathError as error:
        words = str(error.args[0]) if error.args else "it cannot be read"
        words = _TOKEN.sub(lambda found: found[1].lower().replace("_", " "), words)
        at = error.token.index if error.token is not None else -1
        where = f"character {at + 1}" if at >= 0 else "its end"
        message = f"{field}: the JSON path is not valid at {where}: {words}."
    except (RecursionError, OverflowError):
        message = f"{field}: the JSON path is not valid: it is nested too deeply or has a number too large."
    except ValueError as error:
        message = f"{field}: {error}."
    raise ContractError(field, "json_path", message)


@lru_cache(maxsize=_KEPT)
def _compiled(path: str) -> JsonPath:
    return JsonPath(path)


def _descend(nodes: Sequence[Any], allowance: Allowance) -> list[Any]:
    """The objects and arrays among these nodes and below them, in the document's order."""
    found, waiting = [], [node for node in reversed(nodes) if isinstance(node, (dict, list))]
    while waiting:
        node = waiting.pop()
        allowance.take(_DESCENT_WORK + len(node))
        found.append(node)
        below = [child for child in _children(node) if isinstance(child, (dict, list))]
        below.reverse()
        waiting += below
    return found


def _step(selector: selectors.JSONPathSelector) -> tuple[Take, int]:
    """How a selector takes from an object or array, and the work for each of its children."""
    match selector:
        case selectors.NameSelector(name=name):
            return (lambda node: (node[name],) if type(node) is dict and name in node else ()), 0
        case selectors.IndexSelector(index=index):
            return (lambda node: _at(node, index) if type(node) is list else ()), 0
        case selectors.SliceSelector(slice=part):
            if part.step == 0:  # RFC 9535 2.3.4.2: selects nothing
                return (lambda node: ()), 0
            return (lambda node: node[part] if type(node) is list else ()), 1
        case selectors.WildcardSelector():
            return _children, 1
        case selectors.Filter(expression=expression):
            return _filter(expression)
    raise ValueError(f"{selector} is not supported in a JSON path")


def _at(node: list[Any], index: int) -> Sequence[Any]:
    return (node[index],) if -len(node) <= index < len(node) else ()


def _children(node: Any) -> Iterable[Any]:
    return node.values() if type(node) is dict else node


def _filter(expression: filters.FilterExpression) -> tuple[Take, int]:
    work = _FILTER_WORK * _parts(expression)

    def take(node: Any) -> Iterable[Any]:
        return [
            child
            for child in _children(node)
            if expression.evaluate(
                selectors.FilterContext(env=_environment, current=child, root=())
            )
        ]

    return take, work


def _parts(expression: filters.BaseExpression, depth: int = 0) -> int:
    """How many parts a filter has; ValueError for one whose cost would depend on the document."""
    if depth > _MAX_FILTER_DEPTH:
        raise ValueError("the filter is nested too deeply")
    if isinstance(expression, filters.RelativeFilterQuery):
        if not expression.path.singular_query():
            raise ValueError(
                "a path inside a filter must name one value, like @.name or @.items[0]"
            )
        return 1 + len(expression.path.segments)
    if isinstance(expression, filters.FilterQuery):
        raise ValueError("a path inside a filter must begin with @, like @.name")
    return 1 + sum(_parts(child, depth + 1) for child in expression.children())
