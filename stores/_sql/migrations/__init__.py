"""The revisions of the tables, for Alembic.

A database has the number of its last revision in the table `regrow_alembic_version`. Empty ones are
made from `_schema.py`, without any of this; older ones are brought there by `regrow db upgrade`,
which runs the functions `upgrade` in `versions/` that they have not seen yet, in one transaction.

To add a revision:

1. Change the tables in `_schema.py`, and raise `REVISION` there to the next number of four digits.
2. Write `versions/revision_NNNN.py`, with `revision` and `down_revision` (the one before it) and a
   function `upgrade()` that makes the change with `alembic.op`. It says in its own words what it
   makes, and imports nothing of `_schema.py`, which will change again. Tables are given names that
   begin with `regrow_`; what SQLite cannot ALTER is done with `op.batch_alter_table`.
3. Run tests/stores/test_sqlalchemy_migrations.py: it runs every revision, on SQLite and PostgreSQL,
   and compares what is there then with what `_schema.py` makes of an empty database.

A revision that was released is not changed any more. There is no way back: restore a backup.
"""
