"""The frame of compute v2.1: microversions, Nova's error bodies, and its headers."""

import re

from django.http import HttpRequest
from django.utils.functional import cached_property
from rest_framework.response import Response

from apps.core.api import ServiceView, base_url
from apps.core.errors import CloudError, NotFound

MIN, MAX = 1, 96  # of 2.x
_VERSION = re.compile(r"^2\.(0|[1-9]\d{0,5})$")
ERROR_KEYS = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}


def error_body(error: CloudError) -> dict:
    return {ERROR_KEYS.get(error.status, "computeFault"): {"code": error.status, "message": error.message}}


def asked_version(request: HttpRequest) -> int:
    """The x of the 2.x that the caller asks for; CloudError 406 or 400 when it cannot be served."""
    text = ""
    for part in request.headers.get("OpenStack-API-Version", "").split(","):
        service, _, version = part.strip().partition(" ")
        if service == "compute":
            text = version.strip()
    text = text or request.headers.get("X-OpenStack-Nova-API-Version", "").strip()
    if not text:
        return MIN
    if text == "latest":
        return MAX
    match = _VERSION.match(text)
    if not match:
        raise CloudError(
            f"API Version String {text} is of invalid format. Must be of format MajorNum.MinorNum."
        )
    minor = int(match[1])
    if not MIN <= minor <= MAX:
        error = CloudError(
            f"Version {text} is not supported by the API. Minimum is 2.{MIN} and maximum is 2.{MAX}.",
            kind="computeFault",
        )
        error.status = 406
        raise error
    return minor


def text(value, name: str, most: int = 255) -> str:
    """The string, "" for null; CloudError for another kind, and for more than `most` characters."""
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > most:
        raise CloudError(f"Invalid input for field/attribute {name}. A string of at most {most} is needed.")
    return value


def whole(value, name: str, kind: type):
    """The value of that kind (dict or list), an empty one for null; CloudError for another kind."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        word = "An object" if kind is dict else "A list"
        raise CloudError(f"Invalid input for field/attribute {name}. {word} is needed.")
    return value


class NovaView(ServiceView):
    """`self.mv` is the x of the microversion 2.x; paths below it exist from `since` to `until`."""

    mv = MIN
    since, until = MIN, MAX

    def error_body(self, error: CloudError) -> dict:
        return error_body(error)

    def initial(self, request, *args, **kwargs):
        self.mv = asked_version(request._request)
        kwargs.pop("tenant", None)
        super().initial(request, *args, **kwargs)
        if not self.since <= self.mv <= self.until:
            raise NotFound("The resource could not be found.")

    def dispatch(self, request, *args, **kwargs):
        kwargs.pop("tenant", None)  # old clients have the project in the path; the token decides
        return super().dispatch(request, *args, **kwargs)

    def finalize_response(self, request, response, *args, **kwargs):
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers["OpenStack-API-Version"] = f"compute 2.{self.mv}"
        response.headers["X-OpenStack-Nova-API-Version"] = f"2.{self.mv}"
        response.headers["Vary"] = "OpenStack-API-Version, X-OpenStack-Nova-API-Version"
        response.headers["X-Compute-Request-Id"] = request.id
        return response

    @cached_property
    def bookmark(self) -> str:
        return f"{base_url(self.request)}/compute"

    @cached_property
    def root(self) -> str:
        return f"{self.bookmark}/v2.1"

    def links(self, path: str) -> list[dict]:
        """Self and bookmark link of "servers/<id>"."""
        return [
            {"rel": "self", "href": f"{self.root}/{path}"},
            {"rel": "bookmark", "href": f"{self.bookmark}/{path}"},
        ]

    def only(self, data: dict, known: set[str], what: str = "") -> dict:
        """`data` when it has no key beyond `known`; else CloudError in the words of Nova's schema check."""
        extra = sorted(map(str, data.keys() - known))
        if extra:
            names = ", ".join(f"'{name}'" for name in extra)
            verb = "was" if len(extra) == 1 else "were"
            raise CloudError(
                f"Invalid input for field/attribute {what or 'body'}. Additional properties are not allowed "
                f"({names} {verb} unexpected)"
            )
        return data


class NotThere(NovaView):
    """Every path that compute does not have."""

    public = True

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        raise NotFound("The resource could not be found.")


def _version(root: str, number: str, status: str, newest: str, oldest: str) -> dict:
    return {
        "id": number,
        "status": status,
        "version": newest,
        "min_version": oldest,
        "updated": "2013-07-23T11:33:21Z" if number == "v2.1" else "2011-01-21T11:33:21Z",
        "links": [{"rel": "self", "href": f"{root}/{'v2' if number == 'v2.0' else number}/"}],
    }


class Versions(NovaView):
    """GET /compute: what there is."""

    public = True

    def get(self, request):
        root = self.bookmark
        old = _version(root, "v2.0", "SUPPORTED", "", "")
        new = _version(root, "v2.1", "CURRENT", f"2.{MAX}", f"2.{MIN}")
        return Response({"versions": [old, new]})


class Version(NovaView):
    """GET /compute/v2.1 and /compute/v2."""

    public = True
    number = "v2.1"

    def get(self, request):
        root = self.bookmark
        new = self.number == "v2.1"
        body = _version(
            root,
            self.number,
            "CURRENT" if new else "SUPPORTED",
            f"2.{MAX}" if new else "",
            f"2.{MIN}" if new else "",
        )
        body["media-types"] = [
            {
                "base": "application/json",
                "type": f"application/vnd.openstack.compute+json;version={self.number[1:]}",
            }
        ]
        body["links"].append(
            {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/api-ref/compute/"}
        )
        return Response({"version": body})
