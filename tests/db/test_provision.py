"""What a fresh deployment gets, on the real services."""

from uuid import uuid4

import pytest
from temporalio.client import Client

from cli.provision import library_and_key, prepare
from db.session import Database
from devstack.environment import applied
from mediagate.access import api_keys
from mediagate.errors import InvalidRequest
from mediagate.settings import Settings


def slug() -> str:
    return f"lib-{uuid4().hex[:8]}"


class TestPrepare:
    async def test_twice_is_as_good_as_once(
        self, stack_settings: Settings, services: dict[str, str], temporal_client: Client
    ) -> None:
        with applied(services):
            await prepare(stack_settings)
            await prepare(stack_settings)
        assert await temporal_client.service_client.check_health()


class TestLibraryAndKey:
    async def test_the_key_opens_the_library(self, stack_settings: Settings, db: Database) -> None:
        name = slug()
        token = await library_and_key(stack_settings, name)
        async with db.transaction() as tx:
            library = await tx.access.library(name)
            key = await tx.access.valid_key(api_keys.parse(token)[0])
        assert library
        assert key
        assert (key.library_id, api_keys.matches(token, key.digest)) == (library.id, True)
        assert token not in repr(key)

    async def test_a_valid_key_is_kept_and_another_librarys_is_not(self, stack_settings: Settings) -> None:
        name, other = slug(), slug()
        token = await library_and_key(stack_settings, name)
        assert await library_and_key(stack_settings, name, given=token) == token
        assert await library_and_key(stack_settings, other, given=token) != token
        assert await library_and_key(stack_settings, name, given="mg_nonsense") != token

    @pytest.mark.parametrize("name", ["staging", "work", "Upper", "a/b", "..", "", "x" * 64])
    async def test_a_name_that_cannot_be_is_refused(self, stack_settings: Settings, name: str) -> None:
        with pytest.raises(InvalidRequest, match="Not a library"):
            await library_and_key(stack_settings, name)
