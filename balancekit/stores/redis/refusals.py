"""What a Redis that responds refuses to do, in words that show neither a value nor an address."""

import re
from typing import Final

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    InvalidResponse,
    RedisClusterException,
    ResponseError,
)

from balancekit.http.redaction import walk_exception_chain
from balancekit.stores.base import StoreRefusedError
from balancekit.stores.redis import scripts

_REFUSALS: Final = {
    r"(OOM )?command not allowed when used memory": (
        "Redis is full: raise its maxmemory, or choose a maxmemory-policy that evicts keys"
    ),
    r"MISCONF": "Redis refuses writes because it cannot save to its disk: its log says why",
    r"NOREPLICAS": "Redis refuses writes because it has fewer replicas than its min-replicas-to-write: restore them",
    r"NOHISTORY": (
        "Redis does not say which history its data has: give its user the permission +info, "
        "and use a server whose INFO replication has a master_replid"
    ),
    r"(MOVED )?\d+ \S+:\d+": (
        "Redis is in cluster mode: pass cluster=True to RedisStore.from_url, or a RedisCluster to RedisStore"
    ),
    r".*Cluster mode is not enabled": "Redis is not in cluster mode: leave out cluster=True",
    r".*No permissions to access a key|.*can't access at least one of the keys": (
        "Redis does not permit its user the store's keys: add ~ with the prefix and :* to its permissions"
    ),
    r".*No permissions to access a channel": (
        "Redis does not permit its user the store's channel: add & with the prefix and :changes to its permissions"
    ),
    r".*can't run this command|.*no permissions to run the '": (
        "Redis does not permit its user a command: give it the permissions that the documentation of RedisStore lists"
    ),
}
_RESPONSES: Final = (ResponseError, AuthenticationError)
_DENIED_COMMAND: Final = re.compile(r".*no permissions to run the '([a-z|]+)' command")

# Only these are shown, since a server may send any text in their place.
_COMMANDS: Final = frozenset(
    name.lower()
    for source in vars(scripts).values()
    if isinstance(source, str)
    for name in re.findall(r"redis\.p?call\('(\w+)'", source)
) | {"auth", "eval", "evalsha", "ping", "select", "subscribe"}


def refusal_of(error: BaseException) -> StoreRefusedError | None:
    """Return what a response of Redis refuses; None for any other error."""
    text = str(error)
    denied = _DENIED_COMMAND.match(text)
    if denied and denied[1] in _COMMANDS:
        command = denied[1]
        return StoreRefusedError(f"Redis does not permit its user {command}: add +{command} to its permissions")
    for pattern, message in _REFUSALS.items():
        if re.match(pattern, text):
            return StoreRefusedError(message)
    return None


def refusal_of_connection(error: BaseException) -> StoreRefusedError | None:
    """Return what Redis refuses that responds with an error when a connection is opened; None for any other error.

    Its text is never shown: a server that does not know AUTH repeats the user and the password.
    """
    if isinstance(error, BusyLoadingError | InvalidResponse):
        error.args = (type(error).__name__,)
    # A client of a cluster quotes the errors of its nodes.
    links = walk_exception_chain(error) if isinstance(error, RedisClusterException) else [error]
    if isinstance(error, ClusterDownError) or not any(isinstance(link, _RESPONSES) for link in links):
        return None
    return refusal_of(error) or StoreRefusedError(
        "Redis refuses the connection: check the user, the password and the database in its URL, and that it knows AUTH"
    )
