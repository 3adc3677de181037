"""What a receiver does with a request in any framework: limits, one status for every invalid delivery, a log line."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Sequence
from http import HTTPMethod, HTTPStatus
from typing import Final

import attrs

from balancekit.errors import ConfigError, WebhookVerificationError
from balancekit.webhooks.events import WebhookHandler
from balancekit.webhooks.verification import MAX_WEBHOOK_BODY

BODY_TIMEOUT: Final = 10.0
"""How many seconds the body of a delivery may take to arrive, unless the receiver is given another limit."""

_MAX_LOGGED: Final = 200
"""How many characters of one value a log line shows."""

_log = logging.getLogger("balancekit.webhooks")


def _check_max_body(_: object, __: object, value: object) -> None:
    if type(value) is not int or not 1 <= value <= MAX_WEBHOOK_BODY:
        raise ConfigError(f"max_body: expected a whole number from 1 to {MAX_WEBHOOK_BODY}")


def _check_body_timeout(_: object, __: object, value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise ConfigError("body_timeout: expected seconds, more than 0")


@attrs.frozen
class Receiver:
    """Reads deliveries within limits and hands them to a client; raises ConfigError for limits that cannot work."""

    client: WebhookHandler = attrs.field(repr=False)
    max_body: int = attrs.field(default=MAX_WEBHOOK_BODY, validator=_check_max_body)
    body_timeout: float = attrs.field(default=BODY_TIMEOUT, validator=_check_body_timeout)

    async def handle(
        self, method: str, account: str, headers: Sequence[tuple[bytes, bytes]], chunks: AsyncIterator[bytes]
    ) -> HTTPStatus:
        """Handle one request and return the status to respond with; raises nothing.

        204, or 400 whatever is wrong with the delivery; 405 if it is not a POST. 500 if the client failed, so that the
        provider delivers again.
        """
        if method != HTTPMethod.POST:
            return HTTPStatus.METHOD_NOT_ALLOWED
        try:
            body = await self._read_body(headers, chunks)
            await self.client.handle_webhook(account, headers, body)
        except WebhookVerificationError as error:
            _log.warning("rejected a webhook for %s: %s", _printable(account), _printable(str(error)))
            return HTTPStatus.BAD_REQUEST
        except Exception as error:  # noqa: BLE001 - the sender gets a response in any case
            # Not the exception itself: its frames hold the delivery, and its text may quote it.
            _log.error(
                "%s while handling a webhook for %s%s", type(error).__name__, _printable(account), _raised_at(error)
            )
            return HTTPStatus.INTERNAL_SERVER_ERROR
        return HTTPStatus.NO_CONTENT

    async def _read_body(self, headers: Sequence[tuple[bytes, bytes]], chunks: AsyncIterator[bytes]) -> bytes:
        for name, value in headers:
            folded = name.lower()
            if folded == b"content-length" and not self._is_allowed_length(value):
                raise self._too_large()
            # Some servers would decode such a body, and then it is not the one that was signed.
            if folded == b"content-encoding" and value.lower() != b"identity":
                raise WebhookVerificationError("the body is encoded")
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
    frames = traceback.extract_tb(error.__traceback__)
    return "".join(f" at {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames[-1:])
