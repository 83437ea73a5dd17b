"""Image data as local files, one an image: IMAGES_DIR/<id>."""

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from apps.core.errors import CloudError

CHUNK = 1 << 20


@dataclass(frozen=True)
class Stored:
    size: int  # octets
    virtual_size: int  # octets
    md5: str
    sha512: str


def path_of(image_id) -> Path:
    return Path(settings.IMAGES_DIR) / str(image_id)


def put(image_id, source: Path, disk_format: str) -> Stored:
    """Keep a copy of the file `source`, which must be a plain disk of `disk_format`.

    It appears under its name only when it is complete. Raises CloudError for a disk that names other files.
    """
    target = path_of(image_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".part")
    md5, sha512 = hashlib.md5(usedforsecurity=False), hashlib.sha512()
    with open(source, "rb") as reader, open(draft, "wb") as writer:
        while chunk := reader.read(CHUNK):
            md5.update(chunk)
            sha512.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    try:
        virtual_size = inspect(draft, disk_format)
    except CloudError:
        draft.unlink()
        raise
    draft.chmod(0o644)
    size = draft.stat().st_size
    os.replace(draft, target)
    return Stored(size, virtual_size, md5.hexdigest(), sha512.hexdigest())


def remove(image_id) -> None:
    path_of(image_id).unlink(missing_ok=True)


def inspect(path: Path, disk_format: str) -> int:
    """The disk's virtual size in octets; CloudError when it is not what it says, or names other files."""
    if disk_format == "raw" or not shutil.which("qemu-img"):
        return path.stat().st_size
    limits = ["prlimit", "--as=1073741824", "--cpu=10"]
    command = [*limits, "qemu-img", "info", "--output=json", "-f", disk_format, str(path)]
    answer = subprocess.run(command, capture_output=True, timeout=30, check=False)
    if answer.returncode:
        raise CloudError(f"The file is no {disk_format} disk.", field="file")
    facts = json.loads(answer.stdout)
    details = facts.get("format-specific", {}).get("data", {})
    if facts.get("backing-filename") or details.get("data-file") or facts.get("encrypted"):
        raise CloudError(
            "The disk refers to other files or is encrypted; only a plain one is taken.", field="file"
        )
    return int(facts["virtual-size"])
