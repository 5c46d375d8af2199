"""Texts that are looked at without being stored: comments, or a caption before it is sent."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from fastapi import APIRouter

from api.deps import GateDep, Reader, library_for
from api.library_models import TextCheck, TextChecked
from mediagate.flags import Switch
from mediagate.media.values import Verdict
from mediagate.moderation.findings import VendorEvent
from mediagate.moderation.policy import Decision, Policy, Reason, decide

router = APIRouter(tags=["texts"])


@router.post("/libraries/{slug}/texts/check")
async def check_text(slug: str, body: TextCheck, gate: GateDep, caller: Reader) -> TextChecked:
    """What a library's rules find in a text, and the verdict that its thresholds give.

    Nothing is stored. It has no effect, so it needs no `Idempotency-Key`, and takes no notice of one.
    """
    from mediagate.text.events import event
    from mediagate.text.examining import examine
    from mediagate.text.language import language_of
    from mediagate.text.pii import redacted

    library = await library_for(gate, caller, slug)
    rules = library.texts
    if rules.expand_links and not gate.flags.on(Switch.LINK_EXPANSION, str(caller.key_id), library=library.slug):
        rules = rules.model_copy(update={"expand_links": False})
    language = await asyncio.to_thread(language_of, body.text, body.language)
    texts: dict[str, str] = {body.kind: body.text}
    found = await examine(texts, rules, language=language)
    said = event("", texts, found, rules, at=datetime.now(UTC))
    async with gate.db.transaction() as tx:
        policy = (await tx.policies.active(library)).live
    decision = _decided(policy, [said] if said else [])
    return TextChecked(
        verdict=decision.verdict,
        reasons=[reason.model_dump() for reason in decision.reasons],
        policy_version=decision.policy_version,
        scores=said.scores if said else {},
        findings=list(found[body.kind].findings),
        links=list(found[body.kind].links),
        language=language,
        redacted=await asyncio.to_thread(redacted, body.text, rules.pii),
    )


def _decided(policy: Policy, events: Sequence[VendorEvent]) -> Decision:
    """As for an upload, but that no vendor is waited for: their silence alone leads nowhere."""
    decision = decide(policy, events)
    if decision.reasons[0].code != "vendor_silent":
        return decision
    reason = Reason(code="clean", detail="No score of the text reached a threshold.")
    return decision.model_copy(update={"verdict": Verdict.APPROVE, "reasons": (reason,)})
