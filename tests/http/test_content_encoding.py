"""Undoing the encoding of a body."""

import gzip
import zlib

import pytest
from hypothesis import given, strategies as st

from balancekit.http.content_encoding import EncodingError, UnsupportedEncodingError, decode_body


def raw_deflate(body):
    """Return a deflate stream without the zlib header that HTTP wants."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


ENCODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP ": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
}
BODIES = st.binary(max_size=300) | st.builds(bytes.__mul__, st.binary(max_size=9), st.integers(0, 30_000))


def decoded(body, encoding):
    """Return a decoded body whole."""
    return b"".join(decode_body(body, encoding))


@given(BODIES, st.sampled_from(list(ENCODINGS)))
def test_any_body_is_decoded_to_the_last_byte(body, encoding):
    """Whatever it is, and however often it repeats itself."""
    assert decoded(ENCODINGS[encoding](body), encoding) == body


@given(BODIES)
def test_no_piece_is_longer_than_64_kib(body):
    """A reader who stops at a limit has hardly more than that in memory."""
    assert max(map(len, decode_body(gzip.compress(body), "gzip"))) <= 2**16


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5))
def test_a_gzip_may_have_several_members(parts):
    """They are the parts of one body (RFC 1952, 2.2)."""
    assert decoded(b"".join(map(gzip.compress, parts)), "gzip") == b"".join(parts)


@given(BODIES, st.sampled_from(["gzip", "deflate"]), st.data())
def test_a_body_that_is_cut_is_decoded_as_far_as_it_goes(body, encoding, data):
    """What reads it finds out that the rest is missing."""
    encoded = ENCODINGS[encoding](body)
    cut = encoded[: data.draw(st.integers(0, len(encoded)))]

    assert body.startswith(decoded(cut, encoding))
    assert decoded(gzip.compress(body)[:-8], "gzip") == body


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"{}", "gzip"),
        (gzip.compress(b"{}")[:-8] + bytes(8), "gzip"),
        (gzip.compress(b"{}") + b"{}", "gzip"),
        (gzip.compress(b" ") * 101, "gzip"),
        (zlib.compress(b"{}")[:-1] + b"x", "deflate"),
    ],
    ids=["plain", "checksum", "something behind it", "101 members", "deflate's checksum"],
)
def test_what_is_not_encoded_so_is_refused(body, encoding):
    """The message says what it should be, and shows nothing of the body."""
    with pytest.raises(EncodingError, match=rf"^the body is not {encoding}, although its Content-Encoding says so$"):
        decoded(body, encoding)


@pytest.mark.parametrize("encoding", ["br", " BR", "zstd"])
def test_an_encoding_that_was_not_asked_for_is_named(encoding):
    """It could be decoded only with what may not be installed."""
    with pytest.raises(UnsupportedEncodingError, match=f"another way than asked for: {encoding.strip().lower()}$"):
        decoded(b"{}", encoding)


@pytest.mark.parametrize("encoding", ["", "identity", "x-new", "utf-8", "gzip, gzip"])
def test_what_is_no_encoding_changes_nothing(encoding):
    """Some servers write there what belongs elsewhere; what is no JSON then, is refused by what reads it."""
    assert decoded(b"{}", encoding) == b"{}"
