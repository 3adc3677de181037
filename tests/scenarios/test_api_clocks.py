"""The clocks of an API and of what stands before it, where they are wrong: what is learned from them, and what not."""

import json
import logging
import time
from email.utils import formatdate

import pytest

from balancekit import AggregateClient, AuthenticationError, GetManyProvider, HttpProvider, Request, Response
from balancekit.sandbox import Fault, Sandbox

HOUR = 3600.0
SIGNING_KEY = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


class Api:
    """An API that is `ahead` of this machine's clock, behind a front whose `Date` is `date_ahead` of it."""

    def __init__(self):
        self.ahead = 0.0
        self.date_ahead = 0.0
        self.headers = {}
        self.revoked = set()
        self.requests = []

    async def send(self, session, request):
        """Respond to a request."""
        key, signed = request.headers["Bs-Key-Id"], int(request.headers["Bs-Timestamp"])
        accepted = key not in self.revoked and abs(time.time() + self.ahead - signed) < 30
        self.requests.append((key, 200 if accepted else 401))
        held = {"data": [{"balance": {"value": "1", "code": "USDC", "decimals": 0}}]}
        body = json.dumps(held if accepted else {"error": "unauthorized"}).encode()
        date = formatdate(time.time() + self.date_ahead, usegmt=True)
        return Response(200 if accepted else 401, {"Date": date, **self.headers}, body)

    def take_requests(self):
        """Return the key and the status of each request since the last call."""
        requests, self.requests = self.requests, []
        return requests


class Documented(HttpProvider):
    """An adapter written from the documentation, for the same API."""

    provider = "documented"
    signs_time = True

    def __init__(self, account, *, key_id, base_url="https://api.getmany.example"):
        super().__init__(account, base_url=base_url)
        self.key_id = key_id

    def build_request(self, *, now, nonce):
        """Sign the time."""
        return Request("GET", self.base_url, {"Bs-Key-Id": self.key_id, "Bs-Timestamp": str(now)})

    def read_response(self, response):
        """Read the one balance."""
        return [self.balance("USDC", response.json()["data"][0]["balance"]["value"])]


@pytest.fixture
def api(monkeypatch):
    """Put an API in the place of the network."""
    api = Api()
    monkeypatch.setattr("balancekit.providers.base.send", api.send)
    return api


@pytest.fixture(params=["built in", "documented"])
def make_account(request):
    """Make an account by a built-in adapter, or by one that was written from the documentation."""
    if request.param == "documented":
        return lambda label: Documented(label, key_id=label)
    base_url = "https://api.getmany.example"
    return lambda label: GetManyProvider(label, key_id=label, signing_key=SIGNING_KEY, base_url=base_url)


@pytest.fixture
async def client(make_account):
    """Make a client of a good and a bad account at one origin."""
    async with AggregateClient([make_account("good"), make_account("bad")]) as client:
        yield client


async def test_a_wrong_date_and_a_revoked_key_cost_the_other_accounts_nothing(api, client, caplog):
    """What one rejected account learns is its own until a request that was signed by it is accepted."""
    caplog.set_level(logging.WARNING)
    api.date_ahead, api.revoked = HOUR, {"bad"}

    results = [await client.fetch(accounts) for accounts in (["good"], None, ["bad"], ["good"], ["good"])]

    assert [merged.amount("USDC", partial=True) for merged in results] == [1, 1, 0, 1, 1]
    assert [merged.complete for merged in results] == [True, False, False, True, True]
    assert {status for key, status in api.requests if key == "good"} == {200}
    assert not [record for record in caplog.records if "clock" in record.message]


async def test_a_wrong_clock_counts_for_the_origin_once_a_request_was_accepted(api, client):
    """The next account is signed by it at once."""
    api.ahead = api.date_ahead = HOUR

    assert (await client.fetch(["good"])).complete
    assert (await client.fetch(["bad"])).complete
    assert api.requests == [("good", 401), ("good", 200), ("bad", 200)]


@pytest.mark.parametrize("date_ahead", [0.0, HOUR, 2 * HOUR], ids=["right", "as before", "otherwise wrong"])
async def test_an_offset_is_unlearned(api, client, date_ahead):
    """Once the clock was put right, a request without the offset is accepted, whatever the `Date` says."""
    api.ahead = api.date_ahead = HOUR
    await client.fetch(["good"])
    api.ahead, api.date_ahead = 0.0, date_ahead
    api.take_requests()

    assert (await client.fetch(["good"])).complete
    assert (await client.fetch(["bad"])).complete
    assert api.take_requests()[-2:] == [("good", 200), ("bad", 200)]


async def test_a_revoked_key_does_not_unlearn_what_others_rely_on(api, client):
    """It is rejected with the right time and without it."""
    api.ahead = api.date_ahead = HOUR
    api.revoked = {"bad"}
    await client.fetch(["good"])
    await client.fetch(["bad"])
    api.take_requests()

    assert (await client.fetch(["good"])).complete
    assert api.take_requests() == [("good", 200)]


async def test_dates_that_change_with_every_response_end_the_attempts(api, client):
    """A rejected request is signed anew twice at most: by the `Date`, and by this machine's clock."""
    api.revoked = {"bad"}
    api.ahead = api.date_ahead = HOUR
    await client.fetch(["good"])
    api.take_requests()
    send = api.send

    async def drifting(session, request):
        api.date_ahead += HOUR
        return await send(session, request)

    for _ in range(2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("balancekit.providers.base.send", drifting)
            await client.fetch(["bad"])

        assert len(api.take_requests()) <= 3


async def test_a_revoked_key_with_a_wrong_date_is_signed_anew_once_a_fetch(api, client):
    """By the `Date`; that the first request had this machine's time is known."""
    api.date_ahead, api.revoked = HOUR, {"bad"}

    for _ in range(3):
        await client.fetch(["bad"])
        assert api.take_requests() == [("bad", 401)] * 2


class Timeless(Documented):
    """An adapter whose requests do not depend on the time."""

    signs_time = False


async def test_a_request_that_does_not_sign_the_time_is_not_signed_anew(api):
    """Whatever the `Date` of a rejection is: the same request would be sent again."""
    api.date_ahead, api.revoked = HOUR, {"bad"}

    async with AggregateClient([Timeless("good", key_id="good"), Timeless("bad", key_id="bad")]) as client:
        for _ in range(3):
            await client.fetch()
            assert sorted(api.take_requests()) == [("bad", 401), ("good", 200)]


@pytest.mark.parametrize(
    "headers",
    [{"Age": "60"}, {"Age": "3600"}, {"age": "soon"}, {"Date": formatdate(253_000_000_000, usegmt=True)}]
    + [{"Date": date} for date in ("Mon, 01 Jan 0001 00:00:00 GMT", "Thu, 01 Jan 99999 00:00:00 GMT", "9" * 400)],
    ids=["a minute old", "an hour old", "no age", "year 9987", "year 1", "year 99999", "digits"],
)
async def test_a_date_that_proves_nothing_signs_nothing(api, client, headers):
    """A response of a cache is old, and no clock is thousands of years off."""
    api.revoked, api.headers, api.date_ahead = {"bad"}, headers, HOUR

    merged = await client.fetch()

    assert isinstance(next(one.error for one in merged.failures if one.account == "bad"), AuthenticationError)
    assert sorted(api.requests) == [("bad", 401), ("good", 200)]


async def test_an_age_of_zero_is_no_cache(api, client):
    """A front may add it to every response."""
    api.ahead = api.date_ahead = HOUR
    api.headers = {"Age": "0"}

    assert (await client.fetch()).complete


@pytest.mark.parametrize("days", [2, -2, 3_000 * 365], ids=["ahead", "behind", "thousands of years"])
async def test_a_date_that_is_more_than_a_day_off_is_not_believed_and_the_message_says_so(api, client, days):
    """An error that is about the clock can be told from one about the key."""
    api.date_ahead, api.revoked = days * 86_400.0, {"bad"}

    (failure,) = (await client.fetch(["bad"])).failures

    assert "clock" in failure.error.hint
    assert "`Date`" in str(failure.error)
    assert "more than a day" in str(failure.error)
    assert len(api.requests) == 1


async def test_a_cached_rejection_costs_the_healthy_account_nothing(caplog):
    """Over real sockets: a revoked account's 401 that comes from a cache is tried once, and the other never fails."""
    caplog.set_level(logging.WARNING)
    async with Sandbox() as sandbox:
        accounts = [sandbox.add_getmany(label, {"USDC": "1"}) for label in ("good", "dead")]
        cached = {"Date": formatdate(time.time() + HOUR, usegmt=True), "Age": "60"}
        sandbox.fail("dead", Fault(status=401, body='{"error":"invalid_key"}', headers=cached), times=3)
        async with AggregateClient([GetManyProvider(one.label, **one.settings) for one in accounts]) as client:
            for _ in range(3):
                await client.fetch(["dead"])
                await client.fetch(["good"])

    assert [(request.account, request.status) for request in sandbox.requests] == [("dead", 401), ("good", 200)] * 3
    assert not [record for record in caplog.records if "clock" in record.message]
