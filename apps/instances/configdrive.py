"""The config drive: a disc with a guest's metadata, for guests that shall not ask the network for it."""

import io
from pathlib import PurePosixPath

import pycdlib

LABEL = "config-2"  # by which cloud-init knows it


def build(files: dict[str, bytes]) -> bytes:
    """An ISO 9660 image with the files under their paths ("openstack/latest/meta_data.json")."""
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, vol_ident=LABEL, joliet=3, rock_ridge="1.09")
    plain = {PurePosixPath("."): ""}  # names of ISO 9660 itself are short; nobody reads them
    for path in sorted({parent for name in files for parent in PurePosixPath(name).parents}):
        if path not in plain:
            plain[path] = f"{plain[path.parent]}/D{len(plain)}"
            iso.add_directory(plain[path], rr_name=path.name, joliet_path=f"/{path}")
    for number, (name, content) in enumerate(sorted(files.items())):
        path = PurePosixPath(name)
        iso.add_fp(
            io.BytesIO(content),
            len(content),
            f"{plain[path.parent]}/F{number}.;1",
            rr_name=path.name,
            joliet_path=f"/{path}",
        )
    image = io.BytesIO()
    iso.write_fp(image)
    iso.close()
    return image.getvalue()
