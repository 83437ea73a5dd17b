"""The portal's page of images."""

from apps.core import filters
from apps.core.views import Column, ListPage
from apps.images.models import Image


class ImageList(ListPage):
    template_name = "images/list.html"
    row_template = "images/_row.html"
    noun, nouns = "image", "images"
    default_sort = "name"
    columns = (
        Column("name", filters.contains("name"), sort="name", text=True),
        Column("status", filters.status(Image.Status.values), sort="status", hint="active"),
        Column("visibility", filters.exact("visibility"), sort="visibility", hint="public, private"),
        Column("format", filters.exact("disk_format"), hint="qcow2, raw"),
        Column("size", sort="size"),
        Column("age", filters.age("created_at"), sort="-created_at", hint="<7d"),
        Column("id", filters.contains("id"), text=True),
    )

    def rows(self):
        return Image.objects.visible_to(self.ctx).filter(os_hidden=False)
