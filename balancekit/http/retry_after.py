"""`Retry-After`: when a response of whatever status says that it is worth coming back."""

import re
from typing import Final

from balancekit.http.clock_skew import MAX_OFFSET, date_of
from balancekit.http.messages import Response, parse_date

_SECONDS: Final = re.compile(r"[0-9]{1,12}")


def retry_after_of(response: Response, *, now: float) -> float | None:
    """Return the seconds that a response, a 503 as well as a 429, asks to wait; None if it does not.

    A date is compared with the response's own `Date`, or without a credible one with `now`, in Unix seconds.
    """
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    sent_at = date_of(response)
    if sent_at is None or abs(sent_at - now) > MAX_OFFSET:
        sent_at = now
    return parse_retry_after(value, now=sent_at)


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """Return the seconds that a `Retry-After` header asks to wait: a number of seconds, or a date.

    `now` is in Unix seconds. A date that has passed is 0; what is neither is None.
    Source: RFC 9110, section 10.2.3.
    """
    text = "" if value is None else value.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    moment = parse_date(text)
    return None if moment is None else max(0.0, moment - now)
