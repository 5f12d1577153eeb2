"""The tables, and the revision that says which version of them a database has.

Moments are microseconds since 1970 in UTC: they sort as the moments do, in every database. What
holds JSON is text: integers of any size, and the order of keys, go through unchanged. The counts
that JSON leaves unbounded (turns, schema versions, costs) are JSON text as well.

To change the tables: change them below, raise `REVISION`, and write the migration that brings older
databases there, which `migrations/__init__.py` says how to do. Tests compare what the two make.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

REVISION = "0002"
"""The revision that makes the tables below: the number of the last one in `migrations/versions`."""

metadata = MetaData()

# An INTEGER PRIMARY KEY is what SQLite keeps its rows by, and costs nothing there.
_Position = BigInteger().with_variant(Integer(), "sqlite")

# Alembic's own table, under a name that no other program's is likely to have.
revisions = Table(
    "regrow_alembic_version",
    metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="regrow_alembic_version_pkc"),
)

sessions = Table(
    "regrow_sessions",
    metadata,
    # In order of insertion, which decides between sessions that were created at the same time.
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
    Index("regrow_sessions_in_order", "created_at", "position"),
    Index("regrow_sessions_by_change", "updated_at", "position"),
    Index("regrow_sessions_by_agent", "agent_id", "created_at", "position"),
    Index(
        "regrow_sessions_by_deletion",
        "deleted_at",
        sqlite_where=text("deleted_at IS NOT NULL"),
        postgresql_where=text("deleted_at IS NOT NULL"),
    ),
)

runs = Table(
    "regrow_runs",
    metadata,
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
    Index("regrow_runs_in_order", "session_id", "started_at", "position"),
    Index("regrow_runs_by_start", "started_at", "position"),
)

# No foreign keys: runs and events may be stored for a session that is not.
events = Table(
    "regrow_events",
    metadata,
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
    # The second line of defence: a number that was handed out twice could not be stored.
    UniqueConstraint("session_id", "sequence_number", name="regrow_events_in_order"),
    # Moments mostly come in their order, so that keeping this up takes little; the places of events
    # of the same moment are sorted out when they are read.
    Index("regrow_events_by_time", "timestamp"),
    # Of those that have one alone, and so at no cost for the others.
    Index(
        "regrow_events_by_correlation",
        "correlation_id",
        "timestamp",
        sqlite_where=text("correlation_id IS NOT NULL"),
        postgresql_where=text("correlation_id IS NOT NULL"),
    ),
)

sequences = Table(
    "regrow_sequences",
    metadata,
    Column("session_id", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The numbers of events that were pruned, as ranges, so that they are told from what is lost.
pruned = Table(
    "regrow_pruned",
    metadata,
    Column("session_id", Text, primary_key=True),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# A key may hold what no column can, and be longer than an index takes: it is kept as JSON in ASCII,
# and found by its digest.
artifacts = Table(
    "regrow_artifacts",
    metadata,
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
    Index("regrow_artifacts_in_order", "created_at", "position"),
    Index("regrow_artifacts_by_session", "session_id", "created_at", "position"),
)
