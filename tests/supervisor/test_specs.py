"""Specs: a bad value is a SpecError where it is written, naming field, value and what may be."""

from __future__ import annotations

import abc
from typing import Any

import pytest

from supervisor import Backoff, Child, Command, DynamicSupervisor, SpecError, Supervisor
from tests.supervisor.servers import Worker, task_that_returns

NO_SECONDS = [-1, "5", True, float("nan"), float("inf"), [], -0.001]
NO_NAMES = ["", "x" * 256, 5, b"x", [], True]


class Abstract(abc.ABC):
    @abc.abstractmethod
    def lacks(self) -> None: ...


def cases(values: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    return [(field, value) for field, bad in values.items() for value in bad]


@pytest.mark.parametrize(
    ("field", "value"),
    cases(
        {
            "kwargs": [5, "x", [1], {1: 2}],
            "args": [5, "x", b"x", {1}],
            "id": NO_NAMES,
            "name": NO_NAMES,
            "restart": ["always", None, True, 5, "Permanent"],
            "shutdown": [*NO_SECONDS, "kill", "infinity"],
            "significant": [1, 0, None, "yes"],
            "start_timeout": [*NO_SECONDS, 0],
            "backoff": [1, 0.5, "x", True, {}],
            "watchdog": [*NO_SECONDS, 0],
            "max_rss": [0, -1, 1.5, "1G", True],
            "start_method": ["forkserver", "thread", 5, True],
        }
    ),
)
def test_a_bad_field_of_a_child(field: str, value: Any) -> None:
    with pytest.raises(SpecError) as caught:
        Child(Worker, **{field: value})
    assert isinstance(caught.value, ValueError)
    assert field in str(caught.value)


@pytest.mark.parametrize("target", [5, None, "Worker", Worker(), Abstract])
def test_a_bad_target(target: Any) -> None:
    with pytest.raises(SpecError, match="target"):
        Child(target)


def test_arguments_that_the_target_does_not_take() -> None:
    for kwargs, args in [({"unknown": 1}, ()), ({}, (1, 2, 3)), ({"label": 1}, ("j", "l"))]:
        with pytest.raises(SpecError):
            Child(Worker, kwargs, args=args)
    with pytest.raises(SpecError):
        Child(Command(["x"]), {"a": 1})


def test_a_significant_permanent_child() -> None:
    with pytest.raises(SpecError, match="significant"):
        Child(Worker, significant=True)
    with pytest.raises(SpecError, match="auto_shutdown"):
        Supervisor([Child(Worker, restart="temporary", significant=True)])


def test_the_watchdog_is_for_servers() -> None:
    with pytest.raises(SpecError, match="watchdog"):
        Child(task_that_returns, watchdog=1)


def test_what_an_id_is_by_default() -> None:
    assert Child(Worker).id == "Worker"
    assert Child(Worker, name="n").id == "n"
    assert Child(Worker, name="n", id="i").id == "i"
    assert Child(lambda: None).id == "<lambda>"
    assert Child(Command(["/bin/sleep", "1"])).id == "sleep"
    assert Supervisor().id == "Supervisor"
    assert DynamicSupervisor(name="n").id == "n"


@pytest.mark.parametrize(
    ("field", "value"),
    cases(
        {
            "children": [5, "x", [5], [Worker], None],
            "strategy": ["one_for_none", None, 5, "simple_one_for_one"],
            "max_restarts": [-1, 1.5, "3", True, None],
            "max_seconds": [*NO_SECONDS, 0, None],
            "auto_shutdown": ["always", None, True],
            "id": NO_NAMES,
            "name": NO_NAMES,
            "restart": ["always", None],
            "shutdown": [*NO_SECONDS, "kill"],
            "significant": [1, None],
        }
    ),
)
def test_a_bad_field_of_a_supervisor(field: str, value: Any) -> None:
    with pytest.raises(SpecError) as caught:
        Supervisor(**{field: value})
    assert field in str(caught.value)


@pytest.mark.parametrize("value", [-1, 1.5, "3", True])
def test_a_bad_max_children(value: Any) -> None:
    with pytest.raises(SpecError, match="max_children"):
        DynamicSupervisor(max_children=value)


def test_ids_are_unique_within_a_supervisor() -> None:
    with pytest.raises(SpecError, match="'Worker'"):
        Supervisor([Child(Worker), Child(Worker)])
    Supervisor([Child(Worker), Supervisor([Child(Worker)])])


@pytest.mark.parametrize(
    "values",
    [
        {"initial": -1},
        {"initial": "1"},
        {"maximum": 0.01},
        {"maximum": float("inf")},
        {"factor": 0.5},
        {"factor": 0},
        {"jitter": 1.5},
        {"jitter": -0.1},
        {"reset_after": -1},
        {"reset_after": None},
    ],
    ids=repr,
)
def test_a_bad_backoff(values: dict[str, Any]) -> None:
    with pytest.raises(SpecError) as caught:
        Backoff(**values)
    assert next(iter(values)) in str(caught.value)


@pytest.mark.parametrize(
    ("argv", "options"),
    [
        ([], {}),
        ("ls -l", {}),
        ([5], {}),
        (["a\0b"], {}),
        ([""], {}),
        (["x"], {"env": [("A", "b")]}),
        (["x"], {"env": {"A": 5}}),
        (["x"], {"env": {"A=B": "c"}}),
        (["x"], {"env": {"": "c"}}),
        (["x"], {"cwd": 5}),
    ],
    ids=repr,
)
def test_a_bad_command(argv: Any, options: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        Command(argv, **options)


def test_specs_are_values() -> None:
    assert Child(Worker, {"label": "x"}) == Child(Worker, {"label": "x"})
    with pytest.raises(AttributeError):
        Child(Worker).name = "other"  # type: ignore[misc]
    given = {"label": "x"}
    child = Child(Worker, given)
    given["label"] = "y"
    assert child.kwargs == {"label": "x"}
