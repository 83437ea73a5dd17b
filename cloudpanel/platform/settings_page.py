"""`python -m cloudpanel.platform.settings_page [check]`: write docs/settings.md, or see whether it is up to date."""

import os
import sys

from cloudpanel import config

PAGE = config.ROOT / "docs/settings.md"
HEAD = """\
# Settings

All of them are environment variables, read when a process starts; `make run` hands its own environment to every
process. Nothing secret has a default: secrets are made on the first run, in `var/secrets/`. This page is made from
the table in `cloudpanel/config.py` by `python -m cloudpanel.platform.settings_page`.

| Variable | Default | Meaning |
|---|---|---|
"""


def page() -> str:
    rows = []
    for setting in config.Setting.table:
        default = str(setting.default).replace(f"{config.ROOT}/", "")
        if setting.name == "CLOUDPANEL_HOST":
            default = "the machine's name"
        shown = f"`{default}`" if default else "(empty)"
        rows.append(f"| `{setting.name}` | {shown} | {setting.meaning.replace('|', '&#124;')} |")
    return HEAD + "\n".join(rows) + "\n"


def main(check: bool) -> int:
    if any(name.startswith("CLOUDPANEL_") for name in os.environ):
        bare = {name: value for name, value in os.environ.items() if not name.startswith("CLOUDPANEL_")}
        os.execve(sys.executable, sys.orig_argv, bare)  # noqa: S606 - defaults may depend on other settings
    if not check:
        PAGE.write_text(page())
    elif not PAGE.exists() or PAGE.read_text() != page():
        print("docs/settings.md is out of date: python -m cloudpanel.platform.settings_page", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] == ["check"]))
