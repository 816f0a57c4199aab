"""What the config of another library's model sets, of which nothing may be left unread."""

import reprlib

from keras_vae.hub.errors import WeightsError


class Settings:
    """The settings of a config; a converter takes each one it knows, and no other may be left.

    Args:
        kind: the class of the model, for messages.
        values: a dict of the settings.
    """

    def __init__(self, kind, values):
        self.kind, self._values = kind, dict(values)

    def take(self, name, default):
        """Returns a setting, or its documented default; a list as a tuple."""
        value = self._values.pop(name, default)
        return tuple(value) if isinstance(value, list) else value

    def require(self, name, *allowed):
        """Returns a setting, refused if it is not allowed. The first allowed value is the default.

        Raises:
            WeightsError: if it has another value.
        """
        value = self.take(name, allowed[0])
        if value not in allowed:
            raise WeightsError(
                f"{self.kind} with {name}={reprlib.repr(value)} is not supported. Supported: "
                f"{' or '.join(map(repr, allowed))}."
            )
        return value

    def finish(self):
        """Refuses settings that nothing took.

        Raises:
            WeightsError: if there are any; they are named.
        """
        if self._values:
            raise WeightsError(
                f"{self.kind}: the config sets {', '.join(map(reprlib.repr, self._values))}, which "
                "this version does not know. Nothing was loaded, since it may change the network."
            )
