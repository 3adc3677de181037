"""Loggers that raise nothing of what the host's handlers raise."""

import contextvars
import logging
from contextlib import suppress
from typing import Any


class Log(logging.LoggerAdapter[logging.Logger]):
    """The logger of a name, whose methods raise only what ends the program.

    What a handler, a filter or a factory of records raises is shown on stderr, with its traceback, unless
    `logging.raiseExceptions` is off: as `logging` itself does with what goes wrong in its own handlers, so that one who
    looks for the reason finds it in the same place.

    A log of what concerns every caller is `without_context`: in that of the caller who happens to come to it, error
    trackers keep the request that is being served, with its headers.
    """

    def __init__(self, name: str, *, without_context: bool = False) -> None:
        super().__init__(logging.getLogger(name))
        self._without_context = without_context

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:  # noqa: ANN401 - of several types, as in the base class
        """Log a line."""
        try:
            log = super().log
            # `stacklevel`, so that a record has the place of the caller.
            if self._without_context:
                contextvars.Context().run(log, level, msg, *args, stacklevel=2, **kwargs)
            else:
                log(level, msg, *args, stacklevel=2, **kwargs)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as raised:  # noqa: BLE001 - handlers are the host's, and may raise anything
            # What was being handled may quote a key; the handler has nothing to do with it.
            raised.__context__ = None
            # The host's stderr may raise, too.
            with suppress(Exception):
                logging.Handler().handleError(logging.makeLogRecord({"msg": msg, "args": args}))
