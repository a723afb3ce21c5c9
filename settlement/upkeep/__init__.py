"""What keeps the installation small and whole over the years: old days leave the database for files."""
