--- sluice.jobs.redis.scripts: what runs inside the Redis server.
--
-- The one idea: each change is one script, so one transaction, and begins by
-- bringing the queue up to the server's time: expired leases, what is due,
-- what has outlived its ttl. All keys of a queue have its hash tag, so that
-- they lie on one node of a cluster.
--
-- KEYS[1] is the tag, P below. An id is sixteen digits wide: members of equal
-- score are ordered by their bytes, which is then the order of arrival. The
-- score of READY is the priority, of the others a time in milliseconds.
--
--   P:j:ID     a job: b body, f format, p priority, n attempts, m most
--              attempts, t token, c created, l lease, x end of its ttl, u
--              unique, e error, s state
--   P:ready P:delayed P:leased P:dead   sorted sets of ids
--   P:ttl      those of READY and DELAYED that have a ttl
--   P:unique   name -> id; P:hold: names by the time they are kept to
--   P:meta     counters and settings
--   P:wake P:idle   one member as long as there is something to be had
--   P:put:KEY P:got:KEY   what a call returned, in case it is asked again
--
-- Internal to sluice.jobs.

local scripts = {}

local PRELUDE = [==[
local P = KEYS[1]
local call = redis.call
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local READY, DELAYED, LEASED, DEAD = P..':ready', P..':delayed',
  P..':leased', P..':dead'
local TTL, META, WAKE, UNIQUE = P..':ttl', P..':meta', P..':wake',
  P..':unique'
local BATCH = 500

local function job(id) return P..':j:'..id end
local function num(v, default) return tonumber(v or nil) or default end
local function count(name, n) call('HINCRBY', META, name, n) end
local function wake() call('ZADD', WAKE, 0, 'w') end

local function gone(id)
  local u = call('HGET', job(id), 'u')
  call('DEL', job(id))
  if u and call('HGET', UNIQUE, u) == id and
    num(call('ZSCORE', P..':hold', u), 0) <= now then
    call('HDEL', UNIQUE, u)
    call('ZREM', P..':hold', u)
  end
end

local function enter_dead(id, why)
  call('ZADD', DEAD, now, id)
  call('HSET', job(id), 's', 'dead', 'e', why or '')
end

-- It is not leased any more, and goes back; false if its ttl is over.
local function come_back(id, delay)
  local x = num(call('HGET', job(id), 'x'))
  if x and x <= now then
    gone(id)
    count('expired', 1)
    return false
  end
  if x then call('ZADD', TTL, x, id) end
  if delay > 0 then
    call('ZADD', DELAYED, now + delay, id)
    call('HSET', job(id), 's', 'delayed')
  else
    call('ZADD', READY, call('HGET', job(id), 'p'), id)
    call('HSET', job(id), 's', 'ready')
  end
  return true
end

-- The attempt failed: DEAD if it was the last.
local function failed(id, delay, why)
  local v = call('HMGET', job(id), 'n', 'm')
  if num(v[2]) > 0 and num(v[1]) >= num(v[2]) then
    enter_dead(id, why)
  else
    count('retries', 1)
    call('HSET', job(id), 'e', why)
    come_back(id, delay)
  end
end

local function due(key)
  return call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, BATCH)
end

local function tick()
  -- Mostly nothing is due, which the first of each tells.
  for _, id in ipairs(due(LEASED)) do
    call('ZREM', LEASED, id)
    failed(id, 0, 'the lease expired')
  end
  for _, id in ipairs(due(TTL)) do
    call('ZREM', TTL, id)
    call('ZREM', READY, id)
    call('ZREM', DELAYED, id)
    gone(id)
    count('expired', 1)
  end
  for _, id in ipairs(due(DELAYED)) do
    call('ZREM', DELAYED, id)
    call('ZADD', READY, call('HGET', job(id), 'p'), id)
    call('HSET', job(id), 's', 'ready')
  end
  for _, u in ipairs(due(P..':hold')) do
    local id = call('HGET', UNIQUE, u)
    if id and call('EXISTS', job(id)) == 0 then call('HDEL', UNIQUE, u) end
    call('ZREM', P..':hold', u)
  end
end

local function first(key)
  local v = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return num(v[2])
end

-- When something is next due, in milliseconds from now; -1: nothing is.
local function next_due()
  local at
  for _, key in ipairs({LEASED, DELAYED, TTL}) do
    local v = first(key)
    if v and (not at or v < at) then at = v end
  end
  return at and math.max(0, at - now) or -1
end

local function busy()
  return call('ZCARD', READY) + call('ZCARD', DELAYED) +
    call('ZCARD', LEASED)
end

local function settle()
  if busy() == 0 then call('ZADD', P..':idle', 0, 'i') end
  if call('ZCARD', READY) > 0 then wake() end
end

local FIELDS = {'b', 'f', 'p', 'n', 'm', 't', 'c', 'l', 'u', 'e', 's'}
local function record(id, state, score)
  local v = call('HMGET', job(id), unpack(FIELDS))
  v[12], v[13], v[14] = id, state or v[11], score or false
  return v
end
]==]

local function define(name, body)
  scripts[name] = PRELUDE .. body
end

-- ARGV: maxsize, lease, max_attempts; '' keeps what is stored.
define("queue", [==[
for i, name in ipairs({'maxsize', 'lease', 'max_attempts'}) do
  if ARGV[i] ~= '' then
    call('HSET', META, name, ARGV[i])
  elseif call('HEXISTS', META, name) == 0 then
    call('HSET', META, name, ({0, 60000, 25})[i])
  end
end
return {now}
]==])

-- ARGV: the call's key, then ten for each job: body, format, priority, delay,
-- ttl, lease, max_attempts, unique, unique_for; '' is the default.
-- Returns now, ids, for each '1' if it was there already; or now, 'full'.
define("put", [==[
local known = call('GET', P..':put:'..ARGV[1])
if known then return cjson.decode(known) end
local settings = call('HMGET', META, 'maxsize', 'lease', 'max_attempts')
local ids, found, fresh, named = {}, {}, 0, {}
local n = (#ARGV - 1) / 9
local ticked = false
for i = 0, n - 1 do
  local u = ARGV[i * 9 + 9]
  if u ~= '' and not ticked then
    tick() -- it may be free again
    ticked = true
  end
  local id = u ~= '' and (call('HGET', UNIQUE, u) or named[u])
  if id then
    ids[i + 1], found[i + 1] = id, 1
  else
    fresh = fresh + 1
    if u ~= '' then named[u] = 'new' end
    ids[i + 1], found[i + 1] = false, 0
  end
end
local most = num(settings[1])
if most > 0 and fresh > 0 then
  tick() -- what has outlived its ttl makes room
  if call('ZCARD', READY) + call('ZCARD', DELAYED) + fresh > most then
    return {now, 'full'}
  end
end
for i = 0, n - 1 do
  local a = i * 9 + 1
  if ids[i + 1] == 'new' then ids[i + 1] = named[ARGV[a + 8]] end
  if not ids[i + 1] then
    local id = string.format('%016.0f', 1e9 + call('HINCRBY', META, 'id', 1))
    local ttl, u = num(ARGV[a + 5]), ARGV[a + 8]
    ids[i + 1] = id
    local delay = num(ARGV[a + 4], 0)
    call('HSET', job(id), 'b', ARGV[a + 1], 'f', ARGV[a + 2], 'p',
      ARGV[a + 3], 'n', 0, 't', 0, 'c', now,
      'l', ARGV[a + 6] ~= '' and ARGV[a + 6] or settings[2],
      'm', ARGV[a + 7] ~= '' and ARGV[a + 7] or settings[3],
      's', delay > 0 and 'delayed' or 'ready')
    if delay > 0 then
      call('ZADD', DELAYED, now + delay, id)
    else
      call('ZADD', READY, ARGV[a + 3], id)
    end
    if ttl then
      call('HSET', job(id), 'x', now + ttl)
      call('ZADD', TTL, now + ttl, id)
    end
    if u ~= '' then
      named[u] = id
      call('HSET', job(id), 'u', u)
      call('HSET', UNIQUE, u, id)
      local hold = num(ARGV[a + 9])
      if hold then call('ZADD', P..':hold', now + hold, u) end
    end
  end
end
if fresh > 0 then
  count('puts', fresh)
  -- Also for one that is delayed: who waits learns when it is due.
  wake()
  call('DEL', P..':idle')
end
local result = {now, ids, found}
call('SET', P..':put:'..ARGV[1], cjson.encode(result), 'EX', 600)
return result
]==])

-- ARGV: the call's key, how many. Returns now, ms until something is due,
-- 1 if paused, records.
define("reserve", [==[
local got = P..':got:'..ARGV[1]
local known = call('GET', got)
tick()
local jobs = {}
if known then
  for id, token in string.gmatch(known, '(%d+) (%d+)') do
    if call('HGET', job(id), 't') == token and
      call('ZSCORE', LEASED, id) then
      jobs[#jobs + 1] = record(id, 'leased', call('ZSCORE', LEASED, id))
    end
  end
  return {now, next_due(), 0, jobs}
end
if call('HGET', META, 'paused') == '1' then
  return {now, next_due(), 1, jobs}
end
local picked = call('ZPOPMIN', READY, ARGV[2])
local note = {}
for i = 1, #picked, 2 do
  local id = picked[i]
  local key = job(id)
  local till = now + num(call('HGET', key, 'l'))
  call('HINCRBY', key, 'n', 1)
  local token = call('HINCRBY', key, 't', 1)
  call('HSET', key, 's', 'leased')
  call('ZADD', LEASED, till, id)
  if call('HEXISTS', key, 'x') == 1 then call('ZREM', TTL, id) end
  jobs[#jobs + 1] = record(id, 'leased', till)
  note[#note + 1] = id..' '..token
end
if #picked > 0 then
  call('SET', got, table.concat(note, ','), 'EX', 60)
end
if call('ZCARD', READY) > 0 then wake() else call('DEL', WAKE) end
return {now, #jobs > 0 and 0 or next_due(), 0, jobs}
]==])

-- ARGV: verb, milliseconds, error, then id and token of each. Returns now,
-- indexes of those that are not leased so, the last deadline.
define("finish", [==[
tick()
local verb, ms, why = ARGV[1], num(ARGV[2], 0), ARGV[3]
local lost, till = {}, 0
for i = 4, #ARGV, 2 do
  local id = ARGV[i]
  if not call('ZSCORE', LEASED, id) or
    call('HGET', job(id), 't') ~= ARGV[i + 1] then
    lost[#lost + 1] = (i - 4) / 2 + 1
  elseif verb == 'touch' then
    till = now + (ARGV[2] ~= '' and ms or num(call('HGET', job(id), 'l')))
    call('ZADD', LEASED, till, id)
  else
    call('ZREM', LEASED, id)
    if verb == 'ack' then
      gone(id)
      count('acks', 1)
    elseif verb == 'release' then
      call('HINCRBY', job(id), 'n', -1)
      come_back(id, ms)
    elseif verb == 'nack' then
      failed(id, ms, why)
    else
      enter_dead(id, why)
    end
  end
end
if verb ~= 'touch' then settle() end
return {now, lost, till}
]==])

-- ARGV: id. Returns now and 'ok', 'leased' or 'not_found'.
define("cancel", [==[
tick()
local id = ARGV[1]
if call('EXISTS', job(id)) == 0 then return {now, 'not_found'} end
if call('ZSCORE', LEASED, id) then return {now, 'leased'} end
for _, key in ipairs({READY, DELAYED, DEAD, TTL}) do call('ZREM', key, id) end
gone(id)
count('cancelled', 1)
settle()
return {now, 'ok'}
]==])

-- ARGV: how many, id or ''. Returns now and how many.
define("kick", [==[
tick()
local ids = {ARGV[2]}
if ARGV[2] == '' then
  ids = call('ZRANGE', DEAD, 0, math.min(num(ARGV[1]), 5000) - 1)
end
local n = 0
for _, id in ipairs(ids) do
  if call('ZREM', DEAD, id) == 1 then
    call('HSET', job(id), 'n', 0)
    come_back(id, 0)
    n = n + 1
  end
end
settle()
return {now, n}
]==])

-- ARGV: state, how many. Returns now, records.
define("peek", [==[
tick()
local got = call('ZRANGE', P..':'..ARGV[1], 0, ARGV[2] - 1, 'WITHSCORES')
local list = {}
for i = 1, #got, 2 do
  list[#list + 1] = record(got[i], ARGV[1], got[i + 1])
end
return {now, list}
]==])

-- ARGV: id. Returns now, the record if there is one.
define("job", [==[
tick()
local id = ARGV[1]
local state = call('HGET', job(id), 's')
if not state then return {now} end
return {now, record(id, state, call('ZSCORE', P..':'..state, id))}
]==])

-- ARGV: '1' or '0'. Returns now.
define("pause", [==[
call('HSET', META, 'paused', ARGV[1])
if ARGV[1] == '0' then settle() end
return {now}
]==])

-- ARGV: state. Returns now, how many of a batch, how many are left.
define("purge", [==[
tick()
local key = P..':'..ARGV[1]
local ids = call('ZRANGE', key, 0, 4 * BATCH - 1)
for _, id in ipairs(ids) do
  call('ZREM', key, id)
  call('ZREM', TTL, id)
  gone(id)
end
count('cancelled', #ids)
settle()
return {now, #ids, call('ZCARD', key)}
]==])

-- Returns now, the numbers of each state, ms until something is due, whether
-- it is paused, counters.
define("stats", [==[
tick()
local v = call('HMGET', META, 'puts', 'acks', 'retries', 'expired',
  'cancelled', 'paused')
return {now, call('ZCARD', READY), call('ZCARD', DELAYED),
  call('ZCARD', LEASED), call('ZCARD', DEAD), next_due(),
  num(v[6], 0), num(v[1], 0), num(v[2], 0), num(v[3], 0), num(v[4], 0),
  num(v[5], 0)}
]==])

return scripts
