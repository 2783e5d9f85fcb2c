"""What mining partners owe each other, over a restart.

Revision: 0007, after 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("leader", sa.Column("owed", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("leader", "owed")
