"""Errors for several callers at a time, each with one of its own."""

import copy


def copied(error: BaseException) -> Exception:
    """Return an error like another, without frames: one that many raise would collect the frames of all.

    What is no Exception, or cannot be copied, as with arguments by keyword alone, becomes a RuntimeError with the name
    of its class.
    """
    try:
        own = copy.copy(error)
    except Exception:  # noqa: BLE001 - copying calls the class, which may raise anything
        own = None
    return own if isinstance(own, Exception) and own is not error else RuntimeError(type(error).__name__)
