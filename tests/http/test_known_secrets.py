"""What is known to be secret of an adapter and its requests."""

import functools
import threading
from types import SimpleNamespace

import pytest

from balancekit import Request, Response, Secret
from balancekit.http.known_secrets import MAX_TEXT, secrets_of
from balancekit.http.redaction import redact

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


def test_secrets_are_the_values_of_headers_and_their_words():
    """A token is a secret without the scheme before it, too; what is public, or short enough to guess, is no secret."""
    headers = {"Authorization": "Bearer canary-token", "Content-Type": "application/json", "X-Try": "1"}
    request = Request("POST", "https://pay.example/?api_key=canary-query", headers, b"canary-body")

    secrets = secrets_of(None, request)

    hidden = ("Bearer canary-token", "Bearer", "canary-token", "canary-query", "canary-body")
    assert {secrets.mask(text) for text in hidden} == {"***"}
    assert secrets.mask("application/json, 1, pay.example") == "application/json, 1, pay.example"


def test_the_grant_of_a_token_is_no_secret():
    """RFC 6749 names it, and providers repeat its words, as in the code `invalid_client`."""
    body = b"grant_type=client_credentials&client_secret=canary-secret"
    secrets = secrets_of(None, Request("POST", "https://pay.example/token", body=body))

    assert redact("invalid_client: canary-secret", secrets) == "invalid_client: ***"


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
    ],
    ids=[
        *("private slot", "partial", "Secret in a partial", "bytearray", "long text", "thread", "closure"),
        *("Secret in a closure", "default", "keyword's default", "function in a closure"),
    ],
)
def test_a_text_is_known_however_an_adapter_keeps_it(kept):
    """It need not be an attribute itself."""
    assert redact(f"wrong password {PHRASE}", secrets_of(SimpleNamespace(kept=kept))) == "wrong password ***"


def test_what_a_function_works_on_is_not_searched_for_secrets():
    """As a stand-in in a test does: each word in it would be one."""
    assert redact("maintenance", secrets_of(SimpleNamespace(play=holding({"code": "maintenance"})[0]))) == "maintenance"


def test_a_response_that_an_adapter_keeps_is_not_searched_for_secrets():
    """Each word of it would be one, and be compared in every encoding: no credential is as long."""
    response = Response(200, body=b"internal failure ".rjust(MAX_TEXT + 1))

    secrets = secrets_of(SimpleNamespace(last=response, token=PHRASE))

    assert secrets.mask(f"internal failure, {PHRASE}") == "internal failure, ***"


def test_of_many_texts_that_an_adapter_keeps_those_nearest_to_it_are_known():
    """What is marked as a secret is known wherever it is."""
    rows = [{"note": f"row{number:06}".rjust(MAX_TEXT // 2)} for number in range(100)]

    secrets = secrets_of(SimpleNamespace(rows=rows, token=PHRASE, last=[[[Secret("tigerlily")]]]))

    assert secrets.mask(f"{PHRASE} tigerlily row000000 row000099") == "*** *** *** row000099"
