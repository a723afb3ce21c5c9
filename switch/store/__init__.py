"""PostgreSQL: schema and migrations, the lane's own path, reference data, imports, the day's fingerprint."""
