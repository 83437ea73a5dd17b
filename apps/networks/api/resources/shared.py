"""What the tables of several resources share."""

from apps.networks.api.wire import Attribute, Resource, as_id, as_number, as_truth, bad, boolean, items
from apps.networks.models import Port

A = Attribute


def moment(value) -> str:
    return value.isoformat()[:19] + "Z"


def id_of(column: str):
    """Reads a foreign key: its id, or null."""

    def read(row):
        value = getattr(row, column)
        return None if value is None else str(value)

    return read


def or_null(column: str):
    """Reads a text that is null on the wire when it is empty."""
    return lambda row: getattr(row, column) or None


def always(value):
    return lambda row: value


def common(*, named: bool = True, tagged: bool = True) -> tuple[Attribute, ...]:
    """What every resource has."""
    both = {"post": "name", "put": "name"}
    tags = (
        A("tags", read=lambda row: row.tags, post="tags", parse=items)
        if tagged
        else A("tags", read=always([]))
    )
    return (
        A("id", "pk", read=lambda row: str(row.pk), filter_as=as_id),
        *((A("name", "name", null="", **both),) if named else ()),
        A("description", "description", post="description", put="description", null=""),
        A("tenant_id", "project_id", post="project_id"),
        A("project_id", "project_id", post="project_id"),
        A("created_at", "created_at", read=lambda row: moment(row.created_at)),
        A("updated_at", "updated_at", read=lambda row: moment(row.updated_at)),
        A("revision_number", "revision", filter_as=as_number),
        tags,
    )


STATUS = A("status", "status")
ADMIN_STATE_UP = A(
    "admin_state_up",
    "admin_state_up",
    filter_as=as_truth,
    post="admin_state_up",
    put="admin_state_up",
    parse=boolean,
)


def flag(name: str, column: str) -> Attribute:
    return A(name, column, filter_as=as_truth, post=column, put=column, parse=boolean)


def in_owners_project(owner, project_id: str) -> None:
    """Things inside a network or a group belong to its project; nobody may ask for another."""
    if project_id and project_id != owner.project_id:
        raise bad("project_id", f"it belongs to project {owner.project_id}, as {owner} does")


def fixed_ips(row: Port) -> list[dict]:
    return [{"subnet_id": str(f.subnet_id), "ip_address": f.address} for f in row.fixed_ips.all()]


def reference(name: str, column: str, resource: Resource, **more) -> Attribute:
    return A(
        name, f"{column}_id", read=id_of(f"{column}_id"), filter_as=as_id, parse=resource.reference, **more
    )
