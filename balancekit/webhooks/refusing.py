"""The one way in which a delivery is refused."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from balancekit.errors import WebhookVerificationError

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def refusing(check: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Have a check raise WebhookVerificationError and nothing else, with nothing of the delivery in its frames.

    The signature of a delivery that is refused for another reason is a good one, made with the key that moves money.
    """

    @functools.wraps(check)
    def checked(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        try:
            return check(*args, **kwargs)
        except WebhookVerificationError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - headers may be any framework's object, and raise what they like
            reason = f"{type(error).__name__} while it was verified"
        # Raised anew out here, without the frames below; this one is kept, so it forgets.
        del args, kwargs
        raise WebhookVerificationError(reason)

    return checked
