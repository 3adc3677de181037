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
    "identity, gzip": gzip.compress,
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
def test_a_body_that_is_cut_is_decoded_as_far_as_it_goes_and_refused(body, encoding, data):
    """A part of a number is another number; of an error, what there is may be shown."""
    encoded = ENCODINGS[encoding](body)
    cut = encoded[: data.draw(st.integers(1, len(encoded) - 1))]
    begun = []

    with pytest.raises(EncodingError):
        begun.extend(decode_body(cut, encoding))

    assert body.startswith(b"".join(begun))


def test_no_piece_is_made_of_more_than_16_kib():
    """A megabyte of blocks without content takes longer than the event loop may be held up."""
    blocks = b"\x00\x00\x00\xff\xff" * 200_000 + raw_deflate(b"{}")

    pieces = list(decode_body(blocks, "deflate"))

    assert b"".join(pieces) == b"{}"
    assert len(pieces) >= len(blocks) / 2**14


def test_a_body_without_a_byte_is_empty():
    """As that of a response without one."""
    assert decoded(b"", "gzip") == b""


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"{}", "gzip"),
        (gzip.compress(b"{}")[:-8] + bytes(8), "gzip"),
        (gzip.compress(b"{}") + b"{}", "gzip"),
        (zlib.compress(b"{}")[:-1] + b"x", "deflate"),
    ],
    ids=["plain", "checksum", "something behind it", "deflate's checksum"],
)
def test_what_is_not_encoded_so_is_refused(body, encoding):
    """The message says what it should be, and shows nothing of the body."""
    with pytest.raises(EncodingError, match=rf"^the body is not {encoding}, although its Content-Encoding says so$"):
        decoded(body, encoding)


def test_the_members_of_a_gzip_are_bounded():
    """Each takes the time of hundreds of bytes."""
    assert decoded(gzip.compress(b" ") * 1_000, "gzip") == b" " * 1_000

    with pytest.raises(EncodingError, match="more than 1000 members"):
        decoded(gzip.compress(b" ") * 1_001, "gzip")


@pytest.mark.parametrize("encoding", ["br", " BR", "zstd", "gzip, br"])
def test_an_encoding_that_was_not_asked_for_is_named(encoding):
    """It could be decoded only with what may not be installed."""
    with pytest.raises(UnsupportedEncodingError, match=r"another way than asked for: (br|zstd)$"):
        decoded(b"{}", encoding)


@pytest.mark.parametrize("encoding", ["", "identity", "x-new", "utf-8", "gzip, gzip"])
def test_what_is_no_encoding_changes_nothing(encoding):
    """Some servers write there what belongs elsewhere; what is no JSON then, is refused by what reads it."""
    assert decoded(b"{}", encoding) == b"{}"
