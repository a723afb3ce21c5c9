"""Campaigns, budgets, and what a wallet must know of them."""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    sql = Path(__file__).with_name("0007_programmes.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql.replace("%", "%%"))  # the driver takes % for a placeholder
