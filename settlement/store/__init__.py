"""The night's tables, and what is read and written in them."""
