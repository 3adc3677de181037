"""Texts that must not be shown, and what quotes them: in plain, in part, or encoded so that it looks like words."""

import base64
import binascii
import codecs
import itertools
import re
import string
import struct
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from typing import Final

from balancekit.http.words import NOT_SHOWN, only_words

_MASK: Final = "***"

_MIN_QUOTATION: Final = 6
"""How many letters and digits of a secret in a row count as a quotation."""

_MAX_SEARCHES: Final = 64
"""For how many pieces a search for each takes less time than one pass over all spellings."""

_MIN_SHORT: Final = 4
_MIN_REPETITION: Final = 12
_MIN_SECRET: Final = 8

_MAX_TEXT: Final = 2_000
"""How many characters of a text are read at all."""

_MAX_LIGATURE: Final = 4
"""How many letters a character of a name may stand for: one of Arabic stands for fifteen, five times what was sent."""

_MARKS: Final = bytes(byte for byte in range(128) if not chr(byte).isalnum())

_WORD: Final = re.compile(r"[^\W_]+")

_BASE85: Final = str.maketrans(
    "".join(map(chr, range(ord("!"), ord("!") + 85))),
    string.digits + string.ascii_uppercase + string.ascii_lowercase + "!#$%&()*+-;<=>?@^_`{|}~",
)
"""The digit of base85 (RFC 1924) that has the value of each digit of Ascii85."""


class Secrets:
    """Texts that must not be shown. They cannot be iterated, which error trackers do, and none is in the repr."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts: frozenset[str] = frozenset(texts)

    def __repr__(self) -> str:
        return "Secrets('***')"

    def redact(self, text: str) -> str:
        """Return the start of a text with `***` in place of the secrets, and `…` in place of what may quote them.

        That is all that looks like no word, and every word with a part of a secret or of one of its encodings.
        """
        (shown,) = self.redact_adjacent(text)
        return shown

    def redact_adjacent(self, *texts: str) -> list[str]:
        """Redact texts that are shown one after the other: a quotation may begin in one and end in the next."""
        shown = (only_words(self.mask(text[:_MAX_TEXT])) for text in texts)
        # Only the separator is a NUL by now: `only_words` leaves none.
        return self.without_quotations("\0".join(shown)).split("\0")

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
        pieces = [bare[at : at + _MIN_QUOTATION] for at in range(len(bare) - _MIN_QUOTATION + 1)]
        known = self._known_of({*pieces})
        quoted = [at for at, piece in enumerate(pieces) if piece in known]
        hidden = {place for at in quoted for place in range(at, at + _MIN_QUOTATION)}
        hidden.update(start for word, start in zip(words, starts, strict=True) if _bare(word[0]) in self._short)
        if not hidden:
            return text
        for word, start in zip(reversed(words), reversed(starts), strict=True):
            if not hidden.isdisjoint(range(start, start + len(_bare(word[0])))):
                text = text[: word.start()] + NOT_SHOWN + text[word.end() :]
        return text

    def _known_of(self, pieces: Collection[str]) -> set[str]:
        """Return those pieces of a quotation's length that are in a spelling of a secret, with others of its parts."""
        if len(pieces) <= _MAX_SEARCHES:
            return {piece for piece in pieces if piece in self._spelled}
        if len(pieces) > len(self._spelled):
            return _parts_of(self._spelled, _MIN_QUOTATION)
        # In one pass, over what consists of their letters and digits. Sorted, since `re` keeps what it has compiled.
        letters = "".join(sorted({*"".join(pieces)} & {*self._spelled}))
        runs: list[str] = re.findall(f"[{letters}]{{{_MIN_QUOTATION},}}", self._spelled) if letters else []
        return {part for run in runs for part in _parts_of(run, _MIN_QUOTATION)}

    def may_be_in(self, names: Iterable[str]) -> bool:
        """Return whether `found_in` or `repeated_in` may be true of names, in one pass over all of them."""
        text = self._lines_of(names)
        short = (whole for whole in self._wholes if len(whole) < _MIN_REPETITION)
        return bool(self._of_marks) or any(whole in text for whole in short) or self._has_piece(text)

    def found_in(self, names: Collection[str]) -> bool:
        """Return whether a name has a secret in it, encoded or not, or is a dozen characters or more of one."""
        text = self._lines_of(names)
        if any(whole in text for whole in self._wholes) or any(
            secret in name for secret in self._of_marks for name in names
        ):
            return True
        secrets = "\n".join(map(_bare, self._texts))
        return any(len(name) >= _MIN_REPETITION and name in secrets for name in text.split("\n"))

    def repeated_in(self, names: Iterable[str]) -> bool:
        """Return whether a name has a dozen characters of a secret, or of one of its encodings, in a row."""
        return self._has_piece(self._lines_of(names))

    def _lines_of(self, names: Iterable[str]) -> str:
        """Return the letters and digits of each name on a line of its own, with long ligatures as they are.

        Unless a secret may have one, or what it stands for.
        """
        letters_of = _letters_of_name if all(map(str.isascii, self._texts)) else _bare
        return "\n".join(map(letters_of, names))

    def _has_piece(self, lines: str) -> bool:
        # No shorter name can have a repetition; most codes and chains are shorter.
        text = "\n".join(re.findall(f".{{{_MIN_REPETITION},}}", lines))
        # Any twelve characters in a row contain one of these, which begin at every seventh: to look up all takes up to
        # seven times as long.
        step = _MIN_REPETITION - _MIN_QUOTATION + 1
        samples = [text[at : at + _MIN_QUOTATION] for at in range(0, len(text) - _MIN_QUOTATION + 1, step)]
        known = self._known_of(samples)
        repetitions = (
            repetition
            for number, sample in enumerate(samples)
            if sample in known
            for start in range(max((number - 1) * step + 1, 0), min(number * step, len(text) - _MIN_REPETITION) + 1)
            if "\n" not in (repetition := text[start : start + _MIN_REPETITION])
        )
        few = [*itertools.islice(repetitions, _MAX_SEARCHES)]
        if len(few) < _MAX_SEARCHES:
            return any(repetition in self._spelled for repetition in few)
        # A server can make megabytes of names that share eleven characters with a secret.
        return not _parts_of(self._spelled, _MIN_REPETITION).isdisjoint(itertools.chain(few, repetitions))

    def quoted_in(self, text: str) -> bool:
        """Return whether a text has a secret, or a part of one or of its encodings."""
        return self.mask(text) != text or self.without_quotations(text) != text

    @cached_property
    def _wholes(self) -> frozenset[str]:
        """All secrets that are long enough, as they are and in the encodings, without marks."""
        of_long = (spellings for secret, spellings in self._spellings.items() if len(secret) >= _MIN_SECRET)
        return frozenset(whole for spellings in of_long for whole in spellings if len(whole) >= _MIN_QUOTATION)

    @cached_property
    def _short(self) -> frozenset[str]:
        """The secrets with too few letters and digits for a quotation, which are known as whole words alone."""
        bare = map(_bare, self._texts)
        return frozenset(text for text in bare if _MIN_SHORT <= len(text) < _MIN_QUOTATION)

    @cached_property
    def _of_marks(self) -> tuple[str, ...]:
        """The secrets with too few letters and digits to be known by those."""
        return tuple(text for text in self._texts if len(text) >= _MIN_SECRET and len(_bare(text)) < _MIN_QUOTATION)

    @cached_property
    def _spelled(self) -> str:
        """All secrets as they are and in the encodings that look like words, without marks."""
        return "\n".join({text for spellings in self._spellings.values() for text in spellings})

    @cached_property
    def _spellings(self) -> dict[str, list[str]]:
        """The spellings of each secret (see `_spellings_of`), without marks."""
        return {secret: [*map(_bare, _spellings_of(secret))] for secret in self._texts}


NO_SECRETS: Final = Secrets()


def _parts_of(text: str, length: int) -> set[str]:
    return {text[at : at + length] for at in range(len(text) - length + 1)}


def _letters_of_name(name: str) -> str:
    return _bare(name) if name.isascii() else name.translate(_LETTERS)


def _bare(text: str) -> str:
    """Return the letters and digits alone, in lower case and without accents."""
    if text.isascii():
        # Many times faster.
        return text.encode().translate(None, _MARKS).decode().lower()
    # Accents become marks, and ligatures letters.
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text).casefold()))


class _Letters(dict[int, str]):
    """The letters and digits that a character consists of, by its code: found once for each, since names have many."""

    def __missing__(self, code: int) -> str:
        letters = _bare(chr(code))
        if len(letters) > _MAX_LIGATURE and not letters.isascii():
            letters = chr(code)
        self[code] = letters
        return letters


_LETTERS: Final = _Letters()


def _spellings_of(secret: str) -> Iterator[str]:
    """Give a secret as it is, and in the encodings that consist of letters for the most part.

    If it is in hexadecimal or base64 itself, as signatures are, the bytes that it stands for count too.
    """
    yield secret
    yield secret[::-1]
    yield codecs.encode(secret, "rot13")
    text = secret.encode("utf-8", "replace")
    yield text.hex()
    # As in `\\u0073`, `&#115;` and `\\163`.
    for form in ("u{:04x}", "{:d}", "{:03o}"):
        written = {byte: form.format(byte) for byte in {*text}}
        yield "".join(map(written.__getitem__, text))
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
    # Lines of 45 bytes.
    yield "".join(binascii.b2a_uu(text[at : at + 45]).decode() for at in range(0, len(text), 45))
    ascii85 = _ascii85(text)
    yield ascii85
    yield ascii85.translate(_BASE85)


def _ascii85(content: bytes) -> str:
    """Encode in Ascii85; `base64` would first make tables, for this and for base85, of 0.6 MB."""
    padding = -len(content) % 4
    groups = struct.iter_unpack(">I", content + bytes(padding))
    digits = [group // power % 85 for (group,) in groups for power in (85**4, 85**3, 85**2, 85, 1)]
    return "".join(chr(ord("!") + digit) for digit in digits[: len(digits) - padding])


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
