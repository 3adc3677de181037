"""`balancekit webhook-test`: a signed delivery, and a forged one, to an endpoint of one's own."""

from functools import partial
from pathlib import Path

import click

from balancekit.cli.config_option import complete_labels, config_option, next_step_for
from balancekit.cli.exit_codes import ExitCode
from balancekit.cli.logging_option import verbose_option


@click.command("webhook-test")
@partial(config_option, use="The file that lists the accounts.")
@click.option(
    "--account", "label", required=True, metavar="LABEL", shell_complete=complete_labels, help="Whose webhooks to send."
)
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A private Ed25519 key to sign webhooks of getMany with; it is written if there is none.",
)
@click.argument("url")
@verbose_option
@click.pass_context
def webhook_test(context: click.Context, *, path: Path, label: str, key_file: Path | None, url: str) -> None:
    """Send a signed and a forged webhook of an account to the URL of your own receiver.

    The first has to be accepted, and the second rejected. They are about a payment of nothing; your service will
    read the account again. The exit code is 0 if the receiver did both, else 1.
    """
    from balancekit.cli.deliveries import make_signer, send_both
    from balancekit.cli.event_loop import run
    from balancekit.cli.output import echo
    from balancekit.config import load_account

    with next_step_for(path):
        account = load_account(path, label)
    signer = make_signer(account, key_file)
    if signer.note:
        echo(signer.note)
    outcomes = run(send_both(signer, url))
    for outcome in outcomes:
        echo(str(outcome), wraps=True)
    context.exit(ExitCode.COMPLETE if all(each.as_expected for each in outcomes) else ExitCode.NOTHING_READ)
