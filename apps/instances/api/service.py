"""What clients ask about compute as a whole: zones, limits, quotas, extensions."""

from rest_framework.response import Response

from apps.core.api import truth
from apps.core.errors import CloudError, Forbidden, NotFound
from apps.core.policy import ADMIN
from apps.hosts.models import Host
from apps.instances.api.bodies import when_usage
from apps.instances.api.nova import NovaView
from apps.instances.keypairs import MAX_KEYPAIRS
from apps.instances.operations import METADATA_ITEMS, hosts_zones
from apps.projects.models import Project
from apps.quotas import operations as quotas


class AvailabilityZones(NovaView):
    detailed = False

    def get(self, request):
        if self.detailed and not ADMIN(self.ctx):
            raise Forbidden(
                "Policy doesn't allow os_compute_api:os-availability-zone:detail to be performed."
            )
        hosts: dict[str, dict] = {}
        if self.detailed:
            for host in Host.objects.all():
                hosts.setdefault(host.availability_zone, {})[host.name] = {
                    "nova-compute": {
                        "available": host.is_up,
                        "active": host.enabled,
                        "updated_at": when_usage(host.seen_at),
                    }
                }
        zones = [
            {"zoneName": zone, "zoneState": {"available": available}, "hosts": hosts.get(zone)}
            for zone, available in sorted(hosts_zones().items())
        ]
        return Response({"availabilityZoneInfo": zones})


class AvailabilityZonesDetail(AvailabilityZones):
    detailed = True


class Limits(NovaView):
    """GET /limits: `rate` is empty, `absolute` counts the project's instances."""

    def get(self, request):
        project = self.ctx.project_id
        asked = request.query_params.get("tenant_id")
        if asked and asked != project:
            if not self.ctx.is_admin:
                raise Forbidden("Only administrators see the limits of other projects.")
            project = asked
        usage = quotas.usage(project)
        absolute = {
            "maxTotalInstances": usage["instances"][1],
            "maxTotalCores": usage["cores"][1],
            "maxTotalRAMSize": usage["ram"][1],
            "maxTotalKeypairs": MAX_KEYPAIRS,
            "maxServerMeta": METADATA_ITEMS,
            "maxServerGroups": 0,
            "maxServerGroupMembers": 0,
            "totalInstancesUsed": usage["instances"][0],
            "totalCoresUsed": usage["cores"][0],
            "totalRAMUsed": usage["ram"][0],
            "totalServerGroupsUsed": 0,
        }
        if self.mv < 36:
            for resource, name in (("floatingip", "FloatingIps"), ("security_group", "SecurityGroups")):
                used, limit = usage[resource]
                absolute |= {
                    f"maxTotal{name}" if name == "FloatingIps" else f"max{name}": limit,
                    f"total{name}Used": used,
                }
            absolute["maxSecurityGroupRules"] = usage["security_group_rule"][1]
        if self.mv < 39:
            absolute["maxImageMeta"] = METADATA_ITEMS
        if self.mv < 57:
            absolute |= {"maxPersonality": 0, "maxPersonalitySize": 0}
        return Response({"limits": {"rate": [], "absolute": absolute}})


class QuotaSet(NovaView):
    """/os-quota-sets/{project}[/defaults|/detail]: compute's part of a project's quotas."""

    detail = defaults = False

    def project(self, project_id: str, *, write: bool = False) -> Project:
        foreign = project_id != self.ctx.project_id or write
        if foreign and not self.ctx.is_admin:
            raise Forbidden("Policy doesn't allow os_compute_api:os-quota-sets to be performed.")
        project = Project.objects.filter(pk=project_id).first()
        if project is None:
            raise CloudError(f"Project ID {project_id} is not a valid project.")
        return project

    def quota_set(self, project: Project) -> dict:
        default = quotas.defaults("compute")
        body: dict = {}
        for resource, (used, limit) in quotas.usage(project.pk, "compute").items():
            limit = default[resource] if self.defaults else limit
            body[resource] = {"limit": limit, "in_use": used, "reserved": 0} if self.detail else limit
        fixed = {"key_pairs": MAX_KEYPAIRS, "metadata_items": METADATA_ITEMS}
        fixed |= {"server_groups": 0, "server_group_members": 0}
        if self.mv < 57:
            fixed |= {"injected_files": 0, "injected_file_content_bytes": 0, "injected_file_path_bytes": 0}
        for name, limit in fixed.items():
            body[name] = {"limit": limit, "in_use": 0, "reserved": 0} if self.detail else limit
        return body

    def get(self, request, project_id):
        project = self.project(project_id)
        return Response({"quota_set": {"id": project.pk, **self.quota_set(project)}})

    def put(self, request, project_id):
        project = self.project(project_id, write=True)
        asked = dict(self.body("quota_set"))
        asked.pop("tenant_id", None)
        force = truth(asked.pop("force", False), "force")
        try:
            limits = {name: int(value) for name, value in asked.items()}
        except (TypeError, ValueError):
            raise CloudError("A limit is a whole number, -1 for unlimited.") from None
        quotas.set_limits(self.ctx, project=project, service="compute", limits=limits, force=force)
        return Response({"quota_set": self.quota_set(project)})

    def delete(self, request, project_id):
        quotas.reset_limits(self.ctx, project=self.project(project_id, write=True), service="compute")
        return Response(status=202)


class QuotaSetDetail(QuotaSet):
    detail = True
    http_method_names = ["get", "head", "options"]


class QuotaSetDefaults(QuotaSet):
    defaults = True
    http_method_names = ["get", "head", "options"]


EXTENSIONS = {
    "os-availability-zone": "AvailabilityZone",
    "os-console-output": "ConsoleOutput",
    "os-consoles": "Consoles",
    "os-extended-availability-zone": "ExtendedAvailabilityZone",
    "os-extended-server-attributes": "ExtendedServerAttributes",
    "os-extended-status": "ExtendedStatus",
    "os-flavor-manage": "FlavorManage",
    "os-interface": "AttachInterfaces",
    "os-keypairs": "Keypairs",
    "os-lock-server": "LockServer",
    "os-quota-sets": "QuotaSets",
    "os-remote-consoles": "RemoteConsoles",
    "os-server-usage": "ServerUsage",
    "os-used-limits": "UsedLimits",
    "os-user-data": "UserData",
}


def _extension(alias: str) -> dict:
    return {
        "alias": alias,
        "name": EXTENSIONS[alias],
        "description": "",
        "links": [],
        "namespace": "http://docs.openstack.org/compute/ext/fake_xml",
        "updated": "2014-12-03T00:00:00Z",
    }


class Extensions(NovaView):
    def get(self, request, alias=""):
        if not alias:
            return Response({"extensions": [_extension(name) for name in EXTENSIONS]})
        if alias not in EXTENSIONS:
            raise NotFound(f"Extension {alias} could not be found.")
        return Response({"extension": _extension(alias)})
