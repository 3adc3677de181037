"""Reading the accounts of a configuration: what has been read is there at any moment, and nothing is lost by Ctrl-C."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from importlib import import_module

import attrs

from balancekit.cli.progress import progress
from balancekit.client.double_counting import count_once
from balancekit.client.options import aliases_of
from balancekit.config import ClientSettings, Config
from balancekit.errors import NotReadError
from balancekit.money.balances import AccountBalances, AccountFailure
from balancekit.money.merge import merge_counted
from balancekit.money.merged import MergedBalances

_log = logging.getLogger(__name__)


@attrs.define
class Reading:
    """The accounts that are read: all of a configuration, or those of the labels, within `timeout` seconds."""

    config: Config
    labels: Sequence[str] = ()
    timeout: float | None = None
    _snapshots: list[AccountBalances] = attrs.field(factory=list[AccountBalances], init=False)
    _failures: list[AccountFailure] = attrs.field(factory=list[AccountFailure], init=False)

    async def run(self, *, tables: bool) -> None:
        """Read them, and import what `tables` need. Raises ConfigError for a label that no account has."""
        chosen = list(dict.fromkeys(self.labels)) or None
        settings = ClientSettings() if self.timeout is None else ClientSettings(deadline=self.timeout)
        async with self.config.make_client(**settings) as client, aclosing(client.stream(chosen)) as outcomes:
            # Importing rich takes a tenth of a second: done in a thread while the responses are on their way.
            importing = asyncio.create_task(asyncio.to_thread(import_module, "rich.console")) if tables else None
            with progress("Reading accounts", len(chosen or client.accounts)) as advance:
                async for outcome in outcomes:
                    self._add(outcome)
                    advance()
            if importing is not None:
                await importing

    @property
    def has_read(self) -> bool:
        """Whether any account has been read."""
        return bool(self._snapshots)

    def result(self) -> MergedBalances:
        """Return what has been read; an account without an outcome is one that has not been read yet."""
        providers = {provider.account: provider for provider in self.config.providers}
        labels = list(dict.fromkeys(self.labels)) or [*providers]
        ended = {read.account for read in self._snapshots} | {failure.account for failure in self._failures}
        unread = [
            AccountFailure(
                label,
                providers[label].provider,
                NotReadError("interrupted before it was read", account=label, provider=providers[label].provider),
            )
            for label in labels
            if label not in ended
        ]
        counted, failed = count_once(
            self._snapshots,
            [*self._failures, *unread],
            origin_of=lambda label: getattr(providers[label], "origin", providers[label].provider),
            labels=providers,
        )
        return merge_counted(
            counted,
            failed,
            aliases=self.config.aliases,
            own_aliases={label: own for label, provider in providers.items() if (own := aliases_of(provider))},
            chosen_accounts=labels if self.labels else None,
        )

    def _add(self, outcome: AccountBalances | AccountFailure) -> None:
        if isinstance(outcome, AccountBalances):
            _log.debug("%s (%s) is read", outcome.account, outcome.provider)
            self._snapshots.append(outcome)
        else:
            _log.debug("%s (%s) is not read: %s", outcome.account, outcome.provider, type(outcome.error).__name__)
            self._failures.append(outcome)
