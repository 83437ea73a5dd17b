"""Who asks, in which project, with which roles: built once per request, the same for browser and API."""

import uuid
from dataclasses import dataclass, field, replace


def new_request_id() -> str:
    return f"req-{uuid.uuid4()}"


@dataclass(frozen=True)
class Context:
    user_id: str
    user_name: str = ""
    user_domain_id: str = ""
    project_id: str = ""
    project_name: str = ""
    project_domain_id: str = ""
    roles: frozenset[str] = frozenset()
    request_id: str = field(default_factory=new_request_id)
    audit_id: str = ""  # of the token or session that asks

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles

    def with_request(self, request_id: str) -> "Context":
        return replace(self, request_id=request_id)
