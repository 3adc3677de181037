"""What clients of several tenants read: an adapter of a bank, and the amount that a client of it shows."""

from balancekit import AggregateClient, AssetType, HttpProvider, Request, Secret


class MyBankProvider(HttpProvider):
    """The adapter that the documentation shows."""

    provider = "mybank"
    secret_settings = frozenset({"token"})

    def __init__(self, account, *, token, base_url):
        self._token = token = Secret.of(token)
        super().__init__(account, base_url=base_url)

    def build_request(self, *, now, nonce):
        """Build a request with the token."""
        return Request("GET", f"{self.base_url}/balances", {"Authorization": f"Bearer {self._token.reveal()}"})

    def read_response(self, response):
        """Read the balances."""
        return [
            self.balance(row["currency"], row["available"], asset_type=AssetType.FIAT)
            for row in response.json()["balances"]
        ]


async def amount(source, currency, store):
    """Return what a client of one account reads, or takes from the store."""
    async with AggregateClient([source], store=store) as client:
        return int((await client.fetch(max_age=30, strict=True)).amount(currency))
