from django.core.management.base import BaseCommand

from apps.instances.agent import process


class Command(BaseCommand):
    help = "The host agent: heartbeat, consoles, metadata and events of this hypervisor, until it is told to stop."
    requires_system_checks = ()

    def handle(self, *args, **options):
        process.main()
