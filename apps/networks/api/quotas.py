"""Quotas of the network API; the numbers themselves are `apps.quotas`'."""

from rest_framework.response import Response

from apps.core.errors import CloudError, Forbidden, NotFound
from apps.core.policy import ADMIN
from apps.networks.api.views import NeutronView
from apps.projects.models import Project
from apps.quotas import operations as quotas
from apps.quotas.models import Limit

SERVICE = "network"


class QuotaView(NeutronView):
    def may_see(self, project_id: str) -> None:
        if project_id != self.ctx.project_id and not self.ctx.is_admin:
            raise Forbidden(
                "Policy doesn't allow get_quota to be performed. Only administrators see others' quotas."
            )

    def project(self, project_id: str) -> Project:
        project = Project.objects.filter(pk=project_id).first()
        if project is None:
            raise NotFound(f"Project {project_id} could not be found.")
        return project


class Quotas(QuotaView):
    """The projects that have limits of their own."""

    def get(self, request):
        if not ADMIN(self.ctx):
            raise Forbidden("Policy doesn't allow get_quota to be performed. It needs the role admin.")
        resources = list(quotas.defaults(SERVICE))
        projects = (
            Limit.objects.filter(resource__in=resources).order_by().values_list("project_id", flat=True)
        )
        return Response(
            {
                "quotas": [
                    {"tenant_id": pk, "project_id": pk} | quotas.limits_of(pk, resources)
                    for pk in projects.distinct()
                ]
            }
        )


class Quota(QuotaView):
    def get(self, request, project_id):
        self.may_see(project_id)
        return Response({"quota": quotas.limits_of(project_id, list(quotas.defaults(SERVICE)))})

    def put(self, request, project_id):
        limits = {}
        for resource, limit in self.body("quota").items():
            if resource in ("tenant_id", "project_id"):
                continue
            try:
                limits[resource] = int(limit)
            except (TypeError, ValueError):
                raise CloudError(
                    f"Invalid input for {resource}. Reason: '{limit}' is not an integer."
                ) from None
        force = limits.pop("force", 0)
        given = {"service": SERVICE, "limits": limits, "force": bool(force)}
        return Response({"quota": quotas.set_limits(self.ctx, project=self.project(project_id), **given)})

    def delete(self, request, project_id):
        quotas.reset_limits(self.ctx, project=self.project(project_id), service=SERVICE)
        return Response(status=204)


class QuotaDefault(QuotaView):
    def get(self, request, project_id):
        self.may_see(project_id)
        return Response({"quota": quotas.defaults(SERVICE)})


class QuotaDetails(QuotaView):
    def get(self, request, project_id):
        self.may_see(project_id)
        usage = quotas.usage(project_id, SERVICE)
        return Response(
            {
                "quota": {
                    resource: {"limit": limit, "used": used, "reserved": 0}
                    for resource, (used, limit) in usage.items()
                }
            }
        )
