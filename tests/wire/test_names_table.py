"""The table of names, which the registry and the root's copy of it change in the same way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor import BadCall, NameTaken
from supervisor._names import Names


def table(*children: str, owner: tuple[str, ...] = ()) -> Names:
    names = Names()
    names.publish(list(owner), [[child, child, "server"] for child in children])
    return names


def found(names: Names) -> dict[str, tuple[str, ...]]:
    return {
        name: entry.path
        for name in sorted(names.entries)
        if (entry := names.lookup(name)) is not None
    }


def test_publish_names_the_children() -> None:
    names = Names()
    names.publish(["a"], [["x", "X", "server"], ["y", None, "task"], ["z", "Z", "supervisor"]])
    assert found(names) == {"X": ("a", "x"), "Z": ("a", "z")}


def test_a_supervisor_that_starts_again_forgets_what_was_added() -> None:
    names = table("a", "b")
    names.reserve([], ["c", "c", "server"], [])
    names.publish(["c"], [["below", "below", "server"]])
    names.publish([], [["a", "a", "server"], ["b", "b", "server"]])
    assert found(names) == {"a": ("a",), "b": ("b",)}


def test_a_name_that_is_taken_changes_nothing() -> None:
    names = table("a")
    before = dict(names.entries)
    for operation, args in [
        ("publish", [["other"], [["x", "y", "server"], ["z", "a", "server"]]]),
        ("reserve", [[], ["x", "a", "server"], []]),
        ("reserve", [[], ["x", None, "supervisor"], ["a"]]),
        ("register", ["a", ["x"], "server"]),
    ]:
        with pytest.raises(NameTaken, match="'a'"):
            names.apply(operation, args)
        assert names.entries == before


def test_changes_can_be_made_twice() -> None:
    names = table("a", "b")
    for operation, args in [
        ("reserve", [[], ["c", "c", "server"], []]),
        ("stop", [["a"]]),
        ("resume", [["a"]]),
        ("unregister", ["b"]),
        ("forget", [["c"]]),
    ]:
        names.apply(operation, args)
        once = found(names)
        names.apply(operation, args)
        assert found(names) == once


def test_stopped_names_are_reserved() -> None:
    names = table("a")
    names.publish(["a"], [["b", "b", "server"]])
    names.stop(["a"])
    assert found(names) == {}
    assert set(names.entries) == {"a", "b"}
    with pytest.raises(NameTaken):
        names.register("b", ["other"], "server")
    names.resume(["a"])
    names.publish(["a"], [["b", "b", "server"]])
    assert set(found(names)) == {"a", "b"}


def test_further_names_come_back_with_their_process() -> None:
    names = table("a")
    names.publish(["a"], [["b", None, "server"]])
    names.register("alias", ["a", "b"], "server")
    names.stop(["a"])
    assert names.lookup("alias") is None
    names.resume(["a"])
    names.publish(["a"], [["b", None, "server"]])
    assert names.lookup("alias") is not None


def test_forgetting_takes_what_is_below_along() -> None:
    names = table("a", "ab")
    names.publish(["a"], [["b", "b", "server"]])
    names.register("alias", ["a", "b"], "server")
    names.join("g", "b", 1.0)
    names.forget(["a"])
    assert found(names) == {"ab": ("ab",)}
    assert names.groups == {}


def test_members_in_the_order_they_joined() -> None:
    names = table("a", "b", "c")
    for moment, name in enumerate("cab"):
        names.join("g", name, float(moment))
    names.join("g", "c", 5.0)
    assert names.members("g") == ["c", "a", "b"]
    names.stop(["a"])
    assert names.members("g") == ["c", "b"]
    names.leave("g", "c")
    names.leave("unknown", "c")
    assert names.members("g") == ["b"]
    assert names.members("unknown") == []
    with pytest.raises(BadCall):
        names.join("g", "nobody", 1.0)


def test_who_died_is_no_member_and_who_joined_since_is() -> None:
    names = table("a", "b")
    names.join("g", "a", 1.0)
    names.join("h", "a", 3.0)
    names.join("g", "b", 1.0)
    names.died(["a"], 2.0)
    assert names.members("g") == ["b"]
    assert names.members("h") == ["a"]


paths = st.lists(st.sampled_from("abc"), max_size=3)
words = st.sampled_from(["x", "y", "z"])
ARGUMENTS: dict[str, Any] = {
    "publish": st.tuples(
        paths, st.lists(st.tuples(words, st.none() | words, st.just("server")).map(list))
    ),
    "reserve": st.tuples(paths, st.tuples(words, words, st.just("server")).map(list), st.just([])),
    "stop": st.tuples(paths),
    "resume": st.tuples(paths),
    "forget": st.tuples(paths),
    "died": st.tuples(paths, st.floats(0, 10)),
    "register": st.tuples(words, paths, st.just("server")),
    "unregister": st.tuples(words),
    "join": st.tuples(words, words, st.floats(0, 10)),
    "leave": st.tuples(words, words),
}
changes = st.sampled_from(sorted(ARGUMENTS)).flatmap(
    lambda operation: st.tuples(st.just(operation), ARGUMENTS[operation].map(list))
)


@settings(max_examples=60, deadline=None)
@given(st.lists(changes, max_size=20))
def test_a_copy_that_is_told_what_worked_is_the_same(steps: list[tuple[str, list[Any]]]) -> None:
    names, copy = Names(), Names()
    for operation, args in steps:
        try:
            names.apply(operation, args)
        except (NameTaken, BadCall):
            continue
        copy.apply(operation, args)
    assert copy == names
    for members in names.groups.values():
        assert members
        assert set(members) <= set(names.entries)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*ARGUMENTS, "unknown", "lookup"]),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3) | st.floats(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    ),
)
def test_anything_else_is_a_bad_call(operation: str, args: Any) -> None:
    names = table("a")
    try:
        names.apply(operation, args)
    except (BadCall, NameTaken):
        assert found(names) == {"a": ("a",)}
