"""A stand-in for Discord's REST API and gateway on loopback: it sends a bot commands, and keeps the responses."""

import asyncio
import json
from functools import partial

from aiohttp import web

TOKEN = "canary.of.the-discord-api"
OWNER, STRANGER = 7, 8
_USER = {"id": "1", "username": "balances", "discriminator": "0000", "avatar": None, "bot": True}


class DiscordApi:
    """One bot's API: `ask` runs a command and returns what the bot responds with."""

    def __init__(self):
        self._responses, self._gateway, self._number = asyncio.Queue(), asyncio.Future(), 100

    async def __aenter__(self):
        """Begin to listen."""
        app = web.Application()
        for path, content in _CONTENTS.items():
            app.router.add_route("*", path, partial(_send, content))
        app.router.add_post("/interactions/{id}/{token}/callback", self._respond)
        app.router.add_get("/gateway/", self._connect)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_):
        """Stop listening."""
        await self._runner.cleanup()

    async def ask(self, command, sender=OWNER, **options):
        """Run a command, and return the content of the response, which must come within three seconds."""
        async with asyncio.timeout(30):
            gateway = await self._gateway
        self._number += 1
        data = {
            "id": str(self._number),
            "application_id": "1",
            "type": 2,
            "token": "interaction",
            "version": 1,
            "channel_id": "5",
            "channel": {"id": "5", "type": 1},
            "user": {**_USER, "id": str(sender), "bot": False},
            "entitlements": [],
            "authorizing_integration_owners": {},
            "attachment_size_limit": 0,
            "data": {
                "id": "9",
                "name": command,
                "type": 1,
                "options": [{"name": name, "type": 3, "value": value} for name, value in options.items()],
            },
        }
        await gateway.send_json({"op": 0, "s": self._number, "t": "INTERACTION_CREATE", "d": data})
        async with asyncio.timeout(3):
            return await self._responses.get()

    async def _respond(self, request):
        response = (await request.json())["data"]
        self._responses.put_nowait((response["content"], response["flags"]))
        return await _send({"interaction": {"id": request.match_info["id"], "type": 2}}, request)

    async def _connect(self, request):
        gateway = web.WebSocketResponse()
        await gateway.prepare(request)
        await gateway.send_json({"op": 10, "d": {"heartbeat_interval": 40_000}, "s": None, "t": None})
        async for message in gateway:
            if message.json()["op"] == 2:
                ready = {"v": 10, "user": _USER, "guilds": [], "session_id": "s", "application": _APPLICATION}
                ready["resume_gateway_url"] = f"{self.url}/gateway/"
                await gateway.send_json({"op": 0, "s": 1, "t": "READY", "d": ready})
                self._gateway.set_result(gateway)
            elif message.json()["op"] == 1:
                await gateway.send_json({"op": 11, "d": None, "s": None, "t": None})
        return gateway


_APPLICATION = {
    "id": "1",
    "name": "balances",
    "description": "",
    "icon": None,
    "bot_public": False,
    "bot_require_code_grant": False,
    "verify_key": "",
    "flags": 0,
    "owner": _USER,
    "team": None,
}


_CONTENTS = {"/users/@me": _USER, "/oauth2/applications/@me": _APPLICATION, "/applications/1/commands": []}


async def _send(content, _):
    return web.Response(body=json.dumps(content).encode(), content_type="application/json")
