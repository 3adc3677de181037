"""What Redis does in one step, in Lua; each script touches one key, so that they run in a cluster as well.

Moments are in whole microseconds of the clock of Redis, which a double holds exactly. The first argument of the scripts
that need the time replaces that clock if it is not empty. A key of an unexpected type was written by mistake, and is
deleted.
"""

from typing import Final

from balancekit.http.bodies import MAX_RESPONSE_BODY

_TYPES: Final = """
local function delete_unless(kind)
    local found = redis.call('TYPE', KEYS[1]).ok
    return (found == kind or found == 'none') and 0 or redis.call('DEL', KEYS[1])
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

# A version begins with the moment at which it was made, so that one from before a restore is known to be older.
_VERSIONS: Final = """
local function moment_of(version)
    return tonumber(version and string.match(version, '^' .. string.rep('%d', 16))) or 0
end
local function make_version(random, least)
    return string.format('%016.0f', math.max(now, least or 0)) .. string.sub(random, 17)
end
"""

# An account is a hash: `version`; of the last failure `failure`, `failed_at` and `until`; of the snapshot `snapshot`,
# `mark` (another one for each snapshot that was put), `read_at` (the version it was read at) and `sent`. The cooldown
# of an origin is a failure, too. What clients see, and `read_at` holds, is a version with the id of the history of the
# data in front. A Redis that is restored from an older dump, or a lagging replica that is promoted, has lost
# invalidations, but has another history, in which no earlier snapshot is valid.

_COOLDOWN: Final = """
local function end_cooldown()
    redis.call('HDEL', KEYS[1], 'failure', 'failed_at', 'until')
end
"""

_ACCOUNT: Final = (
    _COOLDOWN
    + _VERSIONS
    + """
local function history()
    local info = redis.pcall('INFO', 'replication')
    info = type(info) == 'string' and info or ''
    return string.match(info, 'role:(%a+)'), string.match(info, 'master_replid:(%x+)')
end
local function is_hex(text, length)
    return #text == length and not string.find(text, '[^0-9a-f]')
end
local function is_moment(text)
    return text and #text <= 16 and string.find(text, '^%d+$')
end
-- What is longer than anything that is written there is not even read.
local function read_field(field, longest)
    return redis.call('HSTRLEN', KEYS[1], field) <= longest and redis.call('HGET', KEYS[1], field)
end
local function delete_snapshot()
    return redis.call('HDEL', KEYS[1], 'snapshot', 'mark', 'read_at', 'sent')
end
local function delete_unless_account()
    local deleted = delete_unless('hash')
    local version, sent, mark = unpack(redis.call('HMGET', KEYS[1], 'version', 'sent', 'mark'))
    if version and not is_hex(version, 64) then
        return redis.call('DEL', KEYS[1])
    end
    if (sent or mark) and not (is_moment(sent) and mark and is_hex(mark, 64)) then
        return deleted + delete_snapshot()
    end
    return deleted
end
-- The version that clients see; an account without one is given the new one.
local function current_version(new_version, expiry)
    local _, replication_id = history()
    delete_unless_account()
    redis.call('HSETNX', KEYS[1], 'version', make_version(new_version))
    redis.call('EXPIRE', KEYS[1], expiry)
    return (replication_id or '') .. ':' .. redis.call('HGET', KEYS[1], 'version')
end
"""
)

READ: Final = (
    _TIME
    + _ACCOUNT
    + """
local _, new_version, expiry, known_mark, longest = unpack(ARGV)
local role, replication_id = history()
if role and role ~= 'master' then
    return redis.error_reply('READONLY a replica may lack what was written to its primary')
elseif not replication_id then
    return redis.error_reply('NOHISTORY')
end
local deleted = delete_unless_account()
local version, read_at, sent, mark, failed_at, ends = unpack(
    redis.call('HMGET', KEYS[1], 'version', 'read_at', 'sent', 'mark', 'failed_at', 'until'))
if not version then
    version = make_version(new_version)
    -- Where that cannot be written, for example for want of memory, no snapshot of this version will be valid.
    if redis.pcall('HSETNX', KEYS[1], 'version', version) == 1 then
        redis.call('EXPIRE', KEYS[1], expiry)
    end
end
local length = mark and mark ~= known_mark and redis.call('HSTRLEN', KEYS[1], 'snapshot')
if length == 0 or length and length > MAX_BODY or read_at and #read_at > 1024 then
    deleted = deleted + delete_snapshot()
    read_at, sent, mark, length = false, false, false, false
end
local snapshot = length and length <= tonumber(longest) and redis.call('HGET', KEYS[1], 'snapshot')
local cools_down = is_moment(failed_at) and is_moment(ends) and tonumber(failed_at) <= now and tonumber(ends) > now
local failure = cools_down and read_field('failure', 4096)
if not failure then
    -- Not nil, at which the array that is returned would end.
    failure, failed_at, ends = false, false, false
end
return {replication_id .. ':' .. version, read_at, sent, mark, snapshot, failure, failed_at, ends, format(now), deleted}
""".replace("MAX_BODY", str(MAX_RESPONSE_BODY))
)
"""Return version, read_at, sent, mark, snapshot (unless its mark is known, or it is longer than the last argument),
failure (unless its cooldown is over), failed_at, until, time, and whether anything was deleted.

An account without a version is given the new one.
"""

PUT: Final = (
    _TIME
    + _PUBLISH
    + _ACCOUNT
    + """
local _, new_version, expiry, version, age, latest_sent, mark, snapshot, channel, change, suspect, set_back =
    unpack(ARGV)
local current = current_version(new_version, expiry)
local known_read_at, known_sent, known_mark = unpack(redis.call('HMGET', KEYS[1], 'read_at', 'sent', 'mark'))
known_sent = tonumber(known_sent)
-- If this runs long after it was sent, `age` is too small: then `latest_sent` is the earlier moment.
local sent = math.min(now - age, tonumber(latest_sent) or now)
-- A snapshot from the future was put before the clock was set back, so that its age is unknown: it is replaced.
if known_sent and known_sent <= now then
    -- That of `suspect` may have been put before the clock was set back, too.
    known_sent = known_mark == suspect and known_sent - set_back or known_sent
    local valid, known_valid = version == current, known_read_at == current
    if known_valid and not valid or known_valid == valid and known_sent > sent then
        return nil
    end
end
redis.call('HSET', KEYS[1], 'read_at', version, 'sent', format(sent), 'mark', mark, 'snapshot', snapshot)
end_cooldown()
return publish(channel, change)
"""
)
"""Keep a snapshot unless a better one is there; return the error if the user may not publish that."""

PUT_FAILURE: Final = (
    _TIME
    + _PUBLISH
    + _ACCOUNT
    + """
local _, new_version, expiry, version, cooldown, failure, channel, change = unpack(ARGV)
local current = current_version(new_version, expiry)
if version ~= '' and version ~= current then
    return
end
local known_failure, known = unpack(redis.call('HMGET', KEYS[1], 'failure', 'until'))
local ends = now + cooldown
-- What is more than a day ahead is no cooldown.
local is_known = known_failure == failure and is_moment(known) and tonumber(known) <= now + 86400000000
ends = is_known and math.max(ends, tonumber(known)) or ends
redis.call('HSET', KEYS[1], 'failure', failure, 'failed_at', format(now), 'until', format(ends))
return publish(channel, change)
"""
)
"""Keep a failure for as long as its cooldown, unless it is of another version; return the error if the user may not
publish that."""

INVALIDATE: Final = (
    _TIME
    + _PUBLISH
    + _COOLDOWN
    + _VERSIONS
    + """
local _, new_version, expiry, channel, change, latest_seen = unpack(ARGV)
delete_unless('hash')
-- Later than any before it, even if the clock was set back.
local latest = math.max(moment_of(redis.call('HGET', KEYS[1], 'version')), moment_of(latest_seen))
local version = make_version(new_version, latest + 1)
if type(redis.pcall('HSET', KEYS[1], 'version', version)) == 'table' then
    -- A Redis that is full still deletes.
    redis.call('DEL', KEYS[1])
end
end_cooldown()
redis.call('EXPIRE', KEYS[1], expiry)
return {version, publish(channel, change) or false}
"""
)
"""Give an account a later version; return it, and the error if the user may not publish that."""

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
-- No request lasts an hour longer than another: what is so far ahead is no permit.
redis.call('ZREMRANGEBYSCORE', KEYS[1], format(now + hold + per + 3600000000), '+inf')
local held = 'held:' .. request_id
local is_held = redis.call('ZSCORE', KEYS[1], held)
if not is_held and redis.call('ZCARD', KEYS[1]) >= tonumber(requests) then
    -- What others wrote is no permit.
    for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
        if not string.find(member, '^held:') and not string.find(member, '^released:') then
            redis.call('ZREM', KEYS[1], member)
        end
    end
end
local beyond = redis.call('ZCARD', KEYS[1]) - requests
if not is_held and beyond >= 0 then
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
