"""Asking about feature flags: an OpenFeature provider over flags in memory, and the client that application code uses.

    if deps.flags.on(Switch.RENDITIONS, media_id, library=slug): …

Asking reads memory only: it waits for nobody and never fails. Where the flags come from is another's concern
(`db.flag_feed`); without anybody who brings some, every flag is what the code takes as its default.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import (
    FlagEvaluationDetails,
    FlagResolutionDetails,
    FlagValueType,
    Reason,
)
from openfeature.hook import Hook, HookContext, HookHints
from openfeature.provider import AbstractProvider, FeatureProvider, Metadata, ProviderStatus

from mediagate import metrics
from mediagate.errors import SwitchedOff
from mediagate.flags import BUILT_IN, Attribute, Flag, Switch, Value

T = TypeVar("T", bool, int, str)

COME_BACK = 60.0
"""Seconds after which a caller is told to try again what is switched off."""


class FlagProvider(AbstractProvider):
    """Serves the flags that it was given last; kill switches that are not among them are on.

    Emits `PROVIDER_CONFIGURATION_CHANGED` with the names that changed, `PROVIDER_STALE` once nobody knows any more
    whether the flags are up to date, and `PROVIDER_READY` once somebody does again.
    """

    def __init__(self, flags: Iterable[Flag] = ()) -> None:
        super().__init__()
        self._flags: Mapping[str, Flag] = BUILT_IN
        self._stale = False
        self.replace(flags)

    @property
    def flags(self) -> Mapping[str, Flag]:
        """All of them by name, untouched kill switches too."""
        return self._flags

    @property
    def stale(self) -> bool:
        """True if what is served may be out of date."""
        return self._stale

    def replace(self, flags: Iterable[Flag]) -> None:
        """Serve these from now on: all at once, so that nobody sees some old and some new."""
        before, after = self._flags, {**BUILT_IN, **{flag.name: flag for flag in flags}}
        self._flags = after
        changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        if changed:
            self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=changed))

    def mark(self, *, stale: bool) -> None:
        """Say whether what is served may be out of date."""
        before, self._stale = self._stale, stale
        if stale and not before:
            self.emit_provider_stale(ProviderEventDetails(message="The flags cannot be read at the moment."))
        elif before and not stale:
            self.emit_provider_ready(ProviderEventDetails())

    def get_metadata(self) -> Metadata:
        """Its name."""
        return Metadata(name="mediagate")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """A flag whose variants are true and false."""
        return self._resolve(bool, flag_key, default_value, evaluation_context)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """A flag whose variants are texts."""
        return self._resolve(str, flag_key, default_value, evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """A flag whose variants are whole numbers."""
        return self._resolve(int, flag_key, default_value, evaluation_context)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """None has such variants."""
        del evaluation_context
        return _failed(default_value, ErrorCode.TYPE_MISMATCH, f"{flag_key}: no flag here serves fractions.")

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """None has such variants."""
        del evaluation_context
        return _failed(default_value, ErrorCode.TYPE_MISMATCH, f"{flag_key}: no flag here serves structures.")

    def _resolve(
        self, kind: type[T], name: str, default: T, context: EvaluationContext | None
    ) -> FlagResolutionDetails[T]:
        flag = self._flags.get(name)
        if flag is None:
            return _failed(default, ErrorCode.FLAG_NOT_FOUND, f"There is no flag {name!r}.")
        context = context or EvaluationContext()
        known = {key: value for key, value in context.attributes.items() if isinstance(value, bool | int | str)}
        found = flag.evaluate(context.targeting_key or "", known)
        if type(found.value) is not kind:
            return _failed(default, ErrorCode.TYPE_MISMATCH, f"{name} serves {type(found.value).__name__}.")
        reason = Reason.STALE if self._stale else Reason(found.reason.value)
        return FlagResolutionDetails(value=found.value, variant=found.variant, reason=reason)


def _failed(default: Any, code: ErrorCode, why: str) -> FlagResolutionDetails[Any]:
    return FlagResolutionDetails(value=default, error_code=code, error_message=why, reason=Reason.ERROR)


class Served(NamedTuple):
    """What was served, and why; what is counted."""

    flag: str
    variant: str
    """Empty: the code's default."""
    reason: str


class Tally(Hook):
    """Counts what was served, in memory; thread-safe."""

    def __init__(self) -> None:
        self._counts: Counter[Served] = Counter()
        self._lock = threading.Lock()

    def finally_after(
        self, hook_context: HookContext, details: FlagEvaluationDetails[FlagValueType], hints: HookHints
    ) -> None:
        """Count one answer."""
        del hints
        served = Served(hook_context.flag_key, details.variant or "", str(details.reason or Reason.UNKNOWN))
        with self._lock:
            self._counts[served] += 1
        metrics.FLAG_EVALUATIONS.add(**served._asdict())

    def take(self) -> Mapping[Served, int]:
        """What was counted since it was last taken."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return counts

    def give_back(self, counts: Mapping[Served, int]) -> None:
        """What was taken and could not be kept."""
        with self._lock:
            self._counts.update(counts)


class _Client(OpenFeatureClient):
    """A client of one provider.

    OpenFeature's own registry is one for the process; several gates in one process, as tests have them, each ask their
    own flags.
    """

    def __init__(self, provider: FeatureProvider, context: EvaluationContext, hooks: list[Hook]) -> None:
        super().__init__(domain="mediagate", version=None, context=context, hooks=hooks)
        self._provider = provider

    @property
    def provider(self) -> FeatureProvider:
        """Whom it asks."""
        return self._provider

    def get_provider_status(self) -> ProviderStatus:
        """Ready from the start: before any flags were brought, the code's defaults are served."""
        return ProviderStatus.READY


class Flags:
    """The flags of a process. With nothing given, every kill switch is on."""

    def __init__(self, flags: Iterable[Flag] = (), *, environment: str = "") -> None:
        """`environment`: of the deployment, for rules that ask about it."""
        self.provider = FlagProvider(flags)
        self.tally = Tally()
        known = {Attribute.ENVIRONMENT.value: environment} if environment else {}
        self.client: OpenFeatureClient = _Client(self.provider, EvaluationContext(attributes=known), [self.tally])
        """For flags that are no kill switches: `client.get_string_value(…)`."""

    def on(self, switch: Switch, key: str = "", **attributes: Value) -> bool:
        """True if the step may be done.

        Args:
            key: who or what is in a percentage or not: the id of a media item, an API key, a person.
            attributes: named as in `mediagate.flags.Attribute`.
        """
        return self.client.get_boolean_value(switch.value, True, EvaluationContext(key or None, attributes))

    def require(self, switch: Switch, key: str = "", **attributes: Value) -> None:
        """As `on`. Raises SwitchedOff."""
        if not self.on(switch, key, **attributes):
            raise SwitchedOff(f"{switch.capitalize()} are switched off for maintenance.", retry_after=COME_BACK)
