"""Failures and cooldowns that processes with one store share: as text, short, with nothing secret in it."""

import json
from collections.abc import Callable, Collection, Sequence
from typing import Final

from balancekit import errors
from balancekit.client.account_state import Moment
from balancekit.client.accounts import Account
from balancekit.client.origins import Origin
from balancekit.clock import Clock
from balancekit.errors import BalancekitError, ProviderError
from balancekit.http.messages import excerpt
from balancekit.money.exact_json import decode_json
from balancekit.stores.base import Stored
from balancekit.stores.fail_open import FailOpenStore

MAX_TEXT: Final = 500
"""How many characters of a message or a hint are shared."""

_LOOK_UP_INTERVAL: Final = 0.05
"""For how many seconds it is enough to have looked up the cooldown of an origin: as long as hearing of it takes."""

_KINDS: Final = {name: kind for name, kind in errors.BY_NAME.items() if issubclass(kind, ProviderError)}


def write_failure(error: BalancekitError, took: float = 0.0) -> str | None:
    """Write what a read ended with, and after how many seconds; None for what only this process can understand."""
    # An adapter may derive from our errors.
    kind = next((kind for kind in type(error).__mro__ if _KINDS.get(kind.__name__) is kind), None)
    if not isinstance(error, ProviderError) or kind is None:
        return None
    facts = {"message": error.message, "code": error.code, "hint": error.hint}
    short = {name: None if text is None else excerpt(str(text), MAX_TEXT) for name, text in facts.items()}
    known = {"kind": kind.__name__, "status": error.status, "retryable": error.retryable, "took_ms": round(took * 1000)}
    return json.dumps(known | short)


def read_failure(text: str, account: Account) -> tuple[ProviderError, float] | None:
    """Return the error of an account that another process has written, and its seconds; None for any other text."""
    try:
        facts = decode_json(text.encode())
    except ValueError:
        return None
    match facts:
        case {
            "kind": str(name),
            "message": str(message),
            "status": int() | None as status,
            "code": str() | None as code,
            "hint": str() | None as hint,
            "retryable": bool(retryable),
            "took_ms": int(took),
        } if name in _KINDS:
            error = _KINDS[name](
                excerpt(message, MAX_TEXT),
                account=account.label,
                provider=account.provider,
                status=status,
                code=None if code is None else excerpt(code, MAX_TEXT),
                retryable=retryable,
                hint=None if hint is None else excerpt(hint, MAX_TEXT),
            )
            return error, max(0, took) / 1000
        case _:
            return None


class SharedFailures:
    """The failures of accounts, and the cooldowns of origins, that are shared through a store.

    `on_read` is called with each account of which another process has had a failure that this one did not know.
    """

    def __init__(self, store: FailOpenStore, clock: Clock, on_read: Callable[[Account], None]) -> None:
        self._store = store
        self._clock = clock
        self._on_read = on_read

    def learn(self, account: Account, stored: Stored, moment: Moment) -> bool:
        """Take what is stored of the last read of an account; returns whether that is a failure that was not known."""
        failure = stored.failure
        read = None if failure is None else read_failure(failure.text, account)
        if failure is None or read is None:
            return False
        error, took = read
        if not account.state.learn_failure(
            error, age=failure.age, took=took, cooldown=failure.cooldown, version=stored.version, moment=moment
        ):
            return False
        self._on_read(account)
        return True

    def learn_cooldown(self, origin: Origin, stored: Stored, moment: Moment) -> None:
        """Take what is stored of an origin."""
        origin.looked_up_at = moment.now
        if stored.failure is not None and stored.failure.cooldown > origin.cooldown.remaining(moment.now):
            origin.cooldown.learn(stored.failure.cooldown, moment.now)
            origin.announce_cooldown()

    async def get(self, accounts: Collection[Account]) -> Sequence[Stored]:
        """Look up accounts, and the cooldowns of their origins with them."""
        origins = list(dict.fromkeys(account.origin for account in accounts))
        keys = [account.key for account in accounts]
        stored = await self._store.get([*keys, *(origin.key for origin in origins)])
        moment = Moment.of(self._clock)
        for origin, known in zip(origins, stored[len(keys) :], strict=True):
            self.learn_cooldown(origin, known, moment)
        return stored[: len(keys)]

    async def look_up(self, origin: Origin) -> None:
        """Look up the cooldown of an origin, unless that has just been done."""
        if self._clock.monotonic() - origin.looked_up_at >= _LOOK_UP_INTERVAL:
            (stored,) = await self._store.get([origin.key])
            self.learn_cooldown(origin, stored, Moment.of(self._clock))

    def share(self, account: Account, error: BalancekitError, *, took: float, version: str, cooldown: float) -> None:
        """Share what a read ended with `took` seconds after its request, as long as the account is in its cooldown."""
        if cooldown > 0 and (text := write_failure(error, took)) is not None:
            self._put(account.key, text, version, cooldown)

    def share_cooldown(self, origin: Origin) -> None:
        """Share the cooldown that an origin is in."""
        self._put(origin.key, "", None, origin.cooldown.remaining(self._clock.monotonic()))

    def _put(self, key: str, text: str, version: str | None, cooldown: float) -> None:
        self._store.run_in_background(self._store.put_failure(key, text, version=version, cooldown=cooldown))
