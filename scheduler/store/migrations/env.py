"""Run by Alembic, on the connection and inside the transaction that `scheduler.store.database` opened."""

from __future__ import annotations

import logging

from alembic import context
from sqlalchemy import Connection

from scheduler.errors import StoreError
from scheduler.store.tables import Table

connection = context.config.attributes.get("connection")
if not isinstance(connection, Connection):
    raise StoreError("migrations run through scheduler.store.database.migrate, which brings the connection")

logging.getLogger("alembic").setLevel(logging.WARNING)
context.configure(connection=connection, target_metadata=Table.metadata, render_as_batch=True)
context.run_migrations()
