"""A bot for Telegram with aiogram: `python examples/aiogram_bot.py` answers /balance from ./accounts.toml."""

import asyncio
import os
from collections.abc import Collection

from aiogram import Bot, Dispatcher, F
from aiogram.filters import Command, CommandObject
from aiogram.types import Message

from balancekit import AggregateClient
from balancekit.config import load_config


def make_dispatcher(client: AggregateClient, owners: Collection[int]) -> Dispatcher:
    """Make a dispatcher that answers its owners only, and closes the client when it stops."""
    dispatcher = Dispatcher()
    dispatcher.message.filter(F.from_user.id.in_(owners))

    @dispatcher.message(Command("balance"))
    async def balance(message: Message, command: CommandObject) -> None:
        merged = await client.fetch(max_age=60, stale_if_error=86_400, deadline=2.5)
        codes = (command.args or "").split()[:1]
        view = merged.only(codes[0][:32]) if codes else merged.nonzero()
        for text in view.to_texts(style="telegram"):
            await message.answer(text, parse_mode="HTML")

    @dispatcher.message(Command("health"))
    async def health(message: Message) -> None:
        down = [f"{label}: {status.error}" for label, status in client.status().items() if status.up is False]
        await message.answer("\n".join(down)[:4000] or "No account is known to be down.")

    @dispatcher.shutdown()
    async def close() -> None:
        await client.aclose()

    return dispatcher


async def main() -> None:
    """Answer until SIGTERM or Ctrl+C."""
    owners = {int(number) for number in os.environ["TELEGRAM_OWNERS"].split(",")}
    dispatcher = make_dispatcher(load_config("accounts.toml").make_client(), owners)
    await dispatcher.start_polling(Bot(os.environ["TELEGRAM_TOKEN"]))


if __name__ == "__main__":
    asyncio.run(main())
