"""Texts that must not be shown, and what quotes them: in plain, in part, or encoded so that it looks like words."""

import base64
import codecs
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final, cast

from balancekit.http.words import NOT_SHOWN, only_words

_MASK: Final = "***"

_MIN_QUOTATION: Final = 6
"""How many letters and digits of a secret in a row count as a quotation."""

_MIN_REPETITION: Final = 12
_MIN_SECRET: Final = 8

_MAX_TEXT: Final = 2_000
"""How many characters of a text are read at all."""

_MARKS: Final = bytes(byte for byte in range(128) if not chr(byte).isalnum())

_WORD: Final = re.compile(r"[^\W_]+")


class Secrets:
    """Texts that must not be shown. They cannot be iterated, which error trackers do, and none is in the repr."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts: frozenset[str] = frozenset(texts)

    @classmethod
    def of(cls, texts: "Iterable[str] | Secrets") -> "Secrets":
        """Return the texts as they are if they are `Secrets`, which keep what was made of them."""
        return texts if isinstance(texts, cls) else cls(cast("Iterable[str]", texts))

    def __bool__(self) -> bool:
        return bool(self._texts)

    def __repr__(self) -> str:
        return "Secrets('***')"

    def redact(self, text: str) -> str:
        """Return the start of a text with `***` in place of the secrets, and `…` in place of what may quote them.

        That is all that looks like no word, and every word with a part of a secret or of one of its encodings.
        """
        return self.without_quotations(only_words(self.mask(text[:_MAX_TEXT])))

    def mask(self, text: str) -> str:
        """Return text with `***` in place of the secrets, in upper or lower case."""
        lowered = text.lower()
        # The longest first, since one may be a part of another.
        found = sorted(
            (secret for secret in self._texts if secret and secret.lower() in lowered), key=len, reverse=True
        )
        return re.sub("|".join(map(re.escape, found)), _MASK, text, flags=re.IGNORECASE) if found else text

    def without_quotations(self, text: str) -> str:
        """Return text with `…` in place of each word that is a part of a quotation, whatever separates its parts."""
        words = list(_WORD.finditer(text))
        # Where the letters and digits of each word begin in the text that has nothing else.
        bare, starts = "", list[int]()
        for word in words:
            starts.append(len(bare))
            bare += _bare(word[0])
        quoted = [at for at in range(len(bare) - _MIN_QUOTATION + 1) if bare[at : at + _MIN_QUOTATION] in self._spelled]
        if not quoted:
            return text
        hidden = {place for at in quoted for place in range(at, at + _MIN_QUOTATION)}
        for word, start in zip(reversed(words), reversed(starts), strict=True):
            if not hidden.isdisjoint(range(start, start + len(_bare(word[0])))):
                text = text[: word.start()] + NOT_SHOWN + text[word.end() :]
        return text

    def found_in(self, names: Iterable[str]) -> bool:
        """Return whether a name has a secret in it, or is a dozen characters or more of one."""
        secrets = [secret for secret in self._texts if len(secret) >= _MIN_SECRET]
        return any(
            secret in name or (len(name) >= _MIN_REPETITION and name in secret) for name in names for secret in secrets
        )

    def repeated_in(self, names: Iterable[str]) -> bool:
        """Return whether names have a dozen characters of a secret, or of one of its encodings, in a row."""
        bare = _bare("\n".join(names))
        starts = range(len(bare) - _MIN_REPETITION + 1)
        return any(bare[at : at + _MIN_REPETITION] in self._pieces for at in starts)

    def quoted_in(self, text: str) -> bool:
        """Return whether a text has a secret, or a part of one or of its encodings."""
        return self.mask(text) != text or self.without_quotations(text) != text

    @cached_property
    def _pieces(self) -> frozenset[str]:
        """The pieces of a dozen characters of all secrets."""
        text = self._spelled
        return frozenset(text[at : at + _MIN_REPETITION] for at in range(len(text) - _MIN_REPETITION + 1))

    @cached_property
    def _spelled(self) -> str:
        """All secrets as they are and in the encodings that look like words, without marks."""
        return "\n".join({_bare(text) for secret in self._texts for text in _spellings_of(secret)})


def _bare(text: str) -> str:
    """Return the letters and digits alone, in lower case."""
    if text.isascii():
        # Many times faster.
        return text.encode().translate(None, _MARKS).decode().lower()
    return "".join(filter(str.isalnum, text.lower()))


def _spellings_of(secret: str) -> Iterator[str]:
    """Give a secret as it is, and in the encodings that consist of letters for the most part.

    If it is in hexadecimal or base64 itself, as signatures are, the bytes that it stands for count too.
    """
    yield secret
    yield secret[::-1]
    yield codecs.encode(secret, "rot13")
    text = secret.encode("utf-8", "replace")
    contents = {text, secret.encode("utf-16-le", "replace")}
    for decoded in decodings(secret):
        contents.add(decoded)
        # A user and a password, for example.
        yield decoded.decode("utf-8", "replace")
    for content in contents:
        # What is before it shifts all characters of an encoding.
        yield from (base64.b64encode(content[skipped:]).decode() for skipped in range(3))
    yield from (base64.b32encode(text[skipped:]).decode() for skipped in range(5))
    yield base64.b64encode(base64.b64encode(text)).decode()
    yield base64.b85encode(text).decode()
    yield base64.a85encode(text).decode()


def decodings(text: str) -> Iterator[bytes]:
    """Give the bytes that a text stands for in hexadecimal or base64, if it may be one of them."""
    base64_text = text.translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
    for decode, encoded in ((bytes.fromhex, text), (_from_base64, base64_text + "=" * (-len(base64_text) % 4))):
        try:
            yield decode(encoded)
        except ValueError:
            continue


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
