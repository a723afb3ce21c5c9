"""Files for the bank: frozen, written, kept, made again."""
