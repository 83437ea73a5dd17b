"""Network v2.0 below /network."""

from django.urls import path, re_path

from apps.networks.api import discovery, quotas, routers, views
from apps.networks.api.resources import RESOURCES, SECURITY_GROUP_RULES

V2 = r"^/v2\.0/"
PK = r"/(?P<pk>[^/]+)"
QUOTAS = V2 + r"quotas/(?P<project_id>[^/]+)"


def at(pattern: str, view, **initial):
    return re_path(pattern + r"/?$", view.as_view(**initial))


urlpatterns = [
    path("", discovery.Versions.as_view()),
    path("/", discovery.Versions.as_view()),
    re_path(r"^/v2\.0/?$", discovery.Version.as_view()),
    at(V2 + "extensions", discovery.Extensions),
    at(V2 + "extensions/(?P<alias>[^/]+)", discovery.Extension),
    at(V2 + "availability_zones", discovery.AvailabilityZones),
    at(V2 + "quotas", quotas.Quotas),
    at(QUOTAS, quotas.Quota),
    at(QUOTAS + "/default", quotas.QuotaDefault),
    at(QUOTAS + r"/details(?:\.json)?", quotas.QuotaDetails),
    at(V2 + "routers" + PK + "/add_router_interface", routers.AddInterface),
    at(V2 + "routers" + PK + "/remove_router_interface", routers.RemoveInterface),
    at(V2 + "routers" + PK + "/add_extraroutes", routers.ExtraRoutes),
    at(V2 + "routers" + PK + "/remove_extraroutes", routers.RemoveExtraRoutes),
]
for resource in RESOURCES:
    base = V2 + resource.path
    urlpatterns += [
        at(base, views.Collection, resource=resource),
        at(base + PK, views.Item, resource=resource),
    ]
    if resource is not SECURITY_GROUP_RULES:
        urlpatterns += [
            at(base + PK + "/tags", views.Tags, resource=resource),
            at(base + PK + "/tags/(?P<tag>[^/]+)", views.Tag, resource=resource),
        ]
urlpatterns.append(re_path(r"^/", views.NotServed.as_view()))
