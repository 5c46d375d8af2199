"""What tests hand to vendors."""

from mediagate.vendors.interface import ReadCopy


async def unread(place: int) -> bytes:
    """The `read` of a vendor that fetches pictures by their URLs."""
    raise AssertionError(f"Picture {place} was read, not fetched.")


def reading(*pictures: bytes) -> ReadCopy:
    """The `read` of a vendor that is sent the bytes."""

    async def read(place: int) -> bytes:
        return pictures[place]

    return read
