"""The generic vendor result: what is taken, and what is refused by which name."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagate.errors import InvalidWebhook
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from mediagate.vendors.generic_result import MAX_BODY, MAX_DEPTH, MAX_EVENTS, parse_body

MEDIA_ID = "0b7e2a52-7d0e-4f0c-9a8e-1f2d3c4b5a69"
OTHER_ID = "1b7e2a52-7d0e-4f0c-9a8e-1f2d3c4b5a69"
NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
RESULT: dict[str, Any] = {
    "event_id": "evt_1",
    "media_id": MEDIA_ID,
    "vendor": "acme",
    "occurred_at": "2026-11-21T09:59:58Z",
    "verdict": "approve",
    "scores": {"nudity": 0.01, "violence": 0},
    "labels": ["clean"],
    "final": True,
}


def parse(body: object) -> list[VendorEvent]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_body(raw, vendor="simulated", webhook_id="msg_1", sent_at=NOW)


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in RESULT.items() if name not in names}


class TestAccepted:
    def test_a_single_object(self) -> None:
        (event,) = parse(RESULT)
        assert event == VendorEvent(
            event_id="evt_1",
            vendor="simulated",
            media_id=MEDIA_ID,
            workflow_id=f"media-{MEDIA_ID}",
            occurred_at=NOW - timedelta(seconds=2),
            verdict=VendorVerdict.APPROVE,
            scores={"nudity": 0.01, "violence": 0.0},
            labels=("clean",),
            final=True,
            raw=RESULT,
        )

    @pytest.mark.parametrize("wrap", [lambda results: results, lambda results: {"events": results}])
    def test_a_batch_keeps_its_order(self, wrap: Any) -> None:
        results = [{**RESULT, "event_id": f"evt_{n}"} for n in range(MAX_EVENTS)]
        assert [event.event_id for event in parse(wrap(results))] == [f"evt_{n}" for n in range(MAX_EVENTS)]

    @pytest.mark.parametrize(
        "names", [{"workflow_id": f"media-{MEDIA_ID}"}, {"media_id": MEDIA_ID}, {"media_id": MEDIA_ID.upper()}]
    )
    def test_either_name_of_the_item_gives_both(self, names: dict[str, str]) -> None:
        (event,) = parse({**without("media_id"), **names})
        assert (event.media_id, event.workflow_id) == (MEDIA_ID, f"media-{MEDIA_ID}")

    def test_what_is_missing_comes_from_the_headers(self) -> None:
        (event,) = parse(without("event_id", "occurred_at", "scores", "labels", "final", "vendor"))
        assert (event.event_id, event.occurred_at, event.final) == ("msg_1", NOW, True)

    def test_in_a_batch_the_index_tells_events_apart(self) -> None:
        events = parse([without("event_id"), without("event_id")])
        assert [event.event_id for event in events] == ["msg_1:0", "msg_1:1"]

    def test_unknown_fields_are_kept(self) -> None:
        (event,) = parse({**RESULT, "model": {"name": "v7", "tags": [1, None]}})
        assert event.raw["model"] == {"name": "v7", "tags": [1, None]}

    @pytest.mark.parametrize(
        "text", ["2026-11-21T11:00:00+01:00", "2026-11-21T10:00:00Z", "2026-11-21T10:00:00", "2026-11-21 10:00:00.000"]
    )
    def test_times_are_brought_to_utc(self, text: str) -> None:
        assert parse({**RESULT, "occurred_at": text})[0].occurred_at == NOW

    def test_what_was_taken_survives_a_payload(self) -> None:
        (event,) = parse({**RESULT, "note": "Grüße 🎉"})
        assert VendorEvent.model_validate_json(event.model_dump_json()) == event


class TestRefused:
    @pytest.mark.parametrize(
        ("body", "field"),
        [
            (without("verdict"), "verdict"),
            (RESULT | {"verdict": "quarantine"}, "verdict"),
            (RESULT | {"verdict": None}, "verdict"),
            (RESULT | {"verdict": ["approve"]}, "verdict"),
            (RESULT | {"verdict": "APPROVE"}, "verdict"),
            (without("media_id"), "media_id"),
            (RESULT | {"media_id": None}, "media_id"),
            (RESULT | {"media_id": 7}, "media_id"),
            (RESULT | {"media_id": ""}, "media_id"),
            (RESULT | {"media_id": MEDIA_ID + "\n"}, "media_id"),
            (RESULT | {"media_id": f"{{{MEDIA_ID}}}"}, "media_id"),
            (RESULT | {"workflow_id": MEDIA_ID}, "workflow_id"),
            (RESULT | {"workflow_id": "media-../../x"}, "workflow_id"),
            (RESULT | {"workflow_id": f"media-{OTHER_ID}"}, "workflow_id"),
            (RESULT | {"event_id": 1}, "event_id"),
            (RESULT | {"event_id": ""}, "event_id"),
            (RESULT | {"event_id": "x" * 256}, "event_id"),
            (RESULT | {"vendor": 1}, "vendor"),
            (RESULT | {"occurred_at": 1_700_000_000}, "occurred_at"),
            (RESULT | {"occurred_at": "yesterday"}, "occurred_at"),
            (RESULT | {"occurred_at": "0001-01-01T00:00:00+23:59"}, "occurred_at"),
            (RESULT | {"scores": [0.5]}, "scores"),
            (RESULT | {"scores": {"nudity": 1.01}}, "scores.nudity"),
            (RESULT | {"scores": {"nudity": -0.01}}, "scores.nudity"),
            (RESULT | {"scores": {"nudity": "0.5"}}, "scores.nudity"),
            (RESULT | {"scores": {"nudity": True}}, "scores.nudity"),
            (RESULT | {"scores": {"nudity": None}}, "scores.nudity"),
            (RESULT | {"scores": {"": 0.5}}, "scores"),
            (RESULT | {"labels": "clean"}, "labels"),
            (RESULT | {"labels": [1]}, "labels.0"),
            (RESULT | {"labels": ["x"] * 501}, "labels"),
            (RESULT | {"final": "yes"}, "final"),
            (RESULT | {"final": 1}, "final"),
            ([RESULT, without("verdict")], "events.1.verdict"),
            ({"events": [RESULT | {"final": None}]}, "events.0.final"),
            ([RESULT, 7], "events.1"),
            ([], "events"),
            ({"events": []}, "events"),
            ({"events": {}}, "events"),
            ({"events": None}, "events"),
            ([RESULT] * (MAX_EVENTS + 1), "events"),
            ({}, "verdict"),
            ("text", "events"),
            (None, "events"),
            (7, "events"),
        ],
    )
    def test_the_field_is_named(self, body: object, field: str) -> None:
        with pytest.raises(InvalidWebhook) as caught:
            parse(body)
        assert str(caught.value).startswith(field)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"\xff\xfe",
            json.dumps(RESULT).encode("utf-16"),
            b'{"verdict": "approve", "scores": {"nudity": NaN}}',
            b'{"verdict": "approve", "extra": Infinity}',
            b'{"verdict": "approve", "extra": 1e999}',
            b'{"verdict": "approve", "extra": ' + b"9" * 5000 + b"}",
            b'{"verdict": "approve", "extra": "\\u0000"}',
            b'{"verdict": "approve", "\\u0000": 1}',
            b'{"verdict": "approve", "extra": ["\\ud800"]}',
            b"[" * 100_000,
            b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
            b" " * (MAX_BODY + 1),
        ],
        ids=range(14),
    )
    def test_what_cannot_be_stored_as_json_everywhere(self, body: bytes) -> None:
        with pytest.raises(InvalidWebhook, match="body"):
            parse(body)


class TestAnything:
    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*RESULT, "events"]), inner, max_size=6)
            ),
        )
    )
    def test_is_taken_or_refused_and_never_crashes(self, body: object) -> None:
        try:
            events = parse(body)
        except InvalidWebhook:
            return
        assert all(event.media_id for event in events)
