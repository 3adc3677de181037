"""What is known to be secret of an adapter and its requests."""

import functools
import threading
import tracemalloc
from collections.abc import Mapping, Sequence, Set as AbstractSet
from types import SimpleNamespace
from typing import ClassVar, NamedTuple

import pytest

from balancekit import Request, Response, Secret
from balancekit.http.known_secrets import MAX_TEXT, MAX_VALUES, credentials_of, secrets_of

PHRASE = "swordfish"


def holding(phrase):
    """Return functions that hold a text: in a cell beside an empty one, and as the default of a parameter."""

    def cell():
        return never, phrase

    if not phrase:
        never = phrase
    return cell, lambda bound=phrase: bound, lambda *, bound=phrase: bound


def local_of(phrase):
    """Return what keeps a text for this thread."""
    local = threading.local()
    local.phrase = phrase
    return local


class Slotted:
    """Keeps a password under a private name, in a slot."""

    __slots__ = ("__password",)

    def __init__(self):
        self.__password = PHRASE


class Counting:
    """A hundred times as many items as are searched, made when they are taken."""

    def __init__(self):
        self.taken = 0

    def __len__(self):
        return 100 * MAX_VALUES

    def __contains__(self, item):
        return True

    def __iter__(self):
        for number in range(len(self)):
            self.taken += 1
            yield f"{number:04}"

    def __getitem__(self, key):
        return key


class ManyItems(Counting, Sequence):
    """A sequence."""


class ManyMembers(Counting, AbstractSet):
    """A set."""


class ManyValues(Counting, Mapping):
    """A mapping."""


class Lazy:
    """Stands for an object that there is none of now, as a proxy for what a request has does outside of one."""

    def __getattribute__(self, name):
        raise RuntimeError("working outside of a request")


class Broken:
    """Has two items, and no others although it says so."""

    def __len__(self):
        return 3

    def __contains__(self, item):
        raise RuntimeError("broken")

    def __iter__(self):
        yield from ("tigerlily", Secret("marigolds"))
        raise RuntimeError("broken")

    def __getitem__(self, key):
        return key


class BrokenItems(Broken, Sequence):
    """A sequence."""


class BrokenMembers(Broken, AbstractSet):
    """A set."""


class BrokenValues(Broken, Mapping):
    """A mapping."""


class Exiting:
    """A secret that ends the program rather than be revealed."""

    def get_secret_value(self):
        """End the program."""
        raise SystemExit("the vault is closed")


class ExitingAttribute:
    """Ends the program when an attribute is looked up that it lists."""

    __slots__ = ("vault",)

    def __getattr__(self, name):
        raise SystemExit("the vault is closed")


class Settings:
    """Settings that a program has in a class, where the words are names for the most part."""

    password = Secret(PHRASE)
    fields = ("currency", "available")


class Deeper:
    """Has such settings in its class."""

    settings = Settings


class InMapping:
    """Has a secret in a mapping of its class."""

    settings: ClassVar = {"password": Secret(PHRASE)}


class Default:
    """Has a secret as the default of a method's parameter."""

    def sign(self, *, key=Settings.password):
        """Sign with it."""


class SecretBytes:
    """What imitates pydantic's."""

    def get_secret_value(self):
        """Reveal the bytes."""
        return PHRASE.encode()


class AsTuple(NamedTuple):
    """An adapter that is a tuple."""

    account: str
    password: object
    provider: str = "bank of england"


class AsMapping(dict):
    """An adapter that is a mapping."""

    account = "settlement shop"
    provider = "bank of england"


class AsList(list):
    """An adapter that is a list."""

    account = "settlement shop"
    provider = "bank of england"


class WithAttribute(dict):
    """A mapping that keeps something beside its values."""

    def __init__(self, password):
        super().__init__()
        self.password = password


def test_secrets_are_the_values_of_headers_and_their_words():
    """A token is a secret without the scheme before it, too; what is public, or short enough to guess, is no secret."""
    headers = {"Authorization": "Bearer canary-token", "Content-Type": "application/json", "X-Try": "1"}
    request = Request("POST", "https://pay.example/?api_key=canary-query", headers, b"canary-body")

    secrets = secrets_of(None, request)

    hidden = ("Bearer canary-token", "Bearer", "canary-token", "canary-query", "canary-body")
    assert {secrets.mask(text) for text in hidden} == {"***"}
    assert secrets.mask("application/json, 1, pay.example") == "application/json, 1, pay.example"


@pytest.mark.parametrize("body", [b'{"login": {"password": "tigerlily"}}', b"user=shop&password=tigerlily"])
def test_a_word_that_is_a_password_in_a_body_is_a_secret(body):
    """Its name in JSON or a form is that of a credential; other words are shown."""
    secrets = secrets_of(None, Request("POST", "https://pay.example/login", body=body))

    assert secrets.redact("the password of user shop is not tigerlily") == "the password of user shop is not ***"


def test_the_grant_of_a_token_is_no_secret():
    """RFC 6749 names it, and providers repeat its words, as in the code `invalid_client`."""
    body = b"grant_type=client_credentials&client_secret=canary-secret"
    secrets = secrets_of(None, Request("POST", "https://pay.example/token", body=body))

    assert secrets.redact("invalid_client: canary-secret") == "invalid_client: ***"


@pytest.mark.parametrize(
    "kept",
    [
        Slotted(),
        functools.partial(dict, password=PHRASE),
        functools.partial(print, Secret(PHRASE)),
        bytearray(PHRASE.encode()),
        PHRASE.rjust(MAX_TEXT),
        local_of(PHRASE),
        holding(PHRASE)[0],
        holding(Secret(PHRASE))[0],
        holding(PHRASE)[1],
        holding(PHRASE)[2],
        holding(holding(PHRASE)[1])[0],
        SecretBytes(),
        holding(SecretBytes())[0],
    ],
    ids=[
        *("private slot", "partial", "Secret in a partial", "bytearray", "long text", "thread", "closure"),
        *("Secret in a closure", "default", "keyword's default", "function in a closure"),
        *("SecretBytes", "SecretBytes in a closure"),
    ],
)
def test_a_text_is_known_however_an_adapter_keeps_it(kept):
    """It need not be an attribute itself."""
    assert secrets_of(SimpleNamespace(kept=kept)).redact(f"wrong password {PHRASE}") == "wrong password ***"


@pytest.mark.parametrize("known_by", [secrets_of, credentials_of])
@pytest.mark.parametrize(
    "adapter",
    [
        Settings(), InMapping(), Default(), Deeper(), SimpleNamespace(kept=Settings), SimpleNamespace(kept=Settings()),
        SimpleNamespace(kept=[Deeper()]), AsTuple("settlement shop", Secret(PHRASE)),
        AsMapping(password=Secret(PHRASE)), AsList([Secret(PHRASE)]),
        SimpleNamespace(kept=WithAttribute(Secret(PHRASE))),
        SimpleNamespace(kept={"password": Secret(PHRASE)}.values()),
    ],
    ids=[
        *("class", "mapping of a class", "default of a method", "class in a class", "class that is kept", "instance"),
        *("deep", "NamedTuple", "dict", "list", "attribute of a dict", "values of a dict"),
    ],
)  # fmt: skip
def test_a_secret_is_known_wherever_a_class_has_it(known_by, adapter):
    """It need not be an attribute of the instance; the other words that a class has, and labels, are shown."""
    secrets = known_by(adapter)

    assert secrets.redact(f"wrong password {PHRASE}") == "wrong password ***"
    honest = "currency, available, bank of england, settlement shop"
    assert secrets.redact(honest) == honest


@pytest.mark.parametrize("adapter", [AsTuple("shop", PHRASE), AsMapping(password=PHRASE), AsList([PHRASE])])
def test_a_text_is_known_that_an_adapter_has_as_its_item(adapter):
    """As one is that it has in an attribute."""
    assert secrets_of(adapter).redact(f"wrong password {PHRASE}") == "wrong password ***"


def test_what_a_function_works_on_is_not_searched_for_secrets():
    """As a stand-in in a test does: each word in it would be one."""
    assert secrets_of(SimpleNamespace(play=holding({"code": "maintenance"})[0])).redact("maintenance") == "maintenance"


def test_a_response_that_an_adapter_keeps_is_not_searched_for_secrets():
    """Each word of it would be one, and be compared in every encoding: no credential is as long."""
    response = Response(200, body=b"internal failure ".rjust(MAX_TEXT + 1))

    secrets = secrets_of(SimpleNamespace(last=response, token=PHRASE))

    assert secrets.mask(f"internal failure, {PHRASE}") == "internal failure, ***"


def test_no_copy_is_made_of_megabytes_that_an_adapter_keeps():
    """Nor are they decoded, since no text that is searched is as long; one with long characters is."""
    adapter = SimpleNamespace(upload=bytes(10_000_000), name=f"{PHRASE} {'€' * (MAX_TEXT - 10)}".encode())
    tracemalloc.start()
    try:
        secrets = secrets_of(adapter)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1_000_000
    assert secrets.mask(f"wrong password {PHRASE}") == "wrong password ***"


def test_of_many_texts_that_an_adapter_keeps_those_nearest_to_it_are_known():
    """What is marked as a secret is known wherever it is."""
    rows = [{"note": f"row{number:06}".rjust(MAX_TEXT // 2)} for number in range(100)]

    secrets = secrets_of(SimpleNamespace(rows=rows, token=PHRASE, last=[[[Secret("tigerlily")]]]))

    assert secrets.mask(f"{PHRASE} tigerlily row000000 row000099") == "*** *** *** row000099"


@pytest.mark.parametrize("kind", [ManyItems, ManyMembers, ManyValues])
def test_of_many_items_no_more_are_taken_than_are_searched(kind):
    """They may be made when they are taken, as those of a `range` are, and have no end."""
    many = kind()

    secrets = secrets_of(SimpleNamespace(many=many, token=PHRASE))

    assert secrets.mask(f"wrong password {PHRASE}") == "wrong password ***"
    assert many.taken <= MAX_VALUES


@pytest.mark.parametrize("known_by", [secrets_of, credentials_of])
@pytest.mark.parametrize(
    "kept", [Lazy, BrokenItems, BrokenMembers, BrokenValues, Exiting, ExitingAttribute, lambda: Secret(b"bytes")]
)
def test_a_value_that_cannot_be_looked_at_hides_no_other_one(known_by, kept):
    """Whatever it raises, what the adapter keeps beside it is known, and what was found in it."""
    secrets = known_by(SimpleNamespace(kept=kept(), password=Secret(PHRASE)))

    assert secrets.mask(f"wrong password {PHRASE}") == "wrong password ***"
    if issubclass(type(kept()), Broken):
        assert secrets.mask("marigolds") == "***"


@pytest.mark.parametrize("known_by", [secrets_of, credentials_of])
def test_an_attribute_that_ends_the_program_hides_no_other_one(known_by):
    """Nor does an adapter without a list of its attributes hide what requests have."""

    class Adapter(ExitingAttribute):
        def __init__(self):
            self.password = Secret(PHRASE)

    assert known_by(Adapter()).mask(f"wrong password {PHRASE}") == "wrong password ***"
    request = Request("GET", "https://pay.example", {"X-Api-Key": PHRASE})
    assert known_by(Lazy(), request).mask(f"wrong password {PHRASE}") == "wrong password ***"


def test_secrets_that_are_made_when_they_are_taken_are_all_known():
    """The place in memory of one may be that of another, which is gone."""

    class Made(Sequence):
        def __init__(self, number):
            self.number = number

        def __len__(self):
            return 1

        def __getitem__(self, index):
            if index:
                raise IndexError(index)
            return Secret(f"swordfish{self.number:03}")

    made = []
    for number in range(20):
        made = [Made(number), made]

    secrets = secrets_of(SimpleNamespace(made=made))

    words = [f"swordfish{number:03}" for number in range(20)]
    assert [secrets.mask(word) for word in words] == ["***"] * 20
