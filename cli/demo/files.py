"""Which files are sent, by which route, and what must become of them."""

import mimetypes
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from mediagate.errors import InvalidRequest
from mediagate.media.values import MIB, Status

if TYPE_CHECKING:
    from devstack.samples import Sample

REFUSED = "refused"
"""The outcome of a file that the API did not take: no media item exists."""

REACHED = frozenset({Status.APPROVED.value, Status.REJECTED.value, Status.QUARANTINED.value, REFUSED})
"""Ends that are fine for a file of which nothing particular is expected."""

PARCEL_FILES = 10
PARCEL_BYTES = 32 * MIB
"""What one multipart request carries at most here; a larger file goes by presigned URL."""


class Route(StrEnum):
    """How a file gets in."""

    PRESIGNED = "presigned"
    MULTIPART = "multipart"


@dataclass(frozen=True, slots=True)
class Expected:
    """The ends that are right for a file; `reason` is how the public reason must start, empty for any."""

    outcomes: frozenset[str] = REACHED
    reason: str = ""
    by_person: bool = False
    """it goes to review, where the demo decides in a person's place"""

    def __str__(self) -> str:
        """For people: `rejected (truncated_file)`."""
        ends = " or ".join(sorted(self.outcomes)) + (f" ({self.reason})" if self.reason else "")
        return ends + (" by a person" if self.by_person else "")

    def mismatch(self, outcome: str, reason: str, decided_by: str) -> str:
        """What is not as expected, as one sentence; empty if all is."""
        got = outcome + (f" ({reason})" if reason else "")
        if outcome not in self.outcomes or not reason.startswith(self.reason):
            return f"expected {self}, got {got}"
        if self.by_person and not decided_by.startswith("person:"):
            return f"expected {self}, got {got} by {decided_by or 'nobody'}"
        return ""


@dataclass(frozen=True, slots=True)
class DemoFile:
    """One file: `filename` goes over the wire, `label` is for people, the bytes are `data` or stand at `path`."""

    label: str
    filename: str
    content_type: str
    size: int
    route: Route
    expected: Expected = Expected()
    caption: str = ""
    behaviour: str = ""
    """what the vendor simulator is asked for; files of one multipart request share it, as they share the caption"""
    data: bytes | None = field(default=None, repr=False)
    path: Path | None = None

    def read(self) -> bytes:
        """The bytes.

        Raises:
            OSError: the file cannot be read.
        """
        if self.data is not None:
            return self.data
        return self.path.read_bytes() if self.path else b""


def of_samples(samples: Iterable["Sample"]) -> list[DemoFile]:
    """The demo's own set: every other file goes by presigned URL, the rest by multipart."""
    files: list[DemoFile] = []
    for number, sample in enumerate(samples):
        # A size of 0 cannot even be announced, so only the multipart route can show how it is refused.
        route = Route.MULTIPART if number % 2 or not sample.data else Route.PRESIGNED
        files.append(
            DemoFile(
                label=sample.filename,
                filename=sample.filename,
                content_type=sample.content_type,
                size=len(sample.data),
                route=route,
                expected=_expected(sample),
                caption=sample.caption if route is Route.PRESIGNED else f"Demo [sim:{sample.vendor}]",
                behaviour=sample.vendor,
                data=sample.data,
            )
        )
    return files


def _expected(sample: "Sample") -> Expected:
    if not sample.data:
        return Expected(frozenset({REFUSED}))
    if sample.expect == Status.IN_REVIEW:
        return Expected(frozenset({Status.APPROVED.value}), by_person=True)
    return Expected(frozenset({sample.expect}), sample.reason or "")


def of_paths(paths: Sequence[Path]) -> list[DemoFile]:
    """Files as they are named, whatever they are, and the pictures in folders and below.

    Raises:
        InvalidRequest: a path does not exist, or there is no picture in any of the folders.
    """
    found = list(dict.fromkeys(pair for path in paths for pair in _discover(path)))
    if not found:
        folders = ", ".join(str(path) for path in paths)
        raise InvalidRequest(
            f"No pictures in {folders} (by file extension). Name files to send them whatever they are."
        )
    return [_of_path(path, label, number) for number, (path, label) in enumerate(found)]


def _discover(path: Path) -> Iterator[tuple[Path, str]]:
    if path.is_dir():
        for folder, subfolders, names in os.walk(path):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for name in sorted(names):
                file = Path(folder, name)
                if not name.startswith(".") and content_type_of(name).startswith("image/") and file.is_file():
                    yield file, str(file.relative_to(path))
    elif path.is_file():
        yield path, path.name
    else:
        raise InvalidRequest(f"There is no file or folder {str(path)!r}.")


def _of_path(path: Path, label: str, number: int) -> DemoFile:
    size = path.stat().st_size
    multipart = size == 0 or (number % 2 == 1 and size <= PARCEL_BYTES)
    return DemoFile(
        label=label,
        # A name that is not UTF-8 on disk cannot travel in JSON.
        filename=path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
        content_type=content_type_of(path.name),
        size=size,
        route=Route.MULTIPART if multipart else Route.PRESIGNED,
        path=path,
    )


def parcels(files: Sequence[DemoFile]) -> list[list[DemoFile]]:
    """What goes out together: each presigned file alone, multipart files up to the limits of one request.

    Files for which the vendor must wait come first, so that the waits pass while the others are worked on.
    """
    result: list[list[DemoFile]] = []
    open_parcels: dict[str, list[DemoFile]] = {}
    for file in sorted(files, key=lambda file: file.behaviour not in {"late", "lost"}):
        parcel = open_parcels.get(file.behaviour) if file.route is Route.MULTIPART else None
        if parcel and len(parcel) < PARCEL_FILES and sum(f.size for f in parcel) + file.size <= PARCEL_BYTES:
            parcel.append(file)
            continue
        result.append([file])
        if file.route is Route.MULTIPART:
            open_parcels[file.behaviour] = result[-1]
    return result


_TYPES = mimetypes.MimeTypes()
# Python 3.11 does not know these; `MimeTypes()` reads no file of the machine, so the answer is the same everywhere.
for _suffix, _type in {".webp": "webp", ".avif": "avif", ".heic": "heic", ".heif": "heif", ".jxl": "jxl"}.items():
    _TYPES.add_type(f"image/{_type}", _suffix)


def content_type_of(name: str) -> str:
    """The registered type by extension; `application/octet-stream` for what has none."""
    return _TYPES.guess_type(name.replace(":", "_"), strict=False)[0] or "application/octet-stream"
