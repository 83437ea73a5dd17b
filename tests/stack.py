"""Run a command beside a whole CloudPanel of its own: private namespaces, default paths, real engines.

    python -m tests.stack pytest tests/wire tests/system tests/browser
    CLOUDPANEL_COMPUTE=fake python -m tests.stack pytest tests/wire

The command runs inside the same private host, so 127.0.0.1:8000 is that cloud's portal. CLOUDPANEL_STACK
names its state directory. A running cloud on this machine is not touched.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.hosts import TestHost

ROOT = Path(__file__).resolve().parent.parent
DEMO = Path("images/demo")


def main() -> int:
    with TestHost(name="hv1") as host:
        state = host.path / "state"
        image = ROOT / "var" / DEMO
        if (image / "demo.qcow2").exists():
            shutil.copytree(image, state / DEMO)
        settings = {"CLOUDPANEL_STATE": str(state), "CLOUDPANEL_HOST": "hv1"}

        def inside(command: list[str], **variables: str) -> int:
            pairs = [f"{name}={value}" for name, value in variables.items()]
            return subprocess.run(
                host.argv(["env", "-C", str(ROOT), *pairs, *command]), check=False
            ).returncode

        # What a guest reaches beyond its router: an address that only this host has.
        host.run(["ip", "addr", "add", "198.51.100.1/32", "dev", "lo"])

        python = sys.executable
        for step in (["manage.py", "migrate", "-v0"], ["manage.py", "collectstatic", "-v0", "--noinput"]):
            if inside([python, *step], **settings):
                return 1
        if inside([python, "-m", "cloudpanel.platform", "up"], **settings):
            _show_logs(state)
            return 1
        try:
            command = sys.argv[1:]
            if command[:1] == ["pytest"]:
                command = [python, "-m", *command]
            code = inside(command, CLOUDPANEL_STACK=str(state))
            if code:
                _show_logs(state)
            return code
        finally:
            inside([python, "-m", "cloudpanel.platform", "down"], **settings)
            keep = os.environ.get("CLOUDPANEL_KEEP_LOGS")
            if keep:
                shutil.copytree(state / "log", keep, dirs_exist_ok=True)


def _show_logs(state: Path) -> None:
    for log in sorted((state / "log").glob("*.log")):
        lines = log.read_text(errors="replace").splitlines()[-25:]
        print(f"--- {log.name}", *lines, sep="\n", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
