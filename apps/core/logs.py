"""Secrets never reach a log."""

import logging
import re

_SECRET = re.compile(
    r"(?i)((?:token|ticket|password|secret|signature|x-auth-token|x-subject-token|adminpass)"
    r"[\"']?\s*[=:]\s*[\"']?)([^\s&\"',;]+)"
)
_FERNET = re.compile(r"gAAAA[A-Za-z0-9_\-=]{20,}")


def mask(text: str) -> str:
    return _FERNET.sub("***", _SECRET.sub(r"\1***", text))


class MaskSecrets(logging.Filter):
    """Replaces the values of tickets, tokens and passwords in what is logged, access lines included."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        masked = mask(message)
        if masked != message:
            record.msg, record.args = masked, ()
        return True
