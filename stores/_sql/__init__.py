"""Sessions, runs and events in a SQL database: SQLite in a file, or PostgreSQL.

_store          the store: the operations, one by one
_operations     what an operation that writes wants written
_group          threads that write at the same time share a transaction
_writes         writing what several operations want, in one transaction
_rows, _json    the domain types as rows
_queries        queries across sessions, and the index of artifacts:  _query_statements
_maintenance    retention and health:  _maintenance_statements
_expressions    what databases say differently in these
_schema         the tables;  _migration  making and checking them
_upgrade        bringing old ones up to date, by migrations/;  _command  `regrow db`
_statements     every statement, as text for one dialect
_connections    connections;  _transaction  a transaction on one
_listening      hearing of what other stores append
_url            which database;  _driver  what databases differ in:  _sqlite, _postgresql
"""

from ._store import SQLAlchemySessionStore

__all__ = ["SQLAlchemySessionStore"]
