-- The queue in Redis: one operation of engine/queue/redis_queue.py per call, one atomic step each (X1).
-- KEYS[1] is the prefix of all keys, whose hash tag keeps them in one slot. Time is the server's (X2).
--
--   t:<id>      hash    the ticket                      b:<id>   string  its request, gone when final or expired
--   s:<prio>    stream  ready and running tickets       w:<prio> zset    waiting tickets by number of arrival
--   later       zset    waiting for a time              due      zset    tickets that are not final, by expiry
--   fin         zset    final tickets, by end           hooks    zset    webhooks to call, by when
--   i:<digest>  string  idempotency: id of the ticket   k:<key>  string  what a take was answered
--   seq         string  number of the latest arrival
--
-- All workers are one consumer: what tells them apart is the token, the number of the delivery.

local P = KEYS[1]
local op = ARGV[1]
local lease, deaths_max, length_max, keep = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local RANKS = {'high', 'normal', 'low'}
local GROUP, CONSUMER = 'workers', 'any'
local SWEEP = 64                    -- expired or due tickets moved along per call
local AT_ONCE = '300000000000'      -- idle for years: a request that was given back is taken first
local LIGHT = {'status', 'priority', 'tenant', 'user', 'created', 'expires', 'attempts', 'not_before', 'error', 'hook'}

local function ticket(id) return P .. 't:' .. id end
local function body(id) return P .. 'b:' .. id end
local function stream(p) return P .. 's:' .. p end
local function waiting(p) return P .. 'w:' .. p end
local LATER, DUE, FIN, HOOKS = P .. 'later', P .. 'due', P .. 'fin', P .. 'hooks'

local function drop_entry(id, p)
  local entry = redis.call('HGET', ticket(id), 'entry')
  if entry and entry ~= '' then
    redis.call('XACK', stream(p), GROUP, entry)
    redis.call('XDEL', stream(p), entry)
    redis.call('HSET', ticket(id), 'entry', '')
  end
end

local function ready(id, p)
  redis.call('ZREM', LATER, id)
  local entry = redis.call('XADD', stream(p), '*', 't', id)
  redis.call('HSET', ticket(id), 'entry', entry, 'not_before', '')
end

local function forget(id)
  local idem = redis.call('HGET', ticket(id), 'idem')
  if idem and idem ~= '' then redis.call('DEL', P .. 'i:' .. idem) end
  redis.call('DEL', ticket(id))
  redis.call('ZREM', HOOKS, id)
end

-- A set that was empty comes back without an end of its own: every key lives as long as what is in it.
local function outlive(ms)
  local names = {'later', 'due', 'fin', 'hooks', 'seq'}
  for _, p in ipairs(RANKS) do names[#names + 1] = 's:' .. p; names[#names + 1] = 'w:' .. p end
  for _, name in ipairs(names) do
    local left = redis.call('PTTL', P .. name)
    if left ~= -2 and left < ms then redis.call('PEXPIRE', P .. name, ms) end
  end
end

-- The end of a ticket, whatever it is; of one whose hash has ended by itself only the traces are left.
local function settle(id, status, field, value)
  local key = ticket(id)
  local p, hook, idem = unpack(redis.call('HMGET', key, 'priority', 'hook', 'idem'))
  if p then
    drop_entry(id, p)
    redis.call('ZREM', waiting(p), id)
    redis.call('HSET', key, 'status', status, 'not_before', '')
    if field then redis.call('HSET', key, field, value) end
    redis.call('PEXPIRE', key, keep)
    if idem ~= '' then redis.call('PEXPIRE', P .. 'i:' .. idem, keep) end
    if hook == 'pending' then redis.call('ZADD', HOOKS, now, id) end
    redis.call('ZADD', FIN, now, id)
    outlive(keep)
  else
    for _, each in ipairs(RANKS) do redis.call('ZREM', waiting(each), id) end
  end
  redis.call('ZREM', LATER, id)
  redis.call('ZREM', DUE, id)
  redis.call('DEL', body(id))
  while redis.call('ZCARD', FIN) > length_max do forget(redis.call('ZPOPMIN', FIN)[1]) end
end

local function ends_at(id) return tonumber(redis.call('ZSCORE', DUE, id) or '0') end

local function sweep()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, SWEEP)) do settle(id, 'expired') end
  redis.call('ZREMRANGEBYSCORE', FIN, '-inf', now - keep)
end

local function place(id, p)
  local rank = redis.call('ZRANK', waiting(p), id)
  if not rank then return '' end
  for _, other in ipairs(RANKS) do
    if other == p then return tostring(rank + 1) end
    rank = rank + redis.call('ZCARD', waiting(other))
  end
end

local function view(id)
  local expires = redis.call('ZSCORE', DUE, id)
  if expires and tonumber(expires) <= now then settle(id, 'expired') end
  local fields = redis.call('HGETALL', ticket(id))
  if #fields == 0 then return false end
  local p = redis.call('HGET', ticket(id), 'priority')
  for _, extra in ipairs({'id', id, 'position', place(id, p)}) do fields[#fields + 1] = extra end
  return fields
end

-- Whether this delivery is the one that may conclude.
local function current(id, token)
  local expires = redis.call('ZSCORE', DUE, id)
  if expires and tonumber(expires) <= now then settle(id, 'expired') end
  local status, attempts = unpack(redis.call('HMGET', ticket(id), 'status', 'attempts'))
  return status == 'running' and attempts == token
end

-- The newest waiting ticket of the lowest priority below p.
local function shed_below(p)
  for at = #RANKS, 1, -1 do
    if RANKS[at] == p then return false end
    local found = redis.call('ZREVRANGE', waiting(RANKS[at]), 0, 0)[1]
    while found do
      local live = ends_at(found) > now
      settle(found, live and 'shed' or 'expired')
      if live then return true end
      found = redis.call('ZREVRANGE', waiting(RANKS[at]), 0, 0)[1]
    end
  end
  return false
end

local ops = {}

function ops.put(id, p, life, delay, idem, digest, data, tenant, user, url)
  sweep()
  local known = idem ~= '' and redis.call('GET', P .. 'i:' .. idem)
  if known and redis.call('EXISTS', ticket(known)) == 1 then
    if redis.call('HGET', ticket(known), 'digest') ~= digest then return {'other', known} end
    return {'ok', view(known)}
  end
  if redis.call('EXISTS', ticket(id)) == 1 then return {'ok', view(id)} end
  local length = redis.call('ZCOUNT', DUE, '(' .. now, '+inf')
  if length >= length_max and not shed_below(p) then return {'full', tostring(length)} end
  life, delay = tonumber(life), tonumber(delay)
  local ends, arrival = now + life, redis.call('INCR', P .. 'seq')
  redis.call('HSET', ticket(id), 'status', 'waiting', 'priority', p, 'tenant', tenant, 'user', user, 'created', now,
    'expires', ends, 'attempts', 0, 'deaths', 0, 'digest', digest, 'idem', idem, 'url', url, 'tries', 0,
    'hook', url == '' and 'none' or 'pending', 'entry', '', 'not_before', '',
    'arrival', arrival)
  redis.call('PEXPIRE', ticket(id), life + keep)
  redis.call('SET', body(id), data, 'PX', life)
  if idem ~= '' then redis.call('SET', P .. 'i:' .. idem, id, 'PX', life + keep) end
  redis.call('ZADD', waiting(p), arrival, id)
  redis.call('ZADD', DUE, ends, id)
  if redis.call('EXISTS', stream(p)) == 0 then redis.call('XGROUP', 'CREATE', stream(p), GROUP, '0', 'MKSTREAM') end
  if delay > 0 then
    redis.call('ZADD', LATER, now + delay, id)
    redis.call('HSET', ticket(id), 'not_before', now + delay)
  else
    ready(id, p)
  end
  outlive(life + keep)
  return {'ok', view(id)}
end

-- Hand out one entry of the stream, or nothing when its ticket is not to be worked on.
local function deliver(p, entry, id, reclaimed)
  local key = ticket(id)
  local status, at, deaths = unpack(redis.call('HMGET', key, 'status', 'entry', 'deaths'))
  if at ~= entry then
    redis.call('XACK', stream(p), GROUP, entry)
    redis.call('XDEL', stream(p), entry)
    return nil
  end
  if reclaimed and status == 'running' then
    deaths = redis.call('HINCRBY', key, 'deaths', 1)
    if deaths >= deaths_max then
      settle(id, 'failed', 'error', cjson.encode({code = 'worker_lost', message = deaths .. ' workers died over it'}))
      return nil
    end
  end
  local data = ends_at(id) > now and redis.call('GET', body(id))
  if not data then settle(id, 'expired') return nil end
  redis.call('ZREM', waiting(p), id)
  redis.call('HSET', key, 'status', 'running')
  redis.call('HINCRBY', key, 'attempts', 1)
  return {view(id), data, id}
end

local function reclaim(p)
  local cursor = '0-0'
  repeat
    local answer = redis.call('XAUTOCLAIM', stream(p), GROUP, CONSUMER, lease, cursor, 'COUNT', 1)
    cursor = answer[1]
    for _, entry in ipairs(answer[2]) do
      local delivery = entry[2] and deliver(p, entry[1], entry[2][2], true)
      if delivery then return delivery end
    end
  until cursor == '0-0'
end

local function fresh(p)
  while true do
    local answer = redis.call('XREADGROUP', 'GROUP', GROUP, CONSUMER, 'COUNT', 1, 'STREAMS', stream(p), '>')
    if not answer then return nil end
    local entry = answer[1][2][1]
    local delivery = deliver(p, entry[1], entry[2][2], false)
    if delivery then return delivery end
  end
end

local function hold(id)
  local p, entry = unpack(redis.call('HMGET', ticket(id), 'priority', 'entry'))
  redis.call('XCLAIM', stream(p), GROUP, CONSUMER, 0, entry, 'JUSTID')
end

-- key names this take: when the reply was lost, the same key gets the same delivery, with a lease that is new (X3).
function ops.take(key)
  sweep()
  local id, token = string.match(redis.call('GET', P .. 'k:' .. key) or '', '^(.*) (%d+)$')
  if id and current(id, token) then
    hold(id)
    redis.call('PEXPIRE', P .. 'k:' .. key, lease)
    return {view(id), redis.call('GET', body(id))}
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', LATER, '-inf', now, 'LIMIT', 0, SWEEP)) do
    local p = redis.call('HGET', ticket(id), 'priority')
    if p then ready(id, p) else settle(id, 'expired') end
  end
  for _, p in ipairs(RANKS) do
    if redis.call('EXISTS', stream(p)) == 1 then
      local delivery = reclaim(p) or fresh(p)
      if delivery then
        local taken = delivery[3]
        redis.call('SET', P .. 'k:' .. key, taken .. ' ' .. redis.call('HGET', ticket(taken), 'attempts'), 'PX', lease)
        return delivery
      end
    end
  end
  return false
end

function ops.renew(id, token)
  if not current(id, token) then return 0 end
  hold(id)
  return 1
end

-- The same result from the same delivery again: its reply was lost, so it gets the same reply (X3).
function ops.finish(id, token, status, field, value)
  if not current(id, token) then
    local is, attempts, kept = unpack(redis.call('HMGET', ticket(id), 'status', 'attempts', field))
    return is == status and attempts == token and kept == value and 1 or 0
  end
  settle(id, status, field, value)
  return 1
end

function ops.back(id, token, delay)
  if not current(id, token) then return 0 end
  local key = ticket(id)
  local p, entry, arrival = unpack(redis.call('HMGET', key, 'priority', 'entry', 'arrival'))
  redis.call('HSET', key, 'status', 'waiting')
  redis.call('ZADD', waiting(p), arrival, id)
  if tonumber(delay) > 0 then
    drop_entry(id, p)
    redis.call('ZADD', LATER, now + delay, id)
    redis.call('HSET', key, 'not_before', now + delay)
  else
    redis.call('XCLAIM', stream(p), GROUP, CONSUMER, 0, entry, 'IDLE', AT_ONCE, 'JUSTID')
  end
  outlive(redis.call('PTTL', key))
  return 1
end

function ops.get(id) return view(id) end

function ops.cancel(id, reason)
  view(id)
  if redis.call('ZSCORE', DUE, id) then settle(id, 'failed', 'error', reason) end
  return view(id)
end

function ops.latest(limit)
  sweep()
  local open = redis.call('ZREVRANGE', DUE, 0, limit - 1)
  local final = redis.call('ZREVRANGE', FIN, 0, limit - 1)
  local rows = {}
  for _, ids in ipairs({open, final}) do
    for _, id in ipairs(ids) do
      local values = redis.call('HMGET', ticket(id), unpack(LIGHT))
      if values[1] then
        local row = {'id', id}
        for at, name in ipairs(LIGHT) do row[#row + 1] = name; row[#row + 1] = values[at] or '' end
        rows[#rows + 1] = row
      end
    end
  end
  return rows
end

function ops.hook()
  sweep()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', HOOKS, '-inf', now, 'LIMIT', 0, SWEEP)) do
    if redis.call('EXISTS', ticket(id)) == 1 then
      redis.call('HINCRBY', ticket(id), 'tries', 1)
      redis.call('ZADD', HOOKS, now + lease, id)
      return view(id)
    end
    redis.call('ZREM', HOOKS, id)
  end
  return false
end

function ops.hooked(id, tries, status, delay)
  if redis.call('HGET', ticket(id), 'tries') ~= tries or not redis.call('ZSCORE', HOOKS, id) then return 0 end
  redis.call('HSET', ticket(id), 'hook', status)
  if status == 'pending' then
    redis.call('ZADD', HOOKS, now + delay, id)
  else
    redis.call('ZREM', HOOKS, id)
  end
  return 1
end

return ops[op](unpack(ARGV, 6))
