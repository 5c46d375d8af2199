"""Which variables of the environment mean something to the processes of the gate."""

from collections.abc import Iterable

from mediagate.settings import Settings

SETTINGS = frozenset(f"MEDIAGATE_{name.upper()}" for name in Settings.model_fields)
TEMPORAL = frozenset({"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "TEMPORAL_API_KEY", "TEMPORAL_TLS"})
"""Those of the SDK's environment configuration that the artifacts use."""
SECRETS = frozenset(
    {
        f"mediagate_{name}"
        for name, field in Settings.model_fields.items()
        if "Secret" in str(field.annotation) or "SecretStr" in str(field.metadata) or name in {"vendors", "stores"}
    }
)
"""File names of what must not be seen."""


def unknown(names: Iterable[str]) -> set[str]:
    """Those that nothing reads."""
    return {name for name in names if name not in SETTINGS | TEMPORAL}
