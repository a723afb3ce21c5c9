"""What watches for illegal discounting, and what it found."""

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    sql = Path(__file__).with_name("0011_watch.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql.replace("%", "%%"))  # the driver takes % for a placeholder
