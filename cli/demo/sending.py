"""Sends files, follows them to their ends, and decides reviews in a person's place."""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence

import httpx

from cli.demo.files import REFUSED, Route, parcels
from cli.demo.journey import SENT, TROUBLE, Journey
from cli.demo.public_api import ApiRefused, ApiUnavailable, Document, PublicApi
from mediagate.media.values import Status

AT_ONCE = 4
IN_FLIGHT = 24
"""Parcels that are sent at the same time, and that are on their way at the same time."""

LOOK_EVERY = 0.3
REVIEW_REASON = "demo-review"
REVIEW_NOTE = "Approved by the demo, which stands in for a reviewer."


class Expedition:
    """All journeys of one demo."""

    def __init__(self, api: PublicApi, journeys: Sequence[Journey]) -> None:
        self._api = api
        self._journeys = {id(journey.file): journey for journey in journeys}
        self._sending = asyncio.Semaphore(AT_ONCE)
        self._flight = asyncio.Semaphore(IN_FLIGHT)
        self._watched: dict[Journey, asyncio.Event] = {}
        self._decided: set[Journey] = set()
        self.trouble = ""
        """what the API last said when it did not answer"""

    async def run(self, timeout: float) -> bool:
        """Bring every journey to its end; False if time ran out before that."""
        try:
            async with asyncio.timeout(timeout):
                await self._all()
        except TimeoutError:
            await self._look_at_stuck()
            return False
        return True

    async def _all(self) -> None:
        files = [journey.file for journey in self._journeys.values()]
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._watch())
            await asyncio.gather(*(self._parcel([self._journeys[id(file)] for file in p]) for p in parcels(files)))
            watch.cancel()

    async def _parcel(self, parcel: list[Journey]) -> None:
        async with self._flight:
            try:
                async with self._sending:
                    if parcel[0].file.route is Route.PRESIGNED:
                        await self._presigned(parcel[0])
                    else:
                        await self._multipart(parcel)
            except ApiRefused as error:
                _end(parcel, REFUSED if error.about_the_file else TROUBLE, error.answer_code, error.message)
            except (ApiUnavailable, httpx.HTTPError) as error:
                _end(parcel, TROUBLE, "unavailable", str(error) or type(error).__name__)
            except OSError as error:
                _end(parcel, TROUBLE, "unreadable", f"{error.strerror}: {error.filename}")
            await asyncio.gather(*(self._arrival(journey) for journey in parcel if not journey.ended))

    async def _presigned(self, journey: Journey) -> None:
        journey.move(SENT)
        place = await self._api.announce(journey.file)
        data = await asyncio.to_thread(journey.file.read)
        await self._api.store(place, data)
        accepted = await self._api.complete(place, data)
        _accept(journey, accepted)

    async def _multipart(self, parcel: list[Journey]) -> None:
        for journey in parcel:
            journey.move(SENT)
        items = await self._api.send([journey.file for journey in parcel])
        for journey, item in zip(parcel, items, strict=True):
            if item.get("error"):
                code = str(item["error"]["code"])
                journey.end(TROUBLE if code.endswith("unavailable") else REFUSED, code, item["error"]["detail"])
            else:
                _accept(journey, item)

    async def _arrival(self, journey: Journey) -> None:
        arrived = asyncio.Event()
        self._watched[journey] = arrived
        await arrived.wait()

    async def _watch(self) -> None:
        """One look at the library's list shows where all of them stand."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if not self._watched:
                continue
            try:
                await self._look(list(self._watched))
                self.trouble = ""
            except (ApiUnavailable, ApiRefused) as error:
                self.trouble = error.message

    async def _look(self, journeys: Iterable[Journey]) -> None:
        newest = await self._api.newest()
        for journey in journeys:
            status = newest.get(journey.media_id)
            if status is None:  # more than a page of others came after it
                status = str((await self._api.media(journey.media_id))["status"])
            if status == Status.IN_REVIEW and journey.file.expected.by_person:
                journey.move(status)
                if journey not in self._decided:
                    await self._decide(journey)
                continue
            if status in {Status.APPROVED, Status.REJECTED, Status.QUARANTINED, Status.FAILED, Status.IN_REVIEW}:
                journey.document = await self._api.media(journey.media_id)
                status = str(journey.document["status"])
            journey.move(status)
            if journey.ended:
                self._watched.pop(journey).set()

    async def _decide(self, journey: Journey) -> None:
        try:
            await self._api.decide(journey.media_id, "approve", reason=REVIEW_REASON, note=REVIEW_NOTE)
            self._decided.add(journey)
        except ApiRefused as error:
            # 409: the row says so a moment before the run takes decisions; the next look asks again.
            if error.answer_status != httpx.codes.CONFLICT:
                raise

    async def _look_at_stuck(self) -> None:
        """Fetch once more what is known of those that did not arrive, for the report."""
        for journey in self._journeys.values():
            if journey.media_id and not journey.document:
                with contextlib.suppress(ApiUnavailable, ApiRefused, TimeoutError):
                    async with asyncio.timeout(2):
                        journey.document = await self._api.media(journey.media_id)


def _accept(journey: Journey, answer: Document) -> None:
    journey.media_id = answer["media_id"]
    journey.move(answer["status"])


def _end(parcel: Iterable[Journey], outcome: str, code: str, detail: str) -> None:
    for journey in parcel:
        if not journey.media_id:
            journey.end(outcome, code, detail)
