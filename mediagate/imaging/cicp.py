"""Profiles for colours that a file names by code points (ITU-T H.273) instead of carrying a profile."""

import struct
from functools import lru_cache

# H.273 table 2: red, green and blue as XYZ, adapted to D50 by Bradford, as profiles have them.
_BT2020, _P3 = 9, 12
_COLOURANTS = {
    _BT2020: ((0.67348, 0.27904, -0.00194), (0.16566, 0.67535, 0.02998), (0.12505, 0.04561, 0.79687)),
    _P3: ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
}

# H.273 table 3: the curves that screens show as they show sRGB's. Those of HDR (PQ, HLG) need tone mapping instead.
_SRGB_LIKE = {1, 6, 13, 14, 15}

_POINTS = 1024


@lru_cache(maxsize=4)
def named_profile(primaries: int, transfer: int) -> bytes:
    """A display profile with sRGB's curve; empty for colours that are sRGB's, and for those without a profile here."""
    if primaries not in _COLOURANTS or transfer not in _SRGB_LIKE:
        return b""
    linear = (
        v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (i / (_POINTS - 1) for i in range(_POINTS))
    )
    curve = b"curv" + bytes(4) + struct.pack(f">I{_POINTS}H", _POINTS, *(round(65535 * v) for v in linear))
    tags = {name: _xyz(c) for name, c in zip((b"rXYZ", b"gXYZ", b"bXYZ"), _COLOURANTS[primaries], strict=True)}
    tags |= {b"wtpt": _xyz((0.96420, 1.0, 0.82491)), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    at, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, payload in tags.items():
        table += name + struct.pack(">II", at + len(body), len(payload))
        body += payload
    head = struct.pack(">I4xI4s4s4s12x4s", at + len(body), 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return (head + bytes(28) + _xyz((0.96420, 1.0, 0.82491))[8:]).ljust(128, b"\0") + table + body


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in values))
