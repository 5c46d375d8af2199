"""Policies over HTTP: stored, refused, tried, activated; runs of them; why a decision is what it is."""

import json
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from db.tables import Library, PolicyRun
from mediagate.access.api_keys import Scope
from mediagate.media.values import Verdict
from mediagate.moderation.policy_runs import PolicyMode, RunMode, RunState
from tests.api.serving import PREFIX, assert_problem, bearer
from tests.policies import STRICT, decided, items, run_row, stored
from tests.workflows import runs
from tests.world import VENDOR, World, issue_key

YAML = {"Content-Type": "application/yaml"}


class Policies:
    """A library's policies, as an admin calls them."""

    def __init__(self, world: World, token: str) -> None:
        self.world = world
        self.headers = bearer(token)

    async def ask(self, method: str, path: str = "", **request: Any) -> httpx.Response:
        headers = {**self.headers, **request.pop("headers", {})}
        url = f"{PREFIX}/libraries/{self.world.library.slug}/policies{path}"
        return await self.world.http.request(method, url, headers=headers, **request)

    async def send(self, text: str | bytes, path: str = "") -> httpx.Response:
        return await self.ask("POST", path, content=text, headers=YAML)

    async def read(self, path: str = "", **params: Any) -> Any:
        return await self.answer("GET", path, params=params)

    async def answer(self, method: str, path: str, status: int = 200, **request: Any) -> Any:
        answer = await self.ask(method, path, **request)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
async def policies(quiet_world: World) -> Policies:
    return Policies(quiet_world, await issue_key(quiet_world.db, quiet_world.library.id, Scope.ADMIN))


@pytest.fixture
async def working(world: World) -> Policies:
    """With workers."""
    return Policies(world, await issue_key(world.db, world.library.id, Scope.ADMIN))


class TestDocuments:
    async def test_are_stored_as_drafts_and_read_back(self, policies: Policies) -> None:
        text = "# mind the order\n" + STRICT
        made = await policies.send(text)
        assert made.status_code == 201, made.text
        shown = await policies.read("/1")
        assert made.json() == shown
        assert (shown["number"], shown["version"], shown["mode"]) == (1, "strict@1", "draft")
        assert (shown["source"], shown["created_by"]) == (text, "tester")
        assert shown["document"]["default"]["reject_at"] == 0.4
        assert "default.reject_at: 0.85 → 0.4" in shown["diff"]
        assert [(change["from_mode"], change["to_mode"]) for change in shown["changes"]] == [("", "draft")]
        as_json = await policies.ask("POST", json=shown["document"])
        assert (as_json.json()["number"], as_json.json()["digest"]) == (2, shown["digest"])

    async def test_come_in_pages(self, policies: Policies) -> None:
        for _ in range(3):
            assert (await policies.send(STRICT)).status_code == 201
        first = await policies.read(limit=2)
        second = await policies.read(limit=2, cursor=first["next_cursor"])
        assert [item["number"] for page in (first, second) for item in page["items"]] == [3, 2, 1]
        assert second["next_cursor"] is None

    async def test_sent_twice_under_a_key_are_stored_once(self, policies: Policies) -> None:
        headers = {**YAML, "Idempotency-Key": uuid4().hex}
        answers = [await policies.ask("POST", content=STRICT, headers=headers) for _ in range(2)]
        assert [answer.json()["number"] for answer in answers] == [1, 1]
        assert len((await policies.read())["items"]) == 1

    async def test_validating_stores_nothing(self, policies: Policies) -> None:
        checked = (await policies.send(STRICT + "categories: {nuditty: {review_at: 0.1}}\n", "/validate")).json()
        assert checked["name"] == "strict"
        assert "default.reject_at: 0.85 → 0.4" in checked["diff"]
        assert checked["warnings"] == [
            "categories.nuditty (line 3): nuditty is no category that is known here (did you mean nudity?)."
        ]
        assert (await policies.read())["items"] == []

    @pytest.mark.parametrize("path", ["", "/validate"])
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("", "The document is empty."),
            ("[1, 2]", "A policy is a mapping"),
            ("name: [\n", "cannot be read"),
            ("a: &a [x, x]\nb: [*a, *a]\n", "anchors and aliases are not allowed"),
            ("name: !!python/object:os.system x\n", "is not allowed"),
            ("name: a\nname: b\n", "the key 'name' comes twice"),
            ("[" * 500 + "]" * 500, "levels deep"),
            ('{"a":' * 5000 + "1" + "}" * 5000, "cannot be read"),
            ("name: 3\n", 'name (line 1): it must be a text: write "3" in quotes.'),
            ("default: {review_at: high}\n", "default.review_at (line 1): it must be"),
            ("default: {review_at: 0.9, reject_at: 0.5}\n", "review_at 0.9 is above reject_at 0.5"),
            ("default: {review_at: 1.5}\n", "default.review_at"),
            ("defualt: {}\n", "did you mean default?"),
            ("ask: [nobody]\n", "ask[0] (line 1): no vendor is named 'nobody' here"),
            ("after_deadline: review\n", "must end"),
            ('name: "a\\0b"\n', "NUL"),
            ("rules: [{name: a, then: {verdict: aprove}}]\n", "did you mean approve?"),
            (
                "default: {review_at: 2}\nask: [nobody, nobody]\nafter_deadlin: reject\n",
                "after_deadlin (line 3)",
            ),
        ],
        ids=range(18),
    )
    async def test_bad_ones_are_refused_with_a_reason(
        self, policies: Policies, text: str, told: str, path: str
    ) -> None:
        document = assert_problem(await policies.send(text, path), 422, "invalid_request")
        assert told in document["detail"]
        assert (await policies.read())["items"] == []

    async def test_a_large_one_is_refused(self, policies: Policies) -> None:
        for size in (70_000, 1_000_000):
            answer = await policies.send("name: " + "x" * size)
            assert "64 KiB" in assert_problem(answer, 413, "too_large")["detail"]
        assert_problem(await policies.send(b"#" * (1024 * 1024 + 1)), 413, "too_large")

    async def test_what_is_no_text_is_refused(self, policies: Policies) -> None:
        assert "byte 6" in assert_problem(await policies.send(b"name: \xff"), 422, "invalid_request")["detail"]
        for kind in ("text/html", "multipart/form-data", ""):
            answer = await policies.ask("POST", content=STRICT, headers={"Content-Type": kind})
            assert_problem(answer, 415, "unsupported_type")

    async def test_one_with_everything_in_it_is_taken(self, policies: Policies) -> None:
        text = json.dumps(
            {
                "name": "all",
                "ask": [VENDOR],
                "rules": [
                    {
                        "name": "beach",
                        "when": {"all": [{"fact": "tags", "equals": "beach"}, {"category": "nudity", "below": 0.9}]},
                        "then": {"verdict": "approve"},
                    }
                ],
                "calibration": {VENDOR: {"nudity": [[0, 0], [1, 1]]}},
            }
        )
        assert (await policies.send(text)).status_code == 201


class TestModes:
    async def test_one_is_live_and_the_former_one_retired(self, policies: Policies) -> None:
        for _ in range(2):
            await policies.send(STRICT)
        live = await policies.answer("PATCH", "/1", json={"mode": "live", "note": "go"})
        assert live["mode"] == "live"
        assert "default.reject_at: 0.85 → 0.4" in live["diff"]
        assert live["activated_at"]
        assert (await policies.answer("PATCH", "/2", json={"mode": "live"}))["diff"] == []
        former = await policies.read("/1")
        assert former["mode"] == "retired"
        assert [(c["to_mode"], c["by"], c["note"]) for c in former["changes"]] == [
            ("draft", "tester", ""),
            ("live", "tester", "go"),
            ("retired", "tester", "strict@2 took its place"),
        ]

    async def test_some_changes_are_none(self, policies: Policies) -> None:
        await policies.send(STRICT)
        await policies.answer("PATCH", "/1", json={"mode": "live"})
        document = assert_problem(await policies.ask("PATCH", "/1", json={"mode": "draft"}), 409, "conflict")
        assert document["detail"] == "A live policy does not become draft; it may become retired."
        assert_problem(await policies.ask("PATCH", "/2", json={"mode": "live"}), 404, "not_found")
        assert_problem(await policies.ask("PATCH", "/1", json={"mode": "loud"}), 422, "invalid_request")
        assert_problem(await policies.ask("GET", f"/{2**31}"), 422, "invalid_request")

    async def test_one_whose_vendor_is_gone_does_not_go_live(self, policies: Policies) -> None:
        await stored(policies.world.db, policies.world.library, "ask: [gone]\n")
        document = assert_problem(await policies.ask("PATCH", "/1", json={"mode": "live"}), 422, "invalid_request")
        assert "no vendor is named 'gone' here" in document["detail"]
        assert (await policies.answer("PATCH", "/1", json={"mode": "retired"}))["mode"] == "retired"

    async def test_another_tenants_are_unknown(self, policies: Policies, other_library: Library) -> None:
        await policies.send(STRICT)
        theirs = bearer(await issue_key(policies.world.db, other_library.id, Scope.ADMIN))
        for method, path in (("GET", ""), ("GET", "/1"), ("PATCH", "/1"), ("GET", "/runs"), ("POST", "/1/dry-run")):
            body = {"mode": "live"} if method == "PATCH" else {}
            assert_problem(await policies.ask(method, path, headers=theirs, json=body), 404, "not_found")


class TestReports:
    async def test_a_dry_run_is_answered_at_once(self, policies: Policies) -> None:
        db, library = policies.world.db, policies.world.library
        media = [await decided(db, library, scores={"nudity": score}, age=n) for n, score in enumerate((0.1, 0.45))]
        await decided(db, library, by="person:ada", scores={"nudity": 0.45}, age=9)
        await policies.send(STRICT)
        shown = await policies.answer("POST", "/1/dry-run", json={"last": 2})
        assert shown["version"] == "strict@1"
        assert shown["comparison"]["matrix"] == {"approve": {"approve": 1, "reject": 1}}
        assert (shown["comparison"]["agreement"], shown["comparison"]["agreement_with_people"]) == (0.5, None)
        (changed,) = shown["changed"]["items"]
        assert (changed["media_id"], changed["from_verdict"], changed["to_verdict"]) == (
            str(media[1]),
            "approve",
            "reject",
        )
        assert changed["reasons"][0]["code"] == "reject:nudity"
        everything = await policies.answer("POST", "/1/dry-run", json={})
        assert everything["comparison"]["agreement_with_people"] == 0.0
        assert [one["left"] for one in everything["changed"]["items"]] == ["", "a person decided"]

    async def test_a_longer_one_is_a_run(self, working: Policies) -> None:
        media_id = await decided(working.world.db, working.world.library, scores={"nudity": 0.45})
        await working.send(STRICT)
        run = await working.answer("POST", "/1/dry-run", 202, json={"last": 501})
        assert (run["mode"], run["last"], run["workflow_id"]) == ("dry_run", 501, f"policy-run-{run['id']}")
        run = await ended(working, run["id"])
        assert (run["state"], run["would_change"]) == ("done", 1)
        page = await working.read(f"/runs/{run['id']}/items")
        assert [(item["media_id"], item["state"]) for item in page["items"]] == [(str(media_id), "found")]
        assert_problem(await working.ask("POST", "/1/dry-run", json={"last": 5001}), 422, "invalid_request")

    async def test_a_shadow_is_held_against_what_was_decided(self, policies: Policies) -> None:
        await policies.send(STRICT)
        report = await policies.read("/1/shadow-report")
        assert (report["comparison"]["looked_at"], report["examples"]) == (0, [])
        assert report["comparison"]["agreement"] is None


async def ended(policies: Policies, run_id: str) -> dict[str, Any]:
    async def row() -> bool:
        return (await run_row(policies.world.db, UUID(run_id))).ended_at is not None

    await runs.until(row)
    shown: dict[str, Any] = await policies.read(f"/runs/{run_id}")
    return shown


class TestRuns:
    async def test_previewed_confirmed_and_undone(self, working: Policies) -> None:
        world = working.world
        media_id = await decided(world.db, world.library, Verdict.REJECT, reason="reject:x")
        await working.send(STRICT)
        conflict = await working.ask("POST", "/1/runs", json={})
        assert "Only the live policy" in assert_problem(conflict, 409, "conflict")["detail"]
        await working.answer("PATCH", "/1", json={"mode": "live"})
        run = await working.answer("POST", "/1/runs", 202, json={"per_second": 100})
        path = f"/runs/{run['id']}"

        async def waits() -> bool:
            return (await run_row(world.db, UUID(run["id"]))).state is RunState.PREVIEWED

        await runs.until(waits)
        shown = await working.read(path)
        assert (shown["state"], shown["would_change"], shown["applied"]) == ("previewed", 1, 0)
        assert shown["confirm_until"]
        assert_problem(await working.ask("POST", f"{path}/undo"), 409, "conflict")
        assert_problem(await working.ask("POST", f"{path}/pause"), 409, "conflict")
        assert_problem(await working.ask("POST", f"{path}/explode"), 422, "invalid_request")
        assert (await working.answer("POST", f"{path}/confirm"))["confirmed_by"] == "tester"
        assert (await ended(working, run["id"]))["applied"] == 1
        assert (await world.read(str(media_id)))["decision"]["verdict"] == "approve"
        undo = await working.answer("POST", f"{path}/undo", 202)
        assert (undo["mode"], undo["undoes"]) == ("undo", run["id"])
        assert (await ended(working, undo["id"]))["applied"] == 1
        assert (await world.read(str(media_id)))["status"] == "rejected"
        page = await working.read("/runs", limit=1)
        assert [one["id"] for one in page["items"]] == [undo["id"]]
        assert [one["id"] for one in (await working.read("/runs", cursor=page["next_cursor"]))["items"]] == [run["id"]]
        (item,) = (await working.read(f"/runs/{undo['id']}/items", state="undone"))["items"]
        assert item["media_id"] == str(media_id)

    @pytest.mark.parametrize(
        "body",
        [
            {"last": 0},
            {"last": 2**31},
            {"last": 2**70},
            {"at_once": 51},
            {"per_second": 0},
            {"per_second": 1e9},
            {"mode": "undo"},
            {"extra": 1},
            [],
        ],
        ids=range(9),
    )
    async def test_what_is_out_of_bounds_is_refused(self, policies: Policies, body: Any) -> None:
        await stored(policies.world.db, policies.world.library, STRICT, PolicyMode.LIVE)
        assert_problem(await policies.ask("POST", "/1/runs", json=body), 422, "invalid_request")
        assert (await policies.read("/runs"))["items"] == []

    async def test_one_that_never_began_is_cancelled_all_the_same(self, policies: Policies) -> None:
        """As when the service was away: its row would keep others from beginning."""
        world = policies.world
        policy = await stored(world.db, world.library, STRICT, PolicyMode.LIVE)
        run_id = await unstarted(world, policy.id)
        conflict = await policies.ask("POST", "/1/runs", json={})
        assert str(run_id) in assert_problem(conflict, 409, "conflict")["detail"]
        assert_problem(await policies.ask("POST", f"/runs/{run_id}/confirm"), 409, "conflict")
        cancelled = await policies.answer("POST", f"/runs/{run_id}/cancel")
        assert (cancelled["state"], cancelled["detail"]) == ("cancelled", "cancelled by tester before it began")
        assert (await policies.answer("POST", "/1/runs", 202, json={}))["state"] == "previewing"
        assert await items(world.db, run_id) == {}

    async def test_another_tenants_is_unknown(self, policies: Policies, other_library: Library) -> None:
        world = policies.world
        policy = await stored(world.db, other_library, STRICT, PolicyMode.LIVE)
        run_id = await unstarted(world, policy.id, other_library)
        for method, path in (("GET", ""), ("GET", "/items"), ("POST", "/cancel"), ("POST", "/undo")):
            assert_problem(await policies.ask(method, f"/runs/{run_id}{path}"), 404, "not_found")


async def unstarted(world: World, policy_id: UUID, library: Library | None = None) -> UUID:
    """The row of a run without a workflow."""
    owner = (library or world.library).id
    run = PolicyRun(library_id=owner, policy_id=policy_id, mode=RunMode.APPLY, created_by="ada")
    async with world.db.transaction() as tx:
        await tx.policies.begin_run(run)
    return run.id


class TestCards:
    async def test_tell_why(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        early = await world.http.get(f"{PREFIX}/media/{media_id}/decision/card")
        assert_problem(early, 404, "not_found")
        await world.webhook(world.event(media_id, "review", scores={"nudity": 0.95}))
        await world.ended(media_id)
        card = (await world.http.get(f"{PREFIX}/media/{media_id}/decision/card")).json()
        assert (card["verdict"], card["rule"], card["risk"]) == ("reject", "reject:nudity", 0.95)
        (category,) = card["categories"]
        assert (category["category"], category["reached"], category["lines"][0]["vendor"]) == (
            "nudity",
            "reject",
            VENDOR,
        )
        decision = (await world.read(media_id))["decision"]
        assert (decision["risk"], decision["rule"]) == (0.95, "reject:nudity")

    async def test_of_another_tenants_items_are_unknown(self, quiet_world: World, other_library: Library) -> None:
        media_id = await decided(quiet_world.db, other_library)
        answer = await quiet_world.http.get(f"{PREFIX}/media/{media_id}/decision/card")
        assert_problem(answer, 404, "not_found")
