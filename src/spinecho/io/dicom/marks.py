"""Whether bytes begin as a DICOM file does: by its mark, or in old files without one by their first elements."""

from __future__ import annotations

import struct

ENOUGH = 512
"""Bytes of a file that decide."""
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_SHORT = (
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS"),
    *(b"ST", b"TM", b"UI", b"UL", b"US"),
)
_MOST = 4096
"""Bytes that a first element, a name or an identifier, may have."""
_SEQUENCE = b"\xff\xff\xff\xff"


def has_mark(head: bytes) -> bool:
    """The mark behind the preamble; or two elements of group 2 or 8 in a row that could be elements."""
    return head[128:132] == b"DICM" or _begins_with_elements(head)


def _begins_with_elements(head: bytes) -> bool:
    """Whether an element of group 2 or 8 stands at the start, and another of a higher tag behind it."""
    first = _element(head, 0)
    if first is None or first[0][0] not in (2, 8) or len(head) < 132:
        return False
    tag, end = first
    if end + 8 > len(head[:ENOUGH]):
        return False
    second = _element(head, end)
    return second is not None and tag < second[0] and second[0][0] < 0x20


def _element(head: bytes, start: int) -> tuple[tuple[int, int], int] | None:
    """Tag and end of the element that starts there (little endian, VR explicit or implicit); None if it is none."""
    if start + 12 > len(head):
        return None
    group, number = struct.unpack_from("<HH", head, start)
    kind = head[start + 4 : start + 6]
    if kind in _SHORT:
        length, begin = struct.unpack_from("<H", head, start + 6)[0], start + 8
    elif kind in _LONG and head[start + 6 : start + 8] == b"\0\0":
        length, begin = struct.unpack_from("<I", head, start + 8)[0], start + 12
    else:
        length, begin = struct.unpack_from("<I", head, start + 4)[0], start + 8
    if head[begin - 4 : begin] == _SEQUENCE:
        length = 0
    return ((group, number), begin + length) if length <= _MOST and length % 2 == 0 else None
