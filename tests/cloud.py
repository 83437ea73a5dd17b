"""The running cloud of `tests.stack`, as its users see it: the openstack client, an SDK connection, ssh, HTTP."""

import json
import os
import secrets
import subprocess
import time
from pathlib import Path

import openstack
import pytest
from openstack.config import OpenStackConfig
from openstack.connection import Connection

URL = "http://127.0.0.1:8000"


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

    def openstack(self, *arguments: str, user: str = "demo", check: bool = True, timeout: int = 180):
        """What the unmodified `openstack` command answers: parsed JSON where it can give some, else its text."""
        command = ["openstack", *arguments]
        if arguments[-1] != "--text":
            command += ["-f", "json"]
        else:
            command.pop()
        path = str(Path(os.sys.executable).parent)
        env = self.environment(user) | {"PATH": f"{path}:{os.environ['PATH']}"}
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=timeout, check=False)
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        if not check:
            return done
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            return done.stdout

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
        return openstack.connect(
            load_yaml_config=False,
            load_envvars=False,
            auth_url=f"{URL}/identity/v3",
            username=name,
            password=password,
            project_name=name,
            user_domain_id="default",
            project_domain_id="default",
            region_name="RegionOne",
        )


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
