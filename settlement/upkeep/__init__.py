"""Retention: old days leave the database for the archive, their sums stay."""
