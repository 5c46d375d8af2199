"""The structure of a JPEG file (ITU-T T.81 annex B, JFIF 1.02, Exif, ICC.1 annex B.4)."""

from dataclasses import dataclass

from mediagate.imaging.container import Container, corrupt, truncated
from mediagate.imaging.iptc import iptc_records
from mediagate.imaging.jpeg_segments import SOS, Segment, segments
from mediagate.imaging.jpeg_tail import check_jpeg_tail
from mediagate.imaging.refusal import Refused, check_dimensions
from mediagate.media.values import Limits, Refusal

_DHT, _DAC = 0xC4, 0xCC
_FRAMES = set(range(0xC0, 0xD0)) - {_DHT, 0xC8, _DAC}
_SEQUENTIAL, _PROGRESSIVE = {0xC0, 0xC1, 0xC9}, {0xC2, 0xCA}
_ARITHMETIC = {0xC9, 0xCA}
_APP0, _APP1, _APP2, _APP13, _APP14 = 0xE0, 0xE1, 0xE2, 0xED, 0xEE
_TABLES = {_DHT, _DAC, 0xDB, 0xDD}

# Encoders use about ten scans. A decoder pays for every scan by the pixel, however few bytes it has.
_MOST_SCANS = 64


@dataclass(frozen=True, slots=True)
class _Frame:
    marker: int
    width: int
    height: int
    components: dict[int, tuple[int, int]]
    """component id to its horizontal and vertical sampling factor"""

    def blocks(self, scanned: bytes) -> int:
        """How many 8×8 blocks a scan of these components has (T.81 A.2)."""
        across, down = (max(c[axis] for c in self.components.values()) for axis in (0, 1))
        if len(scanned) == 1:
            h, v = self.components[scanned[0]]
            columns, rows = -(-self.width * h // across), -(-self.height * v // down)
            return -(-columns // 8) * -(-rows // 8)
        units = -(-self.width // (8 * across)) * -(-self.height // (8 * down))
        return units * sum(h * v for h, v in (self.components[c] for c in scanned))


def _read_frame(marker: int, payload: bytes, limits: Limits) -> _Frame:
    if len(payload) < 6 or len(payload) != 6 + 3 * payload[5] or not payload[5]:
        raise corrupt("JPEG", "the frame header is malformed")
    if marker not in _SEQUENTIAL | _PROGRESSIVE or payload[0] != 8 or payload[5] not in (1, 3, 4):
        raise Refused(
            Refusal.UNKNOWN_TYPE, f"The JPEG file is of a kind (SOF{marker - 0xC0}, {payload[0]} bits) not taken here."
        )
    height, width = int.from_bytes(payload[1:3], "big"), int.from_bytes(payload[3:5], "big")
    check_dimensions(width, height, limits)
    components = {payload[i]: (payload[i + 1] >> 4, payload[i + 1] & 15) for i in range(6, len(payload), 3)}
    if len(components) != payload[5] or not all(1 <= f <= 4 for pair in components.values() for f in pair):
        raise corrupt("JPEG", "the frame header is malformed")
    return _Frame(marker, width, height, components)


def _check_first_scan(frame: _Frame, data: bytes, scan: Segment) -> None:
    """Refuse a scan with fewer bits than its blocks need: a Huffman code has at least one bit.

    A sequential block takes two codes (DC and end of block), a block of the first progressive scan one.
    """
    payload = data[scan.start : scan.end]
    if not payload or len(payload) != 4 + 2 * payload[0] or not payload[0]:
        raise corrupt("JPEG", "a scan header is malformed")
    scanned = payload[1 : 1 + 2 * payload[0] : 2]
    if not set(scanned) <= frame.components.keys():
        raise corrupt("JPEG", "a scan names a component that is not there")
    codes = 2 if frame.marker in _SEQUENTIAL else 1
    if frame.marker not in _ARITHMETIC and (scan.scan_end - scan.end) * 8 < frame.blocks(scanned) * codes:
        raise truncated("JPEG", "the picture data: there is too little of it for the size of the picture")


def walk(data: bytes, limits: Limits) -> Container:
    """Read a JPEG file to its end.

    Raises:
        Refused: the structure is broken, incomplete, over the limits, or something follows it.
    """
    frame: _Frame | None = None
    scans = end = first_scan = 0
    kept: list[bytes] = [data[:2]]
    marked: list[tuple[int, int, int]] = []
    for segment in segments(data):
        if segment.marker in _FRAMES:
            if frame is not None:
                raise corrupt("JPEG", "it has two frames")
            frame = _read_frame(segment.marker, data[segment.start : segment.end], limits)
        elif segment.marker == SOS:
            scans += 1
            if frame is None or scans > _MOST_SCANS:
                raise corrupt("JPEG", "a scan before the frame" if frame is None else f"more than {_MOST_SCANS} scans")
            if scans == 1:
                _check_first_scan(frame, data, segment)
                first_scan = segment.at
        elif _APP0 <= segment.marker <= 0xEF:
            marked.append((segment.marker, segment.start, segment.end))
        end = segment.end
        if not scans and _feeds_decoder(segment, data):
            kept.append(data[segment.at : segment.end])
    if frame is None or not scans:
        raise truncated("JPEG", "front of the picture data")
    check_jpeg_tail(data, end, [s for m, s, e in marked if m == _APP2 and data[s : min(s + 4, e)] == b"MPF\0"])
    parts = [(marker, data[start:stop]) for marker, start, stop in marked]
    coefficients = 2 * len(frame.components) if frame.marker in _PROGRESSIVE or scans > 1 else 0
    return Container(
        width=frame.width,
        height=frame.height,
        stream=b"".join(kept) + data[first_scan:end],
        pixel_bytes=4 + coefficients,
        exif=next((p[6:] for m, p in parts if m == _APP1 and p.startswith(b"Exif\0\0")), b""),
        icc=_icc([p[12:] for m, p in parts if m == _APP2 and p.startswith(b"ICC_PROFILE\0")]),
        xmp=next((p[29:] for m, p in parts if m == _APP1 and p.startswith(b"http://ns.adobe.com/xap/1.0/\0")), b""),
        iptc=iptc_records(b"".join(p[14:] for m, p in parts if m == _APP13 and p.startswith(b"Photoshop 3.0\0"))),
    )


def _feeds_decoder(segment: Segment, data: bytes) -> bool:
    """True for what the decoder needs: tables, the frame, and the two markers that tell the colour space."""
    head = data[segment.start : min(segment.start + 5, segment.end)]
    return (
        segment.marker in _FRAMES | _TABLES
        or (segment.marker == _APP0 and head == b"JFIF\0" and segment.end - segment.start >= 14)
        or (segment.marker == _APP14 and head == b"Adobe" and segment.end - segment.start >= 12)
    )


def _icc(parts: list[bytes]) -> bytes:
    """The profile that was cut into numbered parts; empty if any is missing."""
    numbered = {part[0]: part for part in parts if len(part) > 2}
    total = len(numbered)
    whole = (
        total > 0 and sorted(numbered) == list(range(1, total + 1)) and all(p[1] == total for p in numbered.values())
    )
    return b"".join(numbered[n][2:] for n in range(1, total + 1)) if whole else b""
