"""The bot of examples/aiogram_bot.py, with a stand-in for Telegram's Bot API."""

import asyncio

import pytest

from tests.support.bot_api import OWNER, TOKEN, BotApi, check_answers
from tests.support.hosts import nothing_left

pytest.importorskip("aiogram")
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer

from examples.aiogram_bot import make_dispatcher


async def test_the_bot_answers_its_owner_within_three_seconds_and_stops(accounts, caplog):
    """Its answer has what could be read, and says what could not."""
    async with nothing_left(), BotApi() as api:
        client = accounts.client(timeout=30, deadline=30)
        dispatcher = make_dispatcher(client, {OWNER})
        bot = Bot(TOKEN, AiohttpSession(api=TelegramAPIServer.from_base(api.url)))
        polling = asyncio.create_task(dispatcher.start_polling(bot, handle_signals=False))

        try:
            await check_answers(api)
        finally:
            await dispatcher.stop_polling()
            async with asyncio.timeout(30):
                await polling

    assert repr(client) == "AggregateClient(3 accounts, closed)"
    assert TOKEN not in caplog.text
