"""When a fall of the limit was released: raised again before the site had gone down to it.

Revision: 0017, after 0016. Falls that ended before have been told as complied with, and stay so.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from scheduler.store.columns import UtcDateTime

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("power_events", sa.Column("released_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("power_events", "released_at")
