"""`python -m cloudpanel.platform.records`: tables, static files and the first records are as this version needs them.

All in one process, because loading Django takes longer than finding that nothing is to be done.
"""

import hashlib
import os

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor


def migrate() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        print("database tables ...", flush=True)
        call_command("migrate", interactive=False, verbosity=0)


def collect_static() -> None:
    """Static files, with hashes in their names, are in STATIC_ROOT; done only when a source has changed."""
    from django.contrib.staticfiles.finders import get_finders

    sources = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list([]):
            info = os.stat(storage.path(name))
            sources.update(f"{name} {info.st_size} {info.st_mtime_ns}\n".encode())
    stamp = settings.STATIC_ROOT.parent / "static.stamp"
    if not stamp.exists() or stamp.read_text() != sources.hexdigest():
        print("static files ...", flush=True)
        call_command("collectstatic", interactive=False, clear=True, verbosity=0)
        stamp.write_text(sources.hexdigest())


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudpanel.settings")
    django.setup()
    migrate()
    collect_static()
    call_command("seed")
