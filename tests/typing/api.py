"""Every way to call the public surface; it is type-checked, strictly, and never run."""

from collections.abc import Generator, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import aiohttp
from aiohttp import web
from fastapi import FastAPI
from multidict import CIMultiDict
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.routing import Mount

from balancekit import (
    COINSPAID_2023,
    CRYPTOPROCESSING_2026,
    AccountBalances,
    AccountChange,
    AccountFailure,
    AccountStatus,
    AggregateClient,
    AmbiguousCurrencyError,
    AssetType,
    AuthenticationError,
    BadRequestError,
    Balance,
    BalancekitError,
    BalanceProvider,
    Changes,
    Clock,
    Config,
    ConfigError,
    CryptoprocessingProvider,
    CurrencyTotal,
    ErrorDetail,
    GetManyProvider,
    HttpProvider,
    IncompleteError,
    MalformedResponseError,
    MergedBalances,
    MinorUnits,
    MultiRequestProvider,
    NotReadError,
    Origins,
    ProviderError,
    ProviderTimeoutError,
    Rate,
    RateLimit,
    RateLimitedError,
    RateSource,
    ReportedBalances,
    Request,
    Response,
    RetryPolicy,
    Secret,
    ServiceUnavailableError,
    SnapshotStore,
    Token,
    TotalChange,
    TransportError,
    UnexpectedRedirectError,
    Valuation,
    ValuedTotal,
    Watch,
    WebhookEvent,
    WebhookVerificationError,
    __version__,
    load_config,
    merge,
    subtract_exactly,
    sum_exactly,
)
from balancekit.rates import EcbRates, ReferenceRates
from balancekit.stores import Change, MemoryStore, RedisStore, Stored
from balancekit.webhooks import RawHeaders, WebhookApp, WebhookHandler, WebhookProvider, webhook_routes


class MyBank(HttpProvider):
    """An adapter on the base class."""

    provider = "mybank"

    def build_request(self, *, now: int, nonce: str) -> Request:
        """Build the request."""
        return Request("GET", f"{self.base_url}/balances", {"X-Nonce": nonce, "X-Time": str(now)}, b"")

    def read_response(self, response: Response) -> list[Balance]:
        """Read the response."""
        return [
            self.balance(code, MinorUnits({"EUR": 2}).amount(code, amount), asset_type=AssetType.FIAT, available="1")
            for code, amount in response.json().items()
        ]

    def read_error(self, response: Response) -> ErrorDetail:
        """Read an error."""
        return ErrorDetail(code=str(response.status), message=response.headers.get("X-Error"))


class Paged(MultiRequestProvider):
    """An adapter of several requests."""

    provider = "paged"

    def request_token(self, *, now: int, nonce: str) -> Request:
        """Build the request for a token."""
        return Request("POST", f"{self.base_url}/token")

    def read_token(self, response: Response) -> Token:
        """Read the token."""
        return Token(response.json()["token"], expires_in=response.json()["seconds"])

    def exchange(self, *, now: int, nonces: Iterator[str]) -> Generator[Request, Response, list[Balance]]:
        """Read two pages."""
        token = yield from self.token(now=now, nonces=nonces)
        first = yield Request("GET", f"{self.base_url}/1", {"Authorization": token})
        second = yield Request("GET", f"{self.base_url}/2", {"X-Nonce": next(nonces)})
        return [self.balance(row["code"], row["amount"]) for row in (*first.entries("rows"), *second.entries())]


class Ledger:
    """A provider that is no subclass of anything."""

    account = "ledger"
    provider = "memory"

    async def fetch_balances(self, session: aiohttp.ClientSession) -> Sequence[Balance]:
        """Read nothing, as of a moment."""
        assert not session.closed
        return ReportedBalances((), reported_at=datetime.now(UTC))


def providers() -> list[BalanceProvider]:
    """Construct one of each."""
    return [
        CryptoprocessingProvider("eu", key="k", secret="s"),
        CryptoprocessingProvider("us", key=Secret("k"), secret=Secret("s"), base_url=CryptoprocessingProvider.SANDBOX),
        CryptoprocessingProvider("paid", key="k", secret="s", brand="coinspaid"),
        GetManyProvider("till", key_id="k", signing_key="s", base_url=GetManyProvider.PRODUCTION),
        GetManyProvider("gateway", webhook_key="k", base_url="http://127.0.0.1:8080"),
        MyBank("bank", base_url="https://bank.example"),
        Ledger(),
    ]


async def fetch(session: aiohttp.ClientSession, store: SnapshotStore) -> MergedBalances:
    """Read accounts in every way."""
    client = AggregateClient(
        providers(),
        session=session,
        concurrency=10,
        timeout=5,
        deadline=20.0,
        attempts=2,
        retry=RetryPolicy(2, first=0.05, cap=5),
        rate_limits={CryptoprocessingProvider.PRODUCTION: RateLimit(30, per=60)},
        proxy=Secret("http://proxy.example:3128"),
        trust_env=True,
        store=store,
        aliases={**COINSPAID_2023, **CRYPTOPROCESSING_2026},
        settle_delay=2.5,
        clock=Clock(),
        origins=Origins(rate_limits={"https://bank.example": RateLimit(30, per=60)}),
    )
    async with client:
        async for outcome in client.stream(["eu"], max_age=5):
            match outcome:
                case AccountBalances():
                    moment: datetime = outcome.fetched_at
                    balances: tuple[Balance, ...] = outcome.balances
                    seconds: float = outcome.age() + outcome.age(moment)
                    print(moment, balances, outcome.stale, seconds)
                case AccountFailure():
                    error: BalancekitError = outcome.error
                    known: AccountBalances | None = outcome.last_known
                    print(error, known)
        labels: tuple[str, ...] = client.accounts
        merged = await client.fetch(labels, max_age=30.0, stale_if_error=3600, strict=False)
        merged = await client.fetch(stale_while_revalidate=60, deadline=3)
        seen: MergedBalances = client.latest(["eu"])
        status: AccountStatus = client.status()["eu"]
        print(seen, status.up, status.last_success, status.last_failure, status.down_since, status.next_attempt)
        if isinstance(status.error, NotReadError):
            await client.remove("eu")
    await client.aclose()
    return merged


async def follow(client: AggregateClient, headers: RawHeaders, body: bytes) -> MergedBalances | None:
    """Follow changes in every way."""
    handler: WebhookHandler = client
    event: WebhookEvent = await handler.handle_webhook("till", headers, body)
    await client.invalidate(event.account)
    latest: MergedBalances | None = None
    watch: Watch = client.watch(["eu"], max_age=30, every=600, min_interval=2, stale_if_error=3600)
    async with watch as states:
        async for latest in states:
            print(latest.complete)
    await watch.aclose()
    client.stop_watching()
    async for latest in client.watch():
        print(latest.as_of)
    return latest


def use(merged: MergedBalances) -> dict[str, Decimal]:
    """Look at a result in every way."""
    total: CurrencyTotal = merged["BTC"]
    same: CurrencyTotal = merged["BTC", AssetType.CRYPTO]
    oldest: datetime | None = merged.as_of
    text: str = merged.to_text() + merged.to_text(now=oldest)
    messages: list[str] = merged.to_texts(4096, style="telegram", keep=["EUR"], align=False, max_parts=2, now=oldest)
    messages += merged.to_texts(style="discord_embed", keep={"EUR"}, max_total=6000, max_lines=20)
    print(total == same, text, messages, merged.complete, len(merged), "BTC" in merged, __version__)
    try:
        merged.raise_for_failures()
    except IncompleteError as error:
        partial: MergedBalances = error.partial
        print(partial, error.exceptions)
    except AmbiguousCurrencyError as error:
        print(error)
    again = MergedBalances.from_dict(merged.to_dict()) | MergedBalances.from_json(merged.to_json())
    again = merge(again.accounts, again.failures, aliases={"USDCE": "USDC"}).nonzero()
    part: MergedBalances = again.only("EUR", "BTC").of("shop")
    facts: tuple[str | None, ...] = (part.notice, part.scope, *(part.chosen_accounts or ()))
    held: list[dict[str, object]] = [*part.rows()]
    table: str = part.to_csv() + part.to_csv("total", separator=";", bom=True, decimal=",")
    print(facts, held, table, part.amount("EUR", partial=True))
    return {total.currency: total.amount for total in again} | {"ETH": again.amount("ETH", AssetType.CRYPTO)}


class Market:
    """A source of rates."""

    def rate(self, currency: str, asset_type: AssetType, target: str) -> Rate | None:
        """Return a rate for what is crypto."""
        known = Rate(currency, target, "60000", source="market", as_of=None, per=1)
        return known if asset_type is AssetType.CRYPTO else None


async def calculate(merged: MergedBalances, earlier: MergedBalances, session: aiohttp.ClientSession) -> Decimal:
    """Compare and value results in every way."""
    changes: Changes = merged.changes_since(earlier)
    total: TotalChange
    account: AccountChange
    for total in changes.totals:
        print(total.currency, total.asset_type, total.before, total.after, total.plain)
    for account in changes.accounts:
        print(account.account, account.provider, account.difference, account.plain)
    print(changes.unknown, changes.compared, changes.complete)
    ecb = EcbRates(session, url=EcbRates.URL, max_age=600, timeout=5, clock=Clock())
    reference: ReferenceRates = await ecb.load()
    market: RateSource = Market()
    given: dict[str, Rate | Decimal | str | int] = {
        "BTC": "60000",
        "ETH": 3000,
        "TON": Rate("TON", "EUR", 3, source="me"),
    }
    typed = {("MNT", AssetType.CRYPTO): "0.6", "BTC": "60000"}
    value: Valuation = merged.value_in("EUR", given)
    value = merged.value_in(("EUR", AssetType.FIAT), {"BTC": "60000"}, places=2)
    value = merged.value_in("EUR", [market, reference.inverted(), given, typed, {("MNT", AssetType.FIAT): 1}])
    value = merged.value_in("USD", reference.crossed())
    line: ValuedTotal
    for line in value.valued:
        print(line.currency, line.amount, line.rate, line.per, line.value, line.plain, line.source, line.as_of)
    print(value.amount, value.plain, value.not_valued, value.complete, value.notice, value.as_of, ecb.last)
    by_chain: dict[str | None, list[CurrencyTotal]] = merged.totals_by(lambda balance: balance.chain, partial=True)
    amounts = [part.amount for parts in by_chain.values() for part in parts]
    return subtract_exactly(sum_exactly(amounts), sum_exactly(one.amount for one in merged))


def settled(event: WebhookEvent, store: SnapshotStore) -> str | None:
    """Look at an event, and take any store."""
    stores: list[SnapshotStore] = [store]
    if event.settled and stores:
        return f"{event.account} {event.provider} {event.event_id} {event.event_type}"
    raise WebhookVerificationError(str(event.status))


def explain(error: ProviderError) -> str:
    """Distinguish the classes of errors."""
    match error:
        case AuthenticationError() | BadRequestError() | UnexpectedRedirectError():
            return error.hint or "check the settings"
        case RateLimitedError() | ServiceUnavailableError():
            return f"come back in {error.retry_after} s"
        case TransportError() | ProviderTimeoutError() | MalformedResponseError():
            return f"{error.account} at {error.provider}: {error.status} {error.code} {error.message}"
        case _:
            raise ConfigError(str(error.retryable))


async def keep(url: str, redis: Redis, seen: AccountBalances) -> list[float]:
    """Put a snapshot into every kind of store."""
    async with RedisStore.from_url(url, prefix="shop", keep=3600) as owned:
        stores: list[SnapshotStore] = [MemoryStore(), owned, RedisStore(redis, prefix="shop", keep=3600)]
        for store in stores:
            known: Sequence[Stored] = await store.get([seen.account])
            await store.put(seen.account, seen, version=known[0].version, age=known[0].age)
            async for change in store.changes():
                what: Change = change
                print(what.key, what.invalidated, known[0].snapshot, known[0].valid)
        limit = RateLimit(30, per=60)
        return [await store.acquire_permit("https://pay.example", limit, "ticket", hold=30) for store in stores]


async def configure(path: str, session: aiohttp.ClientSession) -> MergedBalances:
    """Make a client of a file, with settings that replace the file's."""
    config: Config = load_config(path)
    with config.make_blocking_client(store=MemoryStore(), deadline=3) as blocking:
        print(blocking.accounts)
    settings = config.client_settings
    print(config.providers, config.aliases, settings.get("deadline"), settings.get("rate_limits"))
    async with config.make_client(session=session, store=MemoryStore(), attempts=1, retry=RetryPolicy(2)) as client:
        return await client.fetch()


class Inbox:
    """A handler of webhooks that is no client."""

    async def handle_webhook(self, account: str, headers: RawHeaders, body: bytes) -> WebhookEvent:
        """Handle nothing."""
        return WebhookEvent(account, "memory", str(len(body)), None, None, settled=bool(headers))


def verify(provider: WebhookProvider, body: bytes) -> list[WebhookEvent]:
    """Verify deliveries with headers of every kind."""
    several: list[tuple[bytes, bytes]] = [(b"webhook-id", b"1")]
    kinds: list[RawHeaders] = [{"webhook-id": "1"}, {b"webhook-id": b"1"}, several, CIMultiDict({"webhook-id": "1"})]
    print(provider.account, provider.provider)
    return [provider.verify_webhook(kind, body, now=0.0) for kind in kinds] + [provider.verify_webhook({}, body)]


def receive() -> WebhookApp:
    """Receive webhooks in every framework."""
    handler: WebhookHandler = Inbox()
    till: WebhookProvider = GetManyProvider("till", webhook_key=["k", Secret("l")])
    shop: WebhookProvider = CryptoprocessingProvider("eu", key="k", secret="s")
    print(verify(till, b""), verify(shop, b""))
    site = web.Application()
    site.add_routes(webhook_routes(handler))
    site.add_routes(webhook_routes(handler, "/hook", account="till", max_body=1_000, body_timeout=5.0))
    Starlette(routes=[Mount("/webhooks", WebhookApp(handler))])
    FastAPI().mount("/webhooks", WebhookApp(handler, account="till"))
    return WebhookApp(handler, account="till", max_body=1_000, body_timeout=5.0)
