"""When a job was told that its deadline had passed; when it, and its attempt, last gave way for want of power.

Revision: 0005, after 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

AT = sa.DateTime(timezone=True)
_COLUMNS = (("jobs", "cut_at"), ("jobs", "missed_at"), ("attempts", "cut_at"))


def upgrade() -> None:
    for table, column in _COLUMNS:
        op.add_column(table, sa.Column(column, AT))


def downgrade() -> None:
    for table, column in reversed(_COLUMNS):
        op.drop_column(table, column)
