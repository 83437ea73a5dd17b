"""Around every request: its id; around pages: compression and the content security policy."""

import re

from django.middleware.gzip import GZipMiddleware

from apps.core.context import new_request_id

_REQUEST_ID = re.compile(r"^req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")

API_PREFIXES = (
    "/identity",
    "/compute",
    "/image",
    "/network/",
    "/volume",
    "/object-store",
    "/orchestration",
    "/metric",
    "/alarm",
    "/database",
    "/healthz",
)


def is_api(path: str) -> bool:
    """True for the APIs' paths: `/image` and `/image/v2`, but not `/images`."""
    return any(path == p.rstrip("/") or path.startswith(p.rstrip("/") + "/") for p in API_PREFIXES)


class RequestId:
    """Every answer carries X-Openstack-Request-Id; a caller's own id of that form goes to the log beside it."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.id = new_request_id()
        given = request.headers.get("X-Openstack-Request-Id", "")
        request.global_id = given if _REQUEST_ID.match(given) else ""
        response = self.get_response(request)
        response["X-Openstack-Request-Id"] = request.id
        return response


class PageHeaders(GZipMiddleware):
    """Pages: compressed, never cached, no inline script; inline styles only where a view sets `allow_inline_styles`.

    API answers pass untouched: compressing a thousand servers costs more than sending them.
    """

    def process_response(self, request, response):
        if is_api(request.path):
            return response
        styles = "'self' 'unsafe-inline'" if getattr(response, "allow_inline_styles", False) else "'self'"
        response.headers["Content-Security-Policy"] = (
            f"default-src 'self'; script-src 'self'; style-src {styles}; img-src 'self' data: blob:; "
            "connect-src 'self'; font-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
            "frame-ancestors 'none'"
        )
        # With "no-referrer" browsers post forms with "Origin: null", which the CSRF check refuses.
        response.headers["Referrer-Policy"] = "no-referrer" if "token" in request.GET else "same-origin"
        response.headers.setdefault("Cache-Control", "no-store")
        return super().process_response(request, response)
