"""A bot with discord.py: `python examples/discord_bot.py` answers /balance from the accounts of ./accounts.toml."""

import os
from collections.abc import Collection

import discord
from discord import Interaction, app_commands

from balancekit import AggregateClient
from balancekit.config import load_config


class BalanceBot(discord.Client):
    """Answers its owners only, in messages that nobody else sees, and closes the client when it stops."""

    def __init__(self, client: AggregateClient, owners: Collection[int]) -> None:
        super().__init__(intents=discord.Intents.none())
        self._balances, self._owners = client, owners
        self.commands = app_commands.CommandTree(self)

        @self.commands.command(description="What is held")
        async def balance(interaction: Interaction, currency: str | None = None) -> None:
            if not await self._is_owner(interaction):
                return
            merged = await client.fetch(max_age=60, stale_if_error=86_400, deadline=2)
            codes = (currency or "").split()
            view = merged.only(codes[0][:32]) if codes else merged.nonzero()
            first, *others = view.to_texts(style="discord")
            await interaction.response.send_message(first, ephemeral=True)
            for text in others:
                await interaction.followup.send(text, ephemeral=True)

        @self.commands.command(description="Which accounts are down")
        async def health(interaction: Interaction) -> None:
            if not await self._is_owner(interaction):
                return
            down = [f"{label}: {each.error}" for label, each in client.status().items() if each.up is False]
            text = "\n".join(down)[:1900] or "No account is known to be down."
            await interaction.response.send_message(discord.utils.escape_markdown(text)[:2000], ephemeral=True)

    async def _is_owner(self, interaction: Interaction) -> bool:
        if interaction.user.id not in self._owners:
            await interaction.response.send_message("This is not for you.", ephemeral=True)
        return interaction.user.id in self._owners

    async def setup_hook(self) -> None:
        """Register the commands."""
        await self.commands.sync()

    async def close(self) -> None:
        """Close the client, too."""
        await self._balances.aclose()
        await super().close()


if __name__ == "__main__":
    owners = {int(number) for number in os.environ["DISCORD_OWNERS"].split(",")}
    bot = BalanceBot(load_config("accounts.toml").make_client(), owners)
    bot.run(os.environ["DISCORD_TOKEN"])
