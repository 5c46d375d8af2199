"""A library's settings: read, changed by who may, refused where they would break something; its watermark shown."""

import asyncio
import hashlib
import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops
from structlog.testing import capture_logs

from db.tables import Library, MediaVariant
from mediagate.access.api_keys import Scope
from mediagate.errors import ObjectMissing
from mediagate.imaging.text_mark import FONT
from mediagate.media.renditions import ImagePolicy
from mediagate.media.retention import Retention
from mediagate.media.values import MIB, Status, VariantName, WatermarkSpec
from mediagate.storage import keys
from mediagate.text.policy import TextPolicy
from tests.api.serving import PREFIX, assert_problem, bearer, gate_of, serving
from tests.world import World, issue_key, picture


class Admin:
    """Somebody who may change a library."""

    def __init__(self, world: World, token: str) -> None:
        self.world = world
        self.url = f"{PREFIX}/libraries/{world.library.slug}"
        self.headers = bearer(token)

    async def read(self) -> dict[str, Any]:
        answer = await self.world.http.get(f"{self.url}/settings", headers=self.headers)
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def patch(self, **patch: Any) -> httpx.Response:
        return await self.world.http.patch(f"{self.url}/settings", json=patch, headers=self.headers)

    async def put_image(self, data: bytes) -> httpx.Response:
        return await self.world.http.put(f"{self.url}/watermark/image", content=data, headers=self.headers)

    async def delete_image(self) -> httpx.Response:
        return await self.world.http.delete(f"{self.url}/watermark/image", headers=self.headers)

    async def preview(self, **body: Any) -> httpx.Response:
        return await self.world.http.post(f"{self.url}/watermark/preview", json=body, headers=self.headers)

    async def shown(self, **body: Any) -> Image.Image:
        answer = await self.preview(**body)
        assert answer.status_code == 200, answer.text
        return Image.open(BytesIO(answer.content), formats=["JPEG"]).convert("RGB")

    async def stored(self) -> dict[str, Any]:
        """The row."""
        async with self.world.db.transaction() as tx:
            library = await tx.access.library(self.world.library.slug)
        assert library
        return library.settings


@pytest.fixture
async def admin(quiet_world: World) -> Admin:
    return Admin(quiet_world, await issue_key(quiet_world.db, quiet_world.library.id, Scope.ADMIN))


@pytest.fixture
async def operator(quiet_world: World) -> Admin:
    """Whose key is for every library."""
    return Admin(quiet_world, await issue_key(quiet_world.db, None, Scope.ADMIN))


def logo(colour: str = "red") -> bytes:
    """A mark."""
    out = BytesIO()
    Image.new("RGBA", (80, 40), colour).save(out, "PNG")
    return out.getvalue()


class TestReading:
    async def test_without_settings_the_defaults_hold(self, admin: Admin) -> None:
        shown = await admin.read()
        deployment = admin.world.settings.limits({})
        assert shown == {
            "watermark": WatermarkSpec().model_dump(mode="json"),
            "images": ImagePolicy().model_dump(mode="json"),
            "limits": deployment.model_dump(mode="json"),
            "text": TextPolicy().model_dump(mode="json"),
            "retention": Retention().model_dump(mode="json"),
        }

    async def test_a_reader_may_look_and_not_touch(self, quiet_world: World) -> None:
        reader = Admin(quiet_world, await issue_key(quiet_world.db, quiet_world.library.id, Scope.MEDIA_READ))
        assert set(await reader.read()) == {"watermark", "images", "limits", "text", "retention"}
        for answer in (
            await reader.patch(watermark={"text": "mine"}),
            await reader.put_image(logo()),
            await reader.delete_image(),
            await reader.preview(),
        ):
            assert_problem(answer, 403, "not_allowed")
        assert await reader.stored() == {}


class TestPatching:
    async def test_what_is_named_changes_and_the_rest_stays(self, admin: Admin) -> None:
        policy = {"version": "strict-7"}
        await admin.world.configure(policy=policy, watermark={"text": "old", "scale": 0.3})
        answer = await admin.patch(watermark={"text": "© new", "overrides": {"thumb": {"opacity": 1}}})
        assert answer.status_code == 200
        assert answer.json() == await admin.read()
        watermark = {"text": "© new", "scale": 0.3, "overrides": {"thumb": {"opacity": 1.0}}}
        assert await admin.stored() == {"policy": policy, "watermark": watermark}
        assert answer.json()["watermark"] == WatermarkSpec.model_validate(watermark).model_dump(mode="json")
        await admin.patch(watermark={"overrides": {"thumb": {"scale": 0.5}}}, images={"progressive": True})
        watermark["overrides"] = {"thumb": {"opacity": 1.0, "scale": 0.5}}
        assert await admin.stored() == {"policy": policy, "watermark": watermark, "images": {"progressive": True}}

    async def test_null_brings_defaults_back(self, admin: Admin) -> None:
        await admin.patch(watermark={"text": "a", "opacity": 0.9, "overrides": {"thumb": {"opacity": 1, "scale": 1}}})
        await admin.patch(watermark={"opacity": None, "overrides": {"thumb": {"scale": None}}}, images=None)
        assert await admin.stored() == {"watermark": {"text": "a", "overrides": {"thumb": {"opacity": 1.0}}}}
        await admin.patch(watermark=None)
        assert await admin.stored() == {}

    async def test_the_type_of_merge_patches_is_understood(self, admin: Admin) -> None:
        answer = await admin.world.http.patch(
            f"{admin.url}/settings",
            content=b'{"images": {"responsive": [640, 320]}}',
            headers={**admin.headers, "Content-Type": "application/merge-patch+json"},
        )
        assert answer.json()["images"]["responsive"] == [320, 640]

    @pytest.mark.parametrize(
        ("patch", "told"),
        [
            ({"policy": {"version": "none"}}, "policy"),
            ({"watermarks": {}}, "watermarks"),
            ({"watermark": []}, "watermark"),
            ({"watermark": {"opactiy": 1}}, "watermark.opactiy: Extra inputs are not permitted"),
            ({"watermark": {"opacity": 1.5}}, "watermark.opacity: Input should be less than or equal to 1"),
            ({"watermark": {"opacity": "much"}}, "watermark.opacity"),
            ({"watermark": {"scale": 0}}, "watermark.scale"),
            ({"watermark": {"position": "middle"}}, "watermark.position"),
            ({"watermark": {"colour": "white"}}, "watermark.colour"),
            ({"watermark": {"variants": ["huge"]}}, "watermark.variants.0"),
            ({"watermark": {"variants": ["moderation"]}}, "the moderation copy is never marked"),
            ({"watermark": {"overrides": {"moderation": {}}}}, "the moderation copy is never marked"),
            ({"watermark": {"overrides": {"thumb": {"rotation": 3}}}}, "watermark.overrides.thumb.rotation"),
            ({"watermark": {"text": "© 図"}}, "watermark.text: The font DejaVu Sans does not have: 図 (U+56F3)"),
            ({"watermark": {"text": "🙂"}}, "watermark.text: Emoji cannot be drawn in a watermark: 🙂 (U+1F642)"),
            ({"watermark": {"overrides": {"thumb": {"text": "図"}}}}, "watermark.overrides.thumb.text: The font"),
            ({"watermark": {"text": "x" * 121}}, "watermark.text: it has 121 characters; at most 120 are drawn"),
            ({"watermark": {"text": "a\x00"}}, "watermark.text: a text contains NUL"),
            ({"watermark": {"image_key": "other/media/thumbs/x.jpg"}}, "watermark.image_key: it names no image"),
            ({"images": {"responsive": [321]}}, "images.responsive"),
            ({"images": {"background": "#fff"}}, "images.background"),
            ({"images": {"sibling": ["webp"]}}, "images.sibling: Extra"),
            ({"limits": {"max_bytes": 0}}, "limits.max_bytes"),
            ({"limits": {"max_bytes": 1.5}}, "limits.max_bytes"),
            ({"limits": {"max_frames": 3}}, "limits.max_frames: Extra"),
            ({"limits": {"max_edge": 10**9}}, "limits.max_edge: this library may have at most 30000"),
        ],
    )
    async def test_what_is_wrong_is_named_and_nothing_changes(
        self, admin: Admin, patch: dict[str, Any], told: str
    ) -> None:
        await admin.world.configure(watermark={"text": "old"})
        answer = await admin.patch(**{"images": {"progressive": True}, **patch})
        assert told in assert_problem(answer, 422, "invalid_request")["detail"]
        assert await admin.stored() == {"watermark": {"text": "old"}}

    async def test_no_patch_breaks_the_gate(self, admin: Admin) -> None:
        scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None))
        names = st.sampled_from([*WatermarkSpec.model_fields, *ImagePolicy.model_fields, *VariantName, "max_bytes"])
        value = st.recursive(
            scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
        )
        found: list[Any] = []

        @settings(
            derandomize=True, max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(st.dictionaries(st.sampled_from(["watermark", "images", "limits"]), value))
        def collect(patch: Any) -> None:
            found.append(patch)

        collect()
        deep = '{"watermark": ' + '{"overrides": ' * 900 + "1" + "}" * 901
        for patch in [*map(json.dumps, found), deep, "[]", "null", '{"watermark": {"text": "\\ud800"}}']:
            answer = await admin.world.http.patch(
                f"{admin.url}/settings", content=patch, headers={**admin.headers, "Content-Type": "application/json"}
            )
            assert answer.status_code in range(200, 300) or answer.status_code in range(400, 500), (patch, answer.text)
            await admin.read()

    async def test_two_at_once_lose_nothing(self, admin: Admin) -> None:
        values: dict[str, Any] = {"text": "a", "opacity": 0.7, "scale": 0.4, "margin": 0.1, "rotation": 10.0}
        answers = await asyncio.gather(*(admin.patch(watermark={key: value}) for key, value in values.items()))
        assert [answer.status_code for answer in answers] == [200] * len(values)
        assert (await admin.stored())["watermark"] == values

    async def test_uploads_go_on_while_settings_change(self, admin: Admin) -> None:
        async with admin.world.db.transaction() as tx:
            assert await tx.access.library(admin.world.library.slug, lock=True)
            await admin.world.announce(b"x")

    async def test_the_log_says_who_changed_what(self, admin: Admin) -> None:
        await admin.patch(watermark={"text": "old"})
        with capture_logs() as logs:
            await admin.patch(watermark={"text": "new"})
            await admin.patch(watermark={"text": "new"})
        [line] = [line for line in logs if line["event"] == "library.settings_changed"]
        assert (line["library"], line["by"]) == (admin.world.library.slug, "tester")
        assert (line["before"], line["after"]) == ({"watermark": {"text": "old"}}, {"watermark": {"text": "new"}})

    async def test_only_a_key_for_all_libraries_widens_limits(self, admin: Admin, operator: Admin) -> None:
        assert (await admin.patch(limits={"max_bytes": 5 * MIB})).json()["limits"]["max_bytes"] == 5 * MIB
        assert_problem(await admin.patch(limits={"max_bytes": 500 * MIB}), 422, "invalid_request")
        assert (await operator.patch(limits={"max_bytes": 500 * MIB})).json()["limits"]["max_bytes"] == 500 * MIB
        assert (await admin.patch(images={"progressive": True})).status_code == 200

    async def test_a_limit_holds_for_the_next_upload(self, admin: Admin) -> None:
        await admin.patch(limits={"max_bytes": 100})
        url = f"{PREFIX}/libraries/{admin.world.library.slug}/uploads"
        body = {"filename": "a.jpg", "content_type": "image/jpeg", "file_size": 101}
        assert_problem(await admin.world.http.post(url, json=body), 413, "too_large")

    async def test_the_deployments_font_decides(self, admin: Admin, tmp_path: Path) -> None:
        font = tmp_path / "font.ttf"
        patch = {"watermark": {"text": "© me"}}
        parts = gate_of(admin.world)
        parts = replace(parts, settings=parts.settings.model_copy(update={"watermark_font": font}))
        async with serving(parts, admin.headers) as http:
            document = assert_problem(await http.patch(f"{admin.url}/settings", json=patch), 503, "watermark_unusable")
            assert "MEDIAGATE_WATERMARK_FONT" in document["detail"]
            assert str(font) not in document["detail"]
            font.write_bytes(FONT.read_bytes())
            assert (await http.patch(f"{admin.url}/settings", json=patch)).status_code == 200


class TestImage:
    async def test_it_becomes_the_mark(self, admin: Admin) -> None:
        await admin.patch(watermark={"scale": 0.5})
        data = logo()
        answer = await admin.put_image(data)
        key = keys.watermark_image(admin.world.library.slug, hashlib.sha256(data).hexdigest())
        assert answer.status_code == 200
        assert (answer.json()["watermark"]["image_key"], answer.json()["watermark"]["scale"]) == (key, 0.5)
        assert await admin.stored() == {"watermark": {"scale": 0.5, "image_key": key}}
        assert await admin.world.store.get_bytes(key, max_bytes=MIB) == data
        assert (await admin.put_image(data)).json() == answer.json()

    async def test_the_one_before_can_be_set_again(self, admin: Admin) -> None:
        first = (await admin.put_image(logo())).json()["watermark"]["image_key"]
        second = (await admin.put_image(logo("blue"))).json()["watermark"]["image_key"]
        assert first != second
        assert (await admin.patch(watermark={"image_key": first})).json()["watermark"]["image_key"] == first

    async def test_it_goes_from_the_settings_and_from_the_store(self, admin: Admin) -> None:
        await admin.patch(watermark={"text": "© me"})
        key = (await admin.put_image(logo())).json()["watermark"]["image_key"]
        for _ in range(2):
            answer = await admin.delete_image()
            assert answer.status_code == 200
            assert answer.json()["watermark"]["image_key"] is None
        assert await admin.stored() == {"watermark": {"text": "© me"}}
        with pytest.raises(ObjectMissing):
            await admin.world.store.stat(key)
        assert_problem(await admin.patch(watermark={"image_key": key}), 422, "invalid_request")

    @pytest.mark.parametrize(
        ("data", "status", "code"),
        [
            (b"", 422, "invalid_request"),
            (b"<svg/>", 422, "invalid_request"),
            (logo()[:-20], 422, "invalid_request"),
            (logo() + b"PK\3\4", 422, "invalid_request"),
            (b"\x89PNG" + bytes(4 * MIB), 413, "too_large"),
        ],
        ids=["empty", "svg", "cut", "trailing", "large"],
    )
    async def test_a_bad_one_is_refused(self, admin: Admin, data: bytes, status: int, code: str) -> None:
        assert_problem(await admin.put_image(data), status, code)
        assert await admin.stored() == {}

    async def test_another_librarys_is_no_mark_of_ours(
        self, admin: Admin, operator: Admin, other_library: Library
    ) -> None:
        theirs = await operator.world.http.put(
            f"{PREFIX}/libraries/{other_library.slug}/watermark/image", content=logo(), headers=operator.headers
        )
        key = theirs.json()["watermark"]["image_key"]
        for answer in (
            await admin.patch(watermark={"image_key": key}),
            await operator.patch(watermark={"image_key": key}),
            await admin.preview(watermark={"image_key": key}),
            await admin.patch(watermark={"image_key": key.replace(other_library.slug, admin.world.library.slug)}),
        ):
            assert_problem(answer, 422, "invalid_request")
        assert await admin.stored() == {}


class TestPreview:
    async def item(self, world: World, *names: VariantName, status: Status = Status.APPROVED) -> str:
        """An item whose variants are of one colour each."""
        media_id = await world.seal(picture(), status=status)
        row = await world.media(media_id)
        for place, name in enumerate(names):
            out = BytesIO()
            Image.new("RGB", (300 * (place + 1), 200), (40 + 60 * place, 90, 90)).save(out, "JPEG")
            key = keys.work(media_id, name)
            await world.store.put(key, out.getvalue(), content_type="image/jpeg")
            line = {"media_id": row.id, "name": name, "format": "jpeg", "width": 300 * (place + 1), "height": 200}
            line |= {"bytes": 1, "quality": 80, "sha256": "", "engine": "test", "key": key}
            async with world.db.transaction() as tx:
                tx.session.add(MediaVariant.model_validate(line))
        return media_id

    async def test_a_neutral_picture_with_the_mark_that_is_set(self, admin: Admin) -> None:
        plain = await admin.shown()
        assert plain.size == (1200, 800)
        await admin.patch(watermark={"text": "© me", "opacity": 1})
        marked = await admin.shown()
        box = ImageChops.difference(plain, marked).convert("L").point([0] * 60 + [255] * 196).getbbox()
        assert box
        assert box[0] > 900
        assert box[1] > 650

    async def test_a_mark_that_is_not_set_yet(self, admin: Admin) -> None:
        before = await admin.shown()
        wish = {"text": "© draft", "opacity": 1, "position": "top-left", "scale": 0.5}
        drafted = await admin.shown(watermark=wish)
        box = ImageChops.difference(before, drafted).convert("L").point([0] * 60 + [255] * 196).getbbox()
        assert box
        assert box[2] < 650
        assert await admin.stored() == {}
        assert (await admin.preview(watermark=wish)).content == (await admin.preview(watermark=wish)).content

    async def test_each_variant_as_it_will_be(self, admin: Admin) -> None:
        wish = {"text": "© me", "variants": ["thumb"], "overrides": {"thumb": {"opacity": 1, "scale": 0.9}}}
        assert (await admin.shown(watermark=wish, variant="thumb")).size == (150, 100)
        assert (await admin.shown(watermark=wish, variant="w320")).size == (320, 213)
        bare = [(await admin.preview(variant=name)).content for name in ("thumb", "medium")]
        marked = [(await admin.preview(watermark=wish, variant=name)).content for name in ("thumb", "medium")]
        assert [a == b for a, b in zip(bare, marked, strict=True)] == [False, True]

    async def test_an_image_as_the_mark(self, admin: Admin) -> None:
        key = (await admin.put_image(logo())).json()["watermark"]["image_key"]
        shown = await admin.shown(watermark={"image_key": key, "position": "center", "opacity": 1})
        assert shown.getpixel((600, 400)) in {(254, 0, 0), (255, 0, 0)}
        await admin.world.store.delete(key)
        assert_problem(await admin.preview(), 409, "conflict")

    async def test_an_items_unmarked_picture_is_the_ground(self, admin: Admin) -> None:
        small, large = VariantName.MODERATION, VariantName.ORIGINAL
        media_id = await self.item(admin.world, small, VariantName.MEDIUM, large)
        await admin.patch(watermark={"text": "© me", "variants": ["original", "medium"]})
        assert (await admin.shown(media_id=media_id)).size == (300, 200)
        await admin.patch(watermark={"variants": ["original"]})
        assert (await admin.shown(media_id=media_id)).size == (600, 200)
        filed = await self.item(admin.world, VariantName.ORIGINAL)
        assert (await admin.shown(media_id=filed)).size == (300, 200)

    async def test_nothing_of_it_can_run_or_be_kept(self, admin: Admin) -> None:
        answer = await admin.preview()
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"

    async def test_many_at_once_all_get_theirs(self, admin: Admin) -> None:
        answers = await asyncio.gather(*(admin.preview(variant="thumb") for _ in range(5)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            ({"watermark": {"text": "図"}}, "watermark.text: The font"),
            ({"watermark": {"opacity": 3}}, "watermark.opacity"),
            ({"watermark": {"txt": "a"}}, "watermark.txt"),
            ({"variant": "moderation"}, "never marked"),
            ({"variant": "huge"}, "variant"),
            ({"size": 3}, "size"),
            ({"media_id": "1"}, "media_id"),
        ],
    )
    async def test_what_is_wrong_is_named(self, admin: Admin, body: dict[str, Any], told: str) -> None:
        assert told in assert_problem(await admin.preview(**body), 422, "invalid_request")["detail"]

    async def test_items_that_are_not_here(self, admin: Admin, operator: Admin, other_library: Library) -> None:
        theirs = await admin.world.seal(picture(), library_id=other_library.id)
        bare = await admin.world.seal(picture())
        gone = await self.item(admin.world, VariantName.MEDIUM)
        await admin.world.store.delete(keys.work(gone, VariantName.MEDIUM))
        for media_id in (str(uuid4()), theirs, bare):
            assert_problem(await admin.preview(media_id=media_id), 404, "not_found")
            assert_problem(await operator.preview(media_id=media_id), 404, "not_found")
        assert_problem(await admin.preview(media_id=gone), 404, "object_missing")
