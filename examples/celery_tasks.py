"""A report by Celery: `celery --app examples.celery_tasks worker --beat` reads the accounts of ./accounts.toml."""

from functools import cache
from typing import Any

from celery import Celery, Task
from celery.signals import worker_process_shutdown

from balancekit.blocking import Client
from balancekit.config import load_config

app = Celery("balances", broker="amqp://localhost", backend="rpc://")
app.conf.beat_schedule = {"daily": {"task": "report", "schedule": 86_400.0}}


@cache
def get_client() -> Client:
    """Make the client of this worker process; tasks share what it has read."""
    return load_config("accounts.toml").make_blocking_client()


@app.task(bind=True, name="report", max_retries=3, default_retry_delay=60)
def report(self: Task, max_age: float = 0) -> dict[str, Any]:
    """Return what is held; while an account cannot be read, try again, and at last return what could be."""
    merged = get_client().fetch(max_age=max_age, stale_if_error=86_400)
    if not merged.complete and self.request.retries < self.max_retries:
        raise self.retry()
    return merged.to_dict()


@app.task(name="health")
def health() -> dict[str, str]:
    """Name the accounts that are down for the worker process that runs this, without asking anybody."""
    return {label: str(status.error) for label, status in get_client().status().items() if status.up is False}


@worker_process_shutdown.connect
def close(**_: object) -> None:
    """Close the client, and with it its connections, when a worker process ends."""
    if get_client.cache_info().currsize:
        get_client().close()
        get_client.cache_clear()
