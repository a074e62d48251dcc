"""The tables of call records: calls, turns, events, scores, complaints, violations, imports."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "calls",
        sa.Column("call_id", sa.String(length=64), nullable=False),
        sa.Column("use_case", sa.String(length=64), nullable=False),
        sa.Column("tier", sa.String(length=16), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("trace_id", sa.String(length=32), nullable=True),
        sa.Column("agent_name", sa.String(length=128), nullable=True),
        sa.Column("policy_digest", sa.String(length=64), nullable=True),
        sa.Column("config_digest", sa.String(length=64), nullable=True),
        sa.Column("model_digest", sa.String(length=64), nullable=True),
        sa.Column("prompt_digest", sa.String(length=64), nullable=True),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("answered_at", sa.Float(), nullable=True),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("end_reason", sa.String(length=32), nullable=True),
        sa.Column("caller_key", sa.String(length=64), nullable=True),
        sa.Column("abandoned", sa.Boolean(), nullable=True),
        sa.Column("probe", sa.Boolean(), nullable=False),
        sa.Column("num_turns", sa.Integer(), nullable=False),
        sa.Column("resolved", sa.Boolean(), nullable=True),
        sa.Column("resolved_by", sa.String(length=8), nullable=True),
        sa.Column("escalated", sa.Boolean(), nullable=True),
        sa.Column("escalation_trigger", sa.String(length=64), nullable=True),
        sa.Column("escalation_appropriate", sa.Boolean(), nullable=True),
        sa.Column("num_misunderstandings", sa.Integer(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("transfer_attempted", sa.Boolean(), nullable=True),
        sa.Column("transfer_payload_digest", sa.String(length=64), nullable=True),
        sa.Column("transfer_complete", sa.Boolean(), nullable=True),
        sa.Column("screen_pop_at", sa.Float(), nullable=True),
        sa.Column("human_answer_at", sa.Float(), nullable=True),
        sa.Column("dead_air_s", sa.Float(), nullable=True),
        sa.Column("transfer_result", sa.String(length=16), nullable=True),
        sa.Column("consent_id", sa.String(length=64), nullable=True),
        sa.Column("consent_at", sa.Float(), nullable=True),
        sa.Column("consent_ip", sa.String(length=45), nullable=True),
        sa.Column("consent_text_hash", sa.String(length=64), nullable=True),
        sa.Column("consent_revoked_at", sa.Float(), nullable=True),
        sa.Column("dnc_checked_at", sa.Float(), nullable=True),
        sa.Column("dnc_list_version", sa.String(length=64), nullable=True),
        sa.Column("dnc_listed", sa.Boolean(), nullable=True),
        sa.Column("time_zones", sa.String(length=128), nullable=True),
        sa.Column("window_verdict", sa.String(length=8), nullable=True),
        sa.Column("disclosure_s", sa.Float(), nullable=True),
        sa.Column("opted_out", sa.Boolean(), nullable=True),
        sa.Column("dtmf_paused", sa.Boolean(), nullable=True),
        sa.Column("num_redactions", sa.Integer(), nullable=True),
        sa.Column("baa_complete", sa.Boolean(), nullable=True),
        sa.Column("compliance_flagged", sa.Boolean(), nullable=True),
        sa.Column("sentiment", sa.Float(), nullable=True),
        sa.Column("score_state", sa.String(length=8), nullable=False),
        sa.Column("scored_at", sa.Float(), nullable=True),
        sa.Column("judge_digest", sa.String(length=64), nullable=True),
        sa.Column("rubric_version", sa.String(length=32), nullable=True),
        sa.Column("audio_s", sa.Float(), nullable=True),
        sa.Column("gpu_s", sa.Float(), nullable=True),
        sa.Column("handle_s", sa.Float(), nullable=True),
        sa.Column("csat", sa.Float(), nullable=True),
        sa.Column("cost", sa.Float(), nullable=True),
        sa.Column("deflected", sa.Boolean(), nullable=True),
        sa.Column("incomplete", sa.Boolean(), nullable=False),
        sa.Column("last_event_at", sa.Float(), nullable=True),
        sa.Column("texts_pruned_at", sa.Float(), nullable=True),
        sa.Column("imported", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_calls")),
    )
    op.create_index("ix_calls_caller_key_started_at", "calls", ["caller_key", "started_at"], unique=False)
    op.create_index("ix_calls_score_state_ended_at", "calls", ["score_state", "ended_at"], unique=False)
    op.create_index("ix_calls_started_at", "calls", ["started_at"], unique=False)
    op.create_index("ix_calls_use_case_started_at", "calls", ["use_case", "started_at"], unique=False)
    op.create_table(
        "events",
        sa.Column("call_id", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("call_id", "sequence", name=op.f("pk_events")),
    )
    op.create_table(
        "imports",
        sa.Column(
            "import_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=256), nullable=False),
        sa.Column("num_rows", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("import_id", name=op.f("pk_imports")),
        sa.UniqueConstraint("sha256", name=op.f("uq_imports_sha256")),
    )
    op.create_table(
        "violations",
        sa.Column(
            "violation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("call_id", sa.String(length=64), nullable=True),
        sa.Column("use_case", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("violation_id", name=op.f("pk_violations")),
    )
    op.create_index("ix_violations_use_case_at", "violations", ["use_case", "at"], unique=False)
    op.create_table(
        "complaints",
        sa.Column("complaint_id", sa.String(length=64), nullable=False),
        sa.Column("call_id", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.Float(), nullable=False),
        sa.Column("category", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["call_id"], ["calls.call_id"], name=op.f("fk_complaints_call_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("complaint_id", name=op.f("pk_complaints")),
    )
    op.create_index("ix_complaints_call_id", "complaints", ["call_id"], unique=False)
    op.create_table(
        "scores",
        sa.Column("score_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("call_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("label", sa.String(length=64), nullable=True),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.Column("source", sa.String(length=8), nullable=False),
        sa.Column("judge_digest", sa.String(length=64), nullable=True),
        sa.Column("rubric_version", sa.String(length=32), nullable=True),
        sa.Column("reviewer", sa.String(length=64), nullable=True),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["calls.call_id"], name=op.f("fk_scores_call_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("score_id", name=op.f("pk_scores")),
    )
    op.create_index("ix_scores_call_id_name", "scores", ["call_id", "name"], unique=False)
    op.create_table(
        "turns",
        sa.Column("call_id", sa.String(length=64), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("last_voiced_at", sa.Float(), nullable=True),
        sa.Column("committed_at", sa.Float(), nullable=True),
        sa.Column("transcribed_at", sa.Float(), nullable=True),
        sa.Column("first_token_at", sa.Float(), nullable=True),
        sa.Column("first_clause_at", sa.Float(), nullable=True),
        sa.Column("first_audio_at", sa.Float(), nullable=True),
        sa.Column("first_sent_at", sa.Float(), nullable=True),
        sa.Column("v2v_s", sa.Float(), nullable=True),
        sa.Column("interrupted", sa.Boolean(), nullable=False),
        sa.Column("transcript", sa.Text(), nullable=True),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("completion_tokens", sa.Integer(), nullable=True),
        sa.Column("wer_substitutions", sa.Integer(), nullable=True),
        sa.Column("wer_deletions", sa.Integer(), nullable=True),
        sa.Column("wer_insertions", sa.Integer(), nullable=True),
        sa.Column("wer_words", sa.Integer(), nullable=True),
        sa.Column("reference_kind", sa.String(length=8), nullable=True),
        sa.Column("normaliser", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["call_id"], ["calls.call_id"], name=op.f("fk_turns_call_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("call_id", "turn", name=op.f("pk_turns")),
    )
