"""The frame of every OpenStack API: token in, plain values out, refusals in the service's own words."""

import functools
import logging
from urllib.parse import quote

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig, ValidationError
from django.db import DataError
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.utils.module_loading import import_string
from rest_framework import exceptions as drf
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core import events
from apps.core.context import Context
from apps.core.errors import CloudError, DriverError, NotFound, Unauthorized

log = logging.getLogger(__name__)

UNAUTHENTICATED = "The request you have made requires authentication."


def base_url(request) -> str:
    """Scheme and host as the caller sees them, "http://host:port"."""
    forwarded = request.headers.get("X-Forwarded-Proto", "").split(",")[0].strip()
    scheme = forwarded if forwarded in ("http", "https") else request.scheme
    host = request.headers.get("X-Forwarded-Host", "").split(",")[0].strip() or request.get_host()
    return f"{scheme}://{host}"


class ServiceView(APIView):
    """One path of one service. Subclasses say how the service words a refusal.

    `self.ctx` is who asks; `public = True` needs no token.
    """

    public = False
    ctx: Context | None = None

    def error_body(self, error: CloudError) -> dict:
        raise NotImplementedError

    def initial(self, request, *args, **kwargs):
        if not self.public:
            token = request.headers.get("X-Auth-Token", "")
            ctx = import_string(settings.CONTEXT_FROM_TOKEN)(token) if token else None
            if ctx is None:
                raise Unauthorized(UNAUTHENTICATED)
            self.ctx = ctx.with_request(request._request.id)

    def perform_content_negotiation(self, request, force=False):
        return self.renderer_classes[0](), "application/json"

    def handle_exception(self, exc):
        error = self._as_cloud_error(exc)
        if self.ctx is not None and error.status in (403, 409, 413):
            events.refused(
                self.ctx, error, model=self.__class__.__name__.lower(), action=self.request.method.lower()
            )
        return self.refusal(error)

    def refusal(self, error: CloudError) -> Response:
        if error.status == 401:
            response = Response(
                {"error": {"code": 401, "title": "Unauthorized", "message": error.message}}, status=401
            )
            response["WWW-Authenticate"] = f'Keystone uri="{base_url(self.request)}/identity"'
            return response
        return Response(self.error_body(error), status=error.status)

    def _as_cloud_error(self, exc) -> CloudError:
        if isinstance(exc, CloudError):
            return exc
        if isinstance(exc, drf.ValidationError):
            return CloudError(first_message(exc.detail))
        if isinstance(exc, drf.MethodNotAllowed):
            return _plain("Method not allowed on this path.", 405, "badMethod")
        if isinstance(exc, drf.UnsupportedMediaType):
            return _plain("Unsupported Content-Type; send application/json.", 415, "badMediaType")
        if isinstance(exc, Http404):
            return NotFound("The resource could not be found.")
        if isinstance(exc, RequestDataTooBig):
            return _plain("The request body is too large.", 413, "overLimit")
        if isinstance(exc, DataError | OverflowError):  # a text or a number that its column does not hold
            log.info("%s %s: %r", self.request.method, self.request.path, exc)
            return CloudError(
                "A value in the request is too long, too large, or holds what no text may hold."
            )
        if isinstance(exc, DriverError):
            log.warning("Engine: %s", exc)
            return _plain(f"A part of the cloud does not answer: {exc}", 503, "serviceUnavailable")
        log.exception("%s %s", self.request.method, self.request.path)
        return _plain("Internal error; the request id names it in the log.", 500, "computeFault")

    def finalize_response(self, request, response, *args, **kwargs):
        response = super().finalize_response(request, response, *args, **kwargs)
        if response.status_code in (204, 205, 304) or request.method == "HEAD":
            response.data = None
        response.headers.pop("Allow", None) if response.status_code != 405 else None
        return response

    def body(self, key: str = "") -> dict:
        """The request's JSON object, or the object under `key`; CloudError when it is not there."""
        data = self.request.data
        if not isinstance(data, dict):
            raise CloudError("Malformed request body: a JSON object is expected.")
        if not key:
            return data
        if not isinstance(data.get(key), dict):
            raise CloudError(f"Malformed request body: '{key}' is missing or not an object.")
        return data[key]


def _plain(message: str, status: int, kind: str) -> CloudError:
    error = CloudError(message, kind=kind)
    error.status = status
    return error


def first_message(detail) -> str:
    """The first complaint of DRF's nested error detail, with the name of its field."""
    while isinstance(detail, list | tuple):
        detail = detail[0] if detail else "Invalid input."
    if isinstance(detail, dict):
        key, value = next(iter(detail.items()))
        text = first_message(value)
        return text if key == "non_field_errors" else f"Invalid input for field {key}: {text}"
    return str(detail)


def truth(value, name: str = "") -> bool:
    """A boolean from a query value or a body ("True", "1", "false" ...)."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in ("1", "true", "t", "yes", "y", "on"):
        return True
    if text in ("0", "false", "f", "no", "n", "off", ""):
        return False
    raise CloudError(f"Invalid value '{value}' for '{name or 'boolean'}': a boolean is expected.")


def paginate(queryset, request, *, cap: int = 1000, default: int | None = None, sort=("-created_at", "-id")):
    """(rows, marker of the next page or "") by `limit` and `marker`, in the queryset's `sort` order.

    CloudError for a negative or non-integer limit and for an unknown marker.
    """
    raw = request.query_params.get("limit", "")
    try:
        limit = int(raw) if raw else (default or cap)
    except ValueError:
        raise CloudError("limit param must be an integer") from None
    if limit < 0:
        raise CloudError("limit param must be positive")
    limit = min(limit or cap, cap)
    queryset = queryset.order_by(*sort)
    marker = request.query_params.get("marker", "")
    if marker:
        queryset = after(queryset, marker, sort)
    rows = list(queryset[: limit + 1])
    more = len(rows) > limit
    rows = rows[:limit]
    return rows, (str(rows[-1].pk) if more and rows else "")


def after(queryset, marker: str, sort):
    """The rows behind the one with id `marker`, by key-set comparison on `sort`.

    The marker is one of `queryset`: comparing with others' rows would tell about them.
    """
    try:
        row = queryset.get(pk=marker)
    except (queryset.model.DoesNotExist, ValidationError, ValueError):
        raise CloudError(f"marker [{marker}] not found") from None
    names = [name.lstrip("-") for name in sort]
    values = [
        functools.reduce(lambda value, part: getattr(value, part, None), n.split("__"), row) for n in names
    ]
    if None in values:
        raise CloudError(
            f"marker [{marker}] has no {names[values.index(None)]} to go on from; sort by another key."
        )
    condition = Q()
    for depth, name in enumerate(names):
        beyond = "lt" if sort[depth].startswith("-") else "gt"
        equal = dict(zip(names[:depth], values[:depth], strict=True))
        condition |= Q(**equal, **{f"{name}__{beyond}": values[depth]})
    return queryset.filter(condition)


def next_link(request, marker: str) -> str:
    """The absolute URL of this request with another marker."""
    params = request.query_params.copy()
    params["marker"] = marker
    return f"{base_url(request)}{quote(request.path)}?{params.urlencode()}"


def json_response(data, status: int = 200) -> HttpResponse:
    return HttpResponse(orjson.dumps(data), status=status, content_type="application/json")
