"""Bodies with one value of a wrong kind, for whatever an API reads."""

import copy
import json
from collections.abc import Iterator

WRONG = (None, True, -1, 2**70, 1.5, "", "x", "a\0b", "x" * 70000, "é", [], [None], [{}], [[]], {}, {"x": []})


def spoiled(body) -> Iterator[tuple[str, object]]:
    """(what is wrong, a copy of `body` in which one value, at any depth, is of a wrong kind)."""
    for path in [(), *_paths(body)]:
        for value in WRONG:
            one = {"": copy.deepcopy(body)}
            where = one
            *above, last = ("", *path)
            for key in above:
                where = where[key]
            where[last] = value
            yield f"{'.'.join(map(str, path))} = {str(value)[:20]!r}", one[""]


def _paths(value, path=()) -> Iterator[tuple]:
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield (*path, key)
        yield from _paths(child, (*path, key))


def complaints(client, method: str, url: str, body, is_error, headers: dict | None = None) -> list[str]:
    """Requests with spoiled bodies that were neither accepted nor refused as the service refuses."""
    found = []
    for what, one in spoiled(body):
        arguments = {"data": json.dumps(one), "content_type": "application/json", "headers": headers or {}}
        answer = getattr(client, method)(url, **arguments)
        if answer.status_code >= 500 or (answer.status_code >= 400 and not is_error(answer.json())):
            found.append(f"{method} {url}: {what}: {answer.status_code} {answer.content[:80]!r}")
    return found
