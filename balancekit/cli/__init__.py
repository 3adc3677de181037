"""The command line. Each command has its own module, which imports its heavy parts when the command runs."""

import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

import click

from balancekit.cli.balances import balances
from balancekit.cli.check import check
from balancekit.cli.config_option import Hooks
from balancekit.cli.currencies import currencies
from balancekit.cli.demo import demo
from balancekit.cli.exit_codes import EXIT_CODES, exit_code_for_error
from balancekit.cli.init import init
from balancekit.cli.logging_option import leave_failures_to_the_command, verbose_option
from balancekit.cli.sandbox import sandbox
from balancekit.cli.stream_errors import CANNOT_WRITE, OutputError, prepare_streams
from balancekit.cli.watch import watch
from balancekit.cli.webhook_test import webhook_test
from balancekit.version import __version__

__all__ = ["cli"]


class _Formatter(click.HelpFormatter):
    """Leaves what an option does most of a narrow terminal, too."""

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl(rows, min(col_max, self.width * 2 // 5), col_spacing)


class _Context(click.Context):
    formatter_class = _Formatter


@contextmanager
def _wrapped_usage_errors() -> Generator[None]:
    """Let no message of click's break a word, as it would at the edge of a terminal."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        # Its message is the help.
        raise
    except click.UsageError as error:
        from balancekit.cli.output import wrap_message

        raise click.UsageError(wrap_message(error.format_message(), "Error: "), error.ctx) from None


class _Cli(click.Group):
    """A group that turns the errors of `EXIT_CODES` into their exit codes; any other error passes."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:  # noqa: ANN401 - click's signature
        try:
            with _wrapped_usage_errors():
                return super().make_context(*args, **kwargs)
        except KeyboardInterrupt as error:
            raise _reported(error) from None

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - click's signature
        prepare_streams()
        leave_failures_to_the_command()
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            # Of the help, which click writes.
            if error.errno not in CANNOT_WRITE:
                raise
            from balancekit.cli.output import echo_exception

            failure = OutputError(f"stdout: {error.strerror}")
            echo_exception(failure)
        sys.exit(exit_code_for_error(failure))

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        try:
            try:
                with _wrapped_usage_errors():
                    return super().invoke(ctx)
            finally:
                if (hooks := ctx.find_object(Hooks)) is not None:
                    hooks.ended()
        except tuple(EXIT_CODES) as error:
            raise _reported(error) from None


def _reported(error: BaseException) -> click.exceptions.Exit:
    """Write why a command ends early, and return what ends it with the exit code of the error."""
    from balancekit.cli.output import echo_exception

    echo_exception(error)
    return click.exceptions.Exit(exit_code_for_error(error))


@click.group(cls=_Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="balancekit")
@verbose_option
def cli() -> None:
    """Show how much money is held, in which currency, where, and what could not be read.

    Try `balancekit demo` first: it needs no key and no configuration.
    """


for _command in (demo, init, check, balances, watch, webhook_test, sandbox, currencies):
    _command.context_class = _Context
    # click would cut it after so many characters, whatever the width is.
    _command.short_help = (_command.help or "").partition("\n\n")[0]
    cli.add_command(_command)
