"""An adapter as a user would write it, for the tests of what all adapters inherit."""

from types import MappingProxyType

from balancekit import HttpProvider, Request

CANARY = "canary/3f9a+b=="


class MyBank(HttpProvider):
    """An adapter as a user would write it."""

    provider = "mybank"
    hints = MappingProxyType({"locked": "Call the bank", 402: "Pay the bank"})

    def __init__(self, account, *, token, base_url="https://bank.example/api"):
        super().__init__(account, base_url=base_url)
        self._token = token

    def build_request(self, *, now, nonce):
        """Build a request that is signed with the token alone."""
        headers = {"Authorization": self._token, "X-Now": str(now), "X-Nonce": nonce}
        return Request("GET", f"{self.base_url}/balances", headers)

    def read_response(self, response):
        """Read a list of codes and amounts."""
        return [self.balance(line["code"], line["amount"]) for line in response.json()]
