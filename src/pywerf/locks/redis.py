"""A lease service in a Redis database; one script on the server decides, so that all clients agree."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pywerf.errors import LockError, LockLost, UsageError
from pywerf.locks.base import LEASE_SECONDS, Handle

if TYPE_CHECKING:
    from redis import Redis
    from redis.commands.core import Script

__all__ = ["RedisLeases"]

# Two sorted sets a lock, members with the time (ms, the server's clock) at which they end:
#   leases   "x UUID" (alone) or "s UUID" (shared);  waiting  "x N ACQUIRER", N its place in the queue
_ACQUIRE = """
local leases, waiting, counter = KEYS[1], KEYS[2], KEYS[3]
local kind, acquirer, uuid, lease = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', leases, '-inf', now)
redis.call('ZREMRANGEBYSCORE', waiting, '-inf', now)
local own, place
local queue = redis.call('ZRANGE', waiting, 0, -1)
for _, member in ipairs(queue) do
  local n, who = string.match(member, '^%a (%d+) (.*)$')
  if who == acquirer then own, place = member, tonumber(n) end
end
if not own then
  place = redis.call('INCR', counter)
  own = kind .. ' ' .. place .. ' ' .. acquirer
end
local blocked = false
for _, member in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
  if kind == 'x' or string.sub(member, 1, 1) == 'x' then blocked = true end
end
for _, member in ipairs(queue) do
  local n = tonumber(string.match(member, '^%a (%d+)'))
  if n < place and (kind == 'x' or string.sub(member, 1, 1) == 'x') then blocked = true end
end
if blocked then
  redis.call('ZADD', waiting, now + lease, own)
else
  redis.call('ZREM', waiting, own)
  redis.call('ZADD', leases, now + lease, kind .. ' ' .. uuid)
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, lease * 2) end
return blocked and 0 or 1
"""

_RENEW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, kind in ipairs({'x', 's'}) do
  local member = kind .. ' ' .. ARGV[1]
  local ends = redis.call('ZSCORE', KEYS[1], member)
  if ends and tonumber(ends) > now then
    if ARGV[2] == '0' then
      redis.call('ZREM', KEYS[1], member)
    else
      redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), member)
      redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[2]) * 2)
    end
    return 1
  end
end
return 0
"""


class RedisLeases:
    """A LeaseService: `url` as redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss:// with TLS, unix://PATH.

    `space` tells the locks of different repositories apart. Needs the package `redis` (`pip install 'pywerf[redis]'`).
    """

    def __init__(self, url: str, space: str = "", *, lease: float = LEASE_SECONDS) -> None:
        try:
            import redis
        except ImportError as error:
            raise UsageError(
                "locks in Redis need the Python package redis", hint="pip install 'pywerf[redis]'"
            ) from error
        try:
            self._redis: Redis = redis.Redis.from_url(url, socket_timeout=5.0, socket_connect_timeout=5.0)
        except ValueError as error:
            raise UsageError(f"--synchronization: {error}", hint="write redis://HOST:PORT/DB") from error
        self._errors = (redis.RedisError, OSError)
        self._space = space
        self._lease = int(lease * 1000)
        self._acquire: Script = self._redis.register_script(_ACQUIRE)
        self._renew: Script = self._redis.register_script(_RENEW)

    def acquire(self, name: str, shared: bool, acquirer: str) -> Handle | None:
        uuid = os.urandom(16).hex()
        keys = [self._key(name, part) for part in ("leases", "waiting", "counter")]
        got = self._call(self._acquire, keys, ["s" if shared else "x", acquirer, uuid, self._lease])
        return Handle(uuid, name) if got else None

    def renew(self, handle: Handle) -> None:
        self._change(handle, self._lease)

    def release(self, handle: Handle) -> None:
        self._change(handle, 0)

    def close(self) -> None:
        self._redis.close()

    def _change(self, handle: Handle, lease: int) -> None:
        if not self._call(self._renew, [self._key(handle.lock_name, "leases")], [handle.uuid, lease]):
            raise LockLost(handle.lock_name)

    def _key(self, name: str, part: str) -> str:
        # the braces keep a lock's keys in one slot of a cluster
        return f"werf:{{{self._space}:{name}}}:{part}"

    # Any: what a script returns is its own affair
    def _call(self, script: Script, keys: list[str], arguments: list[Any]) -> int:
        try:
            return int(script(keys=keys, args=arguments))
        except self._errors as error:
            raise LockError(
                f"Redis does not answer: {error}", hint="is the address of --synchronization right?"
            ) from error
