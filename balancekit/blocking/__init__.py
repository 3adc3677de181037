"""A client for code without an event loop: WSGI applications, tasks of Celery, Django in threads, scripts.

    client = Client([CryptoprocessingProvider("shop", key=key, secret=secret)])
    print(client.fetch(max_age=30).to_text())

It is an `AggregateClient` in an event loop of its own, which runs in one daemon thread.
"""

from balancekit.blocking.client import Client
from balancekit.blocking.iteration import Iteration

__all__ = ["Client", "Iteration"]
