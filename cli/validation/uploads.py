"""Two small pictures go the whole way, the public looks at them, and they are withdrawn."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import httpx

from cli.demo.checks.delivery import closed_urls, readable, refused, withdrawn
from cli.demo.checks.scene import Check
from cli.demo.files import REFUSED
from cli.demo.journey import TROUBLE, Journey
from cli.demo.public_api import ApiRefused
from cli.demo.sending import Expedition
from cli.validation.pictures import files
from cli.validation.walk import Skip, Walk, Wrong, expect
from mediagate.media.lifecycle import WORK
from mediagate.media.values import Status, VariantName

REASON = "mediagate-validate"
SANDBOX = {"x-content-type-options": "nosniff", "content-security-policy": "sandbox"}
"""Headers of public pictures, and how they begin."""


async def announced(walk: Walk) -> str:
    """A browser that sends straight to the object store is let in from the API's own origin."""
    if not walk.options.upload:
        raise Skip("--no-upload")
    walk.presigned = await walk.api.announce(files()[0])
    method, url = walk.presigned["method"], walk.presigned["url"]
    origin = urlsplit(walk.options.url)._replace(path="", query="").geturl()
    asking = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "content-type",
    }
    answer = await walk.public.request("OPTIONS", url, headers=asking)
    allowed = answer.headers.get("access-control-allow-origin")
    expect(answer.is_success and allowed in {origin, "*"}, f"the object store lets no page of {origin} send {method}")
    return f"{method} from {origin}"


async def uploads(walk: Walk) -> str:
    """By presigned URL and as form, to their ends."""
    if not walk.options.upload:
        raise Skip("--no-upload")
    walk.journeys = [Journey(file) for file in files()]
    in_time = await Expedition(walk.api, walk.journeys).run(walk.options.timeout)
    wrong = [f"{j.file.route.value}: {_end(j)}" for j in walk.journeys if not in_time or not _fine(j)]
    expect(not wrong, "; ".join(wrong))
    return "; ".join(f"{j.file.route.value}: {_end(j)} in {j.seconds:.1f} s" for j in walk.journeys)


async def public(walk: Walk) -> str:
    """The public reads the right bytes, with headers that keep browsers from running anything in them."""
    _need_approved(walk)
    detail = _passed(await readable(walk))
    for journey in walk.approved:
        url = next(v["url"] for v in journey.variants if v["name"] == VariantName.THUMB)
        head = await walk.public.head(url)
        expect(head.status_code == httpx.codes.OK, f"HEAD: {head.status_code}")
        for name, begin in SANDBOX.items():
            expect(head.headers.get(name, "").startswith(begin), f"{name} is {head.headers.get(name, 'missing')}")
        expect(head.headers.get("content-type", "").startswith("image/"), "the content type is not that of a picture")
        again = await walk.public.get(url, headers={"If-None-Match": head.headers.get("etag", "")})
        expect(again.status_code == httpx.codes.NOT_MODIFIED, f"asked again with its ETag: {again.status_code}")
    return f"{detail}; HEAD, ETag and sandbox"


async def closed(walk: Walk) -> str:
    """Nothing else opens: unsigned, signed for something else, or straight from the object store."""
    if not walk.items:
        raise Skip("no picture was decided")
    urls = list(closed_urls(walk, walk.options.url))
    if walk.presigned:
        place = urlsplit(walk.presigned["url"])
        bucket = place._replace(query="", path=f"/{place.path.strip('/').partition('/')[0]}").geturl()
        urls += [f"{bucket}?list-type=2"]
        urls += [f"{bucket}/{walk.options.library}/media/originals/{j.media_id}/source" for j in walk.items]
    return _passed(await refused(walk, urls))


async def withdrawal(walk: Walk) -> str:
    """A takedown closes every URL before it answers."""
    _need_approved(walk)
    return await _by_reviewer(lambda: withdrawn(walk))


async def cleanup(walk: Walk) -> str:
    """Whatever was sent is withdrawn: what is public by takedown, what is undecided by abort."""
    if not walk.journeys:
        raise Skip("nothing was sent")
    left = []
    for journey in walk.journeys:
        if not journey.media_id:
            continue
        status = (await walk.api.media(journey.media_id))["status"]
        try:
            if status == Status.APPROVED:
                await walk.api.take_down(journey.media_id, reason=REASON)
            elif status in WORK:
                await walk.http.post(f"/api/v1/media/{journey.media_id}/abort", json={"reason": REASON})
        except ApiRefused as error:
            left.append(f"{journey.media_id} ({error.answer_status} {error.answer_code})")
    expect(not left, f"still there: {', '.join(left)}")
    return f"{len([j for j in walk.journeys if j.media_id])} pictures are withdrawn; their rows stay as a record"


def _need_approved(walk: Walk) -> None:
    if not walk.approved:
        ends = ", ".join(journey.outcome for journey in walk.journeys) or "nothing was sent"
        raise Skip(f"no picture was approved: {ends}")


def _fine(journey: Journey) -> bool:
    """Any end that a decision leads to, and a review: people decide when they do."""
    return journey.ended and journey.outcome not in {REFUSED, TROUBLE, Status.FAILED, Status.EXPIRED}


def _end(journey: Journey) -> str:
    why = journey.explanation or journey.reason
    return journey.outcome.replace("_", " ") + (f" ({why})" if why and journey.outcome != Status.APPROVED else "")


def _passed(check: Check) -> str:
    if check.result == "fail":
        raise Wrong(check.detail)
    if check.result == "skip":
        raise Skip(check.detail)
    return check.detail


async def _by_reviewer(act: Callable[[], Awaitable[Check]]) -> str:
    try:
        return _passed(await act())
    except ApiRefused as error:
        if error.answer_status == httpx.codes.FORBIDDEN:
            raise Skip("the key lacks the scope review:write") from error
        raise
