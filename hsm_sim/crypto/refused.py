"""The one error of keys."""


class KeyRefused(Exception):
    """A key cannot be used; `code` is the two-character payShield error code. Never quotes the key."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
