from django.urls import path

from apps.core import navigation
from apps.dashboard import views

urlpatterns = [
    path("", views.Overview.as_view(), name="overview"),
    path("login", views.LogIn.as_view(), name="login"),
    path("logout", views.log_out, name="logout"),
    path("switch-project", views.SwitchProject.as_view(), name="switch_project"),
    path("theme", views.theme, name="theme"),
    path("shell-counts", views.ShellCounts.as_view(), name="shell_counts"),
    path("tasks", views.Tasks.as_view(), name="tasks"),
    path("palette.json", views.Palette.as_view(), name="palette"),
]

navigation.entry("", "Overview", "overview", "speedometer2")
