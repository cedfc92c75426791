"""What can be wrong with what one is given. Each is a `ValueError` too."""

__all__ = ["ConfigError", "InputError", "SomaModelsError", "WeightsError", "excerpt"]

_EXCERPT_MAX = 200


class SomaModelsError(ValueError):
    """Base of this package's errors."""


class ConfigError(SomaModelsError):
    """Sizes or settings that make no model; names the field, its value and its limits."""


class WeightsError(SomaModelsError):
    """A file or a model that is not this architecture's weights; names the tensor."""


class InputError(SomaModelsError):
    """Tokens, targets or data of a wrong kind or shape."""


def excerpt(text: str) -> str:
    """Return a stranger's words, bounded and with all that acts on a terminal escaped."""
    escaped = text[:_EXCERPT_MAX].encode("unicode_escape").decode("ascii")
    return escaped if len(text) <= _EXCERPT_MAX else escaped + "..."
