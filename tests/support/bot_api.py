"""A stand-in for Telegram's Bot API on loopback: it hands out messages, and keeps what a bot sends."""

import asyncio
import json
import time

from aiohttp import web

TOKEN = "123456:canary-of-the-bot-api"
OWNER, STRANGER = 7, 8


async def check_answers(api):
    """Ask a bot whose accounts are those of the examples: its owner gets answers, and a stranger none."""
    api.send("/balance", STRANGER)
    assert await api.ask("/balance") == (
        "<pre>BTC    0.5\nUSDC 450\ndown: not read\nhung: not read\n"
        "INCOMPLETE: 2 of 3 accounts could not be read: down, hung</pre>"
    )
    assert "\nBTC 0.5\n" in await api.ask("/balance btc")
    assert "INCOMPLETE" in await api.ask(f"/balance <b>{'x' * 100}")
    assert (await api.ask("/health")).startswith("down: down (getmany): 503")


class BotApi:
    """One bot's API: `ask` sends the bot a message and returns the answer, as the chat sees it."""

    def __init__(self):
        self._updates, self._sent, self._number = asyncio.Queue(), asyncio.Queue(), 0

    async def __aenter__(self):
        """Begin to listen."""
        app = web.Application()
        app.router.add_route("*", f"/bot{TOKEN}/{{method}}", self._respond)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_):
        """Stop listening."""
        await self._runner.cleanup()

    def send(self, text, sender=OWNER):
        """Send the bot a message."""
        self._number += 1
        message = {
            "message_id": self._number,
            "date": int(time.time()),
            "chat": {"id": sender, "type": "private", "first_name": "Ada"},
            "from": {"id": sender, "is_bot": False, "first_name": "Ada"},
            "text": text,
            "entities": [{"type": "bot_command", "offset": 0, "length": len(text.split()[0])}],
        }
        self._updates.put_nowait({"update_id": self._number, "message": message})

    async def ask(self, text):
        """Send the bot a message, and return the text of its answer, which must come within three seconds."""
        self.send(text)
        async with asyncio.timeout(3):
            return (await self._sent.get())["text"]

    async def _respond(self, request):
        parameters = {**request.query, **(await request.post())}
        if request.content_type == "application/json":
            parameters |= await request.json()
        match request.match_info["method"].lower():
            case "getme":
                result = {"id": 1, "is_bot": True, "first_name": "Bot", "username": "balances_bot"}
            case "getupdates":
                result = await self._next_updates(float(parameters.get("timeout", 0)))
            case "sendmessage":
                self._sent.put_nowait(parameters)
                result = {"message_id": 1, "date": 0, "chat": {"id": OWNER, "type": "private"}, "text": "sent"}
            case _:
                result = True
        return web.Response(text=json.dumps({"ok": True, "result": result}), content_type="application/json")

    async def _next_updates(self, seconds):
        try:
            async with asyncio.timeout(seconds):
                return [await self._updates.get()]
        except TimeoutError:
            return []
