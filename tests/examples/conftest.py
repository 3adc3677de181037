"""What the tests of the examples share: accounts in a sandbox, of which no key may be shown."""

import logging

import pytest

from tests.support.hosts import Accounts


@pytest.fixture
def accounts(sandbox, caplog, capfd):
    """Give three accounts, one of them down and one hung; afterwards neither logs nor output may hold a key."""
    caplog.set_level(logging.DEBUG)
    accounts = Accounts(sandbox)
    yield accounts
    shown = caplog.text + "".join(capfd.readouterr())
    assert [secret for secret in accounts.secrets() if secret in shown] == []
