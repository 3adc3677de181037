"""The bot of examples/discord_bot.py, with a stand-in for Discord."""

import asyncio

import pytest

from tests.support.discord_api import OWNER, STRANGER, TOKEN, DiscordApi
from tests.support.hosts import nothing_left

pytest.importorskip("discord")
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from examples.discord_bot import BalanceBot

ONLY_THE_READER = 64


async def test_the_bot_responds_to_its_owner_within_three_seconds_and_stops(accounts, caplog, monkeypatch):
    """Its response has what could be read, says what could not, and nobody else sees it."""
    async with nothing_left(), DiscordApi() as api, asyncio.timeout(60):
        monkeypatch.setattr(Route, "BASE", api.url)
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(f"{api.url}/gateway/"))
        client = accounts.client(timeout=30, deadline=30)
        bot = BalanceBot(client, {OWNER})
        running = asyncio.create_task(bot.start(TOKEN))
        try:
            assert await api.ask("balance", STRANGER) == ("This is not for you.", ONLY_THE_READER)
            assert await api.ask("balance") == (
                (
                    "```\nBTC    0.5\nUSDC 450\ndown: not read\nhung: not read\n"
                    "INCOMPLETE: 2 of 3 accounts could not be read: down, hung\n```"
                ),
                ONLY_THE_READER,
            )
            assert "\nBTC 0.5\n" in (await api.ask("balance", currency="btc eth"))[0]
            assert (await api.ask("health"))[0].startswith("down: down (getmany): 503")
        finally:
            async with asyncio.timeout(30):
                await bot.close()
                await running

    assert repr(client) == "AggregateClient(3 accounts, closed)"
    assert TOKEN not in caplog.text
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
