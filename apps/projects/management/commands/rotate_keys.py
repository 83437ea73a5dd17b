from django.core.management.base import BaseCommand

from apps.projects import keys


class Command(BaseCommand):
    help = "Seal new tokens with a new key. Tokens of older keys go on working until they expire."

    def handle(self, *args, **options):
        self.stdout.write(f"New tokens are sealed with {keys.rotate()}.")
