"""Alembic's entry; the connection and its transaction come from `bridge.store.migrate`."""

from alembic import context

from bridge.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
