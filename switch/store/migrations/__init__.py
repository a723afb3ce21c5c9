"""Alembic migrations, one a change."""
