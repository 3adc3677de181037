"""The tracing of a lent session: it sees requests, and cannot change them."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast
from weakref import ref

import aiohttp
import attrs

_HOOKS: Final = tuple(name for name in dir(aiohttp.TraceConfig) if name.startswith("on_"))


def observers_of(lent: aiohttp.ClientSession) -> list[aiohttp.TraceConfig]:
    """Return the trace configs of a session for another one that stands in for it.

    aiohttp gives a hook the headers that it is about to send. They are signed, and hold credentials, so a hook gets a
    copy of them here; and the lent session instead of the one that sends.
    """
    # The tracing of a session must not keep it alive.
    session = ref(lent)
    observers: list[aiohttp.TraceConfig] = []
    for config in lent.trace_configs:
        observer = aiohttp.TraceConfig(cast("Any", config.trace_config_ctx))
        for name in _HOOKS:
            getattr(observer, name).extend(_observing(hook, session) for hook in getattr(config, name))
        observer.freeze()
        observers.append(observer)
    return observers


_Hook = Callable[[object, object, Any], Awaitable[None]]


def _observing(hook: _Hook, lent: Callable[[], object]) -> _Hook:
    async def observe(_: object, context: object, params: object) -> None:
        seen: Any = params
        if hasattr(params, "headers"):
            seen = attrs.evolve(seen, headers=seen.headers.copy())
        await hook(lent(), context, seen)

    return observe
