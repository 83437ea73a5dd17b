"""What a file of image data says of itself, read from its header alone.

Uploaded data is hostile: a qcow2 may name another file of the host as its backing or data file. So no
tool that would follow such a name is ever run on it; the few bytes that matter are read here.
"""

import struct
from pathlib import Path

from apps.core.errors import DriverError

LARGEST = 16 << 40  # bytes; ext4 has no larger files

_HEADER = struct.Struct(
    ">4sIQIIQI"
)  # magic, version, backing offset and size, cluster bits, size, encryption
_FEATURES = struct.Struct(">Q")  # incompatible features, version 3 on, at byte 72
_EXTERNAL_DATA = 1 << 2


def virtual_size(path: Path, disk_format: str) -> int:
    """Bytes that a guest would see. A permanent DriverError if the data is not a self-contained disk."""
    if disk_format == "raw":
        size = path.stat().st_size
    elif disk_format == "qcow2":
        _, version, backing, _, _, size, encryption = _read(path)
        if backing:
            raise DriverError("The image refers to a backing file; flatten it first.", permanent=True)
        if encryption:
            raise DriverError("The image is encrypted, which is not supported.", permanent=True)
        if version >= 3 and _features(path) & _EXTERNAL_DATA:
            raise DriverError("The image keeps its data in another file; flatten it first.", permanent=True)
    else:
        raise DriverError(
            f"Images of format {disk_format} cannot be booted; use qcow2 or raw.", permanent=True
        )
    if size > LARGEST:
        raise DriverError(
            f"The image claims {size >> 30} GiB; at most {LARGEST >> 30} GiB can be booted.", permanent=True
        )
    if not size:
        raise DriverError("The image is empty.", permanent=True)
    return size


def root_size(root_gib: int, image_size: int) -> int:
    """Bytes of the root disk for an image of `image_size` bytes. A permanent DriverError if it does not fit."""
    if root_gib and root_gib << 30 < image_size:
        raise DriverError(
            f"The image needs {image_size / (1 << 30):.2f} GiB; the root disk has only {root_gib} GiB.",
            permanent=True,
        )
    return root_gib << 30 or image_size


def backing_file(path: Path) -> str:
    """The name of the file that the qcow2 at `path` stands on; empty if it stands alone."""
    _, _, offset, length, *_ = _read(path)
    if not offset:
        return ""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length).decode()


def _read(path: Path) -> tuple:
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
    if len(head) < _HEADER.size or head[:4] != b"QFI\xfb" or head[7] not in (2, 3):
        raise DriverError("The image is not in qcow2 format, as it claims to be.", permanent=True)
    return _HEADER.unpack(head)


def _features(path: Path) -> int:
    with path.open("rb") as file:
        file.seek(72)
        raw = file.read(_FEATURES.size)
    if len(raw) < _FEATURES.size:
        raise DriverError("The image's qcow2 header is cut off.", permanent=True)
    return _FEATURES.unpack(raw)[0]
