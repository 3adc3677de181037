"""Whether text quotes a secret: a dozen of its letters and digits in a row, however they are encoded or separated."""

import base64
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final

_MIN_QUOTATION: Final = 12
"""How many letters and digits of a secret count as a quotation; of a shorter secret, all of them."""

_MIN_SECRET: Final = 6

_MIN_ENCODED: Final = 8

# Any twelve characters hold a block of six that begins at a multiple of seven: only those are looked up.
_BLOCK: Final = 6
_STRIDE: Final = _MIN_QUOTATION - _BLOCK + 1

_MAX_BLOCKS: Final = 100
"""How many blocks are looked at more closely; text with more of them counts as a quotation."""

_OTHER_BYTES: Final = bytes(byte for byte in range(256) if not bytes([byte]).isalnum())

# Each branch begins with a character of its own, by which `re` finds them several times faster.
_ENCODED: Final = re.compile(
    r"%(?:u00)?([0-9a-fA-F]{2})"
    r"|=([0-9a-fA-F]{2})"
    r"|\\(?:(?:x|[uU](?:000000|00)|u\{0*)([0-9a-fA-F]{2})\}?|([0-3][0-7]{2})|[abefnrtv0])"
    r"|&(?:#[xX]0*([0-9a-fA-F]{2});?|#0*([0-9]{2,3});?|([a-zA-Z]{2,8});)"
)
"""A character by number as in URLs, quoted-printable, program text and HTML, or a name that HTML has for one."""

_NAMED: Final = {"lt": "<", "gt": ">", "amp": "&"}

_MAX_ENCODED: Final = 2_500
"""How many encoded characters are decoded; text with more of them counts as a quotation."""

_MAX_NESTED: Final = 3

_TAG: Final = re.compile(r"<[^<>]*>")


class Secrets(frozenset[str]):
    """Texts that must not be shown; none is in the repr."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Secrets":
        """Return the texts as they are if they are `Secrets`, which keep what was made of them."""
        return texts if isinstance(texts, cls) else cls(texts)

    def __repr__(self) -> str:
        return "Secrets('***')"

    def in_plain(self, text: str) -> list[str]:
        """Return those that text contains as they are, in upper or lower case; the longest first."""
        lowered = text.lower()
        return sorted((secret for secret in self if secret and secret.lower() in lowered), key=len, reverse=True)

    def quoted_in(self, text: str) -> bool:
        """Return whether text quotes one of the secrets; True as well where that would take too long to find out."""
        whole, joined = self._spellings
        for form in _decoded(text) if whole or joined else ():
            if form is None or any(secret in form for secret in whole):
                return True
            # The blocks of the shorter text are looked up in the longer one.
            if len(form) > len(joined):
                shares = _share_run(form, joined, self._blocks)
            else:
                shares = _share_run(joined, form, _blocks_of(form))
            if shares:
                return True
        return False

    @cached_property
    def _spellings(self) -> tuple[frozenset[str], str]:
        """Those of which all counts, and the others in one text."""
        spelled = {(_bare(text), least) for secret in self for text, least in _spellings_of(secret)}
        whole = frozenset(text for text, least in spelled if least <= len(text) < _MIN_QUOTATION)
        return whole, "\n".join(text for text, _ in spelled if len(text) >= _MIN_QUOTATION)

    @cached_property
    def _blocks(self) -> frozenset[str]:
        return _blocks_of(self._spellings[1])


def _blocks_of(text: str) -> frozenset[str]:
    return frozenset([text[at : at + _BLOCK] for at in range(len(text) - _BLOCK + 1)])


def _share_run(longer: str, shorter: str, blocks: frozenset[str]) -> bool:
    """Return whether two texts have a dozen characters in common; `blocks` are those of the shorter one."""
    found = [at for at in range(0, len(longer), _STRIDE) if longer[at : at + _BLOCK] in blocks]
    if len(found) > _MAX_BLOCKS:
        return True
    starts = (start for at in found for start in range(max(at - _STRIDE + 1, 0), at + 1))
    runs = (longer[start : start + _MIN_QUOTATION] for start in starts)
    return any(len(run) == _MIN_QUOTATION and run in shorter for run in runs)


def _bare(text: str) -> str:
    """Return the ASCII letters and digits alone, in lower case."""
    return text.encode("utf-8", "replace").translate(None, _OTHER_BYTES).lower().decode()


def _decoded(text: str) -> Iterator[str | None]:
    """Give the letters and digits of text, and of what it may stand for; None if that is too much to decode."""
    # No other characters count, and without NULs text in UTF-16 and UTF-32 is ASCII.
    text = text.encode("ascii", "ignore").replace(b"\0", b"").decode()
    for _ in range(_MAX_NESTED + 1):
        yield _bare(text)
        without_tags, count = _TAG.subn("", text)
        if count:
            yield _bare(without_tags)
        text, count = _ENCODED.subn(_decode, text, _MAX_ENCODED + 1)
        if count > _MAX_ENCODED:
            yield None
        if not count:
            break


def _decode(encoded: re.Match[str]) -> str:
    percent, quoted, escape, octal, entity, decimal, name = encoded.groups()
    hexadecimal = percent or quoted or escape or entity
    if hexadecimal:
        return chr(int(hexadecimal, 16))
    if name:
        return _NAMED.get(name.lower(), "")
    return chr(int(decimal)) if decimal else chr(int(octal, 8)) if octal else ""


def _spellings_of(secret: str) -> Iterator[tuple[str, int]]:
    """Give a secret as it is and in hexadecimal and base64, and how long the whole of it must be to count.

    If it is in one of these itself, as signatures are, the bytes that it stands for are given as well.
    """
    yield secret, _MIN_SECRET
    text = secret.encode("utf-8", "replace")
    contents = {text, secret.encode("utf-16-le", "replace")}
    with_padding = secret.translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
    for decode, encoded in ((bytes.fromhex, secret), (_from_base64, with_padding + "=" * (-len(with_padding) % 4))):
        try:
            decoded = decode(encoded)
        except ValueError:
            continue
        contents.add(decoded)
        # A user and a password, for example.
        yield decoded.decode("utf-8", "replace"), _MIN_ENCODED
    for content in contents:
        yield content.hex(), _MIN_ENCODED
        # What is before it shifts all characters of base64.
        for skipped in range(3):
            whole = len(content) - (len(content) - skipped) % 3
            yield base64.b64encode(content[skipped:whole]).decode(), _MIN_ENCODED


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
