"""The running cloud of `tests.stack`, as its users see it: the openstack client, an SDK connection, ssh, HTTP."""

import contextlib
import io
import json
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import openstack
import pytest
from openstack.config import OpenStackConfig
from openstack.connection import Connection
from openstackclient import shell
from osc_lib.clientmanager import ClientCache, ClientManager

URL = "http://127.0.0.1:8000"


@dataclass
class Answer:
    """What a command of the client left."""

    returncode: int
    stdout: str
    stderr: str


class Cloud:
    def __init__(self, state: Path):
        self.state = state
        self.passwords = json.loads((state / "secrets/passwords.json").read_text())

    def environment(self, user: str) -> dict[str, str]:
        """The variables that var/openrc-<user>.sh exports."""
        script = f". {self.state}/openrc-{user}.sh && env -0"
        shown = subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout.decode()
        pairs = (entry.split("=", 1) for entry in shown.split("\0") if entry.startswith("OS_"))
        return os.environ | dict(pairs)

    def openstack(self, *arguments: str, user: str = "demo", check: bool = True):
        """What the unmodified `openstack` command answers: parsed JSON, or its text if `--text` is last.

        With `check` off, an Answer. The command's own entry point is called, in this process: as a process
        of its own each would spend seconds on its imports.
        """
        words = list(arguments)
        words = words[:-1] if words[-1] == "--text" else [*words, "-f", "json"]
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment(user), clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            forget_clients()
            try:
                code = shell.main(words)
            except SystemExit as end:  # what argparse does
                code = end.code
        done = Answer(code or 0, out.getvalue(), err.getvalue())
        if not check:
            return done
        if done.returncode:
            pytest.fail(f"openstack {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            return done.stdout

    def platform(self, verb: str) -> float:
        """`make up` and the like on this cloud of real engines; the seconds that it took."""
        # tests/settings.py has put what unit tests want into our environment.
        clean = {
            name: value
            for name, value in os.environ.items()
            if name != "DJANGO_SETTINGS_MODULE" and not name.startswith("CLOUDPANEL_")
        }
        settings = {"CLOUDPANEL_STATE": str(self.state), "CLOUDPANEL_HOST": "hv1"}
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "cloudpanel.platform", verb],
            env=clean | settings,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return time.monotonic() - began

    def connection(self, user: str = "demo") -> Connection:
        """An openstacksdk connection through var/clouds.yaml."""
        files = [str(self.state / "clouds.yaml")]
        config = OpenStackConfig(config_files=files, load_envvars=False).get_one(cloud=user)
        return Connection(config=config)

    def newcomer(self, name: str, role: str = "member") -> Connection:
        """A connection as a new user, alone in a new project; both are called `name`."""
        admin = self.connection("admin").identity
        self.passwords[name] = password = secrets.token_urlsafe(12)
        project = admin.create_project(name=name, domain_id="default")
        user = admin.create_user(
            name=name, password=password, domain_id="default", default_project_id=project.id
        )
        admin.assign_project_role_to_user(project, user, admin.find_role(role))
        return self.as_user(name)

    def as_user(self, name: str) -> Connection:
        """A connection as the user `name`, in the project of that name."""
        return openstack.connect(
            load_yaml_config=False,
            load_envvars=False,
            auth_url=f"{URL}/identity/v3",
            username=name,
            password=self.passwords[name],
            project_name=name,
            user_domain_id="default",
            project_domain_id="default",
            region_name="RegionOne",
        )


def forget_clients() -> None:
    """The client keeps its service clients on the class, made for whoever came first."""
    for value in vars(ClientManager).values():
        if isinstance(value, ClientCache):
            value._handle = None


def until(what, *, seconds: float = 60, every: float = 0.5):
    """The first true answer of `what()`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(every)
