"""Who is told to be the same file or the same picture, and to whom."""

from uuid import UUID

import pytest

from db.tables import Library
from mediagate.media.fingerprints import Form, dihedral
from tests.api.serving import PREFIX, assert_problem
from tests.world import World, picture

PHASH = 0x9A3C_51F7_08D2_6BE4


async def sealed(
    world: World,
    data: bytes,
    phash: int | None = None,
    *,
    filename: str = "photo.jpg",
    library: Library | None = None,
) -> str:
    """An accepted item, in the world's library or that one, with a fingerprint."""
    owner = library or world.library
    media_id = await world.seal(data, library_id=owner.id, filename=filename)
    async with world.db.transaction() as tx:
        await tx.fingerprints.put(UUID(media_id), owner.id, phash)
    return media_id


class TestDuplicates:
    async def test_the_same_file_and_the_same_picture_are_told_apart(self, quiet_world: World) -> None:
        asked = await sealed(quiet_world, picture(), PHASH)
        copy = await sealed(quiet_world, picture(), PHASH, filename="copy.jpg")
        near = await sealed(quiet_world, picture(seed=1), PHASH ^ 0b111, filename="smaller.jpg")
        turned = await sealed(quiet_world, picture(seed=2), dihedral(PHASH)[1], filename="turned.jpg")
        await sealed(quiet_world, picture(seed=3), ~PHASH % (1 << 64))
        await sealed(quiet_world, picture(seed=4))
        answer = await quiet_world.http.get(f"{PREFIX}/media/{asked}/duplicates")
        assert answer.status_code == 200
        shown = answer.json()
        assert shown.pop("near_searched") is True
        assert [item.pop("created_at").endswith("Z") for items in shown.values() for item in items] == [True] * 3
        assert shown == {
            "exact": [{"media_id": copy, "status": "accepted", "filename": "copy.jpg"}],
            "near": [
                {"media_id": turned, "status": "accepted", "filename": "turned.jpg", "distance": 0, "form": "rotate90"},
                {"media_id": near, "status": "accepted", "filename": "smaller.jpg", "distance": 3, "form": "identity"},
            ],
        }

    async def test_distance_and_limit_bound_the_lists(self, quiet_world: World) -> None:
        asked = await sealed(quiet_world, picture(), PHASH)
        for bits in range(10):
            await sealed(quiet_world, picture(seed=bits + 1), PHASH ^ ((1 << bits) - 1))
        for _ in range(3):
            await sealed(quiet_world, picture(), PHASH)

        async def asking(**params: int) -> tuple[int, list[int]]:
            answer = await quiet_world.http.get(f"{PREFIX}/media/{asked}/duplicates", params=params)
            return len(answer.json()["exact"]), [item["distance"] for item in answer.json()["near"]]

        assert await asking() == (3, [0, 1, 2, 3, 4, 5, 6, 7, 8])
        assert await asking(distance=0) == (3, [0])
        assert await asking(distance=5, limit=3) == (3, [0, 1, 2])

    @pytest.mark.parametrize("params", [{"distance": -1}, {"distance": 9}, {"distance": "x"}, {"limit": 0}])
    async def test_bounds_outside_of_their_range_are_refused(self, quiet_world: World, params: dict[str, str]) -> None:
        asked = await sealed(quiet_world, picture(), PHASH)
        answer = await quiet_world.http.get(f"{PREFIX}/media/{asked}/duplicates", params=params)
        assert_problem(answer, 422, "invalid_request")

    async def test_an_item_without_a_fingerprint_has_exact_ones_only(self, quiet_world: World) -> None:
        asked = await sealed(quiet_world, picture())
        copy = await sealed(quiet_world, picture(), PHASH)
        shown = (await quiet_world.http.get(f"{PREFIX}/media/{asked}/duplicates")).json()
        assert [item["media_id"] for item in shown["exact"]] == [copy]
        assert shown["near"] == []

    async def test_nothing_is_told_of_another_tenant(self, quiet_world: World, other_library: Library) -> None:
        asked = await sealed(quiet_world, picture(), PHASH)
        for form in dihedral(PHASH):
            await sealed(quiet_world, picture(), form, library=other_library)
        shown = (await quiet_world.http.get(f"{PREFIX}/media/{asked}/duplicates")).json()
        assert shown == {"exact": [], "near": [], "near_searched": True}

    def test_every_form_is_in_the_contract(self) -> None:
        assert {form.value for form in Form} == {
            *("identity", "rotate90", "rotate180", "rotate270"),
            *("flip_horizontal", "flip_vertical", "transpose", "transverse"),
        }
