"""Keys that an object in a JSON text has twice."""

import pytest
from hypothesis import given, strategies as st

from balancekit.money.exact_json import ShapeError, decode_counted, decode_distinct, decode_json
from tests.support import json_text


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"a":1,"a":1}', "a"),
        ('{"a":1,"\\u0061":2}', "a"),
        ('[0,{"b":{"c":[{"d":1,"d":2}]}}]', "[1].b.c[0].d"),
        ('{"a":{"b":1,"b":2},"a":0}', "a"),
        ('{"a":{"b":1,"b":2},"c":{"d":1,"d":2}}', "a.b"),
        ('{"":{"b":1,"b":2}}', "?.b"),
        ('{"a b":1,"a b":2}', "?"),
        ('{"a":1.5,"a":"\\u002c"}', "a"),
        ('{"a":"\\ud800","a":"x"}', "a"),
    ],
)
def test_a_key_that_an_object_has_twice_is_named_by_its_path(text, path):
    """Of several the first is named; a key that is no name is not shown."""
    with pytest.raises(ShapeError) as caught:
        decode_distinct(text.encode())

    assert str(caught.value) == f"{path}: given twice"


@pytest.mark.parametrize(
    "text",
    ['[{"a":1},{"a":1}]', '{"a":{"a":"a"},"A":"\\u005d"}', '["\\ud800",","]', '{"a":[],"b":{}}', f"[1.5,{'9' * 99}]"],
)
def test_a_key_may_be_in_several_objects(text):
    """It is unique in each of them."""
    assert decode_distinct(text.encode()) == decode_json(text.encode())


def test_of_two_values_of_a_key_the_last_is_decoded_where_it_does_not_matter():
    """Error responses and webhooks are not refused for it."""
    assert decode_json(b'{"a":1,"a":2}') == {"a": 2}


TEXTS = st.recursive(
    st.sampled_from([None, b"1.5", b"1e400", 10**30, "", ",", "[{", b'"\\u002C"', b'"\\ud800"', "é"]),
    lambda inner: st.lists(inner, max_size=3) | json_text.objects({}, more=inner),
    max_leaves=12,
).map(json_text.write)


@given(TEXTS)
def test_an_object_with_a_key_twice_is_always_refused(text):
    """What is refused is what the standard library finds, wherever it is and however the key is written."""
    body = text.encode()

    if json_text.has_duplicates(text):
        with pytest.raises(ShapeError, match=r": given twice$"):
            decode_distinct(body)
        assert decode_counted(body)[1] > values_in(decode_json(body))
    else:
        assert repr(decode_distinct(body)) == repr(decode_json(body))
        assert decode_counted(body)[1] >= values_in(decode_json(body))


def values_in(value):
    """Return how many values there are in a decoded value, with itself."""
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(values_in, members))
