"""Sessions, runs, events and their sequences."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text, UniqueConstraint

revision = "0001"
down_revision = None

_Position = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "regrow_sessions",
        Column("position", _Position, primary_key=True, autoincrement=True),
        Column("id", Text, nullable=False, unique=True),
        Column("agent_id", Text, nullable=False),
        Column("status", Text, nullable=False),
        Column("parent_session_id", Text),
        Column("metadata", Text, nullable=False),
        Column("context", Text, nullable=False),
        Column("tags", Text, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("updated_at", BigInteger, nullable=False),
        Column("deleted_at", BigInteger),
    )
    op.create_index("regrow_sessions_in_order", "regrow_sessions", ["created_at", "position"])
    op.create_table(
        "regrow_runs",
        Column("position", _Position, primary_key=True, autoincrement=True),
        Column("id", Text, nullable=False, unique=True),
        Column("session_id", Text, nullable=False),
        Column("status", Text, nullable=False),
        Column("input", Text),
        Column("output", Text),
        Column("error", Text),
        Column("metadata", Text, nullable=False),
        Column("turn_count", Text, nullable=False),
        Column("token_usage", Text, nullable=False),
        Column("started_at", BigInteger, nullable=False),
        Column("ended_at", BigInteger),
        Column("provider", Text),
        Column("provider_metadata", Text, nullable=False),
        Column("cost_usd", Text),
    )
    op.create_index("regrow_runs_in_order", "regrow_runs", ["session_id", "started_at", "position"])
    op.create_table(
        "regrow_events",
        Column("id", Text, primary_key=True),
        Column("type", Text, nullable=False),
        Column("timestamp", BigInteger, nullable=False),
        Column("session_id", Text, nullable=False),
        Column("run_id", Text),
        Column("sequence_number", BigInteger, nullable=False),
        Column("data", Text, nullable=False),
        Column("metadata", Text, nullable=False),
        Column("schema_version", Text, nullable=False),
        Column("provider", Text),
        Column("correlation_id", Text),
        UniqueConstraint("session_id", "sequence_number", name="regrow_events_in_order"),
    )
    op.create_table(
        "regrow_sequences",
        Column("session_id", Text, primary_key=True),
        Column("last", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
