"""The frames of an image sequence, from its tracks (ISO/IEC 14496-12 8.3 to 8.7, ISO/IEC 23008-12 7)."""

from bisect import bisect_right
from dataclasses import dataclass

from mediagate.imaging.container import corrupt, truncated
from mediagate.imaging.heif_picture import Codec
from mediagate.imaging.isobmff import Box, Reader, boxes, made_box, version
from mediagate.imaging.refusal import check_dimensions, check_frames
from mediagate.media.values import Limits

_PICTURES, _ALPHA = b"pict", b"auxv"
_MOST_FRAMES = 20_000
_LARGEST_MOOV = 4 * 1024 * 1024
_SAMPLE_ENTRY = 78
"""bytes of a visual sample entry in front of its boxes (ISO/IEC 14496-12 12.1.3)"""


@dataclass(frozen=True, slots=True)
class Sequence:
    """Durations in milliseconds; `stream` is the file without its still picture and metadata, if AVIF."""

    durations: tuple[int, ...] = ()
    stream: bytes = b""


NO_SEQUENCE = Sequence()


@dataclass(slots=True)
class _Track:
    """The boxes of one track, from whatever depth."""

    kind: str
    data: bytes
    found: dict[bytes, Box]

    def reader(self, name: bytes, skip: int = 4) -> Reader:
        if name not in self.found:
            raise corrupt(self.kind, f"box {name.decode()} is missing")
        return Reader(self.kind, self.data, self.found[name].start + skip, self.found[name].end)

    @property
    def handler(self) -> bytes:
        """What the track is for."""
        reader = self.reader(b"hdlr")
        reader.number(4)
        return reader.take(4)


def read_sequence(codec: Codec, data: bytes, moov: Box, still: Box, limits: Limits) -> Sequence:
    """The frames of the picture track; that of its transparency is held to the same rules. `still` is the `meta` box.

    Raises:
        Refused: the tracks contradict themselves, name bytes beyond the file, or are over the limits.
    """
    if moov.end - moov.start > _LARGEST_MOOV:
        raise corrupt(codec.kind, "the description of the sequence is too long")
    tracks, metas = list[_Track](), [still]
    for box in boxes(codec.kind, data, moov.start, moov.end):
        if box.name == b"trak":
            tracks.append(_Track(codec.kind, data, _nested(codec.kind, data, box, metas)))
        elif box.name == b"meta":
            metas.append(box)
    pictures = [track for track in tracks if track.handler == _PICTURES]
    if len(pictures) != 1:
        raise corrupt(codec.kind, "it does not have one sequence of pictures")
    for track in tracks:
        if track.handler in (_PICTURES, _ALPHA):
            _check_track(codec, track, limits)
    durations = _durations(pictures[0])
    return Sequence(durations, _stream(data, metas) if codec.brand == b"avif" else b"")


def _nested(kind: str, data: bytes, parent: Box, metas: list[Box]) -> dict[bytes, Box]:
    found: dict[bytes, Box] = {}
    for box in boxes(kind, data, parent.start, parent.end):
        if box.name == b"meta":
            metas.append(box)
        elif box.name in (b"mdia", b"minf", b"stbl"):
            found |= _nested(kind, data, box, metas)
        else:
            if box.name in found:
                raise corrupt(kind, f"box {box.name.decode()} is there twice")
            found[box.name] = box
    return found


def _check_track(codec: Codec, track: _Track, limits: Limits) -> None:
    """The size of the frames as the entry and the coded frames say, and their places."""
    entry = track.reader(b"stsd")
    if entry.number(4) != 1:
        raise corrupt(codec.kind, "the sequence is coded in more than one way")
    start = entry.position
    box = next(boxes(codec.kind, track.data, start, entry.end))
    if box.name != codec.item or box.end - box.start < _SAMPLE_ENTRY:
        raise corrupt(codec.kind, "the sequence is coded in a way that is not taken here")
    reader = Reader(codec.kind, track.data, box.start + 24, box.end)
    width, height = reader.number(2), reader.number(2)
    check_dimensions(width, height, limits)
    inner = {b.name: b for b in boxes(codec.kind, track.data, box.start + _SAMPLE_ENTRY, box.end)}
    if codec.config not in inner:
        raise corrupt(codec.kind, "the configuration of the decoder is missing")
    config = track.data[inner[codec.config].start : inner[codec.config].end]
    sizes = _sample_sizes(track)
    check_frames(width, height, len(sizes), limits)
    if len(_durations(track)) != len(sizes):
        raise corrupt(codec.kind, "the frames of the sequence and their durations do not match")
    for sample in _samples(track, sizes):
        for found in codec.sizes(config, sample):
            if found[0] > width + codec.margin or found[1] > height + codec.margin:
                raise corrupt(codec.kind, f"a frame of {width}×{height} is coded as {found[0]}×{found[1]}")


def _sample_sizes(track: _Track) -> list[int]:
    reader = track.reader(b"stsz")
    same, count = reader.number(4), reader.number(4)
    if not 1 <= count <= _MOST_FRAMES:
        raise corrupt(track.kind, f"the sequence says that it has {count} frames")
    return [same or reader.number(4) for _ in range(count)]


def _durations(track: _Track) -> tuple[int, ...]:
    """In milliseconds."""
    media = track.reader(b"mdhd")
    media.take(16 if version(track.data, track.found[b"mdhd"]) == 1 else 8)
    timescale = media.number(4)
    reader = track.reader(b"stts")
    durations: list[int] = []
    for _ in range(reader.number(4)):
        count, delta = reader.number(4), reader.number(4)
        if not timescale or len(durations) + count > _MOST_FRAMES:
            raise corrupt(track.kind, "the durations of the sequence are absurd")
        durations += [delta * 1000 // timescale] * count
    return tuple(durations)


def _samples(track: _Track, sizes: list[int]) -> list[bytes]:
    """The coded frames: chunks start where `stco` says, and have as many frames as `stsc` says."""
    wide = b"co64" in track.found
    chunks = track.reader(b"co64" if wide else b"stco")
    count = chunks.number(4)
    if count > _MOST_FRAMES:
        raise corrupt(track.kind, "the sequence has too many chunks")
    offsets = [chunks.number(8 if wide else 4) for _ in range(count)]
    reader = track.reader(b"stsc")
    runs = [(reader.number(4), reader.number(4), reader.number(4)) for _ in range(min(reader.number(4), count + 1))]
    if sum(sizes) > len(track.data) or runs != sorted(runs):
        raise corrupt(track.kind, "the frames of the sequence are not where it says")
    samples: list[bytes] = []
    for index, position in enumerate(offsets, 1):
        run = bisect_right(runs, index, key=lambda run: run[0])
        held = runs[run - 1][1] if run else 0
        for size in sizes[len(samples) : len(samples) + held]:
            if position + size > len(track.data):
                raise truncated(track.kind, "a frame of the sequence")
            samples.append(track.data[position : position + size])
            position += size
    if len(samples) != len(sizes):
        raise corrupt(track.kind, "the frames of the sequence are not where it says")
    return samples


def _stream(data: bytes, metas: list[Box]) -> bytes:
    """The same bytes at the same places, with the boxes of metadata and of the still picture marked as free."""
    length = int.from_bytes(data[:4], "big")
    stream = bytearray(data)
    body = b"avis\0\0\0\0avismsf1miaf"
    if length - 8 < len(body):
        return b""
    stream[:length] = made_box(b"ftyp", body.ljust(length - 8, b"\0"))
    for box in metas:
        stream[box.at + 4 : box.at + 8] = b"free"
    return bytes(stream)
