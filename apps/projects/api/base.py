"""Keystone's manners: its error form, its list form, its words for bad input."""

from http import HTTPStatus

from apps.core.api import ServiceView, base_url, next_link, paginate, truth
from apps.core.errors import CloudError, NotFound

REQUIRED = object()
KINDS = {str: "string", bool: "boolean", dict: "object", list: "array"}


def error_form(status: int, message: str) -> dict:
    return {"error": {"code": status, "title": HTTPStatus(status).phrase, "message": message}}


class IdentityView(ServiceView):
    def error_body(self, error: CloudError) -> dict:
        return error_form(error.status, error.message)

    def refusal(self, error: CloudError):
        response = super().refusal(error)
        if "retry_after" in error.data:
            response["Retry-After"] = str(error.data["retry_after"])
        return response

    @property
    def root(self) -> str:
        return f"{base_url(self.request)}/identity/v3"

    def link(self, path: str) -> dict:
        return {"self": f"{self.root}/{path}"}

    def listed(self, key: str, rows: list[dict], next_page: str | None = None) -> dict:
        """The body of a list; `next_page` is an address."""
        return {key: rows, "links": {"self": self.here, "previous": None, "next": next_page}}

    @property
    def here(self) -> str:
        return base_url(self.request) + self.request.get_full_path()

    def page(self, queryset, sort=("name", "pk")) -> tuple[list, str | None]:
        rows, marker = paginate(queryset, self.request, cap=10000, sort=sort)
        return rows, next_link(self.request, marker) if marker else None

    def filtered(self, queryset, *columns: str):
        """`queryset` narrowed by those query parameters that are given; `enabled` is a boolean, all else is exact."""
        for column in columns:
            if column in self.request.query_params:
                value = self.request.query_params[column]
                queryset = queryset.filter(**{column: truth(value, column) if column == "enabled" else value})
        return queryset

    def flag(self, name: str) -> bool:
        """Whether the query has the key, with a value or without, other than 0 and false."""
        return self.request.query_params.get(name, "0").lower() not in ("0", "false")


class NotServed(IdentityView):
    """Every path that Keystone has and we do not, or nobody has."""

    public = True

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        raise NotFound("The resource could not be found.")


def take(given: dict, key: str, kind: type, default=REQUIRED):
    """given[key] if it is of the kind; CloudError for another kind, and where it is missing without a default."""
    if key not in given:
        if default is REQUIRED:
            raise CloudError(f"Invalid input: '{key}' is a required property.", field=key)
        return default
    value = given[key]
    if not isinstance(value, kind):
        raise CloudError(
            f"Invalid input for field '{key}': {value!r} is not of type '{KINDS[kind]}'.", field=key
        )
    return value


def known(given: dict, **kinds: type) -> dict:
    """Those of the keys that are given, each of its kind."""
    return {key: take(given, key, kind) for key, kind in kinds.items() if key in given}
