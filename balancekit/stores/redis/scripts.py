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

# The turns at a host are a sorted set of the moments at which their slots are free again: of turns that are held, by
# their tickets (`h…`), should they never be ended; and of turns that have ended (`e…`).

TAKE_TURN: Final = (
    _NOW
    + """
local _, requests, per, hold, ticket = unpack(ARGV)
own('zset')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', written(now))
local held = 'h' .. ticket
if not redis.call('ZSCORE', KEYS[1], held) and redis.call('ZCARD', KEYS[1]) >= tonumber(requests) then
    -- No ended turn waits longer than `per`, unless the clock went back.
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. written(now + per), '+inf')) do
        if string.sub(member, 1, 1) == 'e' then
            redis.call('ZADD', KEYS[1], written(now + per), member)
        end
    end
    -- A turn that is held may end now, and its slot is free `per` later.
    local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] - now
    return written(math.min(first, tonumber(per)))
end
redis.call('ZADD', KEYS[1], written(now + hold + per), held)
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2] - now
redis.call('PEXPIRE', KEYS[1], written(last / 1000 + 1000))
return '0'
"""
)
"""Begin a turn, or return the microseconds after which to ask again."""

END_TURN: Final = (
    _NOW
    + """
local _, per, ticket, unique = unpack(ARGV)
own('zset')
if redis.call('ZREM', KEYS[1], 'h' .. ticket) == 1 then
    redis.call('ZADD', KEYS[1], written(now + per), 'e' .. unique)
    redis.call('PEXPIRE', KEYS[1], written(math.max(redis.call('PTTL', KEYS[1]), per / 1000 + 1000)))
end
"""
)
"""End a turn that is held."""

ALL: Final = (OPEN, PUT, INVALIDATE, LEASE, RELEASE, REMEMBER, TAKE_TURN, END_TURN)
"""Every script."""
