"""Accounts by what their adapters were made with; what they are given of each other is in `test_tenants`."""

import os
from dataclasses import dataclass
from enum import Enum
from uuid import uuid4

import attrs
import pytest

from balancekit import (
    AggregateClient,
    ConfigError,
    CryptoprocessingProvider,
    GetManyProvider,
    HttpProvider,
    Request,
    Secret,
)


class Region(Enum):
    """Where an account is."""

    EU = 1


class OwnNonceProvider(HttpProvider):
    """An adapter that makes its own nonce, and keeps its secrets in a form of its own."""

    provider = "own-nonce"

    def __init__(self, account, *, merchant, secret, base_url="https://bank.example", **options):
        self._merchant, self._secret, self._options = merchant, Secret.of(secret).reveal().encode(), options
        super().__init__(account, base_url=base_url)

    def build_request(self, *, now, nonce):
        """Build a request that is another one each time."""
        return Request("POST", self.base_url, body=f"{self._merchant} {uuid4()}".encode())

    def read_response(self, response):
        """Read nothing."""
        return []


KEYS = object()


@pytest.mark.parametrize(
    ("settings", "again"),
    [
        ({"merchant": "m-1", "secret": "s"}, {"merchant": "m-1", "secret": "s"}),
        ({"merchant": "m-1", "secret": "s"}, {"secret": Secret("s"), "merchant": Secret("m-1")}),
        (
            {"merchant": b"m-1", "secret": "s", "keys": {"a": ["b"]}},
            {"merchant": b"m-1", "secret": "s", "keys": {"a": ("b",)}},
        ),
        ({"merchant": KEYS, "secret": "s"}, {"merchant": KEYS, "secret": "s", "base_url": "https://bank.example."}),
    ],
    ids=["text", "secrets", "nested", "object"],
)
def test_one_account_is_known_by_the_settings_of_its_adapter(settings, again):
    """Although no two of its requests are alike."""
    with pytest.raises(ConfigError, match=r"counted twice.*If they are two, set the `fingerprint` of each"):
        AggregateClient([OwnNonceProvider("a", **settings), OwnNonceProvider("b", **again)])


class EnvProvider(HttpProvider):
    """An adapter that finds its token by itself, and names each of its requests."""

    provider = "env"

    def __init__(self, account):
        self._token, self._first = Secret(os.environ["TOKEN"]), {"X-Hello": "1"}
        super().__init__(account, base_url="https://bank.example")

    def build_request(self, *, now, nonce):
        """Build a request with a name of its own, and the first one with another header."""
        headers, self._first = {"X-Request-Id": str(uuid4())} | self._first, {}
        return Request("GET", self.base_url, headers | {"Authorization": self._token.reveal()})

    def read_response(self, response):
        """Read nothing."""
        return []


class LooseProvider(OwnNonceProvider):
    """An adapter whose constructor takes anything."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)


@dataclass
class Settings:
    """The settings of an adapter in one object."""

    merchant: str
    region: Region


@attrs.define
class SettingsOfAttrs:
    """The same, by another library."""

    merchant: str
    region: Region


@pytest.mark.parametrize(
    "make",
    [
        EnvProvider,
        lambda label: LooseProvider(label, merchant="m-1", secret="s"),
        lambda label: LooseProvider(account=label, merchant="m-1", secret="s"),
        lambda label: OwnNonceProvider(label, merchant=Settings("m-1", Region.EU), secret="s"),
        lambda label: OwnNonceProvider(label, merchant=SettingsOfAttrs("m-1", Region.EU), secret="s"),
    ],
    ids=["environment", "any arguments", "any names", "dataclass", "attrs"],
)
def test_one_account_under_two_labels_is_refused_however_its_adapter_is_made(monkeypatch, make):
    """Although no two of its requests are alike."""
    monkeypatch.setenv("TOKEN", "token-0123456789")

    with pytest.raises(ConfigError, match="counted twice"):
        AggregateClient([make("a"), make("b")])


def test_accounts_whose_secrets_differ_are_two(monkeypatch):
    """Although nothing was passed to their adapters."""
    monkeypatch.setenv("TOKEN", "token-0123456789")
    first = EnvProvider("a")
    monkeypatch.setenv("TOKEN", "token-9876543210")

    AggregateClient([first, EnvProvider("b")])


@pytest.mark.parametrize(
    "other",
    [
        {"merchant": "m-2"},
        {"secret": "t"},
        {"merchant": object()},
        {"region": "eu"},
        {"region": Region.EU},
        {"base_url": "https://other.example"},
    ],
)
def test_accounts_that_differ_in_one_setting_are_two(other):
    """Such as the merchant, where the secret is that of a whole platform."""
    settings = {"merchant": "m-1", "secret": "s"}

    AggregateClient([OwnNonceProvider("a", **settings), OwnNonceProvider("b", **settings | other)])


def test_the_fingerprints_of_the_built_in_adapters_stay():
    """Snapshots that an earlier release has stored are those of the same accounts."""
    shop = CryptoprocessingProvider("shop", key="key", secret="secret")
    till = GetManyProvider(
        "till", key_id="id", signing_key="MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    )

    assert shop.fingerprint == "f20487ab4eadaa443b1e4853a02b49c3"
    assert till.fingerprint == "0002c5bebc21d6157706779296c23e34"


def test_the_settings_of_an_adapter_are_in_no_frame_of_what_its_constructor_raises(everything_shown_by):
    """Such as that of a setting that is not there."""
    with pytest.raises(TypeError) as caught:
        OwnNonceProvider("a", merchnt="hunter2hunter2")

    assert "hunter2" not in everything_shown_by(caught.value)


class Plain(HttpProvider):
    """An adapter as a page shows one: nothing is hidden before it is checked."""

    provider = "plain"

    def __init__(self, account, *, token, base_url):
        super().__init__(account, base_url=base_url)
        if len(token) > 8:
            raise self.config_error("token", "too long")

    build_request = read_response = None


@dataclass(eq=False)
class Decorated(Plain):
    """The same with a constructor that a decorator has written."""

    account: str
    token: str
    base_url: str

    def __post_init__(self):
        """Be made."""
        super().__init__(self.account, token=self.token, base_url=self.base_url)


@pytest.mark.parametrize("adapter", [Plain, Decorated])
@pytest.mark.parametrize(
    "settings",
    [
        {"token": "hunter2hunter2", "base_url": "https://plain.example"},
        {"token": "x", "base_url": "https://u:hunter2@h.example"},
    ],
    ids=["its own", "the base class's"],
)
def test_the_frames_of_a_constructor_are_not_in_its_config_error(everything_shown_by, settings, adapter):
    """An adapter of one's own need not think of error trackers."""
    with pytest.raises(ConfigError, match=r"^account 'a': (token: too long|base_url: credentials)") as caught:
        adapter("a", **settings)

    assert "hunter2" not in everything_shown_by(caught.value)


def test_what_derives_from_an_adapter_that_is_known_by_its_request_is_not():
    """Even if the class of the latter does not let its base classes see the other: it may need its settings."""

    class Quiet(CryptoprocessingProvider):
        def __init_subclass__(cls):
            """Take nothing."""

    class OneMerchant(Quiet):
        def __init__(self, account, *, merchant):
            super().__init__(account, key="key", secret="secret")
            self.read = lambda: merchant

    ours, theirs = OneMerchant("shop", merchant="alice"), OneMerchant("shop", merchant="bob")

    assert ours.fingerprint != theirs.fingerprint


def test_what_an_adapter_keeps_in_large_lists_is_no_setting():
    """Such as what it has read: to compare a million numbers holds up the event loop for a second."""

    class Large(list):
        readings = 0

        def __iter__(self):
            self.readings += 1
            return iter([])

    class Keeping(HttpProvider):
        provider = "keeping"

        def build_request(self, *, now, nonce):
            return Request("GET", self.base_url, {"Authorization": Secret("token").reveal()})

        def read_response(self, response):
            return []

    first, second = (Keeping("shop", base_url="https://bank.example") for _ in range(2))
    second.kept = Large(range(100_000))

    assert first.fingerprint == second.fingerprint != ""
    assert second.kept.readings == 0


class OtherCrypto(CryptoprocessingProvider):
    """The same API under a name of its own."""

    provider = "other-crypto"


class OtherEnv(EnvProvider):
    """The same under a name of its own, whose requests are no two alike either."""

    provider = "other-env"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: CryptoprocessingProvider("a", key="k", secret="s"), lambda: OtherCrypto("b", key="k", secret="s")),
        (lambda: EnvProvider("a"), lambda: OtherEnv("b")),
    ],
    ids=["built in", "another request each time"],
)
def test_one_account_is_refused_whatever_its_adapters_call_their_provider(monkeypatch, one, other):
    """They send the same credentials to one URL. If each reads a part of the response, their fingerprints say so."""
    monkeypatch.setenv("TOKEN", "token-0123456789")
    with pytest.raises(ConfigError, match=r"'b' would be counted twice: .* as 'a', as far as their requests show"):
        AggregateClient([one(), other()])

    parts = [one(), other()]
    for part in parts:
        part.fingerprint = f"part {part.account}"
    assert AggregateClient(parts).accounts == ("a", "b")


def test_adapters_of_two_providers_whose_requests_have_no_credentials_are_two():
    """Both may be at one path of a gateway, and each may read a part of its response."""

    class Other(GetManyProvider):
        provider = "other"

    client = AggregateClient([kind(kind.__name__, base_url="https://gateway/x") for kind in (GetManyProvider, Other)])

    assert client.accounts == ("GetManyProvider", "Other")


class Interrupting(dict):
    """A setting that is interrupted while it is read."""

    def items(self):
        """End the program."""
        raise KeyboardInterrupt


class Ending(HttpProvider):
    """An adapter that ends the program while it builds its request."""

    provider = "ending"

    def __init__(self, account, *, token, zones=None):
        super().__init__(account, base_url="https://bank.example")
        self._token = Secret(token)

    def build_request(self, *, now, nonce):
        """Reveal the token, and leave it in no frame."""
        assert self._token.reveal()
        raise SystemExit("no")

    def read_response(self, response):
        """Read nothing."""
        return []


@pytest.mark.parametrize(("zones", "kind"), [({}, SystemExit), (Interrupting(), KeyboardInterrupt)])
@pytest.mark.parametrize("name", ["fingerprint", "request_identity"])
def test_what_ends_the_program_while_an_account_is_identified_shows_no_secret(everything_shown_by, name, zones, kind):
    """Its request is built and its attributes are read for that, and error trackers report it, too."""
    provider = Ending("shop", token="canary-3f9a")
    provider.zones = zones

    with pytest.raises(kind) as caught:
        getattr(provider, name)

    assert "canary" not in everything_shown_by(caught.value)


def test_what_ends_the_program_while_an_account_is_made_shows_no_secret(everything_shown_by):
    """The settings are read before the constructor hides the secret."""
    with pytest.raises(KeyboardInterrupt) as caught:
        Ending("shop", token="canary-3f9a", zones=Interrupting())

    assert "canary" not in everything_shown_by(caught.value)
