"""What every moderation vendor does: each wire format against the simulator over HTTP, and the twin in memory."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from devstack.wires.faults import Wrong
from devstack.wires.looks import Colour
from mediagate.errors import BadSignature, InvalidWebhook, VendorUnavailable
from mediagate.media.values import Verdict
from mediagate.moderation.categories import Category
from mediagate.moderation.policy import Policy, decide
from mediagate.settings import VendorKind
from mediagate.vendors.interface import Answers
from mediagate.vendors.local import LocalVendor
from tests.contracts.vendor_sides import (
    MEMORY,
    Callback,
    Gate,
    Item,
    MemorySide,
    Side,
    WireSide,
    parsed,
    results,
    serving_gate,
    wire_side,
)
from tests.submissions import unread
from tests.wires import WEBHOOK_SECRET, Wires, serving_wires

KINDS = [kind.value for kind in VendorKind]
LATER = ["generic", "hive"]
"""Those that send webhooks and are polled."""
AT_ONCE = [kind for kind in KINDS if kind not in LATER]
LOOKING = [kind for kind in KINDS if kind != "generic"]
"""Those of which the simulator looks at every frame; of the generic one it takes the caption's word."""

OTHER_SECRET = SecretStr("whsec_" + "T3RoZXIgc2VjcmV0IG9mIDI0IGJ5dGVz")


@pytest.fixture(scope="module")
async def wires(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wires]:
    async with serving_wires(tmp_path_factory.mktemp("wires")) as running:
        yield running


@pytest.fixture(scope="module")
async def gate() -> AsyncIterator[Gate]:
    async with serving_gate() as running:
        yield running


@pytest.fixture
async def side(request: pytest.FixtureRequest, wires: Wires, gate: Gate) -> AsyncIterator[Side]:
    if request.param == MEMORY:
        yield MemorySide()
        return
    async with wire_side(request.param, wires, gate) as one:
        yield one


def of(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("side", kinds, indirect=True)


@of(*KINDS, MEMORY)
class TestSubmit:
    async def test_gives_events_or_says_who_will(self, side: Side, gate: Gate) -> None:
        item = gate.item(Colour.GREEN)
        receipt = await side.vendor.submit(item.submission, item.read)
        at_once = side.vendor.capabilities.answers is Answers.AT_ONCE
        assert (len(receipt.events), bool(receipt.reference), receipt.calls) == (int(at_once), True, 1)

    async def test_twice_has_the_effect_of_once(self, side: Side, gate: Gate) -> None:
        item = gate.item(Colour.BLUE)
        (first,) = await results(side, item)
        receipt = await side.vendor.submit(item.submission, item.read)
        again = [*receipt.events, *await side.vendor.poll(item.id, reference=receipt.reference)]
        assert [(event.event_id, event.scores) for event in again] == [(first.event_id, first.scores)]

    async def test_two_items_are_two(self, side: Side, gate: Gate) -> None:
        (one,) = await results(side, gate.item(Colour.GREEN))
        (other,) = await results(side, gate.item(Colour.GREEN))
        assert one.event_id != other.event_id

    @pytest.mark.parametrize(
        ("colour", "verdict", "low", "high"),
        [
            (Colour.GREEN, Verdict.APPROVE, 0.0, 0.2),
            (Colour.BLUE, Verdict.REVIEW, 0.5, 0.85),
            (Colour.RED, Verdict.REJECT, 0.85, 1.0),
        ],
        ids=["clean", "unsure", "bad"],
    )
    async def test_says_it_in_our_categories(
        self, side: Side, gate: Gate, colour: Colour, verdict: Verdict, low: float, high: float
    ) -> None:
        item = gate.item(colour)
        (event,) = await results(side, item)
        assert (event.media_id, event.workflow_id, event.vendor) == (item.id, f"media-{item.id}", side.vendor.name)
        assert event.settles
        assert decide(Policy(), [event]).verdict is verdict
        assert set(event.scores) <= set(Category)
        assert all(0 <= score <= 1 for score in event.scores.values())
        assert low <= max(event.scores.values()) <= high

    async def test_finds_only_what_it_says_it_can(self, side: Side, gate: Gate) -> None:
        capabilities = side.vendor.capabilities
        (event,) = await results(side, gate.item(Colour.YELLOW))
        assert set(event.scores) <= set(capabilities.categories or Category)
        assert "image/jpeg" in capabilities.content_types
        assert capabilities.max_bytes >= 1024 * 1024
        assert capabilities.polls is (capabilities.answers is Answers.LATER)


@of(*LOOKING)
class TestFrames:
    async def test_the_worst_one_counts(self, side: WireSide, gate: Gate) -> None:
        item = gate.item(Colour.GREEN, Colour.GREEN, Colour.RED, Colour.GREEN, caption="")
        receipt = await side.vendor.submit(item.submission, item.read)
        (event,) = receipt.events
        assert receipt.calls == 4
        assert decide(Policy(), [event]).verdict is Verdict.REJECT

    async def test_clean_ones_are_clean(self, side: WireSide, gate: Gate) -> None:
        item = gate.item(Colour.GREEN, Colour.NONE, caption="")
        (event,) = (await side.vendor.submit(item.submission, item.read)).events
        assert decide(Policy(), [event]).verdict is Verdict.APPROVE


@of(*KINDS, MEMORY)
class TestPoll:
    async def test_an_unknown_item_has_no_result(self, side: Side) -> None:
        assert await side.vendor.poll(str(uuid4()), reference=str(uuid4())) == []
        assert await side.vendor.poll(str(uuid4())) == []


@of(*LATER, MEMORY)
class TestLater:
    async def test_callback_and_polls_say_the_same(self, side: Side, gate: Gate) -> None:
        item = gate.item(Colour.RED)
        receipt = await side.vendor.submit(item.submission, item.read)
        events = parsed(side.vendor, await side.callback(item))
        assert events == await side.vendor.poll(item.id, reference=receipt.reference)
        assert events == await side.vendor.poll(item.id, reference=receipt.reference)

    async def test_a_callback_without_its_proof_is_refused(self, side: Side, gate: Gate) -> None:
        item = gate.item(Colour.RED)
        await side.vendor.submit(item.submission, item.read)
        callback = await side.callback(item)
        with pytest.raises(BadSignature):
            parsed(side.vendor, Callback({}, callback.body, {}))


@of("generic", MEMORY)
class TestSigned:
    """Standard Webhooks over the body."""

    async def test_changed_or_stale_is_refused(self, side: Side, gate: Gate) -> None:
        item = gate.item(Colour.GREEN)
        await side.vendor.submit(item.submission, item.read)
        headers, body, query = await side.callback(item)
        now = datetime.now(UTC)
        for changed, at in [
            (body.replace(b"approve", b"reject "), now),
            (body, now + timedelta(minutes=6)),
            (body, now - timedelta(minutes=6)),
        ]:
            with pytest.raises(BadSignature):
                side.vendor.parse_callback(headers, changed, now=at, query=query)

    async def test_no_result_before_there_is_one(self, side: Side, gate: Gate) -> None:
        item = gate.item(Colour.GREEN, caption="sim:silent")
        receipt = await side.vendor.submit(item.submission, item.read)
        assert await side.vendor.poll(item.id, reference=receipt.reference) == []


@of("hive")
class TestTokens:
    """A token of ours in the callback URL."""

    async def test_is_for_one_item_only(self, side: WireSide, gate: Gate) -> None:
        item, other = gate.item(Colour.GREEN), gate.item(Colour.RED)
        for one in (item, other):
            await side.vendor.submit(one.submission, one.read)
        mine, theirs = await side.callback(item), await side.callback(other)
        with pytest.raises(InvalidWebhook, match="metadata"):
            parsed(side.vendor, mine._replace(query=theirs.query))
        with pytest.raises(BadSignature):
            parsed(side.vendor, mine._replace(query={**mine.query, "media_id": other.id}))


@of(*LATER)
class TestRotation:
    async def test_old_and_new_secrets_hold(self, side: WireSide, gate: Gate) -> None:
        item = gate.item(Colour.GREEN)
        await side.vendor.submit(item.submission, item.read)
        callback = await side.callback(item)
        during = await side.open(webhook_secrets=(OTHER_SECRET, WEBHOOK_SECRET))
        assert parsed(during, callback) == parsed(side.vendor, callback)
        after = await side.open(webhook_secrets=(OTHER_SECRET,))
        with pytest.raises(BadSignature):
            parsed(after, callback)


@of(*AT_ONCE)
class TestNoWebhooks:
    async def test_none_is_its_own(self, side: WireSide) -> None:
        assert side.vendor.capabilities.answers is Answers.AT_ONCE
        with pytest.raises(BadSignature):
            parsed(side.vendor, Callback({}, b"{}", {}))


async def ask(side: Side, item: Item) -> None:
    await side.vendor.submit(item.submission, item.read)


@of(*KINDS)
class TestTrouble:
    @pytest.mark.parametrize(
        ("faults", "retry_after"),
        [
            ({"down": True}, None),
            ({"error_rate": 1.0}, None),
            ({"limited": 1, "retry_after": 7}, 7.0),
        ],
        ids=["503", "500", "429"],
    )
    async def test_is_for_now(
        self, side: WireSide, gate: Gate, faults: dict[str, Any], retry_after: float | None
    ) -> None:
        await side.faults(**faults)
        with pytest.raises(VendorUnavailable) as caught:
            await ask(side, gate.item(Colour.GREEN))
        assert caught.value.retry_after == retry_after
        assert (await side.wires.counts(side.kind)).refused == 1

    async def test_says_by_a_date_when_to_try_again(self, side: WireSide, gate: Gate) -> None:
        await side.faults(limited=1, retry_after=100, retry_after_date=True)
        with pytest.raises(VendorUnavailable) as caught:
            await ask(side, gate.item(Colour.GREEN))
        assert 90 < (caught.value.retry_after or 0) <= 100

    async def test_is_over_when_it_is_over(self, side: WireSide, gate: Gate) -> None:
        await side.faults(limited=1)
        item = gate.item(Colour.GREEN)
        with pytest.raises(VendorUnavailable):
            await ask(side, item)
        assert len(await results(side, item)) == 1

    async def test_slower_than_our_patience(self, side: WireSide, gate: Gate) -> None:
        await side.faults(slow=60)
        side.vendor = await side.open(timeout=0.2)
        with pytest.raises(VendorUnavailable, match="Timeout"):
            await ask(side, gate.item(Colour.GREEN))

    async def test_a_wrong_key_is_ours_to_mend(self, side: WireSide, gate: Gate) -> None:
        side.vendor = await side.open(api_key=SecretStr("wrong"))
        with pytest.raises(VendorUnavailable):
            await ask(side, gate.item(Colour.GREEN))

    @pytest.mark.parametrize("wrong", [Wrong.BROKEN, Wrong.LIST])
    async def test_an_answer_that_is_no_json_object(self, side: WireSide, gate: Gate, wrong: Wrong) -> None:
        await side.faults(wrong=wrong)
        with pytest.raises(VendorUnavailable):
            await ask(side, gate.item(Colour.GREEN))


@of(*KINDS, MEMORY)
class TestDown:
    async def test_nobody_answers(self, side: Side, gate: Gate) -> None:
        await side.go_down()
        item = gate.item(Colour.GREEN)
        with pytest.raises(VendorUnavailable) as caught:
            await ask(side, item)
        assert caught.value.retry_after is None


@of(*LATER, MEMORY)
class TestDownForPolls:
    async def test_nobody_answers(self, side: Side) -> None:
        await side.go_down()
        with pytest.raises(VendorUnavailable):
            await side.vendor.poll(str(uuid4()), reference=str(uuid4()))


@of(*AT_ONCE)
class TestWrongAnswers:
    @pytest.mark.parametrize("wrong", [Wrong.EMPTY, Wrong.SCORES, Wrong.NAN])
    async def test_are_not_understood(self, side: WireSide, gate: Gate, wrong: Wrong) -> None:
        await side.faults(wrong=wrong)
        with pytest.raises(VendorUnavailable):
            await ask(side, gate.item(Colour.RED))

    async def test_another_items_or_a_huge_one_is_no_answer(self, side: WireSide, gate: Gate) -> None:
        await side.faults(malicious=True)
        with pytest.raises(VendorUnavailable):
            await ask(side, gate.item(Colour.RED))


@of(*LATER)
class TestWrongPolls:
    @pytest.mark.parametrize(
        "faults",
        [{"wrong": "broken"}, {"wrong": "list"}, {"wrong": "scores"}, {"wrong": "nan"}, {"malicious": True}],
        ids=["broken", "list", "scores", "nan", "another item"],
    )
    async def test_are_not_understood(self, side: WireSide, gate: Gate, faults: dict[str, Any]) -> None:
        item = gate.item(Colour.RED)
        receipt = await side.vendor.submit(item.submission, item.read)
        await side.callback(item)
        await side.faults(**faults)
        with pytest.raises(VendorUnavailable):
            await side.vendor.poll(item.id, reference=receipt.reference)

    async def test_nothing_is_no_result(self, side: WireSide, gate: Gate) -> None:
        item = gate.item(Colour.RED)
        receipt = await side.vendor.submit(item.submission, item.read)
        await side.callback(item)
        await side.faults(wrong="empty")
        assert await side.vendor.poll(item.id, reference=receipt.reference) == []


@of(*LATER)
class TestUnrulyCallbacks:
    async def test_twice_is_the_same_event(self, side: WireSide, gate: Gate) -> None:
        await side.faults(duplicated=True)
        item = gate.item(Colour.RED)
        await ask(side, item)
        once, again = await side.callback(item), await side.callback(item)
        assert parsed(side.vendor, once) == parsed(side.vendor, again)

    async def test_before_the_receipt(self, side: WireSide, gate: Gate) -> None:
        await side.faults(reordered=True)
        item = gate.item(Colour.RED)
        await ask(side, item)
        (event,) = parsed(side.vendor, gate.callbacks[item.id].get_nowait())
        assert event.media_id == item.id

    async def test_lost_is_known_to_polls(self, side: WireSide, gate: Gate) -> None:
        await side.faults(lost=True, reordered=True)  # the wire is done when it answers
        item = gate.item(Colour.RED)
        receipt = await side.vendor.submit(item.submission, item.read)
        events = await side.vendor.poll(item.id, reference=receipt.reference)
        assert [event.media_id for event in events] == [item.id]
        assert (await side.wires.counts(side.kind)).callbacks == 0

    @pytest.mark.parametrize("wrong", [Wrong.BROKEN, Wrong.EMPTY, Wrong.SCORES, Wrong.NAN])
    async def test_a_malformed_one_is_refused(self, side: WireSide, gate: Gate, wrong: Wrong) -> None:
        item = gate.item(Colour.RED)
        await side.faults(wrong=wrong)
        with suppress(VendorUnavailable):  # the receipt may be as wrong
            await ask(side, item)
        with pytest.raises(InvalidWebhook):
            parsed(side.vendor, await side.callback(item))

    async def test_forged_ones_give_no_event(self, side: WireSide, gate: Gate) -> None:
        await side.faults(malicious=True, reordered=True)
        item = gate.item(Colour.RED)
        await side.vendor.submit(item.submission, item.read)
        forged = (await side.wires.counts(side.kind)).forged
        assert forged >= 4
        for _ in range(forged):
            with pytest.raises((BadSignature, InvalidWebhook)):
                parsed(side.vendor, await side.callback(item))
        (event,) = parsed(side.vendor, await side.callback(item))
        assert (event.media_id, event.scores["violence"] >= 0.9) == (item.id, True)


class TestNobody:
    """`LocalVendor`: nothing is sent, and nothing comes."""

    async def test_the_same_item_twice_is_one_submission(self, gate: Gate) -> None:
        sent = gate.item(Colour.GREEN).submission
        assert await LocalVendor().submit(sent, unread) == await LocalVendor().submit(sent, unread)

    async def test_has_no_results(self, gate: Gate) -> None:
        sent = gate.item(Colour.GREEN).submission
        receipt = await LocalVendor().submit(sent, unread)
        assert receipt.events == ()
        assert await LocalVendor().poll(sent.media_id, reference=receipt.reference) == []

    async def test_no_webhook_is_its_own(self, gate: Gate) -> None:
        side, item = MemorySide(), gate.item(Colour.GREEN)
        await side.vendor.submit(item.submission, item.read)
        with pytest.raises(BadSignature):
            parsed(LocalVendor(), await side.callback(item))
