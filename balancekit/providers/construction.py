"""What an adapter is made with, even where a decorator or a mixin has written its constructor."""

from typing import Any, Final, Self, cast

from balancekit.errors import without_frames
from balancekit.providers.identity import Identity, read_settings

_SETTINGS: Final = "_balancekit_settings"


def is_known_by_request(kind: type) -> bool:
    """Whether it was said of a class itself: one that derives from it may need settings."""
    return bool(vars(kind).get("_balancekit_by_request"))


class Construction:
    """Has an object keep the settings that its class is called with, and a ConfigError of the constructor no frames.

    No settings are kept where accounts are known by their requests alone. What this package keeps in an adapter has a
    name that begins with `_balancekit`, so that an adapter's own names are its own.
    """

    _balancekit_by_request: bool

    # Set in each class whose constructor has been wrapped, so that this is done once.
    _balancekit_guarded: bool = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: ANN401 - those of each adapter
        """Make an object that its constructor is still to be called for."""
        try:
            made = super().__new__(cls)
            # Not when the class is made: a decorator writes the constructor afterwards.
            if "_balancekit_guarded" not in vars(cls):
                setattr(cls, "__init__", without_frames(cls.__init__))  # noqa: B010 - an assignment would declare a constructor
                # Marked last: no other thread may take a constructor for guarded before it is.
                cls._balancekit_guarded = True
            if not is_known_by_request(cls):
                # An adapter may be frozen.
                vars(made)[_SETTINGS] = read_settings(cls.__init__, args, kwargs)
            return made
        finally:
            # Error trackers collect the local variables of every frame.
            del args, kwargs

    def __getstate__(self) -> object:
        """Return what a copy is made of: nothing that was learned of the account, since it may become another one's."""
        state = super().__getstate__()
        # A class with slots has two parts.
        whole = cast("tuple[dict[str, object], object]", state if isinstance(state, tuple) else (state, None))
        fields = dict(whole[0])
        identity = fields.pop("request_identity", None)
        if identity is not None and fields.get("fingerprint") == cast("Identity", identity).fingerprint:
            del fields["fingerprint"]
        for name in [name for name in fields if name.startswith("_balancekit") and name != _SETTINGS]:
            del fields[name]
        return (fields, whole[1]) if isinstance(state, tuple) else fields
