"""The exporter of examples/prometheus_exporter.py, scraped over real sockets."""

import urllib.request

import pytest

from balancekit.blocking import Client
from tests.support.hosts import QUICK, nothing_left

pytest.importorskip("prometheus_client")
from examples.prometheus_exporter import exporter


def scrape(port):
    """Return the lines about balancekit by their names."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as response:
        lines = response.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line.startswith("balance"))}


async def test_a_scrape_asks_nobody_and_shows_what_is_known(accounts):
    """Before the first read nothing is up; after it, zeros are shown, and what is down or hung is not up."""
    async with nothing_left():
        with Client(accounts.providers, **QUICK) as client, exporter(client, 0) as port:
            assert scrape(port) == {
                'balancekit_up{account="shop"}': 0,
                'balancekit_up{account="down"}': 0,
                'balancekit_up{account="hung"}': 0,
                "balancekit_complete": 0,
            }
            assert accounts.sandbox.requests == ()

            client.fetch()
            asked = len(accounts.sandbox.requests)
            shown = scrape(port)
            assert 0 <= shown.pop('balancekit_age_seconds{account="shop"}') < 60
            assert shown == {
                'balancekit_balance{account="shop",asset_type="crypto",currency="BTC"}': 0.5,
                'balancekit_balance{account="shop",asset_type="crypto",currency="ETH"}': 0,
                'balancekit_balance{account="shop",asset_type="crypto",currency="USDC"}': 450,
                'balancekit_up{account="shop"}': 1,
                'balancekit_up{account="down"}': 0,
                'balancekit_up{account="hung"}': 0,
                "balancekit_complete": 0,
            }
            assert len(accounts.sandbox.requests) == asked

            accounts.sandbox.clear_faults()
            client.fetch()
            assert scrape(port)["balancekit_complete"] == 1

            accounts.fail()
            client.fetch()
            shown = scrape(port)
            assert shown['balancekit_balance{account="hung",asset_type="crypto",currency="USDC"}'] == 25
            assert (shown["balancekit_complete"], shown['balancekit_up{account="hung"}']) == (0, 0)
