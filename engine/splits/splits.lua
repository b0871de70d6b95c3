-- One experiment: KEYS[1] is its hash. ARGV[1] says what to do; see engine/splits/contract.py.
-- Fields: began, <arm>|<counter>, <arm>|halt. Names of arms hold no "|".
local key, operation = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])

redis.call('HSETNX', key, 'began', now)
redis.call('EXPIRE', key, 7776000) -- ninety days after anybody has asked

if operation == 'add' then
  for index = 2, #ARGV, 2 do
    local before = tonumber(redis.call('HGET', key, ARGV[index]) or '0') or 0
    redis.call('HSET', key, ARGV[index], string.format('%.17g', before + tonumber(ARGV[index + 1])))
  end
  local all = redis.call('HGETALL', key)
  table.insert(all, 1, now)
  return all
end

local halt = ARGV[2] .. '|halt'
if operation == 'halt' then
  return redis.call('HSETNX', key, halt, now .. ' ' .. ARGV[3])
end

-- resume: the evidence that led to the halt would lead to it again
if redis.call('HDEL', key, halt) == 0 then return 0 end
for _, name in ipairs(redis.call('HKEYS', key)) do
  if name ~= 'began' and string.sub(name, -5) ~= '|halt' then redis.call('HDEL', key, name) end
end
return 1
