"""What Redis does in one step, in Lua; each script touches one key, so that they run in a cluster as well.

Moments are in whole microseconds of the clock of Redis, which a double holds exactly; the first argument of those
scripts that need one takes its place if it is not empty. A key of another type than ours is somebody's mistake, and is
made anew.
"""

from typing import Final

_OWN: Final = """
local function own(kind)
    if redis.call('TYPE', KEYS[1]).ok ~= kind then
        redis.call('DEL', KEYS[1])
    end
end
"""

_NOW: Final = (
    _OWN
    + """
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local function written(moment)
    return string.format('%.0f', moment)
end
"""
)

# An account is a hash: `version`; of the snapshot `snapshot`, `read_at` (the version it was read at) and `sent`.

OPEN: Final = (
    _OWN
    + """
local fresh, keep = unpack(ARGV)
own('hash')
if redis.call('HSETNX', KEYS[1], 'version', fresh) == 1 then
    redis.call('EXPIRE', KEYS[1], keep)
end
return redis.call('HGET', KEYS[1], 'version')
"""
)
"""Return the version of an account, which is the fresh one if it had none."""

PUT: Final = (
    _NOW
    + """
local _, fresh, keep, version, age, latest, snapshot, channel, change = unpack(ARGV)
own('hash')
redis.call('HSETNX', KEYS[1], 'version', fresh)
redis.call('EXPIRE', KEYS[1], keep)
local held = redis.call('HMGET', KEYS[1], 'version', 'read_at', 'sent')
local sent, held_sent = now - age, tonumber(held[3])
-- This may run long after it was said.
sent = math.min(sent, tonumber(latest) or sent)
-- One from the future was put before the clock went back: nobody knows its age.
if held_sent and held_sent <= now then
    local offered_valid, held_valid = version == held[1], held[2] == held[1]
    if held_valid and not offered_valid or held_valid == offered_valid and held_sent > sent then
        return 0
    end
end
redis.call('HSET', KEYS[1], 'read_at', version, 'sent', written(sent), 'snapshot', snapshot)
redis.call('PUBLISH', channel, change)
return 1
"""
)
"""Keep a snapshot unless a better one is there."""

INVALIDATE: Final = (
    _OWN
    + """
local fresh, keep, channel, change = unpack(ARGV)
own('hash')
redis.call('HSET', KEYS[1], 'version', fresh)
redis.call('EXPIRE', KEYS[1], keep)
redis.call('PUBLISH', channel, change)
"""
)
"""Give an account another version."""

LEASE: Final = (
    _OWN
    + """
local owner, milliseconds = unpack(ARGV)
own('string')
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and redis.call('GET', KEYS[1]) ~= owner then
    return math.max(left, 1)
end
redis.call('SET', KEYS[1], owner, 'PX', milliseconds)
return 0
"""
)
"""Take or renew a lease, or return the milliseconds that are left of another's."""

RELEASE: Final = (
    _OWN
    + """
local owner, channel, change = unpack(ARGV)
own('string')
if redis.call('GET', KEYS[1]) == owner then
    redis.call('DEL', KEYS[1])
    redis.call('PUBLISH', channel, change)
end
"""
)
"""Give back a lease that is the owner's."""

REMEMBER: Final = """
local value, milliseconds = unpack(ARGV)
if redis.call('PTTL', KEYS[1]) < tonumber(milliseconds) then
    redis.call('SET', KEYS[1], value, 'PX', milliseconds)
end
"""
"""Remember an event for at least that long."""

# The permits of an origin are a sorted set of the moments at which they can be acquired again: of those that are held,
# by the requests' ids, if they are never released; and of those that were released. The rule is `Permits` in
# `balancekit.http.rate_limit`, for `ahead` 0.

ACQUIRE_PERMIT: Final = (
    _NOW
    + """
local _, requests, per, hold, request_id = unpack(ARGV)
own('zset')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', written(now))
local held = 'held:' .. request_id
local beyond = redis.call('ZCARD', KEYS[1]) - requests
if not redis.call('ZSCORE', KEYS[1], held) and beyond >= 0 then
    -- No permit that was released is more than `per` from being free, unless the clock was set back.
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. written(now + per), '+inf')) do
        if string.find(member, 'released:', 1, true) == 1 then
            redis.call('ZADD', KEYS[1], written(now + per), member)
        end
    end
    -- A permit that is held may be released now, to be free `per` later.
    local free_at = redis.call('ZRANGE', KEYS[1], beyond, beyond, 'WITHSCORES')[2]
    return written(math.min(free_at - now, tonumber(per)))
end
redis.call('ZADD', KEYS[1], written(now + hold + per), held)
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2] - now
redis.call('PEXPIRE', KEYS[1], written(last / 1000 + 1000))
return '0'
"""
)
"""Give a request a permit and return 0, or return the microseconds until it can have one at the earliest."""

RELEASE_PERMIT: Final = (
    _NOW
    + """
local _, per, request_id, unique = unpack(ARGV)
own('zset')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', written(now))
if redis.call('ZREM', KEYS[1], 'held:' .. request_id) == 1 then
    redis.call('ZADD', KEYS[1], written(now + per), 'released:' .. unique)
    redis.call('PEXPIRE', KEYS[1], written(math.max(redis.call('PTTL', KEYS[1]), per / 1000 + 1000)))
end
"""
)
"""Release the permit of a request, if it has one."""

ALL: Final = (OPEN, PUT, INVALIDATE, LEASE, RELEASE, REMEMBER, ACQUIRE_PERMIT, RELEASE_PERMIT)
"""Every script."""
