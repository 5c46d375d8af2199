"""Who can read what: approved pictures by signed URL, and nothing else without a key."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import httpx

from cli.demo.checks.scene import Check, Scene, Seen, verdict
from cli.demo.journey import Journey
from cli.demo.public_api import Document
from mediagate.media.values import Status, VariantName
from mediagate.storage import keys

READABLE = "the public reads every approved picture"
CLOSED = "nothing else opens without a key"
WITHDRAWN = "what is taken down is closed at once"

REFUSALS = frozenset({401, 403, 404})


async def readable(scene: Seen) -> Check:
    """Every signed URL of an approved item gives the bytes whose SHA-256 the manifest names."""
    wrong, tried = [], 0
    for journey in scene.approved:
        for variant in _public_variants(journey):
            tried += 1
            answer = await scene.public.get(variant["url"])
            if answer.status_code != httpx.codes.OK:
                wrong.append(f"{journey.file.label}, {variant['name']}: {answer.status_code}")
            elif hashlib.sha256(answer.content).hexdigest() != variant["sha256"]:
                wrong.append(f"{journey.file.label}, {variant['name']}: other bytes than the manifest says")
    if not tried:
        return Check(READABLE, "skip", "no file was approved")
    return verdict(READABLE, wrong, f"{tried} signed URLs of {len(scene.approved)} files: 200, right SHA-256")


async def closed(scene: Scene) -> Check:
    """Every other URL is closed: unsigned, signed for something else, given to the vendor, or the store's own."""
    if not scene.items:
        return Check(CLOSED, "skip", "no file was decided")
    urls = [*closed_urls(scene, scene.stack.addresses["api_url"]), *await _vendor_urls(scene), *_store_urls(scene)]
    return await refused(scene, urls)


async def refused(scene: Seen, urls: Sequence[str]) -> Check:
    """None of these opens for somebody without a key."""
    answers = [(url, (await scene.public.get(url)).status_code) for url in urls]
    wrong = [f"{urlsplit(url).path}: {status}" for url, status in answers if status not in REFUSALS]
    counts = ", ".join(f"{sum(s == code for _, s in answers)} × {code}" for code in sorted({s for _, s in answers}))
    return verdict(CLOSED, wrong, f"{len(answers)} URLs tried: {counts}")


async def withdrawn(scene: Seen) -> Check:
    """Take one of the demo's own approved pictures down: its URLs are closed when the answer is there."""
    samples = [journey for journey in scene.approved if journey.file.expected.outcomes == {Status.APPROVED}]
    if not samples:
        return Check(WITHDRAWN, "skip", "no sample was approved")
    journey = samples[-1]
    urls = [variant["url"] for variant in _public_variants(journey)]
    before = [(await scene.public.get(url)).status_code for url in urls]
    began = time.monotonic()
    await scene.api.take_down(journey.media_id, reason="demo")
    took = time.monotonic() - began
    after = [(await scene.public.get(url)).status_code for url in urls]
    wrong = [f"{journey.file.label}: {old}, then {new}" for old, new in zip(before, after, strict=True) if new != 404]
    wrong += [f"{journey.file.label} did not open before: {old}" for old in before if old != httpx.codes.OK]
    detail = f"{journey.file.label}: {len(urls)} URLs that opened are closed, {took:.2f} s after it was asked for"
    return verdict(WITHDRAWN, wrong, detail)


def _public_variants(journey: Journey) -> list[Document]:
    return [variant for variant in journey.variants if variant["name"] != VariantName.MODERATION]


def closed_urls(scene: Seen, api_url: str) -> Iterator[str]:
    """Of each item every file that is not public: unsigned, and signed for something else."""
    signatures = [urlsplit(v["url"]).query for journey in scene.approved[:1] for v in _public_variants(journey)]
    for journey in scene.items:
        base = f"{api_url}/api/v1/media/{journey.media_id}/files"
        private = {VariantName.MODERATION.value, "source"}
        for name in sorted(private if journey in scene.approved else private | {v.value for v in VariantName}):
            yield f"{base}/{name}"
            yield from (f"{base}/{name}?{signature}" for signature in signatures)
        if journey not in scene.approved:
            yield from (variant["url"] for variant in journey.variants)


async def _vendor_urls(scene: Scene) -> list[str]:
    """The signed URLs that the simulator was handed; a vendor of another kind does not tell."""
    ours = {journey.media_id for journey in scene.items}
    answer = await scene.ask_vendor("/v1/submissions?limit=1000")
    submissions = answer.json()["items"] if answer.is_success else []
    return [submission["media_url"] for submission in submissions if submission["media_id"] in ours]


def _store_urls(scene: Scene) -> Iterator[str]:
    """The bucket's list, and objects by their keys, straight from the store."""
    settings, library = scene.stack.settings, scene.stack.addresses["library"]
    bucket = f"{settings.s3_url.rstrip('/')}/{settings.s3_bucket}"
    yield f"{bucket}?list-type=2"
    for journey in scene.items:
        yield f"{bucket}/{keys.filed(library, Status(journey.outcome), journey.media_id, VariantName.ORIGINAL)}"
        yield f"{bucket}/{keys.master(library, journey.media_id)}"
