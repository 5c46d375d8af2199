"""What the house keeps of each upload: its run, its mail, and its answers to requests."""

import asyncio

from cli.demo.checks.scene import Check, Scene, verdict
from cli.demo.journey import Journey

MOST_EVENTS = 100
RUN_SECONDS = 30

RESULTS = frozenset({"moderation_result", "upload_failed"})
"""Kinds of notification that tell how an upload ended: decided by policy or person, or refused by the gate."""

RUNS = f"every run is closed, with under {MOST_EVENTS} events"
MAILS = "one mail for each decision"
IDEMPOTENT = "the same Idempotency-Key gives the same answer"


async def runs_closed(scene: Scene) -> Check:
    """Wait until each run has closed, and look at the length of its history."""
    from temporalio.client import WorkflowFailureError

    from devstack.environment import applied
    from mediagate import temporal

    if not scene.items:
        return Check(RUNS, "skip", "no file was decided")
    with applied(scene.stack.environment):
        client = await temporal.connect()
    wrong: list[str] = []
    lengths: list[int] = []

    async def look(journey: Journey) -> None:
        handle = client.get_workflow_handle(journey.workflow_id)
        try:
            async with asyncio.timeout(RUN_SECONDS):
                await handle.result()
        except WorkflowFailureError as error:
            wrong.append(f"{journey.file.label}: failed, {error.cause}")
        except TimeoutError:
            wrong.append(f"{journey.file.label}: still open")
        lengths.append((await handle.describe()).history_length)
        if lengths[-1] >= MOST_EVENTS:
            wrong.append(f"{journey.file.label}: {lengths[-1]} events")

    await asyncio.gather(*(look(journey) for journey in scene.items))
    return verdict(RUNS, wrong, f"{len(lengths)} runs, at most {max(lengths)} events")


async def mailed(scene: Scene) -> Check:
    """Match mails to notifications by Message-ID, and notifications to items: one of each for every decision."""
    sink = scene.stack.addresses.get("mail_url")
    if not sink or not scene.stack.settings.admin_mails or not scene.items:
        return Check(MAILS, "skip", "no file was decided" if sink else "mail goes to a server of yours")
    notes = await scene.api.notifications(scene.began.isoformat())
    mails = await _message_ids(scene, sink)
    wrong = []
    for journey in scene.items:
        ids = [n["id"] for n in notes if n["media_id"] == journey.media_id and n["kind"] in RESULTS]
        count = sum(mails.count(id_) for id_ in ids)
        if (len(ids), count) != (1, 1):
            wrong.append(f"{journey.file.label}: {len(ids)} notifications, {count} mails")
    return verdict(MAILS, wrong, f"{len(scene.items)} decisions, {len(scene.items)} mails in the sink")


async def _message_ids(scene: Scene, sink: str) -> list[str]:
    """Notification ids in the Message-IDs of mails that came since the demo began; ids of the sink sort by arrival."""
    first = f"{int(scene.began.timestamp() * 1e9):020d}"
    listed = (await scene.public.get(f"{sink}/messages")).json()
    found: list[str] = []
    for name in (mail["id"] for mail in listed if mail["id"] >= first):
        headers = (await scene.public.get(f"{sink}/messages/{name}")).json()["headers"]
        found += [value.strip("<>").partition("@")[0] for header, value in headers if header.lower() == "message-id"]
    return found


async def idempotent(scene: Scene) -> Check:
    """One request of each kind again: same answer; another body under the same key: refused."""
    kinds = {"announce": "/uploads", "complete": "/complete", "multipart": "/media"}
    found = {kind: next((e for e in scene.api.exchanges if e.path.endswith(end)), None) for kind, end in kinds.items()}
    repeated = {kind: exchange for kind, exchange in found.items() if exchange}
    wrong, refused = [], 0
    for kind, exchange in repeated.items():
        answer = await scene.api.repeat(exchange)
        if answer.json() != exchange.answer:
            wrong.append(f"{kind}: another answer ({answer.status_code})")
        if isinstance(exchange.body, dict):
            refused += 1
            other = await scene.api.repeat(exchange, body={**exchange.body, "file_size": 1})
            if other.json().get("code") != "idempotency_key_reused":
                wrong.append(f"{kind}: another body under the key was answered with {other.status_code}")
    if not repeated:
        return Check(IDEMPOTENT, "skip", "no request was answered with success")
    detail = f"repeated: {', '.join(repeated)}" + ("; another body under the key: 422" if refused else "")
    return verdict(IDEMPOTENT, wrong, detail)
