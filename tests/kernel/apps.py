from django.apps import AppConfig


class KernelConfig(AppConfig):
    name = "tests.kernel"
    label = "kernel"
