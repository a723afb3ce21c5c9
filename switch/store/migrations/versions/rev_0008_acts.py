"""Operators' acts on wallets: issue of campaigns, gifts, refunds of charged money; expiry."""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    sql = Path(__file__).with_name("0008_acts.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql.replace("%", "%%"))  # the driver takes % for a placeholder
