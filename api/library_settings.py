"""What a library's settings are, how they change, and what is checked before they do.

Only the sections that a caller names are checked and written; keys of the row that are not for callers, such as
`policy`, stay as they are.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError

from api.deps import Caller, Gate
from api.library_models import LibrarySettings
from api.models import storable
from db.tables import Library
from mediagate.errors import InvalidRequest, NotFound, ObjectMissing
from mediagate.media.renditions import ImagePolicy
from mediagate.media.retention import Retention
from mediagate.media.values import LimitOverrides, VariantName, WatermarkSpec
from mediagate.settings import Settings
from mediagate.storage import keys
from mediagate.text.policy import TextPolicy

log = structlog.get_logger()

_SECTIONS: dict[str, type[BaseModel]] = {
    "watermark": WatermarkSpec,
    "images": ImagePolicy,
    "limits": LimitOverrides,
    "text": TextPolicy,
    "retention": Retention,
}
_DEPTH = 4
"""Objects inside each other in a section, at most: `overrides`, a variant, and room to be told what is wrong."""


def settings_of(library: Library, settings: Settings) -> LibrarySettings:
    """What holds for a library."""
    return LibrarySettings(
        watermark=library.watermark,
        images=library.images,
        limits=settings.limits(library.settings),
        text=library.texts,
        retention=library.retention,
    )


@asynccontextmanager
async def changing(gate: Gate, caller: Caller, slug: str) -> AsyncIterator[Library]:
    """The library's row, locked; commits what the block does to its `settings` and notes in the log who did it.

    Raises:
        NotFound: it is gone.
    """
    async with gate.db.transaction() as tx:
        library = await tx.access.library(slug, lock=True)
        if library is None:
            raise NotFound("There is no library with this name.")
        before = library.settings
        yield library
        after = library.settings
        await tx.session.flush()
    changed = [key for key in {*before, *after} if before.get(key) != after.get(key)]
    if changed:
        log.info(
            "library.settings_changed",
            library=slug,
            by=caller.name,
            key=str(caller.key_id),
            before={key: before.get(key) for key in changed},
            after={key: after.get(key) for key in changed},
        )


async def patched(gate: Gate, caller: Caller, library: Library, patch: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of the row with a merge patch applied.

    Raises:
        InvalidRequest: the result is not valid; the message names the field.
    """
    settings = dict(library.settings)
    for section, wish in patch.items():
        wanted = merge_patch(settings.get(section), wish)
        if wanted is None:
            settings.pop(section, None)
            continue
        valid = _validated(section, wanted)
        if isinstance(valid, LimitOverrides):
            _check_limits(valid, gate.settings, caller, library.settings.get("limits", {}).get("plan"))
        if isinstance(valid, WatermarkSpec):
            await check_watermark(gate, library, valid)
        if isinstance(valid, TextPolicy):
            await _check_texts(valid)
        settings[section] = valid.model_dump(mode="json", exclude_unset=True)
    return settings


def merge_patch(target: Any, patch: Any, depth: int = _DEPTH) -> Any:
    """RFC 7396 section 2. What is nested deeper than any setting is left for the validation to refuse."""
    if not isinstance(patch, dict) or depth == 0:
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value, depth - 1)
    return merged


async def wanted_watermark(gate: Gate, library: Library, wish: Mapping[str, Any]) -> WatermarkSpec:
    """A mark that somebody would like to see on this library's pictures. Raises InvalidRequest."""
    spec = WatermarkSpec.model_validate(_validated("watermark", wish))
    await check_watermark(gate, library, spec)
    return spec


async def check_watermark(gate: Gate, library: Library, spec: WatermarkSpec) -> None:
    """What the types cannot say.

    Raises:
        InvalidRequest: the moderation copy would be marked, a text cannot be drawn, or the image is not the library's.
        WatermarkUnusable: this deployment's font is broken.
    """
    if VariantName.MODERATION in {*spec.variants, *spec.overrides}:
        raise InvalidRequest("watermark: the moderation copy is never marked.")
    texts = {"text": spec.text}
    texts |= {f"overrides.{name}.text": override.text or "" for name, override in spec.overrides.items()}
    objections = await asyncio.to_thread(_objections, texts, gate.settings.watermark_font)
    if objections:
        raise InvalidRequest(" ".join(objections))
    if spec.image_key and spec.image_key != library.watermark.image_key:
        await _check_image_key(gate, library, spec.image_key)


def owns_image(library: Library, key: str) -> bool:
    """True if the key is of an image that was sent as a mark for this library."""
    digest = key.rpartition("/")[2]
    return re.fullmatch("[0-9a-f]{64}", digest) is not None and key == keys.watermark_image(library.slug, digest)


async def _check_image_key(gate: Gate, library: Library, key: str) -> None:
    try:
        if owns_image(library, key):
            await gate.store.stat(key)
            await gate.store.spread(key)  # of a library that moves, what put it there may have reached one side
            return
    except ObjectMissing:
        pass
    raise InvalidRequest("watermark.image_key: it names no image of this library; send one to …/watermark/image.")


def _objections(texts: Mapping[str, str], font: Path | None) -> list[str]:
    from mediagate.imaging.text_mark import LONGEST_TEXT, objection

    found = []
    for field, text in texts.items():
        try:
            storable(text)
        except ValueError as error:
            found.append(f"watermark.{field}: {error}.")
            continue
        if len(text) > LONGEST_TEXT:
            found.append(f"watermark.{field}: it has {len(text)} characters; at most {LONGEST_TEXT} are drawn.")
        elif reason := objection(text, font):
            found.append(f"watermark.{field}: {reason}")
    return found


async def _check_texts(policy: TextPolicy) -> None:
    from mediagate.text.looking import objections

    if found := await asyncio.to_thread(objections, policy):
        raise InvalidRequest(f"{'; '.join(f'text.{objection}' for objection in found)}.")


def _check_limits(limits: LimitOverrides, settings: Settings, caller: Caller, plan: str | None) -> None:
    """A library's own key may tighten what its plan allows; one for all libraries may widen it, or change the plan."""
    if limits.plan and limits.plan not in settings.plans:
        known = ", ".join(settings.plans) or "none"
        raise InvalidRequest(f"limits.plan: {limits.plan!r} is no plan of this deployment; there are: {known}.")
    if caller.library_id is None:
        return
    if limits.plan != plan:
        raise InvalidRequest("limits.plan: only a key for all libraries changes the plan.")
    most = settings.limits({"limits": {"plan": plan}})
    for name, bound in most.model_dump(exclude={"types"}).items():
        if bound is not None and (getattr(limits, name) or 0) > bound:
            raise InvalidRequest(f"limits.{name}: this library may have at most {bound}.")
    if most.types and not {*(limits.types or ())} <= {*most.types}:
        raise InvalidRequest(f"limits.types: this library may have {', '.join(most.types)}.")


def _validated(section: str, value: Any) -> BaseModel:
    try:
        return _SECTIONS[section].model_validate(value, extra="forbid")
    except ValidationError as error:
        where = (f"{'.'.join(map(str, (section, *e['loc'])))}: {e['msg']}" for e in error.errors())
        raise InvalidRequest(f"{'; '.join(where)}.") from error
