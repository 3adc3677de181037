"""What a receiver does with a request in any framework: limits, one status for every invalid delivery, a log line."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Sequence
from http import HTTPMethod, HTTPStatus
from typing import Final

import attrs

from balancekit.errors import ConfigError, WebhookVerificationError
from balancekit.http.durations import checked_by, positive_seconds
from balancekit.http.redaction import traceback_of
from balancekit.logs import Log
from balancekit.money.currencies import check_label
from balancekit.webhooks.events import WebhookHandler
from balancekit.webhooks.verification import MAX_WEBHOOK_BODY

BODY_TIMEOUT: Final = 10.0
"""How many seconds the body of a delivery may take to arrive, unless the receiver is given another limit."""

_MAX_LOGGED: Final = 200
"""How many characters of one value a log line shows."""

_LOG_INTERVAL: Final = 60.0
"""The least seconds between two log lines about one account."""

_log = Log("balancekit.webhooks", without_context=True)


def _check_max_body(_: object, __: object, value: object) -> None:
    if type(value) is not int or not 1 <= value <= MAX_WEBHOOK_BODY:
        raise ConfigError(f"max_body: expected a whole number from 1 to {MAX_WEBHOOK_BODY}")


def _check_client(_: object, __: object, value: WebhookHandler) -> None:
    handler, expected = getattr(value, "handle_webhook", None), "client: expected an AggregateClient"
    if not callable(handler):
        raise ConfigError(f"{expected}, got {type(value).__name__}")
    # By name, since the receivers know nothing of it; whether anything else is async only a call would show.
    if any(base.__module__ == "balancekit.blocking.client" for base in type(value).__mro__):
        raise ConfigError(f"{expected}, got balancekit.blocking.Client, whose handle_webhook is not async")


def _check_account(_: object, __: object, value: str | None) -> None:
    if value is None:
        return
    try:
        check_label(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"account: {error}") from None


@attrs.frozen
class Receiver:
    """Reads deliveries within limits and hands them to a client; raises ConfigError for settings that cannot work."""

    client: WebhookHandler = attrs.field(repr=False, validator=_check_client)
    max_body: int = attrs.field(default=MAX_WEBHOOK_BODY, validator=_check_max_body)
    body_timeout: float = attrs.field(default=BODY_TIMEOUT, validator=checked_by(positive_seconds))
    account: str | None = attrs.field(default=None, validator=_check_account)
    # By an account's label, None for whatever is of no account, or a kind of failure: when a line about it was logged,
    # and how many were left out since then.
    _last_lines: dict[object, tuple[float, int]] = attrs.field(
        factory=dict[object, tuple[float, int]], init=False, repr=False, eq=False
    )

    async def handle(
        self, method: str, account: str, headers: Sequence[tuple[bytes, bytes]], chunks: AsyncIterator[bytes]
    ) -> HTTPStatus:
        """Handle one request and return the status to respond with; raises nothing.

        204, or 400 whatever is wrong with the delivery; 405 if it is not a POST. 500 if the client failed, so that the
        provider delivers again.
        """
        account = self.account or account
        if method != HTTPMethod.POST:
            return HTTPStatus.METHOD_NOT_ALLOWED
        body = b""
        subject: object
        try:
            self._check_headers(headers)
            body = await self._read_body(chunks)
            await self.client.handle_webhook(account, headers, body)
        except WebhookVerificationError as error:
            status, level, subject = HTTPStatus.BAD_REQUEST, logging.WARNING, error.account
            line = f"rejected a webhook for {_printable(account)}: {_printable(str(error))}"
        except Exception as error:  # noqa: BLE001 - the sender gets a response in any case
            status, level, subject = HTTPStatus.INTERNAL_SERVER_ERROR, logging.ERROR, type(error)
            # Not the exception itself: its frames hold the delivery, and its text may quote it.
            line = f"{type(error).__name__} while handling a webhook for {_printable(account)}{_raised_at(error)}"
        else:
            return HTTPStatus.NO_CONTENT
        finally:
            # Error trackers collect the local variables of the frames that an exception, or a log line, comes from.
            del headers, body
        # After the response, whose time would show else whether a line is logged, and so whether a label is that of an
        # account.
        asyncio.get_running_loop().call_soon(self._log, level, subject, line)
        return status

    def _log(self, level: int, subject: object, line: str) -> None:
        """Log a line, at most once a minute for each subject: anybody can cause it."""
        now = asyncio.get_running_loop().time()
        logged_at, left_out = self._last_lines.get(subject, (-_LOG_INTERVAL, 0))
        if now - logged_at < _LOG_INTERVAL:
            self._last_lines[subject] = logged_at, left_out + 1
            return
        self._last_lines[subject] = now, 0
        more = f" (and {left_out} more since the last such line)" if left_out else ""
        _log.log(level, "%s%s", line, more)

    def _check_headers(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        for name, value in headers:
            folded = name.lower()
            if folded == b"content-length" and not self._is_allowed_length(value):
                raise self._too_large()
            # Some servers would decode such a body, and then it is not the one that was signed.
            if folded == b"content-encoding" and value.lower() != b"identity":
                raise WebhookVerificationError("the body is encoded")

    async def _read_body(self, chunks: AsyncIterator[bytes]) -> bytes:
        try:
            async with asyncio.timeout(self.body_timeout):
                return await self._collect(chunks)
        except TimeoutError:
            raise WebhookVerificationError(f"the body took longer than {self.body_timeout} s") from None
        except WebhookVerificationError:
            raise
        except Exception as error:  # noqa: BLE001 - each server raises its own for a body that breaks off
            raise WebhookVerificationError(f"the body broke off: {type(error).__name__}") from None

    async def _collect(self, chunks: AsyncIterator[bytes]) -> bytes:
        body = bytearray()
        async for chunk in chunks:
            body += chunk
            if len(body) > self.max_body:
                raise self._too_large()
        return bytes(body)

    def _is_allowed_length(self, length: bytes) -> bool:
        # Count the digits first, since `int` is slow for thousands of them.
        return length.isdigit() and len(length) <= len(str(MAX_WEBHOOK_BODY)) and int(length) <= self.max_body

    def _too_large(self) -> WebhookVerificationError:
        return WebhookVerificationError(f"the body is larger than {self.max_body} bytes")


def _printable(text: str) -> str:
    """Return the start of untrusted text with what is not printable escaped, so that it cannot break a log line."""
    cut = text[:_MAX_LOGGED]
    safe = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in cut)
    return f"{safe}\N{HORIZONTAL ELLIPSIS}" if len(text) > _MAX_LOGGED else safe


def _raised_at(error: Exception) -> str:
    frames = traceback.extract_tb(traceback_of(error))
    return "".join(f" at {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames[-1:])
