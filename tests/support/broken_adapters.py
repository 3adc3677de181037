"""Adapters with a fault, and the same without: each class says what it does."""

import asyncio
import json
import logging
import time
from decimal import Decimal

import aiohttp

from balancekit import (
    AssetType,
    AuthenticationError,
    Balance,
    ErrorDetail,
    HttpProvider,
    MultiRequestProvider,
    ProviderError,
    Request,
    Response,
    Secret,
    ServiceUnavailableError,
    Token,
)


class Sound(HttpProvider):
    """An adapter without a fault."""

    provider = "sound"

    def __init__(self, account, *, token: str | Secret, base_url="https://sound.example"):
        self._token = Secret.of(token)
        super().__init__(account, base_url=base_url)

    def build_request(self, *, now, nonce):
        """Sign with a nonce."""
        return Request(
            "GET", f"{self.base_url}/balances", {"Authorization": f"Bearer {self._token.reveal()}", "X-Nonce": nonce}
        )

    def amount(self, row):
        """Return the amount of a row."""
        return row["amount"]

    def of(self, row):
        """Make the balance of a row."""
        return self.balance(row["code"], self.amount(row), pending=row["pending"])

    def read_response(self, response):
        """Read all rows."""
        return [self.of(row) for row in response.entries("rows")]


class SoundPages(MultiRequestProvider):
    """An adapter of several requests without a fault."""

    provider = "pages"

    def __init__(self, account, *, token: str | Secret, base_url="https://sound.example"):
        self._secret = Secret.of(token)
        super().__init__(account, base_url=base_url)

    def request_token(self, *, now, nonce):
        """Ask for a token."""
        return Request("POST", f"{self.base_url}/token", {"Authorization": self._secret.reveal()})

    def read_token(self, response):
        """Read the token."""
        return Token(response.json()["token"], expires_in=3600)

    def exchange(self, *, now, nonces):
        """Read page after page."""
        token = yield from self.token(now=now, nonces=nonces)
        balances, page = [], 1
        while page is not None:
            response = yield Request("GET", f"{self.base_url}/{page}", {"Authorization": f"Bearer {token}"})
            balances += [self.balance(row["code"], row["amount"]) for row in response.entries("rows")]
            page = response.json()["next"]
        return balances


class Floats(Sound):
    """It reads amounts as floats."""

    def amount(self, row):
        return str(float(row["amount"]))


class Rounds(Sound):
    """It rounds to eight decimals."""

    def amount(self, row):
        return round(Decimal(row["amount"]), 8)


class Normalizes(Sound):
    """It drops the zeros at the end."""

    def amount(self, row):
        return Decimal(row["amount"]).normalize()


class Underscores(Sound):
    """It reads whatever Python takes for a decimal."""

    def amount(self, row):
        return Decimal(row["amount"])


class NullIsZero(Sound):
    """It takes null for zero."""

    def amount(self, row):
        return row["amount"] or "0"


class MissingIsZero(Sound):
    """It takes a missing amount for zero."""

    def amount(self, row):
        return row.get("amount", "0")


class NoDebts(Sound):
    """It drops the sign."""

    def amount(self, row):
        return row["amount"].lstrip("-")


class NoZeros(Sound):
    """It leaves out zero balances."""

    def read_response(self, response):
        return [held for held in super().read_response(response) if held.amount]


class AddsPending(Sound):
    """It adds what is pending to the amount."""

    def of(self, row):
        pending = Decimal(row["pending"] or 0)
        return self.balance(row["code"], Decimal(row["amount"]) + pending, pending=pending)


class OnePerCurrency(Sound):
    """It keeps the last balance of each currency."""

    def read_response(self, response):
        return list({held.currency: held for held in super().read_response(response)}.values())


class AlwaysFiat(Sound):
    """It takes everything for fiat."""

    def of(self, row):
        return self.balance(row["code"], row["amount"], asset_type=AssetType.FIAT)


class OthersLabel(Sound):
    """It gives balances another account's label."""

    def of(self, row):
        return Balance(row["code"], Decimal(row["amount"]), AssetType.UNKNOWN, "other", "sound", row["code"])


class EmptyOnError(Sound):
    """It takes a body without rows for an empty account."""

    def read_response(self, response):
        return [self.of(row) for row in response.json().get("rows", [])]


class LastKeyWins(Sound):
    """It decodes JSON with the standard library."""

    def read_response(self, response):
        return [self.of(row) for row in json.loads(response.body, parse_float=str)["rows"]]


class Swallows401(Sound):
    """It takes a refused key for an empty account."""

    async def fetch_balances(self, session):
        try:
            return await super().fetch_balances(session)
        except AuthenticationError:
            return []


class OneError(Sound):
    """It raises one class of errors for every status."""

    def read_error(self, response):
        raise ProviderError("it failed", account=self.account, provider=self.provider)


class NoCode(Sound):
    """It drops the provider's code."""

    def read_error(self, response):
        return ErrorDetail(None, "it failed")


class FollowsRedirects(Sound):
    """It sends its requests itself, and follows redirects."""

    async def fetch_balances(self, session):
        request = self.build_request(now=0, nonce="n")
        async with aiohttp.ClientSession() as own, own.get(request.url, headers=request.headers) as response:
            return self.read_response(Response(200, body=await response.read()))


class NeverEnds(Sound):
    """It swallows cancellation."""

    async def fetch_balances(self, session):
        try:
            return await super().fetch_balances(session)
        except asyncio.CancelledError:
            return []


class Blocks(Sound):
    """It blocks the event loop while it builds a request."""

    def build_request(self, *, now, nonce):
        time.sleep(0.06)
        return super().build_request(now=now, nonce=nonce)


class BlocksReading(Sound):
    """It blocks the event loop while it reads a response."""

    def read_response(self, response):
        time.sleep(0.06)
        return super().read_response(response)


class EmptyInTime(Sound):
    """It takes an API that hangs for an empty account, by a timeout of its own."""

    async def fetch_balances(self, session):
        try:
            async with asyncio.timeout(20):
                return await super().fetch_balances(session)
        except TimeoutError:
            return []


class LeavesTask(Sound):
    """It leaves a task behind."""

    async def fetch_balances(self, session):
        self.task = asyncio.ensure_future(asyncio.sleep(60))
        return await super().fetch_balances(session)


class KeepsRows(Sound):
    """It keeps the rows of the last read."""

    def read_response(self, response):
        self.kept = [*getattr(self, "kept", ()), *super().read_response(response)]
        return self.kept


class HidesFailures(Sound):
    """It returns the last balances when a read fails."""

    async def fetch_balances(self, session):
        try:
            self.last = await super().fetch_balances(session)
        except ServiceUnavailableError:
            if not hasattr(self, "last"):
                raise
        return self.last


class RepeatsNonce(Sound):
    """It has one nonce for all requests."""

    def build_request(self, *, now, nonce):
        return super().build_request(now=now, nonce="nonce")


class IgnoresPath(Sound):
    """It ignores the path of the base URL."""

    def build_request(self, *, now, nonce):
        headers = {"Authorization": f"Bearer {self._token.reveal()}"}
        return Request("GET", f"{self.origin}/balances", headers)


class ShowsSecret(Sound):
    """It shows its token in its repr."""

    def __repr__(self):
        return f"ShowsSecret({self._token.reveal()})"


class PlainSecret(Sound):
    """It keeps its token as plain text."""

    def __init__(self, account, *, token: str | Secret, base_url="https://sound.example"):
        super().__init__(account, token=token, base_url=base_url)
        self.plain = token


class LogsSecret(Sound):
    """It logs its headers."""

    def build_request(self, *, now, nonce):
        request = super().build_request(now=now, nonce=nonce)
        logging.getLogger("sound").debug("sending %s", dict(request.headers))
        return request


class Prints(Sound):
    """It prints what it reads."""

    def read_response(self, response):
        print(response.body)  # noqa: T201 - its fault
        return super().read_response(response)


class UndeclaredSecret(Sound):
    """It does not say that its token is a secret."""

    def __init__(self, account, *, token: str, base_url="https://sound.example"):
        super().__init__(account, token=token, base_url=base_url)


class FirstPage(SoundPages):
    """It reads the first page alone."""

    def exchange(self, *, now, nonces):
        token = yield from self.token(now=now, nonces=nonces)
        response = yield Request("GET", f"{self.base_url}/1", {"Authorization": f"Bearer {token}"})
        return [self.balance(row["code"], row["amount"]) for row in response.entries("rows")]


class PagesInTime(SoundPages):
    """It returns the last balances if a page hangs, by a timeout of its own."""

    async def fetch_balances(self, session):
        try:
            self.last = await asyncio.wait_for(super().fetch_balances(session), 20)
        except TimeoutError:
            return getattr(self, "last", [])
        return self.last


class NewToken(SoundPages):
    """It fetches a token for each read."""

    def token(self, *, now, nonces):
        response = yield self.request_token(now=now, nonce=next(nonces))
        return self.read_token(response).text.reveal()


class ShowsToken(SoundPages):
    """It shows the token that it has fetched."""

    def read_token(self, response):
        self.last_token = response.json()["token"]
        return super().read_token(response)
