"""Metrics for Prometheus: `python examples/prometheus_exporter.py` exports the accounts of ./accounts.toml."""

import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.registry import Collector

from balancekit.blocking import Client
from balancekit.config import load_config


class BalanceCollector(Collector):
    """Shows what a client knows; a scrape asks no provider, and so waits for none."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def collect(self) -> Iterable[Metric]:
        """Return the metrics of this moment; a balance of zero is one of them."""
        amount = Gauge("balancekit_balance", "Amount held", labels=["account", "currency", "asset_type"])
        age = Gauge("balancekit_age_seconds", "Age of the account's balances", labels=["account"])
        up = Gauge("balancekit_up", "Whether the last read of the account succeeded", labels=["account"])
        merged, now = self._client.latest(), datetime.now(UTC)
        for account, totals in merged.totals_by(lambda balance: balance.account, partial=True).items():
            for total in totals:
                amount.add_metric([account, total.currency, total.asset_type], float(total.amount))
        for snapshot in merged.accounts:
            age.add_metric([snapshot.account], (now - snapshot.as_of).total_seconds())
        for account, status in self._client.status().items():
            up.add_metric([account], 1 if status.up else 0)
        complete = Gauge("balancekit_complete", "Whether every account is known and fresh", value=int(merged.complete))
        return amount, age, up, complete


@contextmanager
def exporter(client: Client, port: int = 9464) -> Iterator[int]:
    """Serve the metrics until the block ends; give the port."""
    registry = CollectorRegistry()
    registry.register(BalanceCollector(client))
    server, thread = start_http_server(port, "127.0.0.1", registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with load_config("accounts.toml").make_blocking_client() as client, exporter(client):
        for _ in client.watch(every=60):
            pass
