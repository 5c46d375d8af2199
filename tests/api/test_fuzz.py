"""Whatever JSON comes in, the answer is an answer: a success or a problem document of the 400s."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediagate.media.values import Status, Verdict
from tests.api.serving import PREFIX
from tests.world import World, picture, signed

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**62, max_value=2**70),
    st.floats(),
    st.text(st.characters(codec=None), max_size=20),
    st.sampled_from(["\x00", "\ud800", "a" * 64, "image/jpeg", "a.jpg", "approve", "\u202e", "9" * 30]),
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
VALID: dict[str, dict[str, Any]] = {
    "/libraries/{slug}/uploads": {
        "filename": "a.jpg",
        "content_type": "image/jpeg",
        "file_size": 5,
        "caption": "c",
        "sha256": "a" * 64,
    },
    "/uploads/{id}/complete": {"upload_token": "t", "file_hash": "a" * 64, "file_size": 5},
    "/media/{id}/decision": {"verdict": Verdict.APPROVE.value, "reason": "policy:x", "note": "n"},
    "/media/{id}/abort": {"reason": "r"},
}
"""A valid body of each, of which the examples change a field or everything."""

ANYTHING = settings(
    derandomize=True,
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def bodies(valid: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Bodies near a valid one, and far from it."""
    near = st.dictionaries(st.sampled_from([*valid, "extra"]), JSON, min_size=1, max_size=2).map(lambda d: valid | d)
    return st.one_of(near, near, JSON)


def is_an_answer(status: int, kind: str, text: str) -> bool:
    """True for a success, and for a problem of the caller's."""
    if 200 <= status < 300:
        return kind == "application/json"
    return 400 <= status < 500 and kind == "application/problem+json" and set(json.loads(text)) >= {"code", "detail"}


class TestBodies:
    @pytest.mark.parametrize("path", VALID)
    async def test_no_body_breaks_the_gate(self, quiet_world: World, path: str) -> None:
        media_id = await quiet_world.seal(picture(), status=Status.IN_REVIEW)
        url = PREFIX + path.format(slug=quiet_world.library.slug, id=media_id)
        found: list[Any] = []

        @ANYTHING
        @given(bodies(VALID[path]))
        def collect(body: Any) -> None:
            found.append(body)

        collect()
        for body in [*found, b"", b"{", b"\xff", b"[" * 2000, b"null"]:
            content = body if isinstance(body, bytes) else json.dumps(body)
            answer = await quiet_world.http.post(url, content=content, headers={"Content-Type": "application/json"})
            assert is_an_answer(answer.status_code, answer.headers["content-type"], answer.text), (body, answer.text)

    async def test_no_form_breaks_the_gate(self, quiet_world: World) -> None:
        found: list[bytes] = []
        pieces = [b"--b\r\n", b"--b--", b"\r\n", b"\r\n\r\n", b"Content-Disposition: form-data; ", b'name="files"; ']
        pieces += [
            b'filename="a.jpg"',
            b"Content-Type: image/jpeg\r\n",
            b'name="caption"',
            b"filename*=UTF-8''%00",
            b"\x00",
        ]

        @ANYTHING
        @given(st.lists(st.one_of(st.sampled_from(pieces), st.binary(max_size=8)), max_size=14).map(b"".join))
        def collect(body: bytes) -> None:
            found.append(body)

        collect()
        for body in found:
            answer = await quiet_world.http.post(
                f"{PREFIX}/libraries/{quiet_world.library.slug}/media",
                content=b"--b\r\nContent-Disposition: form-data; " + body,
                headers={"Content-Type": "multipart/form-data; boundary=b"},
            )
            assert is_an_answer(answer.status_code, answer.headers["content-type"], answer.text), (body, answer.text)

    async def test_no_signed_result_breaks_the_inbox(self, quiet_world: World) -> None:
        media_id = await quiet_world.seal(picture(), status=Status.APPROVED)
        found: list[Any] = []

        @ANYTHING
        @given(bodies(quiet_world.event(media_id)))
        def collect(body: Any) -> None:
            found.append(body)

        collect()
        for body in found:
            content = json.dumps(body).encode()
            answer = await quiet_world.http.post(
                f"{PREFIX}/webhooks/moderation/memory", content=content, headers=signed(content)
            )
            assert is_an_answer(answer.status_code, answer.headers["content-type"], answer.text), (body, answer.text)
