"""Versions, extensions and availability zones: what clients ask before they ask for anything."""

from rest_framework.response import Response

from apps.core.api import base_url
from apps.core.errors import NotFound
from apps.hosts.models import Host
from apps.networks.api.resources import RESOURCES
from apps.networks.api.views import NeutronView

UPDATED = "2026-01-01T00:00:00-00:00"
EXTENSIONS = {  # alias: name; only what is true
    "availability_zone": "Availability Zone",
    "binding": "Port Binding",
    "empty-string-filtering": "Empty String Filtering Extension",
    "ext-gw-mode": "Neutron L3 Configurable external gateway mode",
    "external-net": "Neutron external network",
    "extraroute": "Neutron Extra Route",
    "extraroute-atomic": "Atomically add/remove extra routes",
    "filter-validation": "Filter parameters validation",
    "fip-port-details": "Floating IP Port Details Extension",
    "ip-substring-filtering": "IP address substring filtering",
    "net-mtu": "Network MTU",
    "net-mtu-writable": "Network MTU (writable)",
    "pagination": "Pagination support",
    "port-security": "Port Security",
    "project-id": "project_id field enabled",
    "provider": "Provider Network",
    "quota_details": "Quota details management support",
    "quotas": "Quota management support",
    "revision-if-match": "If-Match constraints based on revision_number",
    "router": "Neutron L3 Router",
    "security-group": "security-group",
    "security-groups-normalized-cidr": "Normalized CIDR field for security group rules",
    "sorting": "Sorting support",
    "standard-attr-description": "standard-attr-description",
    "standard-attr-revisions": "Resource revision numbers",
    "standard-attr-tag": "Tag support for resources with standard attribute",
    "standard-attr-timestamp": "Resource timestamps",
    "stateful-security-group": "Stateful security group",
    "tag-ports-during-bulk-creation": "Tag Ports During Bulk Creation",
}


class Versions(NeutronView):
    public = True

    def get(self, request):
        href = f"{base_url(request)}/network/v2.0/"
        return Response(
            {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [{"rel": "self", "href": href}]}]}
        )


class Version(NeutronView):
    public = True

    def get(self, request):
        root = f"{base_url(request)}/network/v2.0"
        names = [(r.name, r.collection, r.path) for r in RESOURCES]
        names += [("extension", "extensions", "extensions"), ("quota", "quotas", "quotas")]
        return Response(
            {
                "resources": [
                    {
                        "name": name,
                        "collection": collection,
                        "links": [{"rel": "self", "href": f"{root}/{path}"}],
                    }
                    for name, collection, path in names
                ]
            }
        )


def extension(alias: str) -> dict:
    name = EXTENSIONS[alias]
    return {"alias": alias, "name": name, "description": name, "updated": UPDATED, "links": []}


class Extensions(NeutronView):
    def get(self, request):
        return Response({"extensions": [extension(alias) for alias in EXTENSIONS]})


class Extension(NeutronView):
    def get(self, request, alias):
        if alias not in EXTENSIONS:
            raise NotFound(f"Extension with alias {alias} does not exist", kind="ExtensionNotFound")
        return Response({"extension": extension(alias)})


class AvailabilityZones(NeutronView):
    """The hosts' zones, each for networks and for routers."""

    def get(self, request):
        zones = sorted(set(Host.objects.values_list("availability_zone", flat=True)))
        return Response(
            {
                "availability_zones": [
                    {"name": zone, "resource": resource, "state": "available"}
                    for zone in zones
                    for resource in ("network", "router")
                ]
            }
        )
