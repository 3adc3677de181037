"""A receiver of webhooks for ASGI: an application to mount in Starlette or FastAPI, or to serve by itself."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any, Self, TypeAlias, cast
from urllib.parse import unquote_to_bytes

from balancekit.webhooks.events import WebhookHandler
from balancekit.webhooks.receiver import BODY_TIMEOUT, Receiver
from balancekit.webhooks.verification import MAX_WEBHOOK_BODY

Message: TypeAlias = MutableMapping[str, Any]
"""A scope or an event of ASGI; what is in it depends on its type."""


class WebhookApp:
    """An ASGI application that takes webhooks; the last segment of a request's path is the account's label.

    With `account` all deliveries are for that one, whatever their path. `max_body` is in bytes, and `body_timeout` how
    many seconds a body may take. Every verified delivery is answered 204, every refused one 400. Raises ConfigError if
    a setting cannot work.
    """

    def __init__(
        self,
        client: WebhookHandler,
        *,
        account: str | None = None,
        max_body: int = MAX_WEBHOOK_BODY,
        body_timeout: float = BODY_TIMEOUT,
    ) -> None:
        self._receiver = Receiver(client, max_body, body_timeout)
        self._account = account

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Serve one connection, as ASGI has it."""
        match scope["type"]:
            case "http":
                await self._answer(scope, receive, send)
            case "lifespan":
                await _live(receive, send)
            case "websocket":
                # Never accepted, so that the server answers 403.
                if (await receive())["type"] == "websocket.connect":
                    await send({"type": "websocket.close", "code": 1000})
            case kind:
                raise ValueError(f"no ASGI scope that is known here: {kind!r}")

    async def _answer(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        label = account_label(scope) if self._account is None else self._account
        # Some servers have lists for the pairs.
        headers = [(bytes(name), bytes(value)) for name, value in cast("Sequence[Sequence[bytes]]", scope["headers"])]
        chunks = _Chunks(receive)
        status = await self._receiver.receive(scope["method"], label, headers, chunks)
        if chunks.left:
            return
        answer = [] if status == HTTPStatus.NO_CONTENT else [(b"content-length", b"0")]
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            answer.append((b"allow", b"POST"))
        # Servers may raise it once the sender has left.
        with contextlib.suppress(OSError):
            await send({"type": "http.response.start", "status": int(status), "headers": answer})
            await send({"type": "http.response.body", "body": b""})


class _Chunks:
    """The body as it comes in; `left` is whether the sender left before its end."""

    def __init__(self, receive: Callable[[], Awaitable[Message]]) -> None:
        self._receive = receive
        self._more = True
        self.left = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._more:
            raise StopAsyncIteration
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.left = True
            raise ConnectionResetError
        # Both may be left out.
        self._more = bool(message.get("more_body"))
        return bytes(message.get("body") or b"")


def account_label(scope: Mapping[str, Any]) -> str:
    """Return the last segment of the path below the mount, decoded; empty if there is none, or if it is not UTF-8."""
    path, root = str(scope["path"]), str(scope.get("root_path") or "").rstrip("/")
    # A server may give the whole path, as ASGI has it now, or only what is below its root.
    below = path.removeprefix(root) if path == root or path.startswith(f"{root}/") else path
    raw = scope.get("raw_path")
    if isinstance(raw, bytes):
        try:
            # The decoded path does not tell a slash within a label from one between segments.
            label = unquote_to_bytes(raw.partition(b"?")[0].rpartition(b"/")[2]).decode()
        except UnicodeDecodeError:
            return ""
        if below.endswith(f"/{label}"):
            return label
    return below.rpartition("/")[2]


async def _live(
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    # The client is its owner's to open and close.
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
