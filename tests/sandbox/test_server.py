"""The accounts of a sandbox, and the time of its responses."""

import pytest

from balancekit.sandbox import Sandbox


async def test_settings_need_the_port():
    """An account can be added before the start; where it is found is known after it."""
    sandbox = Sandbox()
    accounts = [sandbox.add_cryptoprocessing("a"), sandbox.add_getmany("b"), sandbox.add_getmany("c", signed=False)]

    for account in accounts:
        with pytest.raises(RuntimeError, match="must be started first"):
            _ = account.settings
    async with sandbox:
        assert all(account.settings["base_url"].startswith(sandbox.address) for account in accounts)
    assert sandbox.accounts == tuple(accounts)


async def test_credentials_are_random():
    """No two sandboxes share a secret."""
    settings = []
    for _ in range(2):
        sandbox = Sandbox(port=1)
        settings.append(sandbox.add_cryptoprocessing("shop").settings | sandbox.add_getmany("till").settings)

    assert [name for name in settings[0] if settings[0][name] == settings[1][name]] == ["base_url"]


def test_given_credentials_are_kept():
    """Vectors can be played."""
    sandbox = Sandbox(port=8080)

    shop = sandbox.add_cryptoprocessing("shop", key="public", secret="private")

    assert shop.settings == {"key": "public", "secret": "private", "base_url": "http://127.0.0.1:8080/api/v2"}


@pytest.mark.parametrize("again", ["add_cryptoprocessing", "add_getmany"])
def test_a_label_belongs_to_one_account(again):
    """Labels are unique over both providers."""
    sandbox = Sandbox()
    sandbox.add_getmany("shop", signed=False)

    with pytest.raises(ValueError, match="two accounts are labelled 'shop'"):
        getattr(sandbox, again)("shop")


async def test_the_date_is_that_of_the_clock(sandbox, clock, send):
    """A client can be shown that its clock is off."""
    clock.now = 0

    response = await send("GET", f"{sandbox.address}/api/v2/ping")

    assert response.headers.getall("Date") == ["Thu, 01 Jan 1970 00:00:00 GMT"]
