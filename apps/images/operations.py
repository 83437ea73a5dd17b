"""What may be asked of images."""

from pathlib import Path

from django.db import transaction

from apps.core.context import Context
from apps.core.lifecycle import begin
from apps.core.policy import enforce
from apps.images import store
from apps.images.models import Image


def register_file(
    ctx: Context,
    *,
    name: str,
    path: Path,
    disk_format: str = "qcow2",
    visibility: str = Image.Visibility.PRIVATE,
    min_ram: int = 0,
    properties: dict | None = None,
) -> Image:
    """An active image with the data of the local file `path`; the file itself is copied, not kept."""
    enforce(ctx, "add_image")
    if visibility == Image.Visibility.PUBLIC:
        enforce(ctx, "publicize_image")
    image = Image(
        project_id=ctx.project_id,
        name=name,
        status=Image.Status.ACTIVE,
        visibility=visibility,
        disk_format=disk_format,
        min_ram=min_ram,
        properties=properties or {},
    )
    stored = store.put(image.pk, path, disk_format)
    image.size, image.virtual_size = stored.size, stored.virtual_size
    image.checksum, image.os_hash_value = stored.md5, stored.sha512
    try:
        with transaction.atomic():
            return begin(image, by=ctx)
    except BaseException:
        store.remove(image.pk)
        raise
