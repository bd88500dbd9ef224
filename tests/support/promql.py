"""Expressions of alerts and panels: which series they select, and which labels come out."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser
import yaml
from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    VectorSelector,
)

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations"
SCRAPED = frozenset({"job", "instance"})
"""Labels that Prometheus gives every series that it scrapes."""

LabelsOf = Callable[[str], set[str]]
"""The labels that series of a name have."""


class Shown(NamedTuple):
    """An expression, where it stands, and the texts that name labels of its result."""

    place: str
    expression: Expr
    texts: list[str]

    @property
    def named_labels(self) -> set[str]:
        pattern = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)[^}]*\}\}")
        named = {label for text in self.texts for label in pattern.findall(text)}
        return named - {"value"}


def alerts() -> list[dict[str, Any]]:
    """The alert rules, as they stand in the file."""
    groups = yaml.safe_load((OPERATIONS / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard, rows included."""
    dashboard = json.loads((OPERATIONS / "dashboard.json").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = dashboard["panels"]
    return found


def shown() -> list[Shown]:
    """Every expression; ValueError if one is not PromQL."""
    of_alerts = [
        Shown(rule["alert"], parse(rule["expr"]), list(rule["annotations"].values()))
        for rule in alerts()
    ]
    of_panels = [
        Shown(panel["title"], parse(target["expr"]), [target["legendFormat"]])
        for panel in panels()
        for target in panel.get("targets", ())
    ]
    return of_alerts + of_panels


def parse(text: str) -> Expr:
    """The expression, with Grafana's own interval filled in."""
    return promql_parser.parse(text.replace("$__rate_interval", "1m"))


def selectors(expression: Expr) -> Iterator[VectorSelector]:
    """Everything that is selected in an expression."""
    match expression:
        case VectorSelector():
            yield expression
        case MatrixSelector():
            yield expression.vector_selector
        case AggregateExpr() | ParenExpr():
            yield from selectors(expression.expr)
        case BinaryExpr():
            yield from selectors(expression.lhs)
            yield from selectors(expression.rhs)
        case Call():
            for argument in expression.args:
                yield from selectors(argument)
        case NumberLiteral():
            return
        case _:
            raise NotImplementedError(type(expression))


def labels(expression: Expr, labels_of: LabelsOf) -> set[str]:
    """The labels of the result; AssertionError where one is asked for that is not there."""
    match expression:
        case VectorSelector():
            return labels_of(expression.name)
        case MatrixSelector():
            return labels_of(expression.vector_selector.name)
        case ParenExpr():
            return labels(expression.expr, labels_of)
        case NumberLiteral():
            return set()
        case AggregateExpr():
            return _of_aggregate(expression, labels_of)
        case Call():
            return _of_call(expression, labels_of)
        case BinaryExpr():
            return _of_pair(expression, labels_of)
        case _:
            raise NotImplementedError(type(expression))


def _of_aggregate(expression: AggregateExpr, labels_of: LabelsOf) -> set[str]:
    inner = labels(expression.expr, labels_of)
    if expression.modifier is None:
        return set()
    assert expression.modifier.type == AggModifierType.By
    grouped = set(expression.modifier.labels)
    assert grouped <= inner, f"by {grouped - inner} of {expression}"
    return grouped


def _of_call(expression: Call, labels_of: LabelsOf) -> set[str]:
    name = expression.func.name
    inner: set[str] = set().union(*(labels(each, labels_of) for each in expression.args))
    if name in {"absent", "vector"}:
        return set()
    if name == "histogram_quantile":
        assert "le" in inner, expression
        return inner - {"le"}
    return inner


def _of_pair(expression: BinaryExpr, labels_of: LabelsOf) -> set[str]:
    left, right = (labels(each, labels_of) for each in (expression.lhs, expression.rhs))
    matching = expression.modifier.matching if expression.modifier else None
    if str(expression.op) == "or":
        return left & right if left and right else set()
    if isinstance(expression.rhs, NumberLiteral):
        return left
    if matching is None:
        # pairs are made of series with the same labels, or nothing comes out
        assert left == right, f"{left} and {right} in {expression}"
    else:
        assert set(matching.labels) <= left | right, expression
    return left
