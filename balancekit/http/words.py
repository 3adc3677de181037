"""What is shown of text that others have written: words of a language, codes of errors and short numbers."""

import re
import unicodedata
from typing import Final

NOT_SHOWN: Final = "…"
"""What stands in place of that which looks like no word."""

# The patterns are compiled when they are first used: few programs show an error, and all import this module.
_RUN: Final = r"""[^\s"'`<>()\[\]{},;:|&=!?*#…]+"""
"""What stands between blanks and marks. It is shown as a whole or not at all, but for the marks that join words."""

_JOINT: Final = r"[-_./@]+"

_ADDRESS: Final = r"\d{1,3}(?:\.\d{1,3}){3}|\d{4}-\d\d-\d\d"
"""An IP address, or a date."""

_HUMP: Final = r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])"
"""A word in a name such as `ClientConnectorError`."""

_UNLIKELY: Final = r"(?i)[^aeiouwy]{5}|(.)\1\1|q(?!u)|[bdfghjkmpqtvwxz]q|[jv][^aeiouy]|[cfghkmptwxz][jx]|^[^aeiouy]+$"
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

_NUMBER: Final = r"(?i)\d{1,5}(?:m?s)?|[a-z]\d{1,4}|(?:api|base|ed|http|ip|md|sha|utf)\d{1,5}"

_SHORT_TEXT: Final = r"[a-z]{1,3}|[A-Z]{1,3}|[A-Z][a-z]{1,2}"

_KEY_PREFIX: Final = r"(?i)(?:[spr]k|whsec)_"

_CREDENTIALS: Final = r"(?i)\b(Bearer|Basic) (?!auth|token)\S+"

_MAX_WEIGHT_IN_ROW: Final = 4
_MAX_WEIGHT: Final = 5
"""How many numbers, or letters in short texts, are shown in a row, and in all."""
_ARTICLE: Final = 0.1
"""How much an `a` by itself counts."""

_MAX_GROWTH: Final = 4
"""How many times as long a text may become with other characters: `⑽` is four, and few are more."""

# Possessive, so that a row of marks with nothing behind it is read once.
_GAP: Final = rf"{NOT_SHOWN}(?:[^\w\s{NOT_SHOWN}]*+\s*+[^\w\s{NOT_SHOWN}]*+{NOT_SHOWN})+"


def only_words(text: str) -> str:
    """Return text with `…` in place of all that looks neither like a word nor like a short number.

    A secret has digits among its letters, however it is encoded, or no vowels where a word has them. Numbers and texts
    of up to three letters are shown only beside words, since a secret may come back in such pieces.
    """
    # Characters that look like others become those, and one may become eighteen.
    plain = NOT_SHOWN.join(unicodedata.normalize("NFKC", part) for part in text.split(NOT_SHOWN))
    text = plain[: _MAX_GROWTH * len(text)]
    text = re.sub(_CREDENTIALS, rf"\1 {NOT_SHOWN}", text)
    runs = list(re.finditer(_RUN, text))
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
    return re.sub(_GAP, NOT_SHOWN, shown + text[at:])


def _weight(run: str) -> float | None:
    """Return how much a run shows beyond words: numbers, and letters in short texts; None if it is anything else."""
    if re.fullmatch(_ADDRESS, run) or re.fullmatch(_JOINT, run):
        return 1
    if re.match(_KEY_PREFIX, run):
        return None
    weight = 0.0
    for part in re.split(_JOINT, run):
        if not part or _is_word(part):
            continue
        if part == "a":
            weight += _ARTICLE
        elif re.fullmatch(_NUMBER, part) or part in {"s", "t"}:
            weight += 1
        elif re.fullmatch(_SHORT_TEXT, part):
            weight += max(len(part), 2)
        else:
            return None
    return weight


def _is_word(part: str) -> bool:
    if part.lower() in _SHORT_WORDS:
        return True
    if not part.isascii():
        return part.isalpha() and 1 < len(part) <= _MAX_WORD and (part.islower() or part.istitle() or part.isupper())
    humps = re.findall(_HUMP, part)
    return len(part) >= _MIN_WORD and "".join(humps) == part and all(map(_is_hump, humps))


def _is_hump(hump: str) -> bool:
    return hump.lower() in _SHORT_WORDS or (_MIN_HUMP <= len(hump) <= _MAX_WORD and not re.search(_UNLIKELY, hump))
