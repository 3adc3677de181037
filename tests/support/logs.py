"""A log handler of a host that fails."""

import logging
from contextlib import contextmanager


class BrokenHandler(logging.Handler):
    """A handler that raises."""

    def emit(self, record):
        """Raise."""
        raise OSError("the disk is full")


def broken_handler(level=logging.DEBUG):
    """Have a handler of the package's log raise from a level on."""
    return handled_by(BrokenHandler(), level)


@contextmanager
def handled_by(handler, level=logging.DEBUG):
    """Have a handler of the package's log from a level on."""
    logger = logging.getLogger("balancekit")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
