"""A receiver of webhooks for ASGI: an application to mount in Starlette or FastAPI, or to serve alone."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any, Self, TypeAlias, cast
from urllib.parse import unquote_to_bytes

from balancekit.webhooks.events import WebhookHandler
from balancekit.webhooks.receiver import BODY_TIMEOUT, Receiver
from balancekit.webhooks.verification import MAX_WEBHOOK_BODY

Message: TypeAlias = MutableMapping[str, Any]
"""A scope or an event of ASGI; its keys depend on its type."""


class WebhookApp:
    """An ASGI application that receives webhooks; the last segment of a request's path is the account's label.

    A slash after it is ignored. With `account` all deliveries are for that one, whatever their path. `max_body` is in
    bytes, and `body_timeout` is how many seconds a body may take. The response is 204 to a valid delivery and 400 to
    any other. Raises ConfigError if a setting cannot work.
    """

    def __init__(
        self,
        client: WebhookHandler,
        *,
        account: str | None = None,
        max_body: int = MAX_WEBHOOK_BODY,
        body_timeout: float = BODY_TIMEOUT,
    ) -> None:
        self._receiver = Receiver(client, max_body, body_timeout, account)

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Serve one connection."""
        match scope["type"]:
            case "http":
                response = self._respond(scope["method"], account_label(scope), _header_pairs(scope), receive, send)
                # Error trackers collect the local variables of the frames that a log line comes from.
                del scope
                await response
            case "lifespan":
                await _run_lifespan(receive, send)
            case "websocket":
                # Closed before it is accepted, so that the server responds 403.
                if (await receive())["type"] == "websocket.connect":
                    await send({"type": "websocket.close", "code": 1000})
            case kind:
                raise ValueError(f"unknown type of ASGI scope: {kind!r}")

    async def _respond(
        self,
        method: str,
        label: str,
        headers: list[tuple[bytes, bytes]],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        chunks = _BodyChunks(receive)
        handling = self._receiver.handle(method, label, headers, chunks)
        del headers
        status = await handling
        if chunks.disconnected:
            return
        response_headers = [] if status == HTTPStatus.NO_CONTENT else [(b"content-length", b"0")]
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            response_headers.append((b"allow", b"POST"))
        # Servers may raise it once the sender has disconnected.
        with contextlib.suppress(OSError):
            await send({"type": "http.response.start", "status": int(status), "headers": response_headers})
            await send({"type": "http.response.body", "body": b""})


def _header_pairs(scope: Message) -> list[tuple[bytes, bytes]]:
    # Some servers send lists in place of pairs.
    return [(bytes(name), bytes(value)) for name, value in cast("Sequence[Sequence[bytes]]", scope["headers"])]


class _BodyChunks:
    """The body as it arrives; `disconnected` is whether the sender disconnected before its end."""

    def __init__(self, receive: Callable[[], Awaitable[Message]]) -> None:
        self._receive = receive
        self._more = True
        self.disconnected = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._more:
            raise StopAsyncIteration
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.disconnected = True
            raise ConnectionResetError
        # Both keys are optional.
        self._more = bool(message.get("more_body"))
        return bytes(message.get("body") or b"")


def account_label(scope: Mapping[str, Any]) -> str:
    """Return the last segment of the path below the mount, decoded; empty if there is none, or if it is not UTF-8."""
    path, root = str(scope["path"]), str(scope.get("root_path") or "").rstrip("/")
    # Servers give the whole path, as ASGI specifies now, or only what is below the root.
    below = path.removeprefix(root) if path == root or path.startswith(f"{root}/") else path
    raw = scope.get("raw_path")
    if isinstance(raw, bytes):
        try:
            # In the decoded path, a slash within a label looks like one between segments.
            label = unquote_to_bytes(raw.partition(b"?")[0].removesuffix(b"/").rpartition(b"/")[2]).decode()
        except UnicodeDecodeError:
            return ""
        if below.endswith((f"/{label}", f"/{label}/")):
            return label
    return below.removesuffix("/").rpartition("/")[2]


async def _run_lifespan(
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    # Nothing to start or stop: the client is opened and closed by its owner.
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
