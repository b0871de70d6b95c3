-- One atomic step of a shared breaker: the twin of breaker.py, window.py, timing.py and record.py, rule by rule.
--
-- script.py puts a `clock()` in front of this text: the server's own time (X2), in seconds as a double. Numbers are
-- IEEE doubles on both sides and are kept and sent with 17 digits, so both twins compute the same bits.
--
-- KEYS  1 record, 2 and 3 call ids that have reported (young, old), 4 events, 5 the stored reply of an order
-- ARGV  1 the rules, 2 what is asked (wire.py), both JSON
-- Reply the breaker as it stands and what happened, JSON; then each event that the replica has not been told, JSON

local rules, asked, now = cjson.decode(ARGV[1]), cjson.decode(ARGV[2]), clock()
local RECORD, YOUNG, OLD, EVENTS, ONCE = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local PARKING = {throttle = true, quota = true, auth = true, missing = true}
local BY_HAND = {forced_open = true, forced_closed = true, disabled = true}
local STATES = {closed = true, open = true, half_open = true, parked = true}
local FIELDS = {
  'state', 'generation', 'consecutive_failures', 'window', 'ema_success', 'until_s', 'opens_in_a_row',
  'probe_successes', 'leases', 'last_errors', 'reason', 'actor',
}
local made, effects, changed, created = {}, {}, false, false

local function put(list, item)
  list[#list + 1] = item
end

local function text(number)
  return string.format('%.17g', number)
end

-- record -------------------------------------------------------------------------------------------------------
local function fresh(generation)
  created, changed = true, true
  return {
    state = 'closed', generation = generation, failures = 0, window = {}, ema = rules.ema_start, until_s = 0,
    opens = 0, probes_ok = 0, leases = {}, errors = {}, reason = '', actor = '',
  }
end

local function read()
  local kept = redis.call('HMGET', RECORD, unpack(FIELDS))
  if not kept[1] then return nil end
  assert(STATES[kept[1]] or BY_HAND[kept[1]])
  local window, leases = {}, {}
  for number, ok, failed, slow in string.gmatch(kept[4], '(%S+) (%S+) (%S+) (%S+);') do
    put(window, {number = tonumber(number), ok = tonumber(ok), failed = tonumber(failed), slow = tonumber(slow)})
  end
  for _, lease in ipairs(cjson.decode(kept[9])) do
    put(leases, {id = lease[1], ends = tonumber(lease[2]), given = tonumber(lease[3])})
  end
  return {
    state = kept[1], generation = tonumber(kept[2]), failures = tonumber(kept[3]), window = window,
    ema = tonumber(kept[5]), until_s = tonumber(kept[6]), opens = tonumber(kept[7]), probes_ok = tonumber(kept[8]),
    leases = leases, errors = cjson.decode(kept[10]), reason = kept[11], actor = kept[12],
  }
end

-- A record that cannot be read would fail every later step too: it is lost, like one that has expired.
local function load()
  local sound, record = pcall(read)
  if sound then
    for _, number in ipairs({'generation', 'failures', 'ema', 'until_s', 'opens', 'probes_ok'}) do
      sound = sound and (record == nil or record[number] ~= nil)
    end
  end
  if sound then return record end
  redis.call('DEL', RECORD, YOUNG, OLD, EVENTS)
  return nil
end

local function keep_alive(record)
  for _, key in ipairs({RECORD, EVENTS}) do
    if BY_HAND[record.state] then redis.call('PERSIST', key) else redis.call('EXPIRE', key, rules.ttl_s) end
  end
end

local function save(record)
  local window, leases = {}, {}
  for _, b in ipairs(record.window) do
    put(window, text(b.number) .. ' ' .. text(b.ok) .. ' ' .. text(b.failed) .. ' ' .. text(b.slow) .. ';')
  end
  for _, lease in ipairs(record.leases) do put(leases, {lease.id, text(lease.ends), lease.given and text(lease.given)}) end
  redis.call('HSET', RECORD,
    'state', record.state, 'generation', text(record.generation), 'consecutive_failures', text(record.failures),
    'window', table.concat(window), 'ema_success', text(record.ema), 'until_s', text(record.until_s),
    'opens_in_a_row', text(record.opens), 'probe_successes', text(record.probes_ok),
    'leases', cjson.encode(leases), 'last_errors', cjson.encode(record.errors),
    'reason', record.reason, 'actor', record.actor)
  keep_alive(record)
end

local function retry_after_s(record)
  if record.state == 'open' or record.state == 'parked' then return math.max(0, record.until_s - now) end
  if record.state == 'half_open' and #record.leases >= rules.half_open_probes then
    local first = math.huge
    for _, lease in ipairs(record.leases) do first = math.min(first, lease.ends) end
    return math.max(0, first - now)
  end
  return nil
end

-- changes of state ---------------------------------------------------------------------------------------------
local function moved(record, state, reason)
  record.before = record.state
  record.state, record.generation = state, record.generation + 1
  record.probes_ok, record.leases, record.reason, record.actor = 0, {}, reason, ''
  redis.call('DEL', YOUNG, OLD)
  changed = true
end

-- To be called after every step: one step moves at most once, so no event is lost (B13).
local function note(record)
  if not record.before then return end
  local wait = retry_after_s(record)
  local event = cjson.encode({
    generation = text(record.generation), before = record.before, after = record.state, at_s = text(now),
    reason = record.reason, last_errors = record.errors, retry_after_s = wait and text(wait) or nil,
    actor = record.actor,
  })
  record.before = nil
  redis.call('RPUSH', EVENTS, event)
  redis.call('LTRIM', EVENTS, -rules.events_kept, -1)
  put(made, event)
end

local function live(record)
  local some = {}
  for _, lease in ipairs(record.leases) do if lease.ends > now then put(some, lease) end end
  return some
end

local function expire(record)
  if record.state == 'open' or record.state == 'parked' then
    if now >= record.until_s then moved(record, 'half_open', 'time to probe') end
    return
  end
  local left = live(record)
  if #left < #record.leases then record.leases, changed = left, true end
end

local function open_for_s(opens, wanted, sample)
  local base = math.min(rules.open_s_max, rules.open_s * 2.0 ^ math.min(opens - 1, 64))
  local lowest = base * (1.0 - rules.jitter)
  local highest = math.min(rules.open_s_max, base * (1.0 + rules.jitter))
  local drawn = lowest + (highest - lowest) * sample
  if not wanted then return drawn end
  return math.max(drawn, math.min(wanted, rules.park_s_max))
end

local function park_for_s(outcome, wanted, sample)
  if outcome == 'throttle' then
    return math.min(rules.park_s_max, (wanted or rules.open_s) * (1.0 + rules.jitter * sample))
  end
  local slow = rules.reprobe_s * (1.0 + rules.jitter * (2.0 * sample - 1.0))
  if not wanted then return slow end
  return math.max(slow, math.min(wanted, rules.park_s_max))
end

local function opened(record, reason, result)
  local opens = record.opens + 1
  moved(record, 'open', reason)
  record.until_s, record.opens = now + open_for_s(opens, result.wanted, result.sample), opens
end

local function parked(record, result)
  local reason = result.outcome
  if result.reason ~= '' then reason = reason .. ': ' .. result.reason end
  moved(record, 'parked', reason)
  record.until_s = now + park_for_s(result.outcome, result.wanted, result.sample)
end

local function closed(record, reason)
  moved(record, 'closed', reason)
  record.failures, record.window, record.opens, record.errors = 0, {}, 0, {}
end

-- window -------------------------------------------------------------------------------------------------------
local function add(record, ok, failed, slow)
  local number = math.floor(now / (rules.window_s / rules.window_buckets))
  local window = record.window
  local newest = window[#window]
  if newest and newest.number >= number then
    newest.ok, newest.failed, newest.slow = newest.ok + ok, newest.failed + failed, newest.slow + slow
    return
  end
  local kept = {}
  for _, b in ipairs(window) do if b.number > number - rules.window_buckets then put(kept, b) end end
  put(kept, {number = number, ok = ok, failed = failed, slow = slow})
  record.window = kept
end

local function trips(record)
  local ok, failed, slow = 0, 0, 0
  for _, b in ipairs(record.window) do ok, failed, slow = ok + b.ok, failed + b.failed, slow + b.slow end
  local calls = failed + ok
  if calls < rules.rate_min_calls then return nil end
  if failed / calls >= rules.failure_rate then
    return string.format('%d of %d calls failed within %g s', failed, calls, rules.window_s)
  end
  if slow / calls >= rules.slow_rate then
    return string.format('%d of %d calls were slow within %g s', slow, calls, rules.window_s)
  end
  return nil
end

-- reports ------------------------------------------------------------------------------------------------------
local function has_reported(id)
  return redis.call('SISMEMBER', YOUNG, id) == 1 or redis.call('SISMEMBER', OLD, id) == 1
end

local function remember(id)
  if redis.call('SCARD', YOUNG) >= rules.dedup_calls then redis.call('RENAME', YOUNG, OLD) end
  redis.call('SADD', YOUNG, id)
  redis.call('EXPIRE', YOUNG, rules.ttl_s)
  redis.call('EXPIRE', OLD, rules.ttl_s)
end

local function tallied(record, result)
  local ok = result.outcome == 'ok'
  if ok then
    record.failures = 0
    add(record, 1, 0, result.slow and 1 or 0)
    record.ema = record.ema + rules.ema_alpha * (1.0 - record.ema)
    return
  end
  record.failures = record.failures + 1
  add(record, 0, 1, 0)
  record.ema = record.ema + rules.ema_alpha * (0.0 - record.ema)
  put(record.errors, result.reason)
  while #record.errors > rules.errors_kept do table.remove(record.errors, 1) end
end

local function judged(record, result)
  if record.state == 'half_open' then
    if result.outcome == 'fail' then return opened(record, 'probe failed: ' .. result.reason, result) end
    if result.slow then return opened(record, 'the probe was slow', result) end
    if record.probes_ok + 1 >= rules.half_open_successes then return closed(record, 'probe succeeded') end
    record.probes_ok = record.probes_ok + 1
  elseif record.state == 'closed' then
    local why = trips(record)
    if record.failures >= rules.consecutive_failures then
      why = string.format('%d failures in a row', record.failures)
    end
    if why and result.may_open then opened(record, why, result) end
  end
end

local function without(leases, id)
  local others, found = {}, nil
  for _, lease in ipairs(leases) do
    if lease.id == id then found = lease else put(others, lease) end
  end
  return others, found
end

-- A caller that left while asking: it may hold a lease without knowing, and its question may even come later.
local function release(record, id)
  if record.state ~= 'half_open' or has_reported(id) then return end
  record.leases = without(record.leases, id)
  remember(id)
  changed = true
end

local function report(record, result)
  local others, lease = without(record.leases, result.id)
  local carried = lease and lease.given == result.generation
  if result.generation ~= record.generation and not carried then return 'late' end
  if has_reported(result.id) then return 'duplicate' end
  if record.state == 'half_open' then
    if not lease or lease.ends <= now then return 'late' end
    record.leases = others
  end
  remember(result.id)
  changed = true
  if record.state ~= 'disabled' and (result.outcome == 'ok' or result.outcome == 'fail') then
    tallied(record, result)
    judged(record, result)
    return 'counted'
  end
  if PARKING[result.outcome] and (record.state == 'closed' or record.state == 'half_open') then
    parked(record, result)
  end
  return 'neutral'
end

-- leave and orders ---------------------------------------------------------------------------------------------
local function acquire(record, id)
  if record.state == 'open' or record.state == 'parked' or record.state == 'forced_open' then
    return false, record.reason
  end
  if record.state ~= 'half_open' then return true, '' end
  for _, lease in ipairs(record.leases) do
    if lease.id == id then return true, '' end
  end
  if has_reported(id) then return false, 'this call has already reported' end
  if #record.leases >= rules.half_open_probes then return false, 'a probe is running' end
  put(record.leases, {id = id, ends = now + rules.lease_s})
  changed = true
  return true, ''
end

local function force(record, order)
  if order.state == 'closed' then closed(record, order.reason) else moved(record, order.state, order.reason) end
  record.actor = order.actor
end

-- what replicas know better (resilience.md 6) ------------------------------------------------------------------
local function believe(record, seen)
  if seen.state == 'closed' then closed(record, seen.reason) else moved(record, seen.state, seen.reason) end
  record.actor, record.until_s, record.errors = seen.actor, now + seen.left_s, seen.errors
  record.opens = seen.opens
end

-- `seen.base` is the last generation that the replica had from here, `seen.generation` the last it has known; they
-- differ when it had to go on by itself. Nothing here may undo what others did since `base`.
local function reconcile(record, seen)
  local alone = seen.generation > seen.base
  if record.generation > seen.generation or (record.generation == seen.generation and not alone) then return end
  local lost = record.generation < seen.base
  local hint = record.generation == seen.base and (seen.state == 'open' or seen.state == 'parked')
  if lost or (hint and #live(record) == 0) then
    believe(record, seen)
  else
    -- Another number and nothing else: a probe that is running keeps its place, and its leave is good for it.
    for _, lease in ipairs(record.leases) do lease.given = lease.given or record.generation end
    record.before, changed = record.state, true
  end
  record.generation = seen.generation + 1
end

local function started(seen)
  if not seen then return fresh(math.floor(now * 1000)) end
  local record = fresh(math.max(seen.generation + 1, math.floor(now * 1000)))
  if seen.state ~= 'closed' then
    record.generation = record.generation - 1
    believe(record, seen)
  end
  return record
end

-- the step -----------------------------------------------------------------------------------------------------
if asked.order then
  local first = redis.call('GET', ONCE)
  if first then return {first} end
end

local seen = asked.seen
local record = load()
if record then
  if seen then reconcile(record, seen) end
elseif seen or asked.acquire or asked.order or #asked.reports > 0 then
  record = started(seen)
end
if not record then
  return {cjson.encode({state = 'closed', generation = '0', failures = '0', ema = text(rules.ema_start), reason = '',
    errors = {}, actor = '', effects = {}, opens = 0, now = text(now)})}
end
note(record)

if #asked.released > 0 then expire(record) end  -- a caller may have left when it was time to probe already
note(record)
for _, id in ipairs(asked.released) do release(record, id) end
for _, r in ipairs(asked.reports) do
  local result = {
    id = r[1], generation = r[2], outcome = r[3], reason = r[4], wanted = r[5], slow = r[6], may_open = r[7],
    sample = r[8],
  }
  put(effects, report(record, result))
  note(record)
  expire(record)
  note(record)
end
if asked.order then
  force(record, asked.order)
  note(record)
end
expire(record)
note(record)
local granted, why = nil, nil
if asked.acquire then granted, why = acquire(record, asked.acquire) end

if changed then
  save(record)
else
  local left_s = redis.call('TTL', RECORD)
  if left_s >= 0 and left_s * 2 < rules.ttl_s then keep_alive(record) end
end
local wait = retry_after_s(record)
local stands = cjson.encode({
  state = record.state, generation = text(record.generation), failures = text(record.failures),
  ema = text(record.ema), retry_after_s = wait and text(wait) or nil, reason = record.reason,
  errors = record.errors, actor = record.actor, effects = effects, granted = granted, why = why, created = created,
  opens = record.opens, now = text(now),
})
if asked.order then redis.call('SET', ONCE, stands, 'EX', rules.ttl_s) end
local told = seen and seen.told or 0
if told > 0 and record.generation > told then
  -- Generations are consecutive, or fewer events than numbers: this many reach back far enough.
  made = redis.call('LRANGE', EVENTS, -math.min(rules.events_kept, record.generation - told), -1)
end
return {stands, unpack(made)}
