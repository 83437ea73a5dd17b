"""The files of a host's guests: base images, and per guest a root disk, a config drive and a console log.

    cache/IMAGE.qcow2 | IMAGE.raw          base images: root's, readable by QEMU, never writable
    directory/UUID/disk.qcow2              the overlay on a base: QEMU's own
    directory/UUID/config.iso              QEMU may read it; it holds secrets of the guest
    directory/UUID/console.log             written through libvirtd

A file under one of these names is complete: it was made under another name, in the same directory.
"""

import contextlib
import fcntl
import grp
import hashlib
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import threading
from collections import defaultdict
from pathlib import Path
from uuid import UUID

from apps.core.errors import DriverError
from apps.instances.drivers import imagefile
from apps.instances.drivers.base import GuestSpec

FORMATS = ("qcow2", "raw")
CHUNK = 4 << 20
FICLONE = 0x40049409  # ioctl: share the blocks of another file of the same file system
ZEROS = bytes(CHUNK)
DRAFT = ".draft-"
LOG_LIMIT, LOG_KEPT = 4 << 20, 1 << 20  # bytes of a console log: when it is trimmed, and to what


class Files:
    """The half of a `ComputeDriver` that needs no hypervisor."""

    def __init__(self, directory: Path, cache: Path, qemu_user: str, qemu_group: str):
        self.directory, self.cache = Path(directory), Path(cache)
        self._qemu = qemu_user, qemu_group
        # One process serves a host, so a lock in memory keeps apart who fills, uses and drops a base.
        self._bases: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def guest(self, uuid: str) -> Path:
        """The guest's directory, which need not exist."""
        return self.directory / str(UUID(uuid))  # anything but a uuid must not name a path

    def disks(self) -> set[str]:
        """The ids of guests that have a directory."""
        with contextlib.suppress(FileNotFoundError):
            return {path.name for path in self.directory.iterdir() if _is_uuid(path.name)}
        return set()

    def bases(self) -> set[str]:
        with contextlib.suppress(FileNotFoundError):
            return {
                path.stem
                for path in self.cache.iterdir()
                if path.suffix[1:] in FORMATS and not path.name.startswith(DRAFT)
            }
        return set()

    def base(self, image: str) -> tuple[Path, str] | None:
        """Path and format of a cached base image."""
        if not re.fullmatch(r"[\w-]+", image):
            raise DriverError(f"{image!r} is not the id of an image.", permanent=True)
        for disk_format in FORMATS:
            path = self.cache / f"{image}.{disk_format}"
            if path.exists():
                return path, disk_format
        return None

    def has_base(self, image: str) -> bool:
        return self.base(image) is not None

    def ensure_base(self, image: str, source: str, disk_format: str, sha512: str, progress=None) -> None:
        with _os_errors(), self._bases[image]:
            if self.base(image):
                return
            if disk_format not in FORMATS:
                imagefile.virtual_size(Path(source), disk_format)  # refuses, and says why
            _make_directory(self.cache)
            _sweep_drafts(self.cache, image)
            with _draft(self.cache, image) as draft:
                digest = _fill(draft, Path(source), progress or (lambda percent: None))
                if digest != sha512.lower():
                    raise DriverError(
                        f"The data of image {image} does not have the recorded SHA-512.", permanent=True
                    )
                imagefile.virtual_size(draft, disk_format)
                draft.replace(self.cache / f"{image}.{disk_format}")
                _sync(self.cache)

    def ensure_no_base(self, image: str) -> None:
        with _os_errors(), self._bases[image]:
            base = self.base(image)
            if not base:
                return
            for uuid in self.disks():
                disk = self.guest(uuid) / "disk.qcow2"
                with contextlib.suppress(FileNotFoundError):
                    if imagefile.backing_file(disk) == str(base[0]):
                        raise DriverError(f"The disk of guest {uuid} still stands on image {image}.")
            base[0].unlink(missing_ok=True)

    def ensure_disk(self, spec: GuestSpec) -> None:
        guest = self.guest(spec.uuid)
        with _os_errors(), self._bases[spec.base]:
            _make_directory(self.directory)
            _make_directory(guest)
            _sweep_drafts(guest)
            if not (guest / "disk.qcow2").exists():
                self._make_disk(spec, guest / "disk.qcow2")
            self._write_drive(guest / "config.iso", spec.config_drive)

    def _make_disk(self, spec: GuestSpec, disk: Path) -> None:
        base = self.base(spec.base)
        if not base:
            raise DriverError(f"Image {spec.base} is not in this host's cache.")
        size = imagefile.root_size(spec.root_gib, imagefile.virtual_size(*base))
        with _draft(disk.parent) as draft:
            # -u: the base is not opened, so nothing that root runs reads the data of an image.
            argv = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", str(base[0]), "-F", base[1]]
            made = subprocess.run(
                [*argv, str(draft), str(size)],
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            if made.returncode:
                raise DriverError(f"No root disk: {made.stderr.strip()[-300:]}")
            self._give(draft, 0o600)
            _sync(draft)
            # A link, unlike a rename, never replaces a disk that somebody made meanwhile.
            with contextlib.suppress(FileExistsError):
                os.link(draft, disk)
            _sync(disk.parent)

    def _write_drive(self, path: Path, content: bytes | None) -> None:
        if content is None:
            path.unlink(missing_ok=True)
        elif not path.exists() or path.read_bytes() != content:
            with _draft(path.parent) as draft:
                draft.write_bytes(content)
                self._give(draft, 0o400)
                _sync(draft)
                draft.replace(path)

    def ensure_no_files(self, uuid: str) -> None:
        """The guest's directory is gone."""
        with _os_errors(), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.guest(uuid))

    def console_log(self, uuid: str, max_bytes: int) -> bytes:
        try:
            with (self.guest(uuid) / "console.log").open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(0, end - max_bytes))
                return file.read(max_bytes)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise DriverError(f"The console log cannot be read: {error.strerror}.") from error

    def trim_console_logs(self) -> None:
        with _os_errors():
            for uuid in self.disks():
                log = self.guest(uuid) / "console.log"
                with contextlib.suppress(FileNotFoundError):
                    if log.stat().st_size > LOG_LIMIT:
                        kept = self.console_log(uuid, LOG_KEPT)
                        # QEMU appends, so it goes on behind this; what it wrote since the line above is lost.
                        with log.open("ab") as file:
                            file.truncate(0)
                            file.write(kept)

    def _give(self, path: Path, mode: int) -> None:
        """The file belongs to QEMU; libvirt is told not to change owners."""
        user, group = self._qemu
        path.chmod(mode)
        os.chown(path, pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


@contextlib.contextmanager
def _os_errors():
    try:
        yield
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DriverError(f"A file of the guest could not be made or removed: {error}") from error
    except KeyError as error:  # pwd, grp
        raise DriverError(f"This host has no such user or group: {error}", permanent=True) from error


@contextlib.contextmanager
def _draft(directory: Path, what: str = ""):
    """An empty file, of mode 0600, that is gone afterwards under this name."""
    descriptor, name = tempfile.mkstemp(prefix=f"{DRAFT}{what}-", dir=directory)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _sweep_drafts(directory: Path, what: str = "") -> None:
    """Remove what a killed process left of `_draft`."""
    for forgotten in directory.glob(f"{DRAFT}{what}-*"):
        forgotten.unlink(missing_ok=True)


def _make_directory(path: Path) -> None:
    """QEMU can pass through; only root can list or write."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o711)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fill(draft: Path, source: Path, progress) -> str:
    """`draft` holds the data of `source`, is root's and 0644, and is on disk; returns the SHA-512 in hex."""
    with source.open("rb") as data:
        if not _link(data, source, draft):
            _clone_or_copy(data, draft, progress)
    draft.chmod(0o644)
    digest, done, size = hashlib.sha512(), 0, draft.stat().st_size
    with draft.open("rb") as copy:
        while chunk := copy.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            progress(50 + done * 50 // size)
        os.fsync(copy.fileno())
    return digest.hexdigest()


def _link(data, source: Path, draft: Path) -> bool:
    """Share the inode, if it is as ours must be: nobody but root can ever write to it."""
    status = os.fstat(data.fileno())
    if status.st_uid or status.st_mode & 0o777 != 0o644 or os.geteuid():
        return False
    second = draft.with_name(draft.name + "-link")
    try:
        os.link(source.resolve(), second)
    except OSError:  # another file system
        return False
    if not os.path.samestat(second.stat(), status):  # the name was given to another file meanwhile
        second.unlink()
        return False
    second.replace(draft)
    return True


def _clone_or_copy(data, draft: Path, progress) -> None:
    size = os.fstat(data.fileno()).st_size
    with draft.open("wb") as copy:
        try:
            fcntl.ioctl(copy, FICLONE, data.fileno())
            return
        except OSError:  # a file system without reflinks, or another one
            done = 0
        while chunk := data.read(CHUNK):
            if chunk == ZEROS[: len(chunk)]:
                copy.seek(len(chunk), os.SEEK_CUR)
            else:
                copy.write(chunk)
            done += len(chunk)
            progress(done * 50 // size)
        copy.truncate(size)
