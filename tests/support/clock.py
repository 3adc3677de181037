"""A clock that a test sets."""

NEW_YEAR = 1_767_225_600
"""The start of 2026 in Unix seconds, which is the moment of the published vectors."""


class Clock:
    """A clock that stands still where it is set."""

    def __init__(self, now=NEW_YEAR):
        self.now = now

    def __call__(self):
        """Return the time in seconds."""
        return self.now
