"""Image v2 below /image."""

from django.urls import path, re_path

from apps.images.api import glance

urlpatterns = [
    path("", glance.Versions.as_view()),
    path("/", glance.Versions.as_view()),
    path("/versions", glance.Versions.as_view(status=200)),
    re_path(r"^/v2/images/?$", glance.Images.as_view()),
    re_path(r"^/v2/images/(?P<image_id>[^/]+)/?$", glance.ImageItem.as_view()),
    re_path(r"^/v2/schemas/(?P<name>image|images)/?$", glance.Schema.as_view()),
    re_path(r"^/v2/info/import/?$", glance.NoImport.as_view()),
    re_path(r"^/", glance.NotThere.as_view()),
]
