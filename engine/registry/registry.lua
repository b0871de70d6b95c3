-- Registrations in Redis: one operation of engine/registry/redis_registry.py per call, one atomic step each (X1).
-- KEYS[1] is the prefix of all keys, whose hash tag keeps them in one slot. Time is the server's (X2).
--
--   entries  hash  name -> body, empty for one that takes a configured agent away
--   log      zset  name by the version of its latest change, removed names too
--   homes    zset  name, line feed, replica by the end of its lease: Python handlers and where they run
--   head     hash  epoch: one life of this store; version: of the latest change; floor: older readers read all
--
-- The channel `changed` is told of every change, with its version.

local P = KEYS[1]
local op, entries_max, lease, keep = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local ENTRIES, LOG, HOMES, HEAD = P .. 'entries', P .. 'log', P .. 'homes', P .. 'head'
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function head(field) return tonumber(redis.call('HGET', HEAD, field) or '0') end

local function tell(version) redis.call('PUBLISH', P .. 'changed', version) end

-- Everything lives as long as somebody comes by (X5); renewed rarely, since each renewal is a write.
local function outlive()
  for _, key in ipairs({ENTRIES, LOG, HEAD}) do
    local left = redis.call('PTTL', key)
    if left == -1 or (left >= 0 and left < keep / 2) then redis.call('PEXPIRE', key, keep) end
  end
  if redis.call('EXISTS', HOMES) == 1 then redis.call('PEXPIRE', HOMES, 2 * lease) end
end

-- Names that are gone stay in the log for those who have not heard; when they are many, all read everything.
local function trim(version)
  if redis.call('ZCARD', LOG) <= 2 * entries_max then return end
  for _, name in ipairs(redis.call('ZRANGE', LOG, 0, -1)) do
    if redis.call('HEXISTS', ENTRIES, name) == 0 then redis.call('ZREM', LOG, name) end
  end
  redis.call('HSET', HEAD, 'floor', version)
end

local function changed(name)
  local version = redis.call('HINCRBY', HEAD, 'version', 1)
  redis.call('ZADD', LOG, version, name)
  trim(version)
  outlive()
  tell(version)
end

-- Handlers whose lease has not ended: list of {name, replica}.
local function homes()
  redis.call('ZREMRANGEBYSCORE', HOMES, '-inf', now)
  local found = {}
  for _, member in ipairs(redis.call('ZRANGE', HOMES, 0, -1)) do
    local at = string.find(member, '\n', 1, true)
    found[#found + 1] = {string.sub(member, 1, at - 1), string.sub(member, at + 1), member}
  end
  return found
end

if op == 'put' then
  local name, body, replica, replace = ARGV[5], ARGV[6], ARGV[7], ARGV[8] == '1'
  local stands = redis.call('HGET', ENTRIES, name)
  if stands == body then return {'stored'} end
  if not replace then
    if stands and stands ~= '' then return {'taken', stands} end
    for _, home in ipairs(homes()) do
      if home[1] == name and home[2] ~= replica then return {'taken'} end
    end
  end
  if not stands and redis.call('HLEN', ENTRIES) >= entries_max then
    return {'full', redis.call('HLEN', ENTRIES)}
  end
  redis.call('HSET', ENTRIES, name, body)
  changed(name)
  return {'stored'}
end

if op == 'remove' then
  local name, mark = ARGV[5], ARGV[6] == '1'
  local stands = redis.call('HGET', ENTRIES, name)
  if mark and stands ~= '' then
    redis.call('HSET', ENTRIES, name, '')
    changed(name)
  elseif not mark and stands then
    redis.call('HDEL', ENTRIES, name)
    changed(name)
  end
  return 1
end

if op == 'leave' then
  local gone = 0
  for _, home in ipairs(homes()) do
    if home[2] == ARGV[5] then gone = gone + redis.call('ZREM', HOMES, home[3]) end
  end
  if gone > 0 then tell(head('version')) end
  return gone
end

-- changes: epoch and version that were seen, the epoch if this is a new life, the replica, its handlers
local epoch_seen, version_seen, replica = ARGV[5], tonumber(ARGV[6]), ARGV[8]
redis.call('HSETNX', HEAD, 'epoch', ARGV[7])
local epoch, version = redis.call('HGET', HEAD, 'epoch'), head('version')
local mine, moved, elsewhere = {}, 0, {}
for at = 9, #ARGV do mine[ARGV[at]] = true end
for _, home in ipairs(homes()) do
  if home[2] ~= replica then
    elsewhere[#elsewhere + 1] = home[1]
    elsewhere[#elsewhere + 1] = home[2]
  elseif not mine[home[1]] then
    moved = moved + redis.call('ZREM', HOMES, home[3])
  end
end
for name in pairs(mine) do
  local member = name .. '\n' .. replica
  local ends = tonumber(redis.call('ZSCORE', HOMES, member) or '0')
  if ends < now + lease / 2 then moved = moved + redis.call('ZADD', HOMES, now + lease, member) end
end
outlive()
if moved > 0 then tell(version) end

local whole = epoch ~= epoch_seen or version_seen < head('floor') or version_seen > version
-- One text and the lengths of its parts, because a client takes milliseconds for thousands of elements: name, then
-- 1 and the body, or 0 for one that is gone.
local parts, sizes = {}, {}
local names = whole and redis.call('HKEYS', ENTRIES)
  or redis.call('ZRANGE', LOG, '(' .. version_seen, '+inf', 'BYSCORE')
for _, name in ipairs(names) do
  local body = redis.call('HGET', ENTRIES, name)
  parts[#parts + 1] = name
  parts[#parts + 1] = body and '1' .. body or '0'
end
for at, part in ipairs(parts) do sizes[at] = #part end
return {epoch, version, whole and 1 or 0, table.concat(sizes, ' '), table.concat(parts), elsewhere}
