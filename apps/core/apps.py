from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class CoreConfig(AppConfig):
    name = "apps.core"

    def ready(self) -> None:
        """Every app's rules, quota counters and reconcilers are registered."""
        autodiscover_modules("policies", "limits", "tasks")
