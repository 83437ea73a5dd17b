"""The host agent: one asyncio process on each hypervisor host, `manage.py agent`.

It tells the database that the host is there (`apps.hosts.heartbeat`), carries consoles to the portal
(`apps.hosts.relay`), and, as it knows instances: looks after guests that stop by themselves (`guests`), sees how far a
boot has come (`boots`), and answers guests' questions at 169.254.169.254 (`metadata_service`). Whatever it sees only
marks rows or is written down as seen; what is to be done is decided by the reconcilers.

Portal and agent are on one machine and meet at a unix socket.
"""
