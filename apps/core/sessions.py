"""Sessions in the database with a copy in the cache; a cache that is away only makes them slower."""

import logging

from django.contrib.sessions.backends.cached_db import SessionStore as CachedStore
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from redis.exceptions import RedisError

log = logging.getLogger(__name__)


class SessionStore(CachedStore):
    def load(self):
        try:
            return super().load()
        except RedisError as error:
            log.warning("Session cache does not answer: %s", error)
            return DatabaseStore.load(self)

    def save(self, must_create=False):
        DatabaseStore.save(self, must_create)
        try:
            self._cache.set(self.cache_key, self._session, self.get_expiry_age())
        except RedisError as error:
            log.warning("Session cache does not answer: %s", error)

    def exists(self, session_key):
        return DatabaseStore.exists(self, session_key)

    def delete(self, session_key=None):
        DatabaseStore.delete(self, session_key)
        try:
            self._cache.delete(self.cache_key_prefix + (session_key or self.session_key or ""))
        except RedisError as error:
            log.warning("Session cache does not answer: %s", error)
