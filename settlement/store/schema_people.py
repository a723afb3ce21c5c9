"""The tables of who may do what, and of who did it."""

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table, func

from settlement.store.schema import instant, label, metadata

operator = Table(
    "operator",
    metadata,
    label("name"),
    label("roles"),  # settlement.domain.roles.Role, comma between
    label("password", ""),  # argon2id; empty where the system's own identity holds
    label("state", "active"),  # active | barred
    label("changed_by"),
    instant("changed_at"),
    PrimaryKeyConstraint("name"),
)
Index("operator_person", func.lower(operator.c.name), unique=True)

settlement_audit = Table(
    "settlement_audit",  # gapless, each line chained to the one before
    metadata,
    Column("audit_no", BigInteger, nullable=False, autoincrement=False),
    instant("at"),
    label("actor"),
    label("act"),
    label("subject"),
    label("detail"),  # JSON
    label("previous_sha256"),
    label("sha256"),
    PrimaryKeyConstraint("audit_no"),
    Index("settlement_audit_subject", "subject", "audit_no"),
)
