"""`balancekit check`: whether each account can be read, and what to do if not."""

from pathlib import Path

import click

from balancekit.cli.config_option import account_option, config_option, read_config
from balancekit.cli.exit_codes import ExitCode
from balancekit.cli.logging_option import verbose_option


@click.command()
@config_option
@account_option
@click.option("--all", "everything", is_flag=True, help="Show a row for each account, however many they are.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="How long the check may take.  [default: the deadline in the file, or 30]",
)
@verbose_option
@click.pass_context
def check(
    context: click.Context, *, path: Path, labels: tuple[str, ...], everything: bool, timeout: float | None
) -> None:
    """Check that each account can be read, without showing an amount.

    Each is asked once. The table has how long it took, the status and the provider's code of what went wrong, and how
    many seconds the provider's clock is ahead of this machine's. Stderr has what to do. The exit code is 0 if every
    account can be read, 3 if some cannot, and 1 if none can.
    """
    config = read_config(path, labels)

    from balancekit.cli.checking import check_accounts, render_checks
    from balancekit.cli.event_loop import run
    from balancekit.cli.messages import describe_failures
    from balancekit.cli.output import echo_error, print_table
    from balancekit.cli.progress import progress

    with progress("Checking accounts", len(labels) or len(config.providers)) as advance:
        checks = run(check_accounts(config, labels, timeout, advance))
    print_table(render_checks(checks, everything=everything))
    failures = [each.failure for each in checks if each.failure is not None]
    for line in describe_failures(failures):
        echo_error(line)
    if not failures:
        context.exit(ExitCode.COMPLETE)
    context.exit(ExitCode.NOTHING_READ if len(failures) == len(checks) else ExitCode.INCOMPLETE)
