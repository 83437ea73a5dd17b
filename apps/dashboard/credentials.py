"""The files in the state directory with which people and the `openstack` client log in as the first users."""

import json
import os
import secrets
from pathlib import Path

from cloudpanel import config

PROJECTS = {"admin": "admin", "demo": "demo"}  # user -> the project they work in
PASSWORDS = config.SECRETS / "passwords.json"


def passwords() -> dict[str, str]:
    """{user: password} of the first users; made once, and then kept even when the database is not."""
    if not PASSWORDS.exists():
        PASSWORDS.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(PASSWORDS, json.dumps({user: secrets.token_urlsafe(12) for user in PROJECTS}, indent=2) + "\n")
    return json.loads(PASSWORDS.read_text())


def write() -> None:
    """openrc-admin.sh, openrc-demo.sh and clouds.yaml say where the cloud listens now."""
    known = passwords()
    for user, project in PROJECTS.items():
        _write(config.STATE / f"openrc-{user}.sh", _openrc(user, known[user], project))
    clouds = {user: _cloud(user, known[user], project) for user, project in PROJECTS.items()}
    # JSON is YAML; written so, no name or password needs quoting rules of its own.
    _write(config.STATE / "clouds.yaml", json.dumps({"clouds": clouds}, indent=2) + "\n")


def auth_url() -> str:
    """Where clients on this machine find identity."""
    host, _, port = config.LISTEN.rpartition(":")
    if host in ("", "0.0.0.0", "[::]"):  # noqa: S104  (compared, not bound)
        host = "127.0.0.1"
    return f"http://{host}:{port}/identity/v3"


def _openrc(user: str, password: str, project: str) -> str:
    values = {
        "OS_AUTH_URL": auth_url(),
        "OS_IDENTITY_API_VERSION": "3",
        "OS_USERNAME": user,
        "OS_PASSWORD": password,
        "OS_PROJECT_NAME": project,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": config.REGION,
    }
    lines = [f"# Source it, and the openstack client works as user {user} in project {project}."]
    lines += ["unset OS_CLOUD OS_TOKEN OS_AUTH_TYPE OS_SYSTEM_SCOPE OS_DOMAIN_NAME OS_PROJECT_ID OS_USER_ID"]
    lines += [f"export {name}='{value}'" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def _cloud(user: str, password: str, project: str) -> dict:
    return {
        "auth": {
            "auth_url": auth_url(),
            "username": user,
            "password": password,
            "project_name": project,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        "region_name": config.REGION,
        "identity_api_version": 3,
    }


def _write(path: Path, text: str) -> None:
    """The file holds `text`, for its owner alone; at no time half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(draft, path)
