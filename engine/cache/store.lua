-- What the answer cache does in Redis in one step each (engine/cache/store.py names the parts, this joins them).
-- Every key may have been evicted at any time (allkeys-lru), so nothing here relies on two of them agreeing:
-- a vector whose answer has gone is removed where it is met, and each write looks at a few others at random.
-- PREFIX, that of every key, is set in a line of store.py before these.

local SAMPLE = 3       -- looked at per write: more than one dead per write cannot pile up
local EVICT_MAX = 100  -- per write, after the cap was lowered
local ROUNDS = 8       -- of a search that meets dead vectors
local BUILD_EF = 64    -- for a new vector; the usual 200 holds everybody up for 1.8 ms, this for 0.7
local SEARCH_EF = 100  -- neighbours weighed up: at 50,000 it finds the nearest in 99 of 100, with 48 in 95

local function answer_key(owner, key) return PREFIX .. 'a:' .. owner .. ':' .. key end
local function question_key(owner, key) return PREFIX .. 'q:' .. owner .. ':' .. key end

local function outlive(key, ttl_s)
  if redis.call('TTL', key) < ttl_s then redis.call('EXPIRE', key, ttl_s) end
end

local function now_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function drop_vector(owner, key)
  local question = question_key(owner, key)
  local set = redis.call('HGET', question, 'v')
  if set then redis.call('VREM', set, key) end
  redis.call('UNLINK', question)
end

local function drop(owner, key)
  drop_vector(owner, key)
  redis.call('ZREM', PREFIX .. 'l:' .. owner, key)
  return redis.call('DEL', answer_key(owner, key))
end

local function sweep(owner, set)
  local used = redis.call('ZRANDMEMBER', PREFIX .. 'l:' .. owner, SAMPLE)
  for _, key in ipairs(used) do
    if redis.call('EXISTS', answer_key(owner, key)) == 0 then drop(owner, key) end
  end
  if set == '' then return end
  local members = redis.call('VRANDMEMBER', set, SAMPLE)
  for _, key in ipairs(members or {}) do
    if redis.call('EXISTS', answer_key(owner, key)) == 0 then
      redis.call('VREM', set, key)
      redis.call('UNLINK', question_key(owner, key))
    end
  end
end

local function add_vector(set, vector, key)
  local added = redis.pcall('VADD', set, 'FP32', vector, key, 'Q8', 'EF', BUILD_EF)
  if type(added) == 'table' and added.err then  -- of another encoder: nothing in it can be compared any more
    redis.call('UNLINK', set)
    redis.call('VADD', set, 'FP32', vector, key, 'Q8', 'EF', BUILD_EF)
  end
end

-- owner key writer quota cap ttl_s answer set place question vector; the last four are empty without a question
local function put(owner, key, writer, quota, cap, ttl_s, answer, set, place, question, vector)
  if writer ~= '' then
    local counter = PREFIX .. 'n:' .. writer
    local written = redis.call('INCR', counter)
    if redis.call('TTL', counter) < 0 then redis.call('EXPIRE', counter, 60) end
    if written > tonumber(quota) then return 0 end
  end
  ttl_s = tonumber(ttl_s)
  local now = now_us()
  local used = PREFIX .. 'l:' .. owner
  drop_vector(owner, key)
  redis.call('SET', answer_key(owner, key), answer, 'EX', ttl_s)
  if set ~= '' then
    add_vector(set, vector, key)
    outlive(set, ttl_s)
    redis.call('HSET', question_key(owner, key), 'v', set, 'p', place, 'q', question)
    redis.call('EXPIRE', question_key(owner, key), ttl_s)
    redis.call('ZADD', PREFIX .. 'sets', 'GT', now + ttl_s * 1000000, set)
    outlive(PREFIX .. 'sets', ttl_s)
  end
  redis.call('ZADD', used, now, key)
  outlive(used, ttl_s)
  redis.call('ZADD', PREFIX .. 'owners', 'GT', now + ttl_s * 1000000, owner)
  outlive(PREFIX .. 'owners', ttl_s)
  redis.call('ZREMRANGEBYSCORE', PREFIX .. 'sets', '-inf', now)
  redis.call('ZREMRANGEBYSCORE', PREFIX .. 'owners', '-inf', now)
  sweep(owner, set)
  local over = math.min(redis.call('ZCARD', used) - tonumber(cap), EVICT_MAX)
  if over > 0 then
    local gone = 0
    for _, old in ipairs(redis.call('ZRANGE', used, 0, over - 1)) do gone = gone + drop(owner, old) end
    redis.call('HINCRBY', PREFIX .. 'counts', 'evicted', gone)
  end
  return 1
end

-- Live neighbours: {key, place, question, observations} flat. Dead ones are removed and looked past.
local function live(set, owner, vector, count, floor)
  for round = 1, ROUNDS do
    local found = redis.pcall('VSIM', set, 'FP32', vector, 'WITHSCORES', 'COUNT', count, 'EF', SEARCH_EF)
    if type(found) ~= 'table' or found.err then return {} end
    local out, dead = {}, 0
    for at = 1, #found, 2 do
      if tonumber(found[at + 1]) < floor then break end
      local key = found[at]
      local held = redis.call('HMGET', question_key(owner, key), 'p', 'q', 'o')
      if held[1] and held[2] and redis.call('EXISTS', answer_key(owner, key)) == 1 then
        out[#out + 1] = key
        out[#out + 1] = held[1]
        out[#out + 1] = held[2]
        out[#out + 1] = held[3] or ''
      else
        redis.call('VREM', set, key)
        redis.call('UNLINK', question_key(owner, key))
        dead = dead + 1
      end
    end
    if dead == 0 or round == ROUNDS then return out end
  end
end

-- vector count floor, then set and owner of each scope
local function nearest(vector, count, floor, ...)
  local asked, out = {...}, {}
  for at = 1, #asked, 2 do
    out[#out + 1] = live(asked[at], asked[at + 1], vector, count, tonumber(floor))
  end
  return out
end

-- owner key hits, again and again
local function touch(...)
  local used, now, sum = {...}, now_us(), 0
  for at = 1, #used, 3 do
    redis.call('ZADD', PREFIX .. 'l:' .. used[at], 'XX', now, used[at + 1])
    sum = sum + tonumber(used[at + 2])
  end
  return redis.call('HINCRBY', PREFIX .. 'counts', 'hits', sum)
end

-- owner key observation bytes
local function observe(owner, key, observation, bytes)
  local question = question_key(owner, key)
  if redis.call('EXISTS', question) == 0 or redis.call('EXISTS', answer_key(owner, key)) == 0 then return 0 end
  local before = redis.call('HGET', question, 'o') or ''
  redis.call('HSET', question, 'o', string.sub(before .. observation, -tonumber(bytes)))
  return 1
end

-- owner key, again and again
local function delete(...)
  local asked, gone = {...}, 0
  for at = 1, #asked, 2 do gone = gone + drop(asked[at], asked[at + 1]) end
  return gone
end

-- set owner key: a question that is not to be believed
local function disown(set, owner, key)
  redis.call('UNLINK', question_key(owner, key))
  return redis.call('VREM', set, key)
end

local steps = {
  put = put, nearest = nearest, touch = touch, observe = observe, delete = delete, disown = disown,
}
return steps[ARGV[1]](unpack(ARGV, 2))
