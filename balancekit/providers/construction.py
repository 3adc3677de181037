"""What an adapter is made with, whoever wrote its constructor: a decorator and a mixin may have."""

from typing import Self

from balancekit.errors import without_frames
from balancekit.providers.identity import read_settings


class Construction:
    """Has an object keep the settings that its class is called with, and a ConfigError of the constructor no frames.

    No settings are kept where accounts are known by their requests alone.
    """

    _is_known_by_request = False

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Make an object that its constructor is still to be called for."""
        try:
            made = super().__new__(cls)
            # Not when the class is made: a decorator writes the constructor afterwards.
            if "_is_guarded" not in vars(cls):
                cls._is_guarded = True
                cls.__init__ = without_frames(cls.__init__)  # type: ignore[method-assign] # of the same type
            if not cls._is_known_by_request:
                # An adapter may be frozen.
                vars(made)["_settings"] = read_settings(cls.__init__, args, kwargs)
            return made
        finally:
            # Error trackers collect the local variables of every frame.
            del args, kwargs

    _is_guarded = True
