"""Pages about instances, flavors and key pairs, and their places in the portal."""

from django.db.models import Q
from django.urls import path

from apps.core import navigation
from apps.instances import views
from apps.instances.console_views import console_urls
from apps.instances.models import Flavor, Instance, Keypair

urlpatterns = [
    path("instances/", views.InstanceList.as_view(), name="instances"),
    path("instances/rows/", views.InstanceList.as_view(), name="instances_rows"),
    path("instances/bulk/", views.InstancesBulk.as_view(), name="instances_bulk"),
    path("instances/launch/", views.Launch.as_view(), name="launch"),
    path("instances/<uuid:pk>/", views.InstanceDetail.as_view(), name="instance"),
    path("instances/<uuid:pk>/panel/", views.InstancePanel.as_view(), name="instance_panel"),
    path("instances/<uuid:pk>/activity/", views.InstanceActivity.as_view(), name="instance_activity"),
    path("instances/<uuid:pk>/action/", views.InstanceAction.as_view(), name="instance_action"),
    path("flavors/", views.FlavorList.as_view(), name="flavors"),
    path("keypairs/", views.KeypairList.as_view(), name="keypairs"),
    path("keypairs/create/", views.KeypairCreate.as_view(), name="keypair_create"),
    path("keypairs/<int:pk>/delete/", views.KeypairDelete.as_view(), name="keypair_delete"),
    *console_urls,
]

navigation.entry(
    "Compute",
    "Instances",
    "instances",
    "pc-display-horizontal",
    rows=Instance.objects.visible_to,
    errors=Q(status=Instance.Status.ERROR),
    order=10,
)
navigation.entry("Compute", "Flavors", "flavors", "sliders", rows=Flavor.objects.visible_to, order=30)
navigation.entry("Compute", "Key pairs", "keypairs", "key", rows=Keypair.objects.visible_to, order=40)
navigation.kind(
    Instance,
    "Instance",
    "pc-display-horizontal",
    url_name="instance",
    list_url="instances",
    task=True,
)
navigation.kind(Keypair, "Key pair", "key", list_url="keypairs")
navigation.action("Launch instance", "launch", "plus-lg")
