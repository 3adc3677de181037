"""A receiver of webhooks for `aiohttp.web`."""

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from balancekit.errors import ConfigError
from balancekit.webhooks.events import WebhookHandler
from balancekit.webhooks.receiver import BODY_TIMEOUT, Receiver
from balancekit.webhooks.verification import MAX_WEBHOOK_BODY

if TYPE_CHECKING:
    from aiohttp import web


def webhook_routes(
    client: WebhookHandler,
    path: str = "/webhooks/{account}",
    *,
    account: str | None = None,
    max_body: int = MAX_WEBHOOK_BODY,
    body_timeout: float = BODY_TIMEOUT,
) -> "list[web.RouteDef]":
    """Return the routes for `app.add_routes`; `{account}` in the path is the account's label.

    A slash at the end of the path is ignored. With `account` all deliveries are for that one. `max_body` is in bytes,
    and `body_timeout` is how many seconds a body may take. The response is 204 to a valid delivery and 400 to any
    other. Raises ConfigError if a setting cannot work.
    """
    # Half the time of importing aiohttp, which only its servers need.
    from aiohttp import hdrs, web

    if account is None and not re.search(r"\{account[:}]", path):
        raise ConfigError("path: expected {account} in it, or the argument account")
    receiver = Receiver(client, max_body, body_timeout, account)

    async def body_chunks(request: web.Request) -> AsyncIterator[bytes]:
        # The request keeps a body that a middleware has read.
        if request.content.at_eof():
            yield await request.read()
        else:
            async for chunk in request.content.iter_any():
                yield chunk

    async def handle(request: web.Request) -> web.Response:
        label = request.match_info.get("account", "")
        status = await receiver.handle(request.method, label, request.raw_headers, body_chunks(request))
        headers = {hdrs.ALLOW: hdrs.METH_POST} if status == web.HTTPMethodNotAllowed.status_code else {}
        response = web.Response(status=status, headers=headers)
        if hdrs.CONTENT_ENCODING in request.headers and not request.content.is_eof():
            # aiohttp would read the rest, and log with a traceback, for each request, that it cannot be decoded.
            await response.prepare(request)
            await response.write_eof()
            request.protocol.force_close()
        return response

    # The slash comes first: the pattern of an account may include it.
    return [web.route(hdrs.METH_ANY, path.rstrip("/") + end, handle) for end in ("/", "")]
