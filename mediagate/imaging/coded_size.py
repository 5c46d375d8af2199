"""The size that a coded picture itself announces, which is what its decoder allocates.

HEVC: sequence parameter sets (ITU-T H.265 7.3.2.2). AV1: sequence headers (AV1 bitstream specification 5.5).
"""

from collections.abc import Iterator

from mediagate.imaging.container import corrupt

_HEVC_PARAMETERS = 33
_AV1_SEQUENCE = 1
_MOST_UNITS = 4096


class _Bits:
    """Bits of a byte string, first the highest; zeros behind its end, of which there are never many."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def read(self, count: int) -> int:
        self._left -= count
        shifted = self._value >> self._left if self._left >= 0 else self._value << -self._left
        return shifted & ((1 << count) - 1)

    def golomb(self) -> int:
        """ue(v) of H.265, uvlc() of AV1."""
        zeros = 0
        while zeros < 32 and self._left > 0 and not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)


def hevc_sizes(config: bytes, sample: bytes) -> Iterator[tuple[int, int]]:
    """Of every parameter set in the decoder configuration (ISO/IEC 14496-15 8.3.3) and in a picture's data."""
    if len(config) < 23:
        raise corrupt("HEIC", "the configuration of the decoder is malformed")
    units: list[bytes] = []
    at = 23
    for _ in range(config[22]):
        count = int.from_bytes(config[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            size = int.from_bytes(config[at : at + 2], "big")
            units.append(config[at + 2 : at + 2 + size])
            at += 2 + size
            if at > len(config):
                raise corrupt("HEIC", "the configuration of the decoder is malformed")
    length_size, at = (config[21] & 3) + 1, 0
    while at < len(sample):
        size = int.from_bytes(sample[at : at + length_size], "big")
        at += length_size
        if at + size > len(sample) or len(units) > _MOST_UNITS:
            raise corrupt("HEIC", "the picture data is malformed")
        units.append(sample[at : at + 512])
        at += size
    return (_hevc_size(unit[2:512]) for unit in units if unit and unit[0] >> 1 & 63 == _HEVC_PARAMETERS)


def _hevc_size(parameters: bytes) -> tuple[int, int]:
    bits = _Bits(parameters.replace(b"\0\0\3", b"\0\0"))
    bits.read(4)
    sub_layers = bits.read(3)
    bits.read(1 + 96)
    present = [(bits.read(1), bits.read(1)) for _ in range(sub_layers)]
    if sub_layers:
        bits.read(2 * (8 - sub_layers))
    for profile, level in present:
        bits.read(88 * profile + 8 * level)
    bits.golomb()
    if bits.golomb() == 3:
        bits.read(1)
    return bits.golomb(), bits.golomb()


def av1_sizes(config: bytes, sample: bytes) -> Iterator[tuple[int, int]]:
    """Of every sequence header in the configuration (AV1 in ISOBMFF 2.3) and in a picture's data."""
    if len(config) < 4:
        raise corrupt("AVIF", "the configuration of the decoder is malformed")
    return (_av1_size(unit) for unit in [*_av1_sequences(config[4:]), *_av1_sequences(sample)])


def _av1_sequences(data: bytes) -> Iterator[bytes]:
    at = units = 0
    while at < len(data):
        head = data[at]
        at += 2 if head & 4 else 1
        size = len(data) - at
        if head & 2:
            size, shift = 0, 0
            while at < len(data) and shift < 35:
                byte = data[at]
                size |= (byte & 127) << shift
                at, shift = at + 1, shift + 7
                if not byte & 128:
                    break
        units += 1
        if at + size > len(data) or units > _MOST_UNITS:
            raise corrupt("AVIF", "the picture data is malformed")
        if head >> 3 & 15 == _AV1_SEQUENCE:
            yield data[at : at + min(size, 512)]
        at += size


def _av1_size(header: bytes) -> tuple[int, int]:
    bits = _Bits(header)
    bits.read(3 + 1)
    if bits.read(1):
        bits.read(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(width_bits) + 1, bits.read(height_bits) + 1


def _skip_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits.read(1):  # timing information
        bits.read(64)
        if bits.read(1):
            bits.golomb()
        if bits.read(1):  # decoder model
            delay_bits = bits.read(5) + 1
            bits.read(32 + 5 + 5)
    display_delay = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) > 7:
            bits.read(1)
        if delay_bits and bits.read(1):
            bits.read(2 * delay_bits + 1)
        if display_delay and bits.read(1):
            bits.read(4)
