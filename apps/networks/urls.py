"""Pages about networks, and their places in the portal."""

from django.urls import path

from apps.core import navigation
from apps.networks import views
from apps.networks.models import FloatingIP, Network, Router, SecurityGroup

urlpatterns = [
    path("networks/", views.NetworkList.as_view(), name="networks"),
    path("networks/create/", views.NetworkCreate.as_view(), name="network_create"),
    path("networks/<uuid:pk>/", views.NetworkDetail.as_view(), name="network"),
    path("networks/<uuid:pk>/delete/", views.NetworkDelete.as_view(), name="network_delete"),
    path("floating-ips/", views.FloatingIPList.as_view(), name="floating_ips"),
    path("floating-ips/create/", views.FloatingIPCreate.as_view(), name="floating_ip_create"),
    path(
        "floating-ips/<uuid:pk>/associate/", views.FloatingIPAssociate.as_view(), name="floating_ip_associate"
    ),
    path(
        "floating-ips/<uuid:pk>/disassociate/",
        views.FloatingIPDisassociate.as_view(),
        name="floating_ip_disassociate",
    ),
    path("floating-ips/<uuid:pk>/release/", views.FloatingIPRelease.as_view(), name="floating_ip_release"),
    path("security-groups/", views.SecurityGroupList.as_view(), name="security_groups"),
    path("security-groups/create/", views.SecurityGroupCreate.as_view(), name="security_group_create"),
    path("security-groups/<uuid:pk>/", views.SecurityGroupDetail.as_view(), name="security_group"),
    path(
        "security-groups/<uuid:pk>/delete/", views.SecurityGroupDelete.as_view(), name="security_group_delete"
    ),
    path(
        "security-group-rules/<uuid:pk>/delete/",
        views.SecurityGroupRuleDelete.as_view(),
        name="security_group_rule_delete",
    ),
]

navigation.entry("Network", "Networks", "networks", "hdd-network", rows=Network.objects.visible_to, order=10)
navigation.entry(
    "Network",
    "Security groups",
    "security_groups",
    "shield-check",
    rows=SecurityGroup.objects.visible_to,
    order=30,
)
navigation.entry(
    "Network", "Floating IPs", "floating_ips", "globe2", rows=FloatingIP.objects.visible_to, order=40
)
navigation.kind(Network, "Network", "hdd-network", url_name="network", list_url="networks")
navigation.kind(Router, "Router", "signpost-split", list_url="networks")
navigation.kind(
    SecurityGroup, "Security group", "shield-check", url_name="security_group", list_url="security_groups"
)
navigation.kind(FloatingIP, "Floating IP", "globe2", list_url="floating_ips", search=("address",))
navigation.action("Create network", "network_create", "plus-lg")
