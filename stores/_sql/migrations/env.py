"""Run by Alembic: revisions go through the connection, and in the transaction, of the caller."""

from alembic import context

from stores._sql import _schema as schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    version_table=schema.revisions.name,
)
context.run_migrations()
