"""`Retry-After`: when a response of whatever status says that it is worth coming back."""

import re
from typing import Final

from balancekit.http.messages import Response, parse_date

_SECONDS: Final = re.compile(r"[0-9]{1,12}")


def retry_after_of(response: Response, *, now: float) -> float | None:
    """Return the seconds that a response, a 503 as well as a 429, asks to wait; None if it does not.

    A date is compared with the response's own `Date`, or without one with `now`, in Unix seconds.
    """
    sent_at = parse_date(response.headers.get("Date"))
    return parse_retry_after(response.headers.get("Retry-After"), now=now if sent_at is None else sent_at)


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
