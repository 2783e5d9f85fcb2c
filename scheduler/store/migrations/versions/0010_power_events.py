"""The full record of each fall of the limit, in place of its withdrawal; what would have been drawn without it.

Revision: 0010, after 0009.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
AT = sa.DateTime(timezone=True)
_WATTS = ("reaction_s", "before_w", "limit_w", "draw_w", "entitled_w")
_SPAN = ("covered_s", "draw_wh", "limit_wh", "commanded_wh", "unused_wh")
_SUMS = ("baseline_s", *_SPAN, *(f"held_{name}" for name in _SPAN), "over_limit_s", "unmetered_s", "after_s")
_OLD = sa.table(
    "withdrawals",
    *(sa.column(name) for name in ("began_at", "limit_w", "draw_w", "reaction_s", "complied_at")),
)
_MAYBE = ("baseline_w", "least_w", "most_w", "after_peak_w")


def upgrade() -> None:
    op.create_table(
        "power_events",
        sa.Column("began_at", AT, primary_key=True),
        sa.Column("number", BIG, nullable=False, unique=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("provenance", sa.Text(), nullable=False),
        sa.Column("plan_sha256", sa.String(), nullable=False),
        *(sa.Column(name, sa.Float(), nullable=False) for name in (*_WATTS, *_SUMS)),
        *(sa.Column(name, sa.Float()) for name in _MAYBE),
        *(sa.Column(name, AT) for name in ("complied_at", "baseline_since_at", "ended_at")),
        sa.Column("is_final", sa.Boolean(), nullable=False, index=True),
    )
    op.create_table(
        "counterfactuals",
        sa.Column("sha256", sa.String(), primary_key=True),
        sa.Column("seq", BIG),
        sa.Column("made_at", AT, nullable=False),
        sa.Column("falls_at", AT, nullable=False),
        sa.Column("plan", sa.LargeBinary(), nullable=False),
    )
    _keep_withdrawals()
    op.drop_table("withdrawals")


def _keep_withdrawals() -> None:
    """Of those nothing more is known than was: no source, no readings, no end."""
    old = _OLD.c
    known = {
        "began_at": old.began_at,
        "number": sa.func.row_number().over(order_by=old.began_at),
        **{name: sa.literal("", sa.String()) for name in ("source", "provenance", "plan_sha256")},
        "reaction_s": old.reaction_s,
        "limit_w": old.limit_w,
        **dict.fromkeys(("draw_w", "before_w", "entitled_w"), old.draw_w),
        "complied_at": old.complied_at,
        "is_final": sa.true(),
        **{name: sa.literal(0.0, sa.Float()) for name in _SUMS},
    }
    new = sa.table("power_events", *(sa.column(name) for name in known))
    columns = (value.label(f"of_{name}") for name, value in known.items())
    op.execute(sa.insert(new).from_select(list(known), sa.select(*columns)))


def downgrade() -> None:
    op.create_table(
        "withdrawals",
        sa.Column("began_at", AT, primary_key=True),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("limit_w", "draw_w", "reaction_s")),
        sa.Column("complied_at", AT),
    )
    op.execute(
        "INSERT INTO withdrawals (began_at, limit_w, draw_w, reaction_s, complied_at) "
        "SELECT began_at, limit_w, draw_w, reaction_s, complied_at FROM power_events WHERE draw_w > limit_w"
    )
    op.drop_table("counterfactuals")
    op.drop_table("power_events")
