"""Reading a long listing page by page: a page begins after the last item of the one before.

A cursor is the place of that item in the order of the listing, and a digest over it, the order and
the filters. So a cursor belongs to one listing, and what was altered on its way, or belongs to
another listing, is found out. It is no secret: it leads nowhere where its bearer could not search.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from heapq import nlargest, nsmallest
from typing import Any, Self, TypeAlias, TypeVar

from ._errors import InvalidCursor, ValidationError
from ._results import Page
from ._validation import check_choice, check_count, check_flag, check_text, refuse, show

__all__ = ["Order", "Paging", "Place"]

_Item = TypeVar("_Item")

Place: TypeAlias = tuple[Any, ...]
"""Where an item stands in an order: integers and texts, unlike those of any other item."""

_DIGEST_SIZE = 12

# What the columns of a database hold.
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Order:
    """An order of a listing.

    Attributes:
        by: The field that decides first.
        place: The types of what a place in this order consists of.
        descending: Whether the last comes first.

    """

    by: str
    place: tuple[type, ...]
    descending: bool


@dataclass(frozen=True, slots=True)
class Paging:
    """Which part of a listing is asked for, checked.

    Attributes:
        order: Of the listing.
        limit: How many items there are on a page; None for all.
        after: The place of the last item of the page before; None for the first page.
        with_total: Whether to say how many items all pages have.
        listing: What tells this listing from others.

    """

    order: Order
    limit: int | None
    after: Place | None
    with_total: bool
    listing: bytes

    @classmethod
    def of(
        cls,
        orders: Mapping[str, Order],
        filters: object,
        *,
        order_by: object,
        limit: object,
        cursor: object,
        with_total: object,
    ) -> Self:
        """Check the arguments of a search.

        Args:
            orders: Those that there are, by name.
            filters: What else the search is asked for; its repr has to tell it from others.
            order_by: The name of an order.
            limit: How many items there are on a page; None for all.
            cursor: What the page before gave; None for the first page.
            with_total: Whether to say how many items all pages have.

        """
        name = check_choice(order_by, "order_by", frozenset(orders), ValidationError)
        listing = f"{filters!r} {name}".encode()
        return cls(
            orders[name],
            None if limit is None else check_count(limit, "limit"),
            None if cursor is None else _place_of(cursor, listing, orders[name].place),
            check_flag(with_total, "with_total"),
            listing,
        )

    def select(self, items: Iterable[_Item], place: Callable[[_Item], Place]) -> Page[_Item]:
        """Return the page of what matches.

        Args:
            items: Everything that matches, in any order.
            place: Where an item stands in the order.

        """
        placed = [(place(item), item) for item in items]
        total = len(placed) if self.with_total else None
        if self.after is not None:
            placed = [each for each in placed if self._is_beyond(each[0])]
        size = len(placed) if self.limit is None else min(self.limit + 1, len(placed))
        some = nlargest if self.order.descending else nsmallest
        return self.page(some(size, placed, key=lambda each: each[0]), total)

    def page(self, found: list[tuple[Place, _Item]], total: int | None) -> Page[_Item]:
        """Return a page.

        Args:
            found: What it holds, in order, and the item after it, if there is one.
            total: How many items all pages have, or None.

        """
        kept = found if self.limit is None else found[: self.limit]
        is_last = len(kept) == len(found) or not kept
        cursor = None if is_last else self._cursor(kept[-1][0])
        return Page(items=[item for _, item in kept], cursor=cursor, total=total)

    def _is_beyond(self, place: Place) -> bool:
        if self.after is None:
            return True
        return place < self.after if self.order.descending else place > self.after

    def _cursor(self, place: Place) -> str:
        text = json.dumps(place, separators=(",", ":")).encode()
        return urlsafe_b64encode(_digest(self.listing, text) + text).rstrip(b"=").decode()


def _digest(listing: bytes, text: bytes) -> bytes:
    return sha256(sha256(listing).digest() + text).digest()[:_DIGEST_SIZE]


def _place_of(cursor: object, listing: bytes, kinds: tuple[type, ...]) -> Place:
    if not isinstance(cursor, str):
        refuse("cursor", cursor, "the cursor of a page, or None")
    try:
        data = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        is_ours = urlsafe_b64encode(data).rstrip(b"=").decode() == cursor
        digest, text = data[:_DIGEST_SIZE], data[_DIGEST_SIZE:]
        if is_ours and digest == _digest(listing, text):
            return _checked_place(json.loads(text), kinds)
    except (ValueError, TypeError, RecursionError, ValidationError):
        # Not in base64, no JSON, or no place: nothing that was ever handed out.
        pass
    shown = show(cursor)
    raise InvalidCursor(
        f"cursor cannot be {shown}; allowed is the cursor of a page of the same search, with the "
        "same filters and the same order",
        details={
            "field": "cursor",
            "value": shown,
            "allowed": "the cursor of a page of the same search",
        },
    )


def _checked_place(values: Any, kinds: tuple[type, ...]) -> Place:
    if not isinstance(values, list) or len(values) != len(kinds):
        raise TypeError
    for value, kind in zip(values, kinds, strict=True):
        if type(value) is not kind:
            raise TypeError
        if isinstance(value, str):
            check_text(value, "cursor")
        elif not isinstance(value, int) or not _SMALLEST <= value <= _LARGEST:
            raise ValueError
    return tuple(values)
