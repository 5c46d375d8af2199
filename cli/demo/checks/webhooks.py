"""Webhooks from somebody else's seat: sent again, and forged."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from cli.demo.checks.scene import Check, Scene, verdict
from cli.demo.journey import Journey
from cli.demo.public_api import Document

REPLAY = "a webhook that is sent again changes nothing"
AWKWARD = "awkward webhooks came as asked for, and led to one decision"
FORGED = "forged webhooks are turned away"

OTHER_SECRET = "whsec_Zm9yZ2VkIGZvcmdlZCBmb3JnZWQgZm9yZ2Vk"  # noqa: S105  (the forger's)


# What the timeline of an item shows: w, a webhook, W, a final one, s, the submission's answer, p, a poll. An answer is
# noted after it came, so a webhook that follows at once can stand before it; only `early` promises that it does.
TRACES = {
    "early": ("before the submission was answered", re.compile(r"Ws")),
    "duplicate": ("several times, stored once", re.compile(r"[sp]*W[sp]*")),
    "reordered": ("the final one first", re.compile(r"[sp]*W[sp]*w[sp]*")),
    "late": ("after a poll", re.compile(r"sp+W|sWp")),
    "lost": ("never, found by a poll", re.compile(r"sp+")),
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook of the simulated vendor as it went out, and the item it was about."""

    journey: Journey
    webhook_id: str
    body: str


async def awkward(scene: Scene) -> Check:
    """Each way to misbehave really happened, and changed nothing about there being one decision."""
    wrong, seen = [], []
    for journey in scene.items:
        if journey.file.behaviour not in TRACES:
            continue
        words, pattern = TRACES[journey.file.behaviour]
        steps = await scene.api.timeline(journey.media_id)
        seen.append(f"{journey.file.behaviour} ({words})")
        found, decisions = _trace(steps), sum(step["kind"] == "decided" for step in steps)
        if not pattern.fullmatch(found):
            wrong.append(f"{journey.file.label}: happened as {found!r}, not as {pattern.pattern!r}")
        if decisions != 1:
            wrong.append(f"{journey.file.label}: {decisions} decisions")
    if not seen:
        return Check(AWKWARD, "skip", "no file asked for any")
    return verdict(AWKWARD, wrong, ", ".join(seen))


def _trace(steps: list[Document]) -> str:
    letters = {"submitted": "s", "polled": "p", "webhook": "w"}
    marks = [(letters.get(step["kind"], ""), step["data"].get("final")) for step in steps]
    return "".join(letter.upper() if letter == "w" and final else letter for letter, final in marks)


async def replayed(scene: Scene) -> Check:
    """The very body again, freshly signed: 200, counted as duplicate, and the item stays as it was."""
    found = await _delivery(scene)
    if found is None:
        return Check(REPLAY, "skip", "no webhook of the simulated vendor is known")
    before = await _state(scene, found.journey)
    answer = await _post(scene, found.body, _signed(found, _secret(scene), datetime.now(UTC)))
    wrong = []
    if answer.status_code != httpx.codes.OK or answer.json().get("duplicates") != 1:
        wrong.append(f"answered with {answer.status_code} {answer.text[:200]}")
    if await _state(scene, found.journey) != before:
        wrong.append(f"{found.journey.file.label} is not as it was")
    return verdict(REPLAY, wrong, "200, known as a duplicate; item, decision and timeline as before")


async def forged(scene: Scene) -> Check:
    """Another secret, a changed body, an old time, no signature: 401 each, and the item stays as it was."""
    found = await _delivery(scene)
    if found is None:
        return Check(FORGED, "skip", "no webhook of the simulated vendor is known")
    before, now = await _state(scene, found.journey), datetime.now(UTC)
    changed = json.dumps(json.loads(found.body) | {"verdict": "reject", "event_id": "evt_forged"})
    right = _signed(found, _secret(scene), now)
    attempts = {
        "another secret": (found.body, _signed(found, OTHER_SECRET, now)),
        "a changed body": (changed, right),
        "an hour old": (found.body, _signed(found, _secret(scene), now - timedelta(hours=1))),
        "no signature": (found.body, {}),
    }
    wrong = []
    for name, (body, headers) in attempts.items():
        status = (await _post(scene, body, headers)).status_code
        if status != httpx.codes.UNAUTHORIZED:
            wrong.append(f"{name}: {status}")
    if await _state(scene, found.journey) != before:
        wrong.append(f"{found.journey.file.label} is not as it was")
    return verdict(FORGED, wrong, f"{', '.join(attempts)}: 401 each")


async def _delivery(scene: Scene) -> Delivery | None:
    """What the simulator sent first about an item, from what it tells polls (`devstack.vendor_answers`)."""
    for journey in scene.items:
        if journey.decided_by != "policy" or journey.file.behaviour not in {"", "approve"}:
            continue
        answer = await scene.ask_vendor(f"/v1/submissions/{journey.media_id}")
        events = answer.json().get("events") if answer.is_success else None
        if events:
            return Delivery(journey, f"msg_{journey.media_id}_1", json.dumps(events[0]))
    return None


def _secret(scene: Scene) -> str:
    return str(scene.stack.addresses["vendor"]["webhook_secret"])


def _signed(delivery: Delivery, secret: str, at: datetime) -> dict[str, str]:
    import standardwebhooks

    return {
        "webhook-id": delivery.webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": standardwebhooks.Webhook(secret).sign(delivery.webhook_id, at, delivery.body),
    }


async def _post(scene: Scene, body: str, headers: dict[str, str]) -> httpx.Response:
    url = scene.stack.addresses["vendor"]["webhook_url"]
    return await scene.public.post(url, content=body, headers={"content-type": "application/json", **headers})


async def _state(scene: Scene, journey: Journey) -> tuple[Document, list[Document]]:
    """All that the API says of an item, without the parts that change by themselves: the expiry in signed URLs."""
    document = await scene.api.media(journey.media_id)
    variants = [{k: v for k, v in variant.items() if k != "url"} for variant in document["variants"]]
    return {**document, "variants": variants}, await scene.api.timeline(journey.media_id)
