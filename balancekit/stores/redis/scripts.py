"""What Redis does in one step, in Lua; each script touches one key, so that they run in a cluster as well.

Moments are in whole microseconds of the clock of Redis, which a double holds exactly. The first argument of the scripts
that need the time replaces that clock if it is not empty. A key of an unexpected type was written by mistake, and is
deleted.
"""

from typing import Final

_TYPES: Final = """
local function delete_unless(kind)
    if redis.call('TYPE', KEYS[1]).ok ~= kind then
        redis.call('DEL', KEYS[1])
    end
end
"""

_PUBLISH: Final = """
-- What was written stays written even if the user may not publish; the error is returned.
local function publish(channel, change)
    local published = redis.pcall('PUBLISH', channel, change)
    return type(published) == 'table' and published.err or nil
end
"""

_TIME: Final = (
    _TYPES
    + """
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local function format(moment)
    return string.format('%.0f', moment)
end
"""
)

# An account is a hash: `version`; of the snapshot `snapshot`, `read_at` (the version it was read at) and `sent`.

_ACCOUNT: Final = """
local function delete_unless_account()
    delete_unless('hash')
    local version, sent = unpack(redis.call('HMGET', KEYS[1], 'version', 'sent'))
    if version and (#version ~= 64 or string.find(version, '[^0-9a-f]')) then
        redis.call('DEL', KEYS[1])
    elseif not sent or #sent > 16 or not string.find(sent, '^%d+$') then
        redis.call('HDEL', KEYS[1], 'snapshot', 'read_at', 'sent')
    end
end
"""

ENSURE_VERSION: Final = (
    _TYPES
    + _ACCOUNT
    + """
local new_version, expiry = unpack(ARGV)
delete_unless_account()
if redis.call('HSETNX', KEYS[1], 'version', new_version) == 1 then
    redis.call('EXPIRE', KEYS[1], expiry)
end
return redis.call('HGET', KEYS[1], 'version')
"""
)
"""Return the version of an account; if it has none, the new one becomes it."""

PUT: Final = (
    _TIME
    + _PUBLISH
    + _ACCOUNT
    + """
local _, new_version, expiry, version, age, latest_sent, snapshot, channel, change = unpack(ARGV)
delete_unless_account()
redis.call('HSETNX', KEYS[1], 'version', new_version)
redis.call('EXPIRE', KEYS[1], expiry)
local known = redis.call('HMGET', KEYS[1], 'version', 'read_at', 'sent')
local known_sent = tonumber(known[3])
-- If this runs long after it was sent, `age` is too small: then `latest_sent` is the earlier moment.
local sent = math.min(now - age, tonumber(latest_sent) or now)
-- A snapshot from the future was put before the clock was set back, so that its age is unknown: it is replaced.
if known_sent and known_sent <= now then
    local valid, known_valid = version == known[1], known[2] == known[1]
    if known_valid and not valid or known_valid == valid and known_sent > sent then
        return nil
    end
end
redis.call('HSET', KEYS[1], 'read_at', version, 'sent', format(sent), 'snapshot', snapshot)
return publish(channel, change)
"""
)
"""Keep a snapshot unless a better one is there; return the error if the user may not publish that."""

INVALIDATE: Final = (
    _TYPES
    + _PUBLISH
    + """
local new_version, expiry, channel, change = unpack(ARGV)
delete_unless('hash')
redis.call('HSET', KEYS[1], 'version', new_version)
redis.call('EXPIRE', KEYS[1], expiry)
return publish(channel, change)
"""
)
"""Give an account another version; return the error if the user may not publish that."""

LEASE: Final = (
    _TYPES
    + """
local owner, milliseconds = unpack(ARGV)
delete_unless('string')
local left = redis.call('PTTL', KEYS[1])
-- A lease that is longer than any is foreign.
if left >= 0 and left <= tonumber(milliseconds) and redis.call('GET', KEYS[1]) ~= owner then
    return math.max(left, 1)
end
redis.call('SET', KEYS[1], owner, 'PX', milliseconds)
return 0
"""
)
"""Take or renew a lease and return 0, or return the milliseconds that are left of another's."""

RELEASE: Final = (
    _TYPES
    + _PUBLISH
    + """
local owner, channel, change = unpack(ARGV)
delete_unless('string')
if redis.call('GET', KEYS[1]) == owner then
    redis.call('DEL', KEYS[1])
    return publish(channel, change)
end
"""
)
"""Give back a lease that is the owner's."""

SEEN: Final = (
    _TYPES
    + """
delete_unless('string')
return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0
"""
)
"""Return whether an event is remembered: by this value, since the webhook of any other would be lost."""

REMEMBER: Final = (
    _TYPES
    + """
local value, milliseconds = unpack(ARGV)
delete_unless('string')
if redis.call('PTTL', KEYS[1]) < tonumber(milliseconds) or redis.call('GET', KEYS[1]) ~= value then
    redis.call('SET', KEYS[1], value, 'PX', milliseconds)
end
"""
)
"""Remember an event for at least that long."""

# The permits of an origin are a sorted set of the moments at which they can be acquired again: of those that are held,
# by the requests' ids, if they are never released; and of those that were released. The rule is `Permits` in
# `balancekit.http.rate_limit`, for `ahead` 0.

ACQUIRE_PERMIT: Final = (
    _TIME
    + """
local _, requests, per, hold, request_id = unpack(ARGV)
delete_unless('zset')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', format(now))
-- No request lasts a day: what is so far ahead is no permit.
redis.call('ZREMRANGEBYSCORE', KEYS[1], format(now + hold + per + 86400000000), '+inf')
local held = 'held:' .. request_id
local beyond = redis.call('ZCARD', KEYS[1]) - requests
if not redis.call('ZSCORE', KEYS[1], held) and beyond >= 0 then
    -- No permit that was released is more than `per` from being free, unless the clock was set back.
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. format(now + per), '+inf')) do
        if string.find(member, 'released:', 1, true) == 1 then
            redis.call('ZADD', KEYS[1], format(now + per), member)
        end
    end
    -- A permit that is held may be released now, to be free `per` later.
    local free_at = redis.call('ZRANGE', KEYS[1], beyond, beyond, 'WITHSCORES')[2]
    return format(math.min(free_at - now, tonumber(per)))
end
redis.call('ZADD', KEYS[1], format(now + hold + per), held)
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2] - now
redis.call('PEXPIRE', KEYS[1], format(last / 1000 + 1000))
return '0'
"""
)
"""Give a request a permit and return 0, or return the microseconds until it can have one at the earliest."""

RELEASE_PERMIT: Final = (
    _TIME
    + """
local _, per, request_id, unique = unpack(ARGV)
delete_unless('zset')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', format(now))
if redis.call('ZREM', KEYS[1], 'held:' .. request_id) == 1 then
    redis.call('ZADD', KEYS[1], format(now + per), 'released:' .. unique)
    redis.call('PEXPIRE', KEYS[1], format(math.max(redis.call('PTTL', KEYS[1]), per / 1000 + 1000)))
end
"""
)
"""Release the permit of a request, if it has one."""

ALL: Final = (ENSURE_VERSION, PUT, INVALIDATE, LEASE, RELEASE, SEEN, REMEMBER, ACQUIRE_PERMIT, RELEASE_PERMIT)
"""Every script."""
