"""A message that is declined before any wallet is looked at."""


class RefusedError(Exception):
    """Declined at the door; `reason` is a name of the reasons table."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
