"""Queries across sessions in memory.

What a query goes through is taken note of under the lock, which is a matter of moments, and looked
at outside of it: what is kept never changes, it is only replaced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any, TypeVar

from ports import Event, Page, Run, Session, SessionExport, SessionNotFound, SessionStats
from ports._filters import EventFilter, RunFilter, SessionFilter
from ports._moments import microseconds
from ports._paging import Paging, Place
from stores._event_log import EventLog
from stores._queries import CheckedQueries
from stores._timeline import RunTimelines, Timeline
from stores._totals import Costs, Total, Usages, add_usage

__all__ = ["MemoryQueries", "numbered_page"]

_Item = TypeVar("_Item")


class MemoryQueries(CheckedQueries):
    """What a store in memory is asked across sessions."""

    _lock: Lock
    _sessions: Timeline[Session]
    _runs: RunTimelines
    _logs: dict[str, EventLog]
    _check_open: Callable[[], None]
    _own: Callable[[Any], Any]

    def _page_of_sessions(self, wanted: SessionFilter, paging: Paging) -> Page[Session]:
        with self._lock:
            self._check_open()
            sessions = self._sessions.numbered()
            runs = [] if wanted.providers is None else self._runs.numbered()
        providers: dict[str, set[str | None]] = {}
        for _, run in runs:
            providers.setdefault(run.session_id, set()).add(run.provider)
        found = (each for each in sessions if wanted.matches(each[1], providers))
        return self._owned(numbered_page(found, paging))

    def _page_of_runs(self, wanted: RunFilter, paging: Paging) -> Page[Run]:
        return self._owned(numbered_page(self._matching_runs(wanted), paging))

    def _page_of_events(self, wanted: EventFilter, paging: Paging) -> Page[Event]:
        return self._owned(paging.select(self._matching_events(wanted), _place_of(paging)))

    def _number_of_events(self, wanted: EventFilter) -> int:
        return sum(1 for _ in self._matching_events(wanted))

    def _usages(self, wanted: RunFilter) -> Usages:
        usages = Usages()
        for _, run in self._matching_runs(wanted):
            usages.add(run.provider, run.token_usage)
        return usages

    def _costs(self, wanted: RunFilter) -> Costs:
        costs = Costs()
        for _, run in self._matching_runs(wanted):
            costs.add(run)
        return costs

    def _stats(self, session_id: str) -> SessionStats:
        _, runs, events, last = self._all_of(session_id)
        tokens: dict[str, Total] = {}
        cost = Total()
        for run in runs:
            add_usage(tokens, run.token_usage)
            cost.add(run.cost_usd or 0)
        return SessionStats(
            session_id=session_id,
            event_count=len(events),
            latest_sequence=last,
            run_count=len(runs),
            status_counts=dict(sorted(Counter(run.status for run in runs).items())),
            providers_used=sorted({run.provider for run in runs if run.provider is not None}),
            token_totals={name: tokens[name].value for name in sorted(tokens)},
            total_cost_usd=cost.value,
            first_event_at=min((event.timestamp for event in events), default=None),
            last_event_at=max((event.timestamp for event in events), default=None),
        )

    def _export(self, session_id: str) -> SessionExport:
        session, runs, events, _ = self._all_of(session_id)
        return SessionExport(
            session=self._own(session),
            runs=[self._own(run) for run in runs],
            events=[self._own(event) for event in events],
        )

    def _all_of(self, session_id: str) -> tuple[Session, list[Run], list[Event], int]:
        with self._lock:
            self._check_open()
            session = self._sessions.get(session_id)
            runs = list(self._runs.of_session(session_id))
            log = self._logs.get(session_id) or EventLog()
            events, last = list(log.events), log.last
        if session is None:
            raise SessionNotFound(
                f"no session has the id {session_id!r}", details={"session_id": session_id}
            )
        return session, runs, events, last

    def _matching_runs(self, wanted: RunFilter) -> Iterable[tuple[int, Run]]:
        with self._lock:
            self._check_open()
            runs = self._runs.numbered()
            agents = self._agents() if wanted.agent_ids is not None else {}
        return [each for each in runs if wanted.matches(each[1], agents)]

    def _matching_events(self, wanted: EventFilter) -> Iterable[Event]:
        with self._lock:
            self._check_open()
            ids = self._logs.keys() if wanted.session_ids is None else wanted.session_ids
            logs = [list(self._logs[id].events) for id in ids if id in self._logs]
            agents = self._agents() if wanted.agent_ids is not None else {}
        return [event for log in logs for event in log if wanted.matches(event, agents)]

    def _agents(self) -> dict[str, str]:
        """Return the agent of each session."""
        return {session.id: session.agent_id for session in self._sessions}

    def _owned(self, page: Page[_Item]) -> Page[_Item]:
        """Return a page of the caller's own copies."""
        return Page(
            items=[self._own(item) for item in page.items], cursor=page.cursor, total=page.total
        )


def numbered_page(found: Iterable[tuple[int, _Item]], paging: Paging) -> Page[_Item]:
    """Return a page of what was found, each with its number in the order of insertion."""
    by = paging.order.by
    page = paging.select(found, lambda each: (microseconds(getattr(each[1], by)), each[0]))
    return Page(items=[item for _, item in page.items], cursor=page.cursor, total=page.total)


def _place_of(paging: Paging) -> Callable[[Event], Place]:
    if paging.order.by == "timestamp":
        return lambda event: (
            microseconds(event.timestamp),
            event.session_id,
            event.sequence_number,
        )
    return lambda event: (event.session_id, event.sequence_number)
