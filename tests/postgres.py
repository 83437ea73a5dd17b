"""Run a command with CLOUDPANEL_DATABASE set to a private PostgreSQL server that ends with it.

python -m tests.postgres pytest tests/races
"""

import glob
import os
import shutil
import subprocess
import sys
import tempfile


def main() -> int:
    binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not binaries:
        print("No PostgreSQL server found: apt-get install postgresql", file=sys.stderr)
        return 1
    directory = tempfile.mkdtemp(prefix="cloudpanel-pg-")
    as_server = (
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    )
    if as_server:
        shutil.chown(directory, "postgres", "postgres")
    control = [*as_server, f"{binaries[-1]}/pg_ctl", "-D", f"{directory}/data", "-s", "-w"]
    try:
        subprocess.run(
            [
                *as_server,
                f"{binaries[-1]}/initdb",
                "-D",
                f"{directory}/data",
                "-A",
                "trust",
                "-U",
                "cloudpanel",
                "-N",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        options = f"-k {directory} -c listen_addresses= -c fsync=off -c max_connections=200"
        subprocess.run([*control, "-o", options, "-l", f"{directory}/data/log", "start"], check=True)
        quoted = directory.replace("/", "%2F")
        url = f"postgresql://cloudpanel@{quoted}/postgres"
        return subprocess.run(
            sys.argv[1:], env=os.environ | {"CLOUDPANEL_DATABASE": url}, check=False
        ).returncode
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
