"""`Retry-After`: when a response of whatever status says that it is worth coming back."""

import re
from typing import Final

from balancekit.http.clock_skew import MAX_OFFSET, date_of
from balancekit.http.messages import Response, parse_date, values_of

_SECONDS: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?")
_WEEKDAY: Final = re.compile(r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,", re.IGNORECASE)

_MOST: Final = 1e12
"""The largest number of seconds that is returned; anything beyond means the same: not in this life."""


def retry_after_of(response: Response, *, now: float) -> float | None:
    """Return the seconds that a response, a 503 as well as a 429, asks to wait; None if it does not.

    A date is compared with the response's own `Date`, or without a credible one with `now`, in Unix seconds.
    """
    values = values_of(response, "Retry-After")
    if not values:
        return None
    sent_at = date_of(response)
    if sent_at is None or abs(sent_at - now) > MAX_OFFSET:
        sent_at = now
    return parse_retry_after(values, now=sent_at)


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """Return the seconds that a `Retry-After` header asks to wait: a number of seconds, or a date.

    `now` is in Unix seconds. A date that has passed is 0, and of several values the largest counts. Seconds may have a
    fraction, which RFC 9110, section 10.2.3, does not allow, but servers send. What is neither is None.
    """
    if value is None:
        return None
    # A date has a comma of its own, after the day of the week, which it can do without.
    waits = [_parse_one(part.strip(), now=now) for part in _WEEKDAY.sub("", value).split(",")]
    return max((wait for wait in waits if wait is not None), default=None)


def _parse_one(text: str, *, now: float) -> float | None:
    if _SECONDS.fullmatch(text):
        return min(float(text), _MOST)
    moment = parse_date(text)
    return None if moment is None else min(max(0.0, moment - now), _MOST)
