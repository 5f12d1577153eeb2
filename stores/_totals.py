"""Adding up numbers exactly, so that every backend comes to the same total.

Integers have any size. Floats are taken as the decimal fractions that they are written as, which is
what people mean by them, costs above all; so the order in which they are added does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, Inexact
from math import isinf
from typing import Any

from ports import Cost, CostSummary, Run, Usage, UsageSummary

__all__ = ["Costs", "Total", "Usages", "add_usage", "model_of"]

# Wide enough for every sum, and an error if it should not be.
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])


class Total:
    """The sum of what was added to it."""

    __slots__ = ("_fractions", "_has_floats", "_integers")

    def __init__(self) -> None:
        self._integers = 0
        self._fractions = Decimal(0)
        self._has_floats = False

    def add(self, number: float) -> None:
        """Add an integer or a float."""
        if isinstance(number, int):
            self._integers += number
        else:
            self.add_decimal(Decimal(repr(number)), has_floats=True)

    def add_decimal(self, number: Decimal, *, has_floats: bool) -> None:
        """Add a sum of numbers, among which there are floats or not."""
        self._fractions = _EXACT.add(self._fractions, number)
        self._has_floats = self._has_floats or has_floats

    def merge(self, other: Total) -> None:
        """Add what was added to another one."""
        self._integers += other._integers
        self.add_decimal(other._fractions, has_floats=other._has_floats)

    @property
    def parts(self) -> tuple[int, Decimal, bool]:
        """The sum of the integers, that of the rest, and whether there are floats among that."""
        return self._integers, self._fractions, self._has_floats

    @property
    def value(self) -> int | float:
        """The sum: an integer if all were, else the closest float; beyond floats, an integer."""
        if not self._has_floats:
            return self._integers + int(self._fractions)
        exact = _EXACT.add(Decimal(self._integers), self._fractions)
        closest = float(exact) + 0.0  # which makes 0.0 of -0.0
        return int(exact) if isinf(closest) else closest


def add_usage(totals: dict[str, Total], usage: Mapping[str, Any]) -> None:
    """Add the numbers of a run's token usage to the totals of their names."""
    for name, value in usage.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            totals.setdefault(name, Total()).add(value)


def model_of(run: Run) -> str | None:
    """Return the model that a run used, if its provider has said."""
    model = run.provider_metadata.get("model")
    return model if isinstance(model, str) else None


class Usages:
    """Adds up what runs have used, by provider."""

    def __init__(self) -> None:
        self._counts: dict[str | None, int] = {}
        self._totals: dict[str | None, dict[str, Total]] = {}

    def add(self, provider: str | None, usage: Mapping[str, Any]) -> None:
        """Add one run."""
        self.add_count(provider, 1)
        add_usage(self.totals(provider), usage)

    def add_count(self, provider: str | None, runs: int) -> None:
        """Add to the number of runs."""
        self._counts[provider] = self._counts.get(provider, 0) + runs

    @property
    def providers(self) -> list[str]:
        """The providers of the runs, sorted."""
        return sorted(provider for provider in self._counts if provider is not None)

    def totals(self, provider: str | None) -> dict[str, Total]:
        """Return the totals of a provider, to add to."""
        return self._totals.setdefault(provider, {})

    def altogether(self) -> Usage:
        """Return what all runs have used."""
        together: dict[str, Total] = {}
        for totals in self._totals.values():
            for name, total in totals.items():
                together.setdefault(name, Total()).merge(total)
        return Usage(run_count=sum(self._counts.values()), token_totals=_values(together))

    def summary(self) -> UsageSummary:
        """Return the summary."""
        together = self.altogether()
        return UsageSummary(
            run_count=together.run_count,
            token_totals=together.token_totals,
            by_provider={
                provider: Usage(
                    run_count=self._counts[provider],
                    token_totals=_values(self._totals.get(provider, {})),
                )
                for provider in _in_order(self._counts)
            },
        )


class _CostTotal:
    """The costs of some runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.without_cost = 0
        self.total = Total()

    def merge(self, other: _CostTotal) -> None:
        self.runs += other.runs
        self.without_cost += other.without_cost
        self.total.merge(other.total)

    def fields(self) -> dict[str, Any]:
        return {
            "run_count": self.runs,
            "runs_without_cost": self.without_cost,
            "total_cost_usd": self.total.value,
        }


class Costs:
    """Adds up what runs have cost, by provider and model."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str | None, str | None], _CostTotal] = {}

    def add(self, run: Run) -> None:
        """Add one run."""
        total = self.add_count(
            run.provider, model_of(run), runs=1, without_cost=int(run.cost_usd is None)
        )
        if run.cost_usd is not None:
            total.add(run.cost_usd)

    def add_count(
        self, provider: str | None, model: str | None, *, runs: int, without_cost: int
    ) -> Total:
        """Add to the number of runs; return the total, to add their costs to."""
        part = self._parts.setdefault((provider, model), _CostTotal())
        part.runs += runs
        part.without_cost += without_cost
        return part.total

    def summary(self) -> CostSummary:
        """Return the summary."""
        together = _CostTotal()
        for part in self._parts.values():
            together.merge(part)
        return CostSummary(
            **together.fields(), by_provider=self._grouped(0), by_model=self._grouped(1)
        )

    def _grouped(self, index: int) -> dict[str | None, Cost]:
        groups: dict[str | None, _CostTotal] = {}
        for key, part in self._parts.items():
            groups.setdefault(key[index], _CostTotal()).merge(part)
        return {key: Cost(**groups[key].fields()) for key in _in_order(groups)}


def _values(totals: Mapping[str, Total]) -> dict[str, int | float]:
    return {name: totals[name].value for name in sorted(totals)}


def _in_order(keys: Iterable[str | None]) -> list[str | None]:
    """Return keys sorted, None first."""
    return sorted(keys, key=lambda key: (key is not None, key or ""))
