-- One atomic step of shared averages: the twin of averages.py, rule by rule.
--
-- script.py puts a `clock()` in front of this text: the server's own time, in seconds as a double. Numbers are IEEE
-- doubles on both sides, are kept and sent with 17 digits, and only + - * / touch them: both twins compute the same bits.
--
-- KEYS  1 a hash: subject -> "success evidence at doubt held latency cost quality moments…", `-` for unknown
-- ARGV  1 the rules, 2 results [subject, ok, latency, cost, quality, context], 3 subjects to look at; JSON
-- Reply the server's time, then subject and record of everybody named, `-` for one that is not kept

local rules, results, wanted, now = cjson.decode(ARGV[1]), cjson.decode(ARGV[2]), cjson.decode(ARGV[3]), clock()
local KEY, LN2, TERMS, FORGOTTEN = KEYS[1], 0.6931471805599453, 12, 64
local known, touched = {}, {}

local kind = redis.call('TYPE', KEY).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEY) end

local function text(number)
  return number and string.format('%.17g', number) or '-'
end

local function parse(line)
  local t, moments = {}, {}
  for word in string.gmatch(line, '%S+') do t[#t + 1] = word end
  assert(#t >= 8)
  for i = 1, #t do
    if t[i] ~= '-' then
      t[i] = assert(tonumber(t[i]))
    else
      assert(i >= 6 and i <= 8)
      t[i] = false
    end
    if i > 8 then moments[i - 8] = t[i] end
  end
  return {
    success = t[1], evidence = t[2], at = t[3], doubt = t[4], held = t[5] == 1,
    latency_ms = t[6], cost_micros = t[7], quality = t[8], moments = moments,
  }
end

local function line_of(t)
  local words = {
    text(t.success), text(t.evidence), text(t.at), text(t.doubt), t.held and '1' or '0',
    text(t.latency_ms), text(t.cost_micros), text(t.quality),
  }
  for _, m in ipairs(t.moments) do words[#words + 1] = text(m) end
  return table.concat(words, ' ')
end

-- One that cannot be read is lost, like one that has expired.
local function load(subject)
  if known[subject] == nil then
    local line = redis.call('HGET', KEY, subject)
    local sound, t = pcall(parse, line or '')
    known[subject] = line and sound and t or false
  end
  return known[subject]
end

local function kept(seconds)
  local halves = math.min(seconds / rules.half_life_s, FORGOTTEN)
  local whole = math.floor(halves)
  local z = (halves - whole) * LN2
  local series = 1.0
  for k = TERMS, 1, -1 do series = 1.0 - z / k * series end
  return series * 2.0 ^ (0 - whole)
end

local function age(t)
  if now <= t.at then return end
  local left = kept(now - t.at)
  t.success = rules.prior + (t.success - rules.prior) * left
  t.evidence = t.evidence * left
  t.at = now
  t.doubt = t.doubt * left
  t.held = t.held and t.doubt > rules.free
  for i, m in ipairs(t.moments) do t.moments[i] = m * left end
end

local function learned(t, context, reward)
  local size, i = #context, 0
  local before = t.moments
  if #before ~= size * (size + 1) then before = nil end
  local left, after = 1.0 - rules.context_alpha, {}
  for row = 1, size + 1 do
    for column = 1, size do
      i = i + 1
      local factor = row <= size and context[row] or reward
      after[i] = (before and before[i] or 0.0) * left + factor * context[column]
    end
  end
  t.moments = after
end

local function moved(average, value)
  if not value or not average then return value or average end
  return average + rules.alpha * (value - average)
end

local room = rules.subjects_max - redis.call('HLEN', KEY)
for _, r in ipairs(results) do
  local subject, ok = r[1], r[2]
  local t = load(subject)
  local says = ok or r[3] or r[4] or r[5]
  if says and not t and room > 0 then
    room = room - 1
    t = {success = rules.prior, evidence = 0, at = now, doubt = 0, held = false, moments = {}}
    known[subject] = t
  elseif t and says then
    age(t)
  end
  if t and says then
    if ok then
      local gain = t.held and rules.probe_alpha or rules.alpha
      t.success = t.success + gain * (ok - t.success)
      t.evidence = t.evidence + 1
      local moved_to = ok == 1 and t.doubt - rules.success or t.doubt + rules.failure
      t.doubt = math.min(rules.held, math.max(0, moved_to))
      if t.held then t.held = t.doubt > rules.free else t.held = t.doubt >= rules.held end
      if #r[6] > 0 then learned(t, r[6], ok) end
    end
    t.latency_ms = moved(t.latency_ms, r[3])
    t.cost_micros = moved(t.cost_micros, r[4])
    t.quality = moved(t.quality, r[5])
    touched[subject] = true
  end
end

local reply, told = {text(now)}, {}
local function tell(subject)
  if told[subject] then return end
  told[subject] = true
  local t = load(subject)
  reply[#reply + 1] = subject
  reply[#reply + 1] = t and line_of(t) or '-'
end
for _, r in ipairs(results) do tell(r[1]) end
for _, subject in ipairs(wanted) do tell(subject) end

for subject in pairs(touched) do
  redis.call('HSET', KEY, subject, line_of(known[subject]))
  redis.call('HEXPIRE', KEY, rules.kept_s, 'FIELDS', 1, subject)
end
return reply
