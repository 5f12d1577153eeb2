"""What databases say differently in queries: lists as parameters, JSON, and exact sums."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import Any, ClassVar, Protocol

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    BindParameter,
    ColumnElement,
    Numeric,
    Select,
    Text,
    any_,
    bindparam,
    case,
    cast,
    collate,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from stores._totals import Total, Usages, add_usage

from . import _schema as schema
from ._json import dumps, loads
from ._rows import Row

__all__ = ["Expressions", "PostgreSQLExpressions", "SQLiteExpressions"]

_RUNS = schema.runs.c
_ONE: ColumnElement[int] = literal_column("1")

# A number that was written with one of these was a float.
_FLOAT = "[.eE]"


class Expressions(Protocol):
    """How one kind of database is asked."""

    begin_reading: ClassVar[str]
    """Begins a transaction that reads, and sees everything as it is at one moment."""

    def __hash__(self) -> int: ...

    def several(self, values: Collection[Any]) -> Any:
        """Return values as the one parameter that `one_of` and others take."""

    def one_of(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """Tell whether a column has one of the values of a parameter."""

    def has_all(self, column: ColumnElement[str], name: str) -> ColumnElement[bool]:
        """Tell whether a column that holds a JSON list of texts has all values of a parameter."""

    def has_any(self, column: ColumnElement[str], name: str) -> ColumnElement[bool]:
        """Tell whether a column that holds a JSON list of texts has a value of a parameter."""

    def in_byte_order(self, column: ColumnElement[str]) -> ColumnElement[str]:
        """Return a text column that sorts as Python sorts."""

    def usage(self, where: Iterable[ColumnElement[bool]]) -> Select[Any]:
        """Return a query for what runs have used; its rows are for `add_usage`."""

    def add_usage(self, usages: Usages, row: Row) -> None:
        """Add a row of `usage` to what is summed up."""

    def cost(self, where: Iterable[ColumnElement[bool]]) -> Select[Any]:
        """Return a query for what runs have cost.

        Its rows are a provider, a model, the number of runs, how many of them have a cost, and what
        `total_of` takes.
        """

    def total_of(self, values: Row) -> Total:
        """Return the total that the last columns of a row of `cost` hold."""


class SQLiteExpressions:
    """SQLite: lists are JSON, and sums are made by `AGGREGATES`."""

    begin_reading: ClassVar[str] = "BEGIN"

    def several(self, values: Collection[Any]) -> Any:
        """Return a JSON list."""
        return dumps(list(values))

    def one_of(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """Look the column's value up in the list."""
        return column.in_(_members(bindparam(name, type_=Text())))

    def has_all(self, column: ColumnElement[str], name: str) -> ColumnElement[bool]:
        """See that nothing is in the list that is not in the column."""
        wanted = func.json_each(bindparam(name, type_=Text())).table_valued("value", name="wanted")
        lacking = select(_ONE).select_from(wanted)
        return ~lacking.where(wanted.c.value.not_in(_members(column))).exists()

    def has_any(self, column: ColumnElement[str], name: str) -> ColumnElement[bool]:
        """See that something is in the list that is in the column."""
        held = func.json_each(column).table_valued("value", name="held")
        common = select(_ONE).select_from(held)
        return common.where(self.one_of(held.c.value, name)).exists()

    def in_byte_order(self, column: ColumnElement[str]) -> ColumnElement[str]:
        """Return the column: that is how SQLite sorts."""
        return column

    def usage(self, where: Iterable[ColumnElement[bool]]) -> Select[Any]:
        """Ask for the provider, the number of runs, and the totals as JSON."""
        totals: ColumnElement[Any] = func.regrow_usage(_RUNS.token_usage)
        query = select(_RUNS.provider, func.count(), totals).where(*where)
        return query.group_by(_RUNS.provider)

    def add_usage(self, usages: Usages, row: Row) -> None:
        """Add a provider's totals."""
        provider, runs, totals = row
        usages.add_count(provider, runs)
        known = usages.totals(provider)
        for name, written in loads(totals).items():
            known.setdefault(name, Total()).merge(_read(written))

    def cost(self, where: Iterable[ColumnElement[bool]]) -> Select[Any]:
        """Ask for the total as JSON."""
        path: ColumnElement[str] = literal_column("'$.model'")
        metadata = _RUNS.provider_metadata
        is_text = func.json_type(metadata, path) == literal_column("'text'")
        model: ColumnElement[Any] = case((is_text, func.json_extract(metadata, path)))
        total: ColumnElement[Any] = func.regrow_total(_RUNS.cost_usd)
        query = select(_RUNS.provider, model, func.count(), func.count(_RUNS.cost_usd), total)
        return query.where(*where).group_by(_RUNS.provider, model)

    def total_of(self, values: Row) -> Total:
        """Read the JSON."""
        return _read(loads(values[0]))


def _members(json_list: ColumnElement[Any] | BindParameter[str]) -> Any:
    members = func.json_each(json_list).table_valued("value")
    return select(members.c.value)


def _written(total: Total) -> list[Any]:
    integers, fractions, has_floats = total.parts
    return [integers, str(fractions) if has_floats else None]


def _read(written: list[Any]) -> Total:
    total = Total()
    total.add(written[0])
    if written[1] is not None:
        total.add_decimal(Decimal(written[1]), has_floats=True)
    return total


class _UsageAggregate:
    """Adds up the counts of token usages that are given as JSON."""

    def __init__(self) -> None:
        self._totals: dict[str, Total] = {}

    def step(self, text: str) -> None:
        """Take another one in."""
        add_usage(self._totals, loads(text))

    def finalize(self) -> str:
        """Return the totals by name."""
        return dumps({name: _written(total) for name, total in self._totals.items()})


class _TotalAggregate:
    """Adds up numbers that are given as JSON; NULL is none."""

    def __init__(self) -> None:
        self._total = Total()

    def step(self, text: str | None) -> None:
        """Take another one in."""
        if text is not None:
            self._total.add(loads(text))

    def finalize(self) -> str:
        """Return the total."""
        return dumps(_written(self._total))


AGGREGATES = {"regrow_usage": _UsageAggregate, "regrow_total": _TotalAggregate}
"""The aggregate functions that SQLite is given, each with one argument: its own sums are neither
exact nor of any size."""


class PostgreSQLExpressions:
    """PostgreSQL: lists are arrays, and sums of the type NUMERIC are exact."""

    begin_reading: ClassVar[str] = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"

    def several(self, values: Collection[Any]) -> Any:
        """Return a list, which the driver makes an array of."""
        return list(values)

    def one_of(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """Look the column's value up in the array."""
        return column == any_(_array(column, name))

    def has_all(self, column: ColumnElement[str], name: str) -> ColumnElement[bool]:
        """Compare the two as sets."""
        wanted = func.to_jsonb(_array(column, name))
        return cast(column, JSONB).op("@>", is_comparison=True)(wanted)

    def has_any(self, column: ColumnElement[str], name: str) -> ColumnElement[bool]:
        """See that something is in the array that is in the column."""
        held = func.jsonb_array_elements_text(cast(column, JSONB)).table_valued("value")
        common = select(_ONE).select_from(held)
        return common.where(held.c.value == any_(_array(column, name))).exists()

    def in_byte_order(self, column: ColumnElement[str]) -> ColumnElement[str]:
        """Sort by bytes, whatever the language of the database is."""
        return collate(column, "C")

    def usage(self, where: Iterable[ColumnElement[bool]]) -> Select[Any]:
        """Ask for the number of runs of a provider, under no name, and for its totals by name."""
        conditions = list(where)
        entries = func.json_each(cast(_RUNS.token_usage, JSON)).table_valued(
            "key", "value", name="entries", joins_implicitly=True
        )
        number = cast(entries.c.value, Text)
        is_float: ColumnElement[Any] = func.bool_or(number.op("~")(literal_column(f"'{_FLOAT}'")))
        totals = (
            select(
                _RUNS.provider,
                entries.c.key,
                func.count(),
                func.sum(cast(number, Numeric)),
                is_float,
            )
            .where(*conditions)
            .where(func.json_typeof(entries.c.value) == literal_column("'number'"))
            .group_by(_RUNS.provider, entries.c.key)
        )
        counts = (
            select(
                _RUNS.provider,
                literal_column("NULL"),
                func.count(),
                literal_column("NULL"),
                literal_column("NULL"),
            )
            .where(*conditions)
            .group_by(_RUNS.provider)
        )
        return counts.union_all(totals)  # type: ignore[return-value]

    def add_usage(self, usages: Usages, row: Row) -> None:
        """Add a number of runs, or a total."""
        provider, name, count, total, has_floats = row
        if name is None:
            usages.add_count(provider, count)
        else:
            known = usages.totals(provider).setdefault(name, Total())
            known.add_decimal(Decimal(total), has_floats=has_floats)

    def cost(self, where: Iterable[ColumnElement[bool]]) -> Select[Any]:
        """Ask for the sum, and whether there are floats in it."""
        said = cast(_RUNS.provider_metadata, JSON).op("->")(literal_column("'model'"))
        is_text = func.json_typeof(said) == literal_column("'string'")
        text = cast(_RUNS.provider_metadata, JSON).op("->>")(literal_column("'model'"))
        model: ColumnElement[Any] = case((is_text, text))
        costs = _RUNS.cost_usd
        total: ColumnElement[Any] = func.sum(cast(costs, Numeric))
        is_float: ColumnElement[Any] = func.bool_or(costs.op("~")(literal_column(f"'{_FLOAT}'")))
        query = select(_RUNS.provider, model, func.count(), func.count(costs), total, is_float)
        return query.where(*where).group_by(_RUNS.provider, literal_column("2"))

    def total_of(self, values: Row) -> Total:
        """Return the sum, which is NULL where there is no cost."""
        total = Total()
        if values[0] is not None:
            total.add_decimal(Decimal(values[0]), has_floats=bool(values[1]))
        return total


def _array(column: ColumnElement[Any], name: str) -> BindParameter[Any]:
    kind: TypeEngine[Any] = BigInteger() if isinstance(column.type, BigInteger) else Text()
    return bindparam(name, type_=ARRAY(kind))
