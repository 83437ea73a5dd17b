"""Image API v2: versions, list, show and schemas."""

import csv
from urllib.parse import urlencode

from django.utils.dateparse import parse_datetime
from rest_framework.response import Response

from apps.core.api import ServiceView, after, base_url, truth
from apps.core.errors import CloudError, NotFound
from apps.core.policy import enforce
from apps.images.models import Image

TITLES = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
NEWEST = 16  # of v2.0 ... v2.16
DEFAULT_PAGE, CAP = 25, 1000
SORT_KEYS = {
    "name",
    "status",
    "container_format",
    "disk_format",
    "size",
    "id",
    "created_at",
    "updated_at",
}


def error_body(error: CloudError) -> dict:
    title = TITLES.get(error.status, "Error")
    return {"message": error.message, "code": f"{error.status} {title}", "title": title}


class GlanceView(ServiceView):
    def error_body(self, error: CloudError) -> dict:
        return error_body(error)


class NotThere(GlanceView):
    public = True

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        raise NotFound("The resource could not be found.")


class Versions(GlanceView):
    public = True
    status = 300

    def get(self, request):
        href = f"{base_url(request)}/image/v2/"
        versions = [
            {
                "id": f"v2.{minor}",
                "status": "CURRENT" if minor == NEWEST else "SUPPORTED",
                "links": [{"rel": "self", "href": href}],
            }
            for minor in range(NEWEST, -1, -1)
        ]
        return Response({"versions": versions}, status=self.status)


def image_body(image: Image) -> dict:
    body = {
        "id": str(image.pk),
        "name": image.name or None,
        "status": image.status,
        "visibility": image.visibility,
        "protected": image.protected,
        "os_hidden": image.os_hidden,
        "owner": image.project_id,
        "tags": image.tags,
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "size": image.size,
        "virtual_size": image.virtual_size,
        "checksum": image.checksum or None,
        "os_hash_algo": "sha512" if image.os_hash_value else None,
        "os_hash_value": image.os_hash_value or None,
        "created_at": image.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "updated_at": image.updated_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "self": f"/v2/images/{image.pk}",
        "file": f"/v2/images/{image.pk}/file",
        "schema": "/v2/schemas/image",
    }
    return body | {key: value for key, value in image.properties.items() if key not in body}


class Images(GlanceView):
    def get(self, request):
        enforce(self.ctx, "get_images")
        query = request.query_params
        rows = Image.objects.visible_to(self.ctx)
        for key in query:
            rows = _filter(rows, key, query.getlist(key), self.ctx)
        if "visibility" not in query:
            mine = Image.objects.visible_to(self.ctx).filter(project_id=self.ctx.project_id)
            rows = rows.exclude(visibility="community") | (rows & mine)
        if "os_hidden" not in query:
            rows = rows.filter(os_hidden=False)
        sort = _sort(query)
        limit_text = query.get("limit", "")
        if limit_text and not limit_text.isdigit():
            raise CloudError("limit param must be an integer, 0 or more")
        limit = min(int(limit_text) if limit_text else DEFAULT_PAGE, CAP)
        rows = rows.order_by(*sort)
        if query.get("marker"):
            rows = after(rows, query["marker"], sort)
        page = list(rows[: limit + 1])
        first = {k: v for k, v in query.items() if k != "marker"}
        body = {
            "images": [image_body(image) for image in page[:limit]],
            "first": "/v2/images" + (f"?{urlencode(first)}" if first else ""),
            "schema": "/v2/schemas/images",
        }
        if len(page) > limit and limit:
            body["next"] = f"/v2/images?{urlencode(first | {'marker': str(page[limit - 1].pk)})}"
        return Response(body)


def _sort(query) -> list[str]:
    pairs = []
    if query.get("sort"):
        pairs = [tuple((part.strip() + ":desc").split(":")[:2]) for part in query["sort"].split(",")]
    else:
        keys = query.getlist("sort_key") or ["created_at"]
        directions = query.getlist("sort_dir") or ["desc"]
        pairs = [(key, directions[min(i, len(directions) - 1)]) for i, key in enumerate(keys)]
    for key, direction in pairs:
        if key not in SORT_KEYS:
            raise CloudError(f"Invalid sort key: {key}")
        if direction not in ("asc", "desc"):
            raise CloudError(f"Invalid sort direction: {direction}")
    order = [("-" if direction == "desc" else "") + key for key, direction in pairs]
    return [*order, "-id"] if order[-1].lstrip("-") != "id" else order


_EXACT = {
    "name",
    "status",
    "disk_format",
    "container_format",
    "visibility",
    "checksum",
    "os_hash_value",
    "id",
}


def _filter(rows, key: str, values: list[str], ctx):
    value = values[-1]
    if key in ("limit", "marker", "sort", "sort_key", "sort_dir", "member_status"):
        return rows
    if key in _EXACT:
        wanted = _in_list(value)
        if key == "id":
            wanted = [
                v for v in wanted if len(v) in (32, 36) and not set(v.lower()) - set("0123456789abcdef-")
            ]
        if key == "visibility" and value == "all":
            return rows
        return rows.filter(**{f"{key}__in": wanted})
    if key == "owner":
        return rows.filter(project_id=value)
    if key in ("protected", "os_hidden"):
        return rows.filter(**{key: truth(value, key)})
    if key in ("size_min", "size_max"):
        if not value.isdigit():
            raise CloudError(f"Invalid value {value} for {key}")
        return rows.filter(**{"size__gte" if key == "size_min" else "size__lte": int(value)})
    if key in ("created_at", "updated_at"):
        operator, moment = "", value
        for prefix in ("gte:", "lte:", "gt:", "lt:", "eq:"):
            if value.startswith(prefix):
                operator, moment = prefix[:-1], value[len(prefix) :]
        suffix = f"__{operator}" if operator in ("gte", "lte", "gt", "lt") else ""
        return rows.filter(**{f"{key}{suffix}": _moment(moment)})
    if key == "tag":
        matching = [pk for pk, tags in rows.values_list("pk", "tags") if set(values) <= set(tags)]
        return rows.filter(pk__in=matching)
    if key in ("min_ram", "min_disk"):
        return rows.filter(**{key: value}) if value.isdigit() else rows.none()
    return rows.filter(**{f"properties__{key}": value})


def _moment(text: str):
    parsed = parse_datetime(text.replace(" ", "+"))
    if parsed is None:
        raise CloudError(f"Invalid time: {text}")
    return parsed


def _in_list(value: str) -> list[str]:
    if not value.startswith("in:"):
        return [value]
    return next(csv.reader([value[3:]]), [])


class ImageItem(GlanceView):
    def image(self, image_id: str) -> Image:
        try:
            return Image.objects.get_for(self.ctx, image_id)
        except NotFound:
            raise NotFound(f"No image found with ID {image_id}") from None

    def get(self, request, image_id):
        enforce(self.ctx, "get_image")
        return Response(image_body(self.image(image_id)))


def _schema(name: str) -> dict:
    text, number = {"type": ["null", "string"]}, {"type": ["null", "integer"]}
    properties: dict = {
        key: text
        for key in (
            "id",
            "name",
            "status",
            "visibility",
            "owner",
            "disk_format",
            "container_format",
            "checksum",
            "os_hash_algo",
            "os_hash_value",
            "created_at",
            "updated_at",
            "self",
            "file",
            "schema",
            "direct_url",
        )
    }
    properties |= {key: number for key in ("size", "virtual_size", "min_disk", "min_ram")}
    properties |= {key: {"type": "boolean"} for key in ("protected", "os_hidden")}
    properties["tags"] = {"type": "array", "items": {"type": "string", "maxLength": 255}}
    properties["locations"] = {"type": "array", "items": {"type": "object"}}
    image = {"name": "image", "properties": properties, "additionalProperties": {"type": "string"}}
    image["links"] = [
        {"rel": "self", "href": "{self}"},
        {"rel": "enclosure", "href": "{file}"},
        {"rel": "describedby", "href": "{schema}"},
    ]
    if name == "image":
        return image
    return {
        "name": "images",
        "properties": {
            "images": {"type": "array", "items": image},
            "first": {"type": "string"},
            "next": {"type": "string"},
            "schema": {"type": "string"},
        },
        "links": [
            {"rel": "first", "href": "{first}"},
            {"rel": "next", "href": "{next}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }


class Schema(GlanceView):
    def get(self, request, name):
        return Response(_schema(name))


class NoImport(GlanceView):
    """GET /v2/info/import: no way of importing is offered."""

    def get(self, request):
        return Response(
            {"import-methods": {"description": "Import methods available.", "type": "array", "value": []}}
        )
