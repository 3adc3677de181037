"""The routes for `aiohttp.web`; what they do with a request is tested with all receivers."""

import pytest
from aiohttp import web

from balancekit import ConfigError
from balancekit.webhooks import webhook_routes


def test_a_path_without_an_account_is_a_config_error(inbox):
    """Nothing would name the account of a delivery."""
    with pytest.raises(ConfigError, match=r"^path: expected \{account\} in it"):
        webhook_routes(inbox, "/hook")


@pytest.mark.parametrize(
    ("path", "account"),
    [("/hook", "shop"), ("/{account}/hook", None), (r"/{account:\w+}", None)],
    ids=["given", "in the path", "by a pattern"],
)
def test_one_route_takes_every_method(inbox, path, account):
    """Other methods than POST get the receiver's 405."""
    (route,) = webhook_routes(inbox, path, account=account)

    assert isinstance(route, web.RouteDef)
    assert (route.method, route.path) == ("*", path)
