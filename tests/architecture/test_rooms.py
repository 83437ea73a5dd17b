"""Each app may import those below it, never those beside or above it; core imports no app."""

import ast
from pathlib import Path

ROOMS = [
    {"dashboard"},
    {"stacks", "databases", "telemetry"},
    {"instances"},
    {"volumes", "networks", "object_store"},
    {"images", "hosts"},
    {"quotas"},
    {"projects"},
    {"core"},
]
LEVEL = {app: level for level, apps in enumerate(ROOMS) for app in apps}
APPS = Path(__file__).resolve().parents[2] / "apps"


def imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_apps_import_only_what_is_below_them():
    wrong = []
    for path in APPS.rglob("*.py"):
        here = path.relative_to(APPS).parts[0]
        for module in imports(path):
            parts = module.split(".")
            if parts[0] != "apps" or len(parts) < 2 or parts[1] == here:
                continue
            if LEVEL[parts[1]] <= LEVEL[here]:
                wrong.append(f"{path.relative_to(APPS)} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_only_drivers_talk_to_the_engines():
    wrong = [
        str(path.relative_to(APPS))
        for path in APPS.rglob("*.py")
        for module in imports(path)
        if module.split(".")[0] in ("libvirt", "libvirtaio", "ovsdbapp", "ovs")
        and not {"drivers", "agent"} & set(path.relative_to(APPS).parts)
    ]
    assert not wrong, wrong
