"""The tables of governance, for SQLite and PostgreSQL. Alembic's migrations must arrive at exactly these.

Float is double precision on both: an instant keeps its microseconds.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Id = BigInteger().with_variant(Integer, "sqlite")

calls = Table(
    "calls",
    metadata,
    Column("call_id", String(64), primary_key=True),
    Column("use_case", String(64), nullable=False),
    Column("tier", String(16), nullable=False),
    Column("started_at", Float, nullable=False),
    Column("tenant", String(64), nullable=False, default=""),
    Column("trace_id", String(32)),
    Column("agent_name", String(128)),
    Column("policy_digest", String(64)),
    Column("config_digest", String(64)),
    Column("model_digest", String(64)),
    Column("prompt_digest", String(64)),
    Column("direction", String(8), nullable=False, default="inbound"),
    Column("answered_at", Float),
    Column("ended_at", Float),
    Column("end_reason", String(32)),
    Column("caller_key", String(64)),
    Column("abandoned", Boolean),
    Column("probe", Boolean, nullable=False, default=False),
    Column("num_turns", Integer, nullable=False, default=0),
    Column("resolved", Boolean),
    Column("resolved_by", String(8)),
    Column("escalated", Boolean),
    Column("escalation_trigger", String(64)),
    Column("escalation_appropriate", Boolean),
    Column("num_misunderstandings", Integer),
    Column("confidence", Float),
    Column("transfer_attempted", Boolean),
    Column("transfer_payload_digest", String(64)),
    Column("transfer_complete", Boolean),
    Column("screen_pop_at", Float),
    Column("human_answer_at", Float),
    Column("dead_air_s", Float),
    Column("transfer_result", String(16)),
    Column("consent_id", String(64)),
    Column("consent_at", Float),
    Column("consent_ip", String(45)),
    Column("consent_text_hash", String(64)),
    Column("consent_revoked_at", Float),
    Column("dnc_checked_at", Float),
    Column("dnc_list_version", String(64)),
    Column("dnc_listed", Boolean),
    Column("time_zones", String(128)),
    Column("window_verdict", String(8)),
    Column("disclosure_s", Float),
    Column("opted_out", Boolean),
    Column("dtmf_paused", Boolean),
    Column("num_redactions", Integer),
    Column("baa_complete", Boolean),
    Column("compliance_flagged", Boolean),
    Column("sentiment", Float),
    Column("score_state", String(8), nullable=False, default="pending"),
    Column("scored_at", Float),
    Column("judge_digest", String(64)),
    Column("rubric_version", String(32)),
    Column("audio_s", Float),
    Column("gpu_s", Float),
    Column("handle_s", Float),
    Column("csat", Float),
    Column("cost", Float),
    Column("deflected", Boolean),
    Column("incomplete", Boolean, nullable=False, default=False),
    Column("last_event_at", Float),
    Column("texts_pruned_at", Float),
    Column("imported", Integer, nullable=False, default=0),  # a bit for each column that an import took from the fold
    Index("ix_calls_started_at", "started_at"),
    Index("ix_calls_use_case_started_at", "use_case", "started_at"),
    Index("ix_calls_caller_key_started_at", "caller_key", "started_at"),
    Index("ix_calls_score_state_ended_at", "score_state", "ended_at"),
)

turns = Table(
    "turns",
    metadata,
    Column("call_id", String(64), ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
    Column("turn", Integer, primary_key=True),
    Column("last_voiced_at", Float),
    Column("committed_at", Float),
    Column("transcribed_at", Float),
    Column("first_token_at", Float),
    Column("first_clause_at", Float),
    Column("first_audio_at", Float),
    Column("first_sent_at", Float),
    Column("v2v_s", Float),
    Column("interrupted", Boolean, nullable=False, default=False),
    Column("transcript", Text),
    Column("reply", Text),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("wer_substitutions", Integer),
    Column("wer_deletions", Integer),
    Column("wer_insertions", Integer),
    Column("wer_words", Integer),
    Column("reference_kind", String(8)),
    Column("normaliser", String(32)),
)

events = Table(
    "events",
    metadata,
    Column("call_id", String(64), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("at", Float, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("body", JSON, nullable=False),
)

scores = Table(
    "scores",
    metadata,
    Column("score_id", _Id, primary_key=True, autoincrement=True),
    Column("call_id", String(64), ForeignKey("calls.call_id", ondelete="CASCADE"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("value", Float),
    Column("label", String(64)),
    Column("explanation", Text),
    Column("source", String(8), nullable=False),  # rule, judge or human
    Column("judge_digest", String(64)),
    Column("rubric_version", String(32)),
    Column("reviewer", String(64)),  # who, where source is human
    Column("at", Float, nullable=False),
    Index("ix_scores_call_id_name", "call_id", "name"),
)

complaints = Table(
    "complaints",
    metadata,
    Column("complaint_id", String(64), primary_key=True),
    Column("call_id", String(64), ForeignKey("calls.call_id", ondelete="CASCADE"), nullable=False),
    Column("received_at", Float, nullable=False),
    Column("category", String(64)),
    Index("ix_complaints_call_id", "call_id"),
)

violations = Table(
    "violations",
    metadata,
    Column("violation_id", _Id, primary_key=True, autoincrement=True),
    Column("call_id", String(64)),
    Column("use_case", String(64)),
    Column("kind", String(32), nullable=False),  # an entry of the policy's zero_tolerance
    Column("at", Float, nullable=False),
    Column("detail", Text),
    Index("ix_violations_use_case_at", "use_case", "at"),
)

imports = Table(
    "imports",
    metadata,
    Column("import_id", _Id, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),  # outcomes, complaints, reviews or violations
    Column("sha256", String(64), nullable=False, unique=True),
    Column("source", String(256), nullable=False),
    Column("num_rows", Integer, nullable=False),
    Column("at", Float, nullable=False),
)
