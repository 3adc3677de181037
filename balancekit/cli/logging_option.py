"""The option `--verbose`, which shows the log."""

import logging
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

_COMMAND = TypeVar("_COMMAND", bound=Callable[..., Any])
_SILENT: Final = logging.NullHandler()
_STARTED: Final = "balancekit.verbose"


def _start_logging(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    # The option may be given both before and after the command's name; the log must not appear twice.
    if not value or _STARTED in context.meta:
        return
    context.meta[_STARTED] = True
    logger = logging.getLogger("balancekit")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    before = logger.level

    def stop() -> None:
        logger.removeHandler(handler)
        logger.setLevel(before)

    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    context.find_root().call_on_close(stop)


def leave_failures_to_the_command() -> None:
    """Keep the warnings about accounts off stderr, unless the log is shown: a command has its own words for them."""
    logging.getLogger("balancekit.client").addHandler(_SILENT)


def verbose_option(command: _COMMAND) -> _COMMAND:
    """Add the option `--verbose` to a command: it writes the log of balancekit to stderr."""
    option = click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_start_logging,
        help="Log what is done to stderr (never a key).",
    )
    return option(command)
