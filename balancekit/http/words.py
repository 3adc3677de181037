"""What is shown of text that others have written: words of a language, codes of errors and short numbers."""

import re
import unicodedata
from typing import Final

NOT_SHOWN: Final = "…"
"""What stands in place of that which looks like no word."""

_RUN: Final = re.compile(r"""[^\s"'`<>()\[\]{},;:|&=!?*#…]+""")
"""What stands between blanks and marks. It is shown as a whole or not at all, but for the marks that join words."""

_JOINT: Final = re.compile(r"[-_./@]+")

_ADDRESS: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|\d{4}-\d\d-\d\d")
"""An IP address, or a date."""

_HUMP: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
"""A word in a name such as `ClientConnectorError`."""

_UNLIKELY: Final = re.compile(
    r"[^aeiouwy]{5}|(.)\1\1|q(?!u)|[bdfghjkmpqtvwxz]q|[jv][^aeiouy]|[cfghkmptwxz][jx]|^[^aeiouy]+$", re.IGNORECASE
)
"""What hardly a word has, but many a random text of letters."""

_MAX_WORD: Final = 20
_MIN_WORD: Final = 4
_MIN_HUMP: Final = 3

_SHORT_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        "all an and any api apis are as at back bad be but by can css day days dns do eof for from get gone got had "
        "has hit hmac hour html http https id ids if in io ip ips is it its json key keys low max min month msg "
        "must new no non not now of off ok old on one or os our out own per post put rate run sent set so ssl sub such "
        "tag tcp text the they this tls to too try two uri url urls use user utc was way we web who why with xml "
        "yes yet you your zip ",
    )
)
"""Words that are shorter than others have to be, or have no vowel; a short text is a part of a secret otherwise."""

_NUMBER: Final = re.compile(r"\d{1,5}(?:m?s)?|[a-z]\d{1,4}|(?:api|base|ed|http|ip|md|sha|utf)\d{1,5}", re.IGNORECASE)

_SHORT_TEXT: Final = re.compile(r"[a-z]{1,3}|[A-Z]{1,3}|[A-Z][a-z]{1,2}")

_KEY_PREFIX: Final = re.compile(r"(?:[spr]k|whsec)_", re.IGNORECASE)

_CREDENTIALS: Final = re.compile(r"\b(Bearer|Basic) (?!auth|token)\S+", re.IGNORECASE)

_MAX_WEIGHT_IN_ROW: Final = 4
_MAX_WEIGHT: Final = 5
"""How many numbers, or letters in short texts, are shown in a row, and in all."""
_ARTICLE: Final = 0.1
"""How much an `a` by itself counts."""

_GAP: Final = re.compile(rf"{NOT_SHOWN}(?:[^\w\s]*\s*[^\w\s]*{NOT_SHOWN})+")


def only_words(text: str) -> str:
    """Return text with `…` in place of all that looks neither like a word nor like a short number.

    A secret has digits among its letters, however it is encoded, or no vowels where a word has them. Numbers and texts
    of up to three letters are shown only beside words, since a secret may come back in such pieces.
    """
    # Characters that look like others become those.
    text = NOT_SHOWN.join(unicodedata.normalize("NFKC", part) for part in text.split(NOT_SHOWN))
    text = _CREDENTIALS.sub(rf"\1 {NOT_SHOWN}", text)
    runs = list(_RUN.finditer(text))
    weights = [_weight(run[0]) for run in runs]
    kept = [weight is not None for weight in weights]
    start = 0
    while start < len(runs):
        end = start
        while end < len(runs) and weights[end] != 0:
            end += 1
        row = weights[start:end]
        if None in row or sum(filter(None, row)) > _MAX_WEIGHT_IN_ROW:
            kept[start:end] = [False] * len(row)
        start = end + 1
    if sum(weight or 0 for weight, is_kept in zip(weights, kept, strict=True) if is_kept) > _MAX_WEIGHT:
        kept = [weight == 0 for weight in weights]
    shown, at = "", 0
    for run, is_kept in zip(runs, kept, strict=True):
        shown += text[at : run.start()] + (run[0] if is_kept else NOT_SHOWN)
        at = run.end()
    return _GAP.sub(NOT_SHOWN, shown + text[at:])


def _weight(run: str) -> float | None:
    """Return how much a run shows beyond words: numbers, and letters in short texts; None if it is anything else."""
    if _ADDRESS.fullmatch(run) or _JOINT.fullmatch(run):
        return 1
    if _KEY_PREFIX.match(run):
        return None
    weight = 0.0
    for part in _JOINT.split(run):
        if not part or _is_word(part):
            continue
        if part == "a":
            weight += _ARTICLE
        elif _NUMBER.fullmatch(part) or part in {"s", "t"}:
            weight += 1
        elif _SHORT_TEXT.fullmatch(part):
            weight += max(len(part), 2)
        else:
            return None
    return weight


def _is_word(part: str) -> bool:
    if part.lower() in _SHORT_WORDS:
        return True
    if not part.isascii():
        return part.isalpha() and 1 < len(part) <= _MAX_WORD and (part.islower() or part.istitle() or part.isupper())
    humps = _HUMP.findall(part)
    return len(part) >= _MIN_WORD and "".join(humps) == part and all(map(_is_hump, humps))


def _is_hump(hump: str) -> bool:
    return hump.lower() in _SHORT_WORDS or (_MIN_HUMP <= len(hump) <= _MAX_WORD and not _UNLIKELY.search(hump))
