"""Many cases in one test: a contract is run in every way to reach a store, each of which costs."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["cases"]


def cases(names: str | tuple[str, ...], values: Iterable[Any]) -> Callable[[Any], Any]:
    """Call the test once for each of these values, one after the other, on the same store.

    It is written as `pytest.mark.parametrize`, for tests that need no store of their own for each
    case. Which case has failed is added to the error.
    """
    several = not isinstance(names, str)
    given = list(values)

    def decorate(test: Any) -> Any:
        @functools.wraps(test)
        def run(*args: Any, **kwargs: Any) -> None:
            for value in given:
                case = dict(zip(names, value, strict=True)) if several else {names: value}
                try:
                    test(*args, **kwargs, **case)
                except BaseException as error:
                    error.add_note(f"in the case {case!r:.500}")
                    raise

        signature = inspect.signature(test)
        left = [each for each in signature.parameters.values() if each.name not in _set(names)]
        run.__signature__ = signature.replace(parameters=left)
        return run

    return decorate


def _set(names: str | tuple[str, ...]) -> set[str]:
    return {names} if isinstance(names, str) else set(names)
