"""What the exit codes mean, and which error leads to which."""

import enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from balancekit.cli.stream_errors import OutputError
from balancekit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from balancekit.money.merged import MergedBalances


class ExitCode(enum.IntEnum):
    """How a command ended."""

    COMPLETE = 0
    NOTHING_READ = 1
    USAGE = 2
    INCOMPLETE = 3
    NOT_WRITTEN = 4
    INTERRUPTED = 130
    CLOSED_PIPE = 141


# The last two are what a shell reports for a command that SIGINT or SIGPIPE ended.
EXIT_CODES: "Final[Mapping[type[BaseException], ExitCode]]" = MappingProxyType(
    {
        ConfigError: ExitCode.USAGE,
        # From an adapter; what it would exit with, such as 0, says nothing about the accounts.
        SystemExit: ExitCode.NOTHING_READ,
        KeyboardInterrupt: ExitCode.INTERRUPTED,
        BrokenPipeError: ExitCode.CLOSED_PIPE,
        OutputError: ExitCode.NOT_WRITTEN,
    }
)
"""The errors that have an exit code of their own; click's usage errors exit with 2, too."""


def exit_code_for_error(error: BaseException) -> ExitCode:
    """Return the exit code of one of the errors in `EXIT_CODES`."""
    return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))


def exit_code_for_result(merged: "MergedBalances") -> ExitCode:
    """Return the exit code of a result: complete, incomplete, or nothing read."""
    if merged.complete:
        return ExitCode.COMPLETE
    return ExitCode.INCOMPLETE if merged.accounts else ExitCode.NOTHING_READ
