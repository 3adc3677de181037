"""The settings of a client: what cannot work is refused where it is given."""

import gc

import pytest

from balancekit import (
    AggregateClient,
    ConfigError,
    RateLimit,
)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"concurrency": 0}, "concurrency: expected a whole number above zero, got 0"),
        ({"concurrency": True}, "concurrency"),
        ({"concurrency": 10**9}, "concurrency: expected at most 10000, got 1000000000"),
        ({"concurrency": "canary-3f9a"}, "concurrency: expected a whole number above zero, got a string$"),
        ({"deadline": ["canary-3f9a"]}, "deadline: expected seconds above zero, got a list$"),
        ({"attempts": 1.5}, "attempts"),
        ({"timeout": 0}, "timeout: expected seconds above zero, got 0"),
        ({"deadline": float("inf")}, "deadline"),
        ({"deadline": float("nan")}, "deadline"),
        ({"timeout": "5"}, "timeout"),
        ({"deadline": None}, "deadline"),
        ({"settle_delay": -1}, "settle_delay: expected 0 seconds or more, got -1"),
        ({"settle_delay": float("inf")}, "settle_delay"),
        ({"settle_delay": float("nan")}, "settle_delay"),
        ({"settle_delay": True}, "settle_delay"),
        ({"settle_delay": "5"}, "settle_delay"),
        ({"settle_delay": None}, "settle_delay"),
        ({"settle_delay": 10**400}, "settle_delay"),
        ({"timeout": 10**400}, "timeout"),
        ({"timeout": 10**18}, "timeout: expected seconds above zero and at most 1_000_000_000, got 1000"),
        ({"aliases": {"A": "B", "B": "C"}}, "aliases: .*an alias itself"),
        ({"aliases": {"a": "B", "A": "C"}}, "aliases: the alias 'A' leads to both"),
        ({"aliases": [("A", "B")]}, "aliases: expected a mapping"),
        ({"session": "x"}, "session: expected an aiohttp.ClientSession, got str"),
        ({"retry": 3}, "retry: expected a RetryPolicy, got int; attempts takes a number"),
        ({"retry": 0}, "retry: expected a RetryPolicy, got int"),
        ({"retry": False}, "retry: expected a RetryPolicy, got bool"),
        ({"rate_limits": [RateLimit(1, per=1)]}, "rate_limits: expected limits by URL, got list"),
        ({"rate_limits": RateLimit(1, per=1)}, "rate_limits: expected limits by URL, got RateLimit"),
        ({"rate_limits": "3"}, "rate_limits: expected limits by URL, got str"),
        ({"trust_env": "no"}, "trust_env: expected True or False, got str"),
        ({"trust_env": None}, "trust_env: expected True or False, got NoneType"),
        ({"proxy": 5}, "proxy: expected a URL such as http://proxy.example:3128$"),
        ({"proxy": ""}, "proxy: expected a URL"),
        ({"proxy": "proxy.example:3128"}, "proxy: expected a URL"),
        ({"proxy": "socks5://proxy.example"}, "proxy: expected a URL"),
        ({"proxy": "http://"}, "proxy: expected a URL"),
        ({"proxy": "http://proxy.example:port"}, "proxy: expected a URL"),
        ({"proxy": "http://user:canary-3f9a@proxy.example/path"}, "proxy: expected a URL such as [^ ]*$"),
        ({"proxy": "http://proxy.example?canary-3f9a"}, "proxy: expected a URL such as [^ ]*$"),
        ({"store": {}}, "store: expected a SnapshotStore, got dict"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_setting_that_cannot_work_is_refused_at_construction(settings, reason):
    """Wrong settings are found where they are made."""
    with pytest.raises(ConfigError, match=reason):
        AggregateClient([], **settings)


class UnmadeClient(AggregateClient):
    """A client whose constructor fails before anything is set."""

    def __init__(self):
        raise ConfigError("tills: missing")


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("kind", "settings"), [(AggregateClient, {"retry": 3}), (UnmadeClient, {})])
def test_a_client_that_could_not_be_made_has_a_repr(kind, settings):
    """An error tracker may show it, and its destructor raises nothing."""
    client = kind.__new__(kind)

    with pytest.raises(ConfigError):
        client.__init__(*([[]] if settings else []), **settings)

    assert repr(client) == "AggregateClient(0 accounts)"
    del client
    gc.collect()
