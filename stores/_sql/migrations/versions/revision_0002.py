"""What queries across sessions look things up by, pruned events, and an index of artifacts."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text, text

revision = "0002"
down_revision = "0001"

_Position = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Add indexes and tables."""
    op.create_index("regrow_sessions_by_change", "regrow_sessions", ["updated_at", "position"])
    op.create_index(
        "regrow_sessions_by_agent", "regrow_sessions", ["agent_id", "created_at", "position"]
    )
    op.create_index(
        "regrow_sessions_by_deletion",
        "regrow_sessions",
        ["deleted_at"],
        sqlite_where=text("deleted_at IS NOT NULL"),
        postgresql_where=text("deleted_at IS NOT NULL"),
    )
    op.create_index("regrow_runs_by_start", "regrow_runs", ["started_at", "position"])
    op.create_index("regrow_events_by_time", "regrow_events", ["timestamp"])
    op.create_index(
        "regrow_events_by_correlation",
        "regrow_events",
        ["correlation_id", "timestamp"],
        sqlite_where=text("correlation_id IS NOT NULL"),
        postgresql_where=text("correlation_id IS NOT NULL"),
    )
    op.create_table(
        "regrow_pruned",
        Column("session_id", Text, primary_key=True),
        Column("first", BigInteger, primary_key=True, autoincrement=False),
        Column("last", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "regrow_artifacts",
        Column("position", _Position, primary_key=True, autoincrement=True),
        Column("digest", Text, nullable=False, unique=True),
        Column("key", Text, nullable=False),
        Column("session_id", Text),
        Column("run_id", Text),
        Column("content_type", Text),
        Column("size", Text),
        Column("sha256", Text),
        Column("backend", Text),
        Column("metadata", Text, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("deleted_at", BigInteger),
    )
    op.create_index("regrow_artifacts_in_order", "regrow_artifacts", ["created_at", "position"])
    op.create_index(
        "regrow_artifacts_by_session",
        "regrow_artifacts",
        ["session_id", "created_at", "position"],
    )
