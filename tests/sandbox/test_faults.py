"""Which faults there are, and which parts contradict each other."""

import gzip
import tracemalloc
import zlib

import pytest

from balancekit.sandbox import Fault


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"status": 99},
        {"status": 600},
        {"delay": -1},
        {"delay": float("nan")},
        {"delay": float("inf")},
        {"cut_after": -1},
        {"headers": {"A b": "c"}},
        {"headers": {"A": "b\r\nC: d"}},
        {"headers": {"content-length": "1"}},
        {"raw": b"", "status": 200},
        {"raw": b"", "headers": {"A": "b"}},
        {"raw": b"", "cut_after": 1},
        {"raw": b"", "hang": True},
        {"hang": True, "body": b""},
        {"hang": True, "delay": 1},
        {"status": 204, "body": b"x"},
        {"status": 304, "cut_after": 1},
        {"status": 204, "stop": "body"},
        {"status": 204, "length_error": 1},
        {"stop": "tail"},
        {"drip": "start"},
        {"drip": "body", "interval": 0},
        {"drip": "body", "interval": float("inf")},
        {"ending": "never"},
        {"stop": "head", "cut_after": 1},
        {"stop": "head", "length_error": 1},
        {"cut_after": 1, "length_error": 1},
        {"raw": b"", "stop": "start"},
        {"raw": b"", "length_error": 1},
        {"endless": b"x"},
        {"raw": b"", "endless": b""},
        {"raw": b"", "endless": b"x", "ending": "reset"},
        {"raw": b"", "ending": "reset-next"},
        {"cut_after": 1, "ending": "reset-next"},
        {"drip": "body", "ending": "reset-next"},
        {"hang": True, "drip": "head"},
        {"hang": True, "ending": "reset"},
        {"hang": True, "length_error": 1},
    ],
    ids=lambda parts: "+".join(parts) or "nothing",
)
def test_parts_that_contradict_each_other_are_an_error(parts):
    """So are a part out of its range, and a fault in which nothing goes wrong."""
    with pytest.raises(
        ValueError, match=r"must be|header|place|sends nothing|no body|needs something|follow|what is missing"
    ):
        Fault(**parts)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fault.redirect("/", status=304),
        lambda: Fault.redirect("/\r\nA: b"),
        lambda: Fault.bomb(mebibytes=0),
        lambda: Fault.bomb(mebibytes=1, encoding="br"),
        lambda: Fault.cut("end"),
    ],
    ids=["status", "target", "size", "encoding", "part"],
)
def test_a_fault_made_by_name_is_checked_too(make):
    """An impossible fault is an error when it is made, not when a request meets it."""
    with pytest.raises(ValueError, match=r"must be|not a header"):
        make()


def test_a_large_body_is_not_shown_whole():
    """The repr of a fault, which is in that of each request that met it, has the size and the start of its body."""
    shown = repr(Fault(body="x" * 1_000_000))

    assert len(shown) < 1_000
    assert "body=<1000000 bytes: b'xxx" in shown


@pytest.mark.parametrize(("encoding", "decompress"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
def test_a_bomb_is_small_and_valid(encoding, decompress):
    """It decompresses to the given size, from a thousandth of it, with a valid checksum."""
    fault = Fault.bomb(mebibytes=8, encoding=encoding)

    assert fault.headers["Content-Encoding"] == encoding
    assert len(fault.body) < 10_000
    assert decompress(fault.body) == b" " * 8 * 2**20


def test_a_bomb_is_made_in_little_memory():
    """One of a gigabyte takes a few megabytes."""
    tracemalloc.start()
    try:
        Fault.bomb(mebibytes=1024)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 * 2**20
