"""Compute v2.1 below /compute; old clients have the project id in the path, which the token already says."""

from django.urls import path, re_path

from apps.instances.api import flavors, interfaces, servers, service
from apps.instances.api.nova import NotThere, Version, Versions

V21 = r"^/v2(?:\.1)?/(?:(?P<tenant>[0-9a-f]{32})/)?"
SERVER = V21 + r"servers/(?P<server_id>[^/]+)"


def at(pattern: str, view):
    return re_path(pattern + r"/?$", view.as_view())


urlpatterns = [
    path("", Versions.as_view()),
    path("/", Versions.as_view()),
    re_path(r"^/v2\.1/?$", Version.as_view()),
    re_path(r"^/v2/?$", Version.as_view(number="v2.0")),
    at(V21 + "servers", servers.Servers),
    at(V21 + "servers/detail", servers.ServersDetail),
    at(SERVER, servers.Server),
    at(SERVER + "/action", servers.ServerAction),
    at(SERVER + "/remote-consoles", servers.RemoteConsoles),
    at(SERVER + "/metadata", servers.ServerMetadata),
    at(SERVER + "/metadata/(?P<key>[^/]+)", servers.ServerMetadataItem),
    at(SERVER + "/ips", servers.ServerAddresses),
    at(SERVER + "/ips/(?P<label>[^/]+)", servers.ServerAddresses),
    at(SERVER + "/os-security-groups", servers.ServerSecurityGroups),
    at(SERVER + "/os-interface", interfaces.Interfaces),
    at(SERVER + "/os-interface/(?P<port_id>[^/]+)", interfaces.Interface),
    at(V21 + "flavors", flavors.Flavors),
    at(V21 + "flavors/detail", flavors.FlavorsDetail),
    at(V21 + "flavors/(?P<flavor_id>[^/]+)", flavors.FlavorItem),
    at(V21 + "flavors/(?P<flavor_id>[^/]+)/os-extra_specs", flavors.FlavorExtraSpecs),
    at(V21 + "flavors/(?P<flavor_id>[^/]+)/os-extra_specs/(?P<key>[^/]+)", flavors.FlavorExtraSpecs),
    at(V21 + "os-keypairs", flavors.Keypairs),
    at(V21 + "os-keypairs/(?P<name>.+)", flavors.KeypairItem),
    at(V21 + "os-availability-zone", service.AvailabilityZones),
    at(V21 + "os-availability-zone/detail", service.AvailabilityZonesDetail),
    at(V21 + "limits", service.Limits),
    at(V21 + "os-quota-sets/(?P<project_id>[^/]+)", service.QuotaSet),
    at(V21 + "os-quota-sets/(?P<project_id>[^/]+)/detail", service.QuotaSetDetail),
    at(V21 + "os-quota-sets/(?P<project_id>[^/]+)/defaults", service.QuotaSetDefaults),
    at(V21 + "extensions", service.Extensions),
    at(V21 + "extensions/(?P<alias>[^/]+)", service.Extensions),
    re_path(r"^/", NotThere.as_view()),
]
