from django.urls import include, path

urlpatterns = [
    path("identity", include("apps.projects.api.urls")),
]
