"""A bot with python-telegram-bot: `python examples/telegram_bot.py` answers /balance from ./accounts.toml."""

import logging
import os
from collections.abc import Collection
from typing import Any, TypeAlias

from telegram import Update
from telegram.ext import Application, ApplicationBuilder, CommandHandler, ContextTypes, filters

from balancekit import AggregateClient
from balancekit.config import load_config

Bot: TypeAlias = Application[Any, Any, Any, Any, Any, Any]
Builder: TypeAlias = ApplicationBuilder[Any, Any, Any, Any, Any, Any]
Context: TypeAlias = ContextTypes.DEFAULT_TYPE
# They log URLs of which the token is a part.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("telegram").setLevel(logging.INFO)


def make_bot(builder: Builder, client: AggregateClient, owners: Collection[int]) -> Bot:
    """Build a bot that answers its owners only, several at a time, and closes the client when it stops."""

    async def reply(update: Update, text: str, parse_mode: str | None = None) -> None:
        if update.effective_message:
            await update.effective_message.reply_text(text, parse_mode)

    async def balance(update: Update, context: Context) -> None:
        merged = await client.fetch(max_age=60, stale_if_error=86_400, deadline=2.5)
        view = merged.only(context.args[0][:32]) if context.args else merged.nonzero()
        for text in view.to_texts(style="telegram"):
            await reply(update, text, parse_mode="HTML")

    async def health(update: Update, _: Context) -> None:
        down = [f"{label}: {status.error}" for label, status in client.status().items() if status.up is False]
        await reply(update, "\n".join(down)[:4000] or "No account is known to be down.")

    async def close(_: object) -> None:
        await client.aclose()

    bot = builder.concurrent_updates(8).post_shutdown(close).build()
    for_owners = filters.User(owners)
    bot.add_handlers([CommandHandler("balance", balance, for_owners), CommandHandler("health", health, for_owners)])
    return bot


if __name__ == "__main__":
    owners = {int(number) for number in os.environ["TELEGRAM_OWNERS"].split(",")}
    builder = ApplicationBuilder().token(os.environ["TELEGRAM_TOKEN"])
    make_bot(builder, load_config("accounts.toml").make_client(), owners).run_polling()
