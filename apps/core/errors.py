"""The two ways something is refused: by us (`CloudError`), or by the outside world (`DriverError`)."""


class CloudError(Exception):
    """A refusal that the caller sees: what, the number, the next step.

    `status` is the HTTP status; `kind` a stable word that each API turns into its own error name; `field`
    names the form field or body key at fault, when there is one.
    """

    status = 400
    kind = "badRequest"

    def __init__(self, message: str, *, field: str = "", kind: str = "", data: dict | None = None):
        super().__init__(message)
        self.message = message
        self.field = field
        self.kind = kind or self.kind
        self.data = data or {}


class Unauthorized(CloudError):
    status = 401
    kind = "unauthorized"


class Forbidden(CloudError):
    status = 403
    kind = "forbidden"


class NotFound(CloudError):
    status = 404
    kind = "itemNotFound"


class Conflict(CloudError):
    status = 409
    kind = "conflictingRequest"


class QuotaExceeded(CloudError):
    """`data` holds {resource: {"asked", "used", "limit"}} for every resource that does not fit."""

    status = 403
    kind = "overQuota"


class NoValidHost(CloudError):
    """No host fits; `data` is the placement decision record."""

    status = 409
    kind = "noValidHost"


class Unavailable(CloudError):
    """A part of the cloud does not answer now; the message names it."""

    status = 503
    kind = "serviceUnavailable"


class DriverError(Exception):
    """The outside world said no. `permanent`: trying the same again cannot help."""

    def __init__(self, message: str, *, permanent: bool = False):
        super().__init__(message)
        self.permanent = permanent
