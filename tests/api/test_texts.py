"""Words that come with uploads, what is shown of them, a library's rules for them, and comments that are checked."""

from typing import Any

import httpx
import pytest

from mediagate.access.api_keys import Scope
from mediagate.text.normalise import MOST_CHARACTERS
from tests.api.serving import PREFIX, assert_problem, bearer
from tests.world import World, issue_key, picture

WORDS = {
    "caption": "Boat for sale, mail me@example.com",
    "title": "Call +49 171 1234567",
    "alt_text": "A red boat on a lake",
    "tags": ["#Sunset", "Golden  Hour", "sunset"],
    "category": "Boats",
    "language": "en-GB",
}
STORED = {**WORDS, "tags": ["sunset", "golden hour"], "category": "boats"}
SHOWN = {**STORED, "caption": "Boat for sale, mail [mail]", "title": "Call [phone]"}
RULES: dict[str, Any] = {
    "blocklists": {
        "slurs": {"category": "hate", "entries": ["scum"], "action": "quarantine"},
        "swearing": {"category": "profanity", "entries": ["damn"], "score": 0.6},
    },
    "links": {"block": ["evil.com"], "protected": ["paypal.com"]},
}


async def patched(world: World, **patch: Any) -> httpx.Response:
    admin = bearer(await issue_key(world.db, world.library.id, Scope.ADMIN))
    url = f"{PREFIX}/libraries/{world.library.slug}/settings"
    return await world.http.patch(url, json=patch, headers=admin)


async def check(world: World, text: str, **fields: Any) -> dict[str, Any]:
    url = f"{PREFIX}/libraries/{world.library.slug}/texts/check"
    answer = await world.http.post(url, json={"text": text, **fields})
    assert answer.status_code == 200, answer.text
    checked: dict[str, Any] = answer.json()
    return checked


def texts_of(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: shown[name] for name in WORDS}


class TestUploads:
    async def test_words_are_stored_as_sent_and_shown_redacted(self, quiet_world: World) -> None:
        announced = await quiet_world.announce(b"x" * 10, **WORDS)
        assert texts_of(await quiet_world.read(announced["media_id"])) == SHOWN
        row = await quiet_world.media(announced["media_id"])
        assert texts_of(row.model_dump()) == STORED
        page = await quiet_world.http.get(f"{PREFIX}/libraries/{quiet_world.library.slug}/media")
        assert [texts_of(item) for item in page.json()["items"]] == [SHOWN]

    async def test_a_form_has_words_for_all_its_files(self, quiet_world: World) -> None:
        url = f"{PREFIX}/libraries/{quiet_world.library.slug}/media"
        files = [("files", (name, picture(), "image/jpeg")) for name in ("a.jpg", "b.jpg")]
        data = {**WORDS, "tags": ["#Sunset, Golden  Hour", "sunset"]}
        answer = await quiet_world.http.post(url, files=files, data=data)
        assert answer.status_code == 202, answer.text
        for item in answer.json()["items"]:
            assert texts_of(await quiet_world.read(item["media_id"])) == SHOWN

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("title", "x" * 201),
            ("title", "a\x00"),
            ("alt_text", "x" * 1001),
            ("tags", [str(number) for number in range(21)]),
            ("tags", ["x" * 51]),
            ("tags", ["#"]),
            ("category", "x" * 51),
            ("language", "english please"),
            ("language", "en\n"),
        ],
    )
    async def test_what_cannot_be_kept_is_named(self, quiet_world: World, field: str, value: Any) -> None:
        body = {"filename": "a.jpg", "content_type": "image/jpeg", "file_size": 10, field: value}
        url = f"{PREFIX}/libraries/{quiet_world.library.slug}"
        answer = await quiet_world.http.post(f"{url}/uploads", json=body)
        assert field in assert_problem(answer, 422, "invalid_request")["detail"]
        files = [("files", ("a.jpg", picture(), "image/jpeg"))]
        answer = await quiet_world.http.post(f"{url}/media", files=files, data={field: value})
        assert field in assert_problem(answer, 422, "invalid_request")["detail"]

    async def test_another_word_is_another_request(self, quiet_world: World) -> None:
        url = f"{PREFIX}/libraries/{quiet_world.library.slug}/media"
        files = [("files", ("a.jpg", picture(), "image/jpeg"))]
        key = {"Idempotency-Key": "one-and-the-same"}
        first, again, other = [
            await quiet_world.http.post(url, files=files, data={"title": title}, headers=key) for title in "aab"
        ]
        assert first.json() == again.json()
        assert_problem(other, 422, "idempotency_key_reused")


class TestShowing:
    async def test_the_originals_are_for_reviewers(self, quiet_world: World) -> None:
        announced = await quiet_world.announce(b"x" * 10, **WORDS)
        url = f"{PREFIX}/media/{announced['media_id']}"
        assert texts_of((await quiet_world.http.get(url, params={"redact": "false"})).json()) == STORED
        reader = bearer(await issue_key(quiet_world.db, quiet_world.library.id, Scope.MEDIA_READ))
        refused = await quiet_world.http.get(url, params={"redact": "false"}, headers=reader)
        assert "review:write" in assert_problem(refused, 403, "not_allowed")["detail"]
        assert texts_of((await quiet_world.http.get(url, headers=reader)).json()) == SHOWN

    async def test_a_library_may_show_everything(self, quiet_world: World) -> None:
        await quiet_world.configure(text={"redact": False})
        announced = await quiet_world.announce(b"x" * 10, **WORDS)
        assert texts_of(await quiet_world.read(announced["media_id"])) == STORED

    async def test_numbers_are_read_as_in_the_librarys_region(self, quiet_world: World) -> None:
        announced = await quiet_world.announce(b"x" * 10, title="Call 030 1234567")
        assert (await quiet_world.read(announced["media_id"]))["title"] == "Call 030 1234567"
        await quiet_world.configure(text={"pii": {"region": "DE"}})
        assert (await quiet_world.read(announced["media_id"]))["title"] == "Call [phone]"


class TestFilters:
    @pytest.mark.parametrize(
        ("params", "found"),
        [
            ({"tag": "lake"}, ["a.jpg", "b.jpg"]),
            ({"tag": "#LAKE"}, ["a.jpg", "b.jpg"]),
            ({"tag": "golden hour"}, ["a.jpg"]),
            ({"tag": "golden"}, []),
            ({"category": "Boats"}, ["b.jpg"]),
            ({"category": "boats", "tag": "lake", "q": "b"}, ["b.jpg"]),
            ({"category": "boats", "tag": "golden hour"}, []),
            ({"tag": "", "category": ""}, ["a.jpg", "b.jpg", "c.jpg"]),
            ({"tag": "' OR 1=1 --"}, []),
        ],
    )
    async def test_by_tag_and_category(self, quiet_world: World, params: dict[str, str], found: list[str]) -> None:
        await quiet_world.announce(b"x", filename="a.jpg", tags=["lake", "golden hour"])
        await quiet_world.announce(b"x", filename="b.jpg", tags=["lake"], category="boats")
        await quiet_world.announce(b"x", filename="c.jpg")
        url = f"{PREFIX}/libraries/{quiet_world.library.slug}/media"
        page = (await quiet_world.http.get(url, params=params)).json()
        assert sorted(item["filename"] for item in page["items"]) == found

    @pytest.mark.parametrize("params", [{"tag": "#"}, {"category": "x" * 60}])
    async def test_what_no_item_can_have(self, quiet_world: World, params: dict[str, str]) -> None:
        url = f"{PREFIX}/libraries/{quiet_world.library.slug}/media"
        answer = await quiet_world.http.get(url, params=params)
        assert next(iter(params)) in assert_problem(answer, 422, "invalid_request")["detail"]


class TestRules:
    async def test_lists_change_one_by_one(self, quiet_world: World) -> None:
        assert (await patched(quiet_world, text=RULES)).status_code == 200
        change = {"blocklists": {"slurs": None, "ads": {"category": "spam", "entries": ["sale"]}}}
        answer = await patched(quiet_world, text=change)
        assert sorted(answer.json()["text"]["blocklists"]) == ["ads", "swearing"]
        assert answer.json()["text"]["links"]["block"] == ["evil.com"]
        assert (await patched(quiet_world, text=None)).json()["text"]["blocklists"] == {}

    @pytest.mark.parametrize(
        ("rules", "told"),
        [
            ({"regexes": {"codes": {"pattern": "a(b", "category": "spam"}}}, "text.regexes.codes.pattern: missing )"),
            (
                {"regexes": {"codes": {"pattern": "(?=x)", "category": "spam"}}},
                "invalid perl operator: (?= (at character 1)",
            ),
            ({"blocklists": {"a": {"category": "spam"}}}, "text.blocklists.a.entries: Field required"),
            (
                {"blocklists": {"a": {"category": "spam", "entries": [], "action": "approve"}}},
                "text.blocklists.a.action",
            ),
            ({"links": {"block": ["not a domain"]}}, "text.links.block: 'not a domain'"),
            ({"pii": {"kinds": ["shoes"]}}, "text.pii.kinds.0"),
            ({"redacted": True}, "text.redacted: Extra inputs"),
        ],
    )
    async def test_what_is_wrong_is_named(self, quiet_world: World, rules: dict[str, Any], told: str) -> None:
        answer = await patched(quiet_world, text=rules)
        assert told in assert_problem(answer, 422, "invalid_request")["detail"]


class TestChecking:
    async def test_what_is_found_and_where(self, quiet_world: World) -> None:
        await quiet_world.configure(text=RULES)
        text = "D4mn, mail me@example.com or see paypa1.com"
        checked = await check(quiet_world, text)
        assert set(checked) == {
            *("verdict", "reasons", "policy_version", "scores", "findings", "links", "language", "redacted")
        }
        assert all(
            set(one) == {"kind", "rule", "category", "score", "start", "end", "action"} for one in checked["findings"]
        )
        assert [(one["kind"], one["rule"], text[one["start"] : one["end"]]) for one in checked["findings"]] == [
            ("blocklist", "swearing", "D4mn"),
            ("pii", "mail", "me@example.com"),
            ("link", "lookalike", "paypa1.com"),
        ]
        assert checked["scores"] == {"profanity": 0.6, "pii": 0.294, "scam": 0.95}
        assert [(link["url"], link["domain"]) for link in checked["links"]] == [("http://paypa1.com/", "paypa1.com")]
        assert checked["redacted"] == "D4mn, mail [mail] or see paypa1.com"

    @pytest.mark.parametrize(
        ("text", "verdict"),
        [
            ("A lovely boat", "approve"),
            ("mail me@example.com", "approve"),
            ("damn", "review"),
            ("double your bitcoin", "review"),
            ("scum", "quarantine"),
            ("http://evil.com/", "reject"),
            ("paypa1.com", "reject"),
        ],
    )
    async def test_the_librarys_thresholds_decide(self, quiet_world: World, text: str, verdict: str) -> None:
        await quiet_world.configure(text=RULES)
        checked = await check(quiet_world, text)
        assert checked["verdict"] == verdict
        assert checked["reasons"]
        assert checked["policy_version"]

    @pytest.mark.parametrize(
        ("text", "declared", "language"),
        [("boat", "pt-BR", "pt"), ("boat", "", ""), ("Ein Boot und ein Schiff auf dem See bei Nacht", "", "de")],
    )
    async def test_its_language(self, quiet_world: World, text: str, declared: str, language: str) -> None:
        assert (await check(quiet_world, text, language=declared, kind="caption"))["language"] == language

    async def test_nothing_is_stored(self, quiet_world: World) -> None:
        await check(quiet_world, "damn", kind="title")
        page = await quiet_world.http.get(f"{PREFIX}/libraries/{quiet_world.library.slug}/media")
        assert page.json()["items"] == []

    @pytest.mark.parametrize(
        "body",
        [{}, {"text": "x" * (MOST_CHARACTERS + 1)}, {"text": "a\x00"}, {"text": "a", "kind": "poem"}, {"text": 1}],
    )
    async def test_what_cannot_be_checked(self, quiet_world: World, body: dict[str, Any]) -> None:
        url = f"{PREFIX}/libraries/{quiet_world.library.slug}/texts/check"
        assert_problem(await quiet_world.http.post(url, json=body), 422, "invalid_request")
