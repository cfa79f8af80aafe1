"""What Redis runs in one piece: a Lua script for each verb that must be atomic.

Names of keys are made here from a prefix, which is the first argument of every script; the second
is always `now`. Everything has a time to live, relative to `now`, and an `expires` by which it is
judged, so that a store whose clock differs from the caller's errs on neither side.

The client asks again when a connection was cut before the answer came. What would count twice is
therefore given a number by its caller, the last argument, under which it is counted once.
"""

from __future__ import annotations

_HEAD = """
local prefix, now = ARGV[1], tonumber(ARGV[2])
local function live(key)
    local expires = redis.call('HGET', key, 'expires')
    return expires and tonumber(expires) > now
end
local function keep(key, expires)
    redis.call('PEXPIRE', key, math.max(1, math.ceil((tonumber(expires) - now) * 1000)))
end
local function handle_key(handle) return prefix .. ':handle:' .. handle end
local function handles_of(session) return prefix .. ':handles:' .. session end
local function was_done(number)
    return redis.call('EXISTS', prefix .. ':done:' .. number) == 1
end
local function done(number)
    redis.call('SET', prefix .. ':done:' .. number, '', 'EX', 30)
end
"""

_MEDIA = """
local function media_of(session)
    return prefix .. ':media:' .. session
end
local function names_of(handle)
    return string.gmatch(redis.call('HGET', handle_key(handle), 'media') or '', '%x+')
end
local function drop_unused(session)
    local used = {}
    for _, field in ipairs({'newest', 'older'}) do
        local handle = redis.call('HGET', prefix .. ':session:' .. session, field)
        if handle then for name in names_of(handle) do used[name] = true end end
    end
    for _, name in ipairs(redis.call('HKEYS', media_of(session))) do
        if not used[name] then redis.call('HDEL', media_of(session), name) end
    end
end
"""
"""Media of a session is a hash by digest; a handle names what its state refers to."""

SAVE = (
    _HEAD
    + _MEDIA
    + """
local session, owner, model, lease, data, handle, expires, names, most = unpack(ARGV, 3, 11)
local key, media = prefix .. ':session:' .. session, media_of(session)
if live(key) then
    if tonumber(redis.call('HGET', key, 'lease')) > tonumber(lease) then return 0 end
else
    redis.call('DEL', key, media)
end
local given, missing = {}, {}
for at = 12, #ARGV, 2 do given[ARGV[at]] = ARGV[at + 1] end
for name in string.gmatch(names, '%x+') do
    if not given[name] and redis.call('HEXISTS', media, name) == 0 then
        missing[#missing + 1] = name
    end
end
if #missing > 0 then return missing end
for name, blob in pairs(given) do redis.call('HSETNX', media, name, blob) end
local handles = handles_of(session)
local newest = redis.call('HGET', key, 'newest')
if newest ~= handle then
    local older = redis.call('HGET', key, 'older')
    if older then redis.call('HDEL', handle_key(older), 'data', 'media') end
    if newest then redis.call('HSET', key, 'older', newest) end
    redis.call('RPUSH', handles, handle)
    if redis.call('LLEN', handles) > tonumber(most) then
        redis.call('DEL', handle_key(redis.call('LPOP', handles)))
    end
end
redis.call('HSET', key, 'owner', owner, 'model', model, 'lease', lease, 'newest', handle,
    'expires', expires)
redis.call('HSET', handle_key(handle), 'session', session, 'data', data, 'media', names)
drop_unused(session)
keep(key, expires)
keep(media, expires)
keep(handles, expires)
keep(handle_key(handle), expires)
local older = redis.call('HGET', key, 'older')
if older then keep(handle_key(older), expires) end
return 1
"""
)

TAKE = (
    _HEAD
    + _MEDIA
    + """
local handle, owner, model, exact = unpack(ARGV, 3)
local session = redis.call('HGET', handle_key(handle), 'session')
if not session then return {'unknown'} end
local key = prefix .. ':session:' .. session
if not live(key) or redis.call('HGET', key, 'owner') ~= owner then return {'unknown'} end
if redis.call('HGET', key, 'model') ~= model then return {'other_model'} end
local newest = redis.call('HGET', key, 'newest')
local own = exact == '1' and redis.call('HGET', handle_key(handle), 'data')
local data = own or redis.call('HGET', handle_key(newest), 'data')
if not data then return {'unknown'} end
local names = redis.call('HGET', handle_key(own and handle or newest), 'media') or ''
for _, field in ipairs({'newest', 'older'}) do
    local other = redis.call('HGET', key, field)
    if other and other ~= handle then redis.call('HDEL', handle_key(other), 'data', 'media') end
end
redis.call('HDEL', key, 'older')
redis.call('HSET', handle_key(handle), 'data', data, 'media', names)
redis.call('HSET', key, 'newest', handle)
redis.call('LREM', handles_of(session), 1, handle)
redis.call('RPUSH', handles_of(session), handle)
drop_unused(session)
local answer = {session, redis.call('HINCRBY', key, 'lease', 1), data}
for name in names_of(handle) do
    answer[#answer + 1] = name
    answer[#answer + 1] = redis.call('HGET', media_of(session), name)
end
return answer
"""
)

RENEW = (
    _HEAD
    + """
local expires = ARGV[3]
local present = {}
for at = 4, #ARGV, 2 do
    local key = prefix .. ':session:' .. ARGV[at]
    local lease = ''
    if live(key) then
        lease = redis.call('HGET', key, 'lease')
        if lease == ARGV[at + 1] then
            redis.call('HSET', key, 'expires', expires)
            keep(key, expires)
            keep(prefix .. ':media:' .. ARGV[at], expires)
            local handles = handles_of(ARGV[at])
            keep(handles, expires)
            for _, handle in ipairs(redis.call('LRANGE', handles, 0, -1)) do
                keep(handle_key(handle), expires)
            end
        end
    end
    present[#present + 1] = lease
end
return present
"""
)

FORGET = (
    _HEAD
    + """
local key = prefix .. ':session:' .. ARGV[3]
local lease = redis.call('HGET', key, 'lease')
if not lease or tonumber(lease) > tonumber(ARGV[4]) then return 0 end
local handles = handles_of(ARGV[3])
for _, handle in ipairs(redis.call('LRANGE', handles, 0, -1)) do
    redis.call('DEL', handle_key(handle))
end
return redis.call('DEL', key, handles, prefix .. ':media:' .. ARGV[3])
"""
)

CLAIM = (
    _HEAD
    + """
local key, resuming = prefix .. ':token:' .. ARGV[3], ARGV[4] == '1'
local token = redis.call('HMGET', key, 'expires', 'new_session_expires', 'uses')
if not token[1] then return 'unknown' end
if tonumber(token[1]) + tonumber(ARGV[5]) <= now then return 'unknown' end
if tonumber(token[1]) <= now then return 'expired' end
if resuming then return 'claimed' end
if tonumber(token[2]) <= now then return 'expired' end
if token[3] == '' or was_done(ARGV[6]) then return 'claimed' end
if tonumber(token[3]) <= 0 then return 'exhausted' end
redis.call('HINCRBY', key, 'uses', -1)
done(ARGV[6])
return 'claimed'
"""
)

PUT_KEY = (
    _HEAD
    + """
local id, name, fields = unpack(ARGV, 3)
for _, other in ipairs(redis.call('HVALS', prefix .. ':keys')) do
    local key = cjson.decode(other)
    if key['name'] == name and key['id'] ~= id then return 0 end
end
redis.call('HSET', prefix .. ':keys', id, fields)
return 1
"""
)

HOLD = (
    _HEAD
    + """
local key, holder, limit, expires = prefix .. ':places:' .. ARGV[3], ARGV[4], ARGV[5], ARGV[6]
redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
local held = redis.call('ZSCORE', key, holder)
if not held and tonumber(limit) > 0 and redis.call('ZCARD', key) >= tonumber(limit) then
    return 0
end
redis.call('ZADD', key, expires, holder)
if redis.call('PTTL', key) < (tonumber(expires) - now) * 1000 then keep(key, expires) end
return 1
"""
)

COUNT = (
    _HEAD
    + """
local key, amount, expires = prefix .. ':count:' .. ARGV[3] .. ':' .. ARGV[4], ARGV[5], ARGV[6]
if not live(key) then redis.call('DEL', key) end
if tonumber(amount) == 0 or was_done(ARGV[7]) then
    return redis.call('HGET', key, 'total') or '0'
end
local total = redis.call('HINCRBYFLOAT', key, 'total', amount)
if redis.call('HSETNX', key, 'expires', expires) == 1 then keep(key, expires) end
done(ARGV[7])
return total
"""
)
