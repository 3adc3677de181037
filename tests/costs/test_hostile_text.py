"""What text that a server has chosen costs, within the bounds on its size: counts that are the same on any machine."""

import tracemalloc
from typing import ClassVar

import pytest
from multidict import CIMultiDict

from balancekit import Response
from balancekit.http.clock_skew import date_of
from balancekit.http.content_encoding import decode_body
from balancekit.http.messages import cached_for
from balancekit.http.quotations import Secrets
from balancekit.http.retry_after import retry_after_of
from balancekit.http.secret import looks_like_words
from balancekit.http.words import NOT_SHOWN, only_words
from tests.support.calls import calls_of

HEADERS = 100
"""How many headers aiohttp reads, more or less."""
LINE = 8_000
"""How long each may be."""


@pytest.mark.parametrize("value", ["1,", "a,", "1 Jan 2026 1:1:1,", "Mon,"])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("Retry-After", lambda response: retry_after_of(response, now=0.0)),
        ("Age", cached_for),
        ("Age", date_of),
        (
            "Content-Encoding",
            lambda response: list(decode_body(b"", ",".join(response.headers.getall("Content-Encoding")))),
        ),
    ],
    ids=["Retry-After", "Age", "Age beside Date", "Content-Encoding"],
)
def test_a_header_of_any_number_of_values_costs_as_much_as_one_of_a_few_hundred(name, read, value):
    """A response may have a megabyte of headers, each a list, and the event loop stands still while they are read."""
    response = Response(503, CIMultiDict([(name, value * (LINE // len(value)))] * HEADERS))

    assert calls_of(read, response) < 10_000


class Searched(str):
    """A text that counts how often it is searched for another."""

    __slots__ = ()
    searches: ClassVar[list[str]] = []

    def __contains__(self, part):
        self.searches.append(part)
        return super().__contains__(part)


def test_what_an_adapter_keeps_is_not_searched_for_each_letter_of_an_error(monkeypatch):
    """A search takes most of a millisecond where an adapter keeps as much text as may be a secret."""
    secrets = Secrets(["correcthorsebattery" * 500])
    spelled = Searched(secrets._spelled)
    monkeypatch.setattr(Secrets, "_spelled", spelled)
    words = [f"{first}{second}" for first in ("bala", "mercha", "provi") for second in ("nced", "nting", "der", "ors")]

    shown = Secrets(["correcthorsebattery" * 500]).redact(" ".join([*words, "rectho", *words * 10, "403"]))

    assert shown.split()[12] == "…"
    assert shown.split()[-1] == "403"
    assert len(spelled.searches) < 100


def test_characters_that_stand_for_many_cost_as_much_as_others():
    """An Arabic ligature is eighteen letters to a search for look-alikes: an error has a few thousand at most."""
    assert calls_of(only_words, "\ufdfa " * 1_000) < 5 * calls_of(only_words, "balances " * 1_000)


def test_marks_after_what_is_not_shown_are_read_once():
    """A row of a hundred thousand is no work: it would take minutes if each were tried as the first of a gap."""
    marks = "!?" * 50_000

    assert only_words(f"{NOT_SHOWN}{marks}") == f"{NOT_SHOWN}{marks}"
    assert only_words(f"{NOT_SHOWN}{marks}{NOT_SHOWN}") == NOT_SHOWN


def test_a_name_of_one_letter_words_costs_as_many_calls_as_any():
    """An id may have a mark between any two letters."""
    assert calls_of(looks_like_words, "a-" * 100) < 10
    assert calls_of(looks_like_words, "\u0301" * 200) < 10


def test_names_of_characters_that_stand_for_many_are_compared_as_they_are():
    """Written out, a megabyte of one would be five million letters."""
    credentials = Secrets(["kid-0123456789"])
    names = [f"{number:06d}".rjust(200, "\ufdfa") for number in range(600)]
    # What is made of the credentials, and of each character, is made once.
    credentials.may_be_in(names)
    tracemalloc.start()
    credentials.may_be_in(names)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 30 * 200 * len(names)
