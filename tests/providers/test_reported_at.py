"""The moments that an adapter reports, by the clock of this machine."""

import json
from datetime import UTC, datetime
from email.utils import formatdate

import pytest

from balancekit import HttpProvider, MultiRequestProvider, ReportedBalances, Request
from tests.support.loopback_origin import LoopbackOrigin, raw_response

PROVIDERS_TIME = 1_800_000_000
REPORTED = PROVIDERS_TIME - 600


class Dated(HttpProvider):
    """An adapter of an API that says of which moment its balances are."""

    provider = "dated"

    def build_request(self, *, now, nonce):
        """Ask for them."""
        return Request("GET", self.base_url)

    def read_response(self, response):
        """Read the moment and no balances."""
        moment = datetime.fromtimestamp(response.json()["at"], UTC)
        return ReportedBalances((), reported_at=moment)


class DatedExchange(MultiRequestProvider):
    """The same, as an exchange of several requests may be written."""

    provider = "dated"

    def exchange(self, *, now, nonces):
        """Ask for them, and read the moment and no balances."""
        response = yield Request("GET", self.base_url)
        return ReportedBalances((), reported_at=datetime.fromtimestamp(response.json()["at"], UTC))


@pytest.fixture
async def origin():
    """Start a server that responds with what a test sets."""
    origin = LoopbackOrigin()
    await origin.start()
    yield origin
    await origin.stop()


@pytest.mark.parametrize("kind", [Dated, DatedExchange])
@pytest.mark.parametrize(
    ("behind", "header", "moment"),
    [
        (3600, "Date", REPORTED - 3600),
        (-3600, "Date", REPORTED),
        (3, "Date", REPORTED),
        (3 * 86_400, "Date", REPORTED),
        (3600, "X-Date", REPORTED),
    ],
    ids=["behind", "ahead", "right", "not credible", "unknown"],
)
async def test_a_moment_is_by_the_clock_of_this_machine_if_that_is_behind(
    session, origin, kind, behind, header, moment
):
    """Otherwise balances of ten minutes ago would pass for those of now."""
    body = json.dumps({"at": REPORTED}).encode()
    origin.response = raw_response(200, body, f"{header}: {formatdate(PROVIDERS_TIME, usegmt=True)}")
    adapter = kind("shop", base_url=origin.url)
    adapter.clock = lambda: PROVIDERS_TIME - behind

    balances = await adapter.fetch_balances(session)

    assert balances.reported_at.timestamp() == moment


async def test_the_first_moment_there_is_stays_that(session, origin):
    """Some languages have it for none."""
    origin.response = raw_response(200, b'{"at": -62135596800}', f"Date: {formatdate(PROVIDERS_TIME, usegmt=True)}")
    adapter = Dated("shop", base_url=origin.url)
    adapter.clock = lambda: PROVIDERS_TIME - 3600

    balances = await adapter.fetch_balances(session)

    assert balances.reported_at == datetime(1, 1, 1, tzinfo=UTC)
