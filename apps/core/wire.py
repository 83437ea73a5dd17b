"""Bodies of the APIs: JSON in, plain values out, encoded once. Here, because views import settings that name these."""

import orjson
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from apps.core.errors import CloudError


class WireRenderer(BaseRenderer):
    """Plain values to JSON, encoded once."""

    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return b"" if data is None else orjson.dumps(data)


class WireParser(BaseParser):
    media_type = "application/json"

    def parse(self, stream, media_type=None, parser_context=None):
        try:
            body = stream.read()
            return orjson.loads(body) if body else {}
        except orjson.JSONDecodeError:
            raise CloudError("Malformed request body: it is not JSON.") from None
