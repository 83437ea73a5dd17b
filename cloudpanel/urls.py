"""Where everything is: the APIs below their services' names, the pages at the root."""

from django.urls import include, path

from apps.core.health import healthz

urlpatterns = [
    path("healthz", healthz),
    path("identity", include("apps.projects.api.urls")),
    path("compute", include("apps.instances.api.urls")),
    path("image", include("apps.images.api.urls")),
    path("network", include("apps.networks.api.urls")),
    path("", include("apps.dashboard.urls")),
    path("", include("apps.instances.urls")),
    path("", include("apps.images.urls")),
    path("", include("apps.networks.urls")),
]

handler403 = "apps.dashboard.views.forbidden"
handler404 = "apps.dashboard.views.not_found"
handler500 = "apps.dashboard.views.failed"
