"""The first tables.

Revision: 0001, after nothing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
AT = sa.DateTime(timezone=True)
TABLES = (
    "sites",
    "jobs",
    "attempts",
    "attempt_nodes",
    "checkpoints",
    "events",
    "intents",
    "manual_limits",
    "open_orders",
    "leader",
    "decisions",
    "samples",
    "sample_minutes",
    "withdrawals",
    "current",
    "tokens",
)
"""In the order in which they can be made; dropped in the other."""


def upgrade() -> None:
    _people()
    _jobs()
    _attempts()
    _history()
    _leader()
    _samples()


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def _people() -> None:
    op.create_table(
        "sites",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("next_number", BIG, nullable=False),
    )
    op.create_table(
        "tokens",
        sa.Column("hash", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False, unique=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("expires_at", AT),
    )
    op.create_table(
        "manual_limits",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("limit_w", sa.Float(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("ends_at", AT),
        sa.Column("released_at", AT, index=True),
        sa.Column("released_by", sa.String()),
        sa.Column("release_reason", sa.String()),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("number", BIG, nullable=False, unique=True),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("name", "project", "queue", "kind")),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("priority", "flex", "gpus", "nodes")),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("desired", sa.String(), nullable=False),
        sa.Column("since_at", AT, nullable=False),
        sa.Column("submitted_at", AT, nullable=False),
        *(sa.Column(name, AT) for name in ("started_at", "ended_at", "not_before_at")),
        sa.Column("commit_step", BIG),
        sa.Column("commit_path", sa.String()),
        sa.Column("save_s", sa.Float()),
        sa.Column("ran_s", sa.Float(), nullable=False),
        sa.Column("pinned_to", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("step", BIG),
        sa.Column("lost_steps", BIG, nullable=False),
        sa.Column("energy_wh", sa.Float()),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
    )
    for column in ("state", "project", "name"):
        op.create_index(f"ix_jobs_{column}_number", "jobs", [column, "number"])


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False, index=True),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("since_at", AT, nullable=False),
        sa.Column("cap_w", sa.Float(), nullable=False),
        sa.Column("resume_step", BIG),
        sa.Column("resume_path", sa.String()),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("running_at", AT),
        *(sa.Column(name, sa.String()) for name in ("pause_cause", "outcome", "cause")),
        sa.Column("ended_at", AT),
        *(sa.Column(name, BIG) for name in ("last_step", "resumed_step")),
        sa.Column("lost_steps", BIG, nullable=False),
        sa.UniqueConstraint("job_id", "number"),
    )
    op.create_table(
        "attempt_nodes",
        sa.Column("attempt_id", sa.String(), sa.ForeignKey("attempts.id"), primary_key=True),
        sa.Column("rank", sa.Integer(), primary_key=True),
        sa.Column("node_id", sa.String(), nullable=False, index=True),
        sa.Column("gpu_ids", sa.Text(), nullable=False),
    )


def _history() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("attempt_id", sa.String(), nullable=False),
        sa.Column("step", BIG, nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("verified_at", AT),
        sa.Column("damaged_at", AT),
        sa.Column("why", sa.String(), nullable=False),
    )
    op.create_index("ix_checkpoints_job_id_step", "checkpoints", ["job_id", "step"])
    op.create_table(
        "events",
        sa.Column("seq", BIG, primary_key=True, autoincrement=False),
        sa.Column("at", AT, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("job_id", sa.String()),
        sa.Column("attempt_id", sa.String()),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
    )
    op.create_index("ix_events_job_id_seq", "events", ["job_id", "seq"])
    op.create_table(
        "intents",
        sa.Column("seq", BIG, primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("job_id", sa.String()),
        sa.Column("at", AT, nullable=False),
        sqlite_autoincrement=True,
    )


def _leader() -> None:
    leader = op.create_table(
        "leader",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("claimed_at", AT),
        sa.Column("ticked_at", AT),
        sa.Column("tick_digest", sa.String(), nullable=False),
        sa.Column("last_cut_at", AT),
    )
    op.bulk_insert(leader, [{"id": 1, "epoch": 0, "holder": "", "tick_digest": ""}])
    op.create_table(
        "open_orders",
        sa.Column("group_id", sa.String(), primary_key=True),
        sa.Column("orders", sa.Text(), nullable=False),
        sa.Column("recorded_at", AT, nullable=False),
    )
    op.create_table(
        "current",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("updated_at", AT, nullable=False),
    )


def _samples() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", BIG, primary_key=True),
        sa.Column("at", AT, nullable=False, index=True),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("snapshot", sa.LargeBinary()),
        sa.Column("decision", sa.LargeBinary()),
    )
    watts = ("draw_w", "ai_w", "rest_w", "miners_w", "committed_w")
    op.create_table(
        "samples",
        sa.Column("at", AT, primary_key=True),
        sa.Column("limit_w", sa.Float(), nullable=False),
        sa.Column("limit_source", sa.String(), nullable=False),
        *(sa.Column(name, sa.Float(), nullable=False) for name in watts),
        sa.Column("over_limit", sa.Boolean(), nullable=False),
    )
    sums = ("covered_s", "limit_wh", "draw_wh", "ai_wh", "rest_wh", "miners_wh", "committed_wh", "unused_wh")
    op.create_table(
        "sample_minutes",
        sa.Column("minute_at", AT, primary_key=True),
        *(sa.Column(name, sa.Float(), nullable=False) for name in (*sums, "over_limit_s")),
    )
    op.create_table(
        "withdrawals",
        sa.Column("began_at", AT, primary_key=True),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("limit_w", "draw_w", "reaction_s")),
        sa.Column("complied_at", AT),
    )
