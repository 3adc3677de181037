"""Any response gives balances or a ProviderError; the same check as in tests/long/fuzz, without its search."""

import json
import runpy
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from balancekit import Response

FUZZ = runpy.run_path(str(Path(__file__).parent / "fuzz" / "read_responses.py"))
SAMPLES = sorted((Path(__file__).parents[1] / "samples").glob("*/*/*"))

NAMES = st.sampled_from(
    ["data", "balance", "value", "code", "decimals", "currency", "type", "error", "errors", "message"]
)
WORDS = st.sampled_from(FUZZ["WORDS"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | WORDS
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(NAMES | st.text(), inner), max_leaves=20)


@st.composite
def mutations(draw):
    """Change what a provider sends in a few places: bytes dropped, put in or sent twice."""
    body = draw(st.sampled_from(SAMPLES)).read_bytes()
    for _ in range(draw(st.integers(1, 4))):
        start, end = sorted(draw(st.tuples(st.integers(0, len(body)), st.integers(0, len(body)))))
        new = draw(st.binary(max_size=8) | WORDS.map(str.encode) | JSON.map(json.dumps).map(str.encode))
        body = body[:start] + new + draw(st.sampled_from([body[start:], body[end:]]))
    return body


DATES = st.datetimes().map("{:%a, %d %b %Y %H:%M:%S GMT}".format) | st.text("0123456789 :,-+.GMTJanThu")
HEADERS = st.dictionaries(st.sampled_from(["Retry-After", "Date", "X-Echo"]), DATES | st.text() | WORDS)
BODIES = st.binary() | JSON.map(json.dumps).map(str.encode) | mutations()


@pytest.mark.parametrize("provider", FUZZ["PROVIDERS"], ids=lambda provider: provider.provider)
@given(st.just(200) | st.sampled_from(FUZZ["STATUSES"]) | st.integers(100, 999), HEADERS, BODIES)
def test_any_response_keeps_what_is_promised(provider, status, headers, body):
    """Nothing else is raised than the status or the body stands for, and no secret that was sent back is shown."""
    FUZZ["check"](provider, Response(status, headers, body))


@given(st.binary(max_size=64))
def test_any_input_of_the_search_is_a_response(data):
    """The program in tests/long/fuzz takes any bytes, so that whatever it stops at is a finding."""
    FUZZ["run"](data)
