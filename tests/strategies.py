"""What hypothesis makes sessions, runs and events of."""

from datetime import UTC, datetime

from hypothesis import strategies as st

from ports import EVENT_TYPES, RUN_STATUSES, SESSION_STATUSES, Event, Run, Session

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
ids = texts.filter(bool)
moments = st.datetimes(
    min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31), timezones=st.just(UTC)
).map(lambda moment: moment.replace(fold=0))  # which means nothing in UTC
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
json = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
maps = st.dictionaries(texts, json, max_size=4)

sessions = st.builds(
    Session,
    id=ids,
    agent_id=ids,
    status=st.sampled_from(sorted(SESSION_STATUSES)),
    parent_session_id=st.none() | ids,
    metadata=maps,
    context=maps,
    tags=st.lists(texts, max_size=4),
    created_at=moments,
    updated_at=moments,
    deleted_at=st.none() | moments,
)
runs = st.builds(
    Run,
    id=ids,
    session_id=ids,
    status=st.sampled_from(sorted(RUN_STATUSES)),
    input=json,
    output=json,
    error=json,
    metadata=maps,
    turn_count=st.integers(min_value=0),
    token_usage=maps,
    started_at=moments,
    ended_at=st.none() | moments,
    provider=st.none() | texts,
    provider_metadata=maps,
    cost_usd=st.none() | numbers,
)
events = st.builds(
    Event,
    id=ids,
    type=st.sampled_from(sorted(EVENT_TYPES)),
    timestamp=moments,
    session_id=ids,
    run_id=st.none() | ids,
    sequence_number=st.none() | st.integers(min_value=1),
    data=maps,
    metadata=maps,
    schema_version=st.integers(min_value=1),
    provider=st.none() | texts,
    correlation_id=st.none() | texts,
)
