"""The bot of examples/telegram_bot.py, with a stand-in for Telegram's Bot API."""

import asyncio

import pytest

from tests.support.bot_api import OWNER, TOKEN, BotApi, check_answers
from tests.support.hosts import nothing_left

pytest.importorskip("telegram")
from telegram.ext import ApplicationBuilder

from examples.telegram_bot import make_bot


async def test_the_bot_answers_its_owner_within_three_seconds_and_stops(accounts, caplog):
    """Its answer has what could be read, and says what could not; one slow answer is not in the way of another."""
    async with nothing_left(), BotApi() as api:
        client = accounts.client(timeout=30, deadline=30)
        bot = make_bot(ApplicationBuilder().token(TOKEN).base_url(f"{api.url}/bot"), client, {OWNER})
        async with bot:  # what `run_polling` does
            await bot.updater.start_polling()
            await bot.start()
            try:
                await check_answers(api)
            finally:
                async with asyncio.timeout(30):
                    await bot.updater.stop()
                    await bot.stop()
        await bot.post_shutdown(bot)

    assert repr(client) == "AggregateClient(3 accounts, closed)"
    assert TOKEN not in caplog.text
