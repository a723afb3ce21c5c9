"""The authorisation switch and the books.

cli → bootstrap → server → service → store | hsm | wire → ledger → domain; settings, log and clock beside.
"""
