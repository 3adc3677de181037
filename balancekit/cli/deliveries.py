"""Webhooks of a test: signed as a provider signs them, and sent to an endpoint of one's own."""

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
import attrs

from balancekit.config.accounts import AccountSettings
from balancekit.config.files import read_text
from balancekit.config.problems import ConfigProblem
from balancekit.config.references import MAX_SECRET_SIZE
from balancekit.errors import ConfigError
from balancekit.http.messages import Request, check_base_url
from balancekit.http.resolver import DaemonResolver
from balancekit.http.secret import Secret
from balancekit.http.transport import describe_failure
from balancekit.providers.getmany import load_signing_key
from balancekit.sandbox import Holding, Tamper
from balancekit.sandbox.webhooks import Event, SignedWebhook

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_TIMEOUT: Final = 15.0
_NOTHING: Final = {"value": "0", "code": "USDC", "decimals": 6, "chain": "ethereum"}
_Sign = Callable[[Event, "Tamper | None"], SignedWebhook]


@attrs.frozen
class Signer:
    """Signs the webhooks of one account; `status` is that of a settled payment, and `note` what the user has to do."""

    sign: _Sign = attrs.field(repr=False)
    status: str
    note: str = ""


@attrs.frozen
class Outcome:
    """How an endpoint responded to a delivery: its status, or the error instead of it."""

    what: str
    accepts: bool
    status: int | None
    error: str | None
    seconds: float

    @property
    def as_expected(self) -> bool:
        """Whether it accepted what is signed, or rejected what is forged."""
        return self.status is not None and self.status // 100 == (2 if self.accepts else 4)

    def __str__(self) -> str:
        wanted = "accepted" if self.accepts else "rejected"
        if self.error is not None:
            return f"{self.what}: not {wanted}: {self.error}"
        did = wanted if self.as_expected else f"not {wanted}"
        return f"{self.what}: {did}, status {self.status} in {1000 * self.seconds:.0f} ms"


def make_signer(account: AccountSettings, key_file: Path | None) -> Signer:
    """Return what signs the webhooks of an account; ConfigError for a provider whose webhooks are not known."""
    if account.provider == "cryptoprocessing":
        from balancekit.sandbox.cryptoprocessing_webhooks import write_callback

        key, secret = account.secret("key"), account.secret("secret")
        return Signer(
            lambda event, tamper: write_callback(event, key=key.reveal(), secret=secret.reveal(), tamper=tamper),
            "confirmed",
        )
    if account.provider == "getmany":
        from balancekit.sandbox.getmany_webhooks import COMPLETED, encode_public_key, write_webhook

        if key_file is None:
            raise ConfigError("--key: name a file for a key to sign with: that of getMany is its own")
        signing_key = _read_or_write_key(key_file)
        return Signer(
            lambda event, tamper: write_webhook(event, _NOTHING, now=int(time.time()), key=signing_key, tamper=tamper),
            COMPLETED,
            f'For the test, the service needs: webhook_key = "{encode_public_key(signing_key)}"',
        )
    raise ConfigError(f"--account: the webhooks of {account.provider} are not known here")


async def send_both(signer: Signer, url: str) -> list[Outcome]:
    """Send a signed delivery, and then a forged one; raises ConfigError for a URL that cannot be used."""
    try:
        check_base_url(url)
    except ValueError as error:
        raise ConfigError(f"URL: {error}") from None
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=DaemonResolver()),
        timeout=aiohttp.ClientTimeout(total=_TIMEOUT),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        return [
            await _send(session, url, signer, "The signed delivery", None),
            await _send(session, url, signer, "The forged delivery", "wrong-key"),
        ]


async def _send(
    session: aiohttp.ClientSession, url: str, signer: Signer, what: str, tamper: "Tamper | None"
) -> Outcome:
    event = Event(
        number=secrets.randbits(48),
        event_id=f"msg_{secrets.token_hex(12)}",
        status=signer.status,
        moved=Holding("BTC", "0"),
    )
    message = signer.sign(event, tamper)
    status, error, started = None, None, time.perf_counter()
    try:
        async with session.post(url, data=message.body, headers=message.headers, allow_redirects=False) as response:
            status = response.status
    except TimeoutError:
        error = "no response in time"
    except Exception as raised:
        # Whatever is at the URL may send back what it received.
        error = describe_failure(raised, Request("POST", url, message.headers, message.body))
        if error is None:
            raise
    return Outcome(what, tamper is None, status, error, time.perf_counter() - started)


def _read_or_write_key(path: Path) -> "Ed25519PrivateKey":
    from balancekit.sandbox.getmany import new_signing_key

    try:
        if not path.exists():
            text = new_signing_key()
            # Created private, and never through an existing link.
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(f"{text}\n")
        key = load_signing_key(Secret(read_text(path, MAX_SECRET_SIZE, "the file")))
    except OSError as error:
        raise ConfigError(f"--key: {path}: {error.strerror}") from None
    except ConfigProblem as error:
        raise ConfigError(f"--key: {path}: {error}") from None
    if key is None:
        raise ConfigError(f"--key: {path}: expected an Ed25519 private key as base64 of PKCS#8 DER, or as PEM")
    return key
