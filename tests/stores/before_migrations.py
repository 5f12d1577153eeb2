"""A database as regrow 0.1.0 made them, before there were migrations: tables, and what was in them.

Written down when it was so, and not to be changed.
"""

_TABLES = """
CREATE TABLE regrow_schema_version (version INTEGER NOT NULL, PRIMARY KEY (version));
CREATE TABLE regrow_sessions (
    position {position} NOT NULL, id TEXT NOT NULL, agent_id TEXT NOT NULL, status TEXT NOT NULL,
    parent_session_id TEXT, metadata TEXT NOT NULL, context TEXT NOT NULL, tags TEXT NOT NULL,
    created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, deleted_at BIGINT,
    PRIMARY KEY (position), UNIQUE (id)
);
CREATE INDEX regrow_sessions_in_order ON regrow_sessions (created_at, position);
CREATE TABLE regrow_runs (
    position {position} NOT NULL, id TEXT NOT NULL, session_id TEXT NOT NULL, status TEXT NOT NULL,
    input TEXT, output TEXT, error TEXT, metadata TEXT NOT NULL, turn_count TEXT NOT NULL,
    token_usage TEXT NOT NULL, started_at BIGINT NOT NULL, ended_at BIGINT, provider TEXT,
    provider_metadata TEXT NOT NULL, cost_usd TEXT, PRIMARY KEY (position), UNIQUE (id)
);
CREATE INDEX regrow_runs_in_order ON regrow_runs (session_id, started_at, position);
CREATE TABLE regrow_events (
    id TEXT NOT NULL, type TEXT NOT NULL, timestamp BIGINT NOT NULL, session_id TEXT NOT NULL,
    run_id TEXT, sequence_number BIGINT NOT NULL, data TEXT NOT NULL, metadata TEXT NOT NULL,
    schema_version TEXT NOT NULL, provider TEXT, correlation_id TEXT,
    PRIMARY KEY (id), CONSTRAINT regrow_events_in_order UNIQUE (session_id, sequence_number)
);
CREATE TABLE regrow_sequences (
    session_id TEXT NOT NULL, last BIGINT NOT NULL, PRIMARY KEY (session_id)
) {sequences};
INSERT INTO regrow_schema_version VALUES (1);
INSERT INTO regrow_sessions
    (id, agent_id, status, metadata, context, tags, created_at, updated_at) VALUES
    ('s', 'gardener', 'active', '{{"a":1}}', '{{}}', '["old"]', 1700000000000001, 1700000000000002);
INSERT INTO regrow_runs
    (id, session_id, status, input, metadata, turn_count, token_usage, started_at,
     provider_metadata, cost_usd) VALUES
    ('r', 's', 'running', '{{"q":"?"}}', '{{}}', '3', '{{"input_tokens":7}}', 1700000000000003,
     '{{}}', '0.25');
INSERT INTO regrow_events VALUES
    ('e1', 'run_started', 1700000000000004, 's', 'r', 1, '{{"n":1}}', '{{}}', '1', NULL, NULL),
    ('e2', 'message_sent', 1700000000000005, 's', 'r', 2, '{{"n":2}}', '{{}}', '1', 'p', 'c');
INSERT INTO regrow_sequences VALUES ('s', 2);
"""

_DIALECTS = {
    "sqlite": {"position": "INTEGER", "sequences": "WITHOUT ROWID"},
    "postgresql": {"position": "BIGSERIAL", "sequences": ""},
}


def statements(dialect: str) -> list[str]:
    """Return what makes it, by the name of the dialect."""
    return [each for each in _TABLES.format(**_DIALECTS[dialect]).split(";") if each.strip()]
