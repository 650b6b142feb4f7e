--- sluice.jobs.redis.scripts: what runs inside the Redis server.
--
-- The one idea: each change is one script, so one transaction, and begins by
-- bringing the queue up to the server's time: expired leases, what is due,
-- what has outlived its ttl. That is done in batches, since nobody else is
-- served meanwhile: a script that finds more than one returns "AGAIN" instead
-- of doing anything else, and is to be sent again. All keys of a queue have
-- its hash tag, so that they lie on one node of a cluster.
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
--   P:calls:CLIENT   number of a call -> what it returned, in case it is
--              asked again; the client says which replies it has
--
-- Ids are counted at sluice:ids, for all queues. A node of a cluster may not
-- have that key: there they are the queue's own. It may also go, or go out of
-- reach, or begin anew. An id is the number of the queue's puts and how far it
-- is ahead of that; since neither ever falls, no id comes twice.
--
-- An error inside a script undoes nothing that the script has done. So each
-- reads every key that it may write before it writes: one that is not ours is
-- met while nothing is done. A job whose hash somebody took away, or put
-- something else in the place of, is no error where it is met among others:
-- its id is skipped, and in no set from then on; the counters tell that it is
-- missing.
--
-- Internal to sluice.jobs.

local scripts = {}

local PRELUDE = [==[
local P = KEYS[1]
local call, try = redis.call, redis.pcall
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local READY, DELAYED, LEASED, DEAD = P..':ready', P..':delayed',
  P..':leased', P..':dead'
local TTL, META, WAKE, UNIQUE, HOLD = P..':ttl', P..':meta', P..':wake',
  P..':unique', P..':hold'
local BATCH, AGAIN = 1000, 'AGAIN'
local DEFAULTS = {'0', '60000', '25'} -- maxsize, lease, max_attempts

local function job(id) return P..':j:'..id end
local function num(v, default) return tonumber(v or nil) or default end
local function count(name, n) call('HINCRBY', META, name, n) end
-- Jobs may be had without it, if it cannot be written.
local function wake() try('ZADD', WAKE, 0, 'w') end

-- Of a job's hash, or what is in its place: that is no error, others are.
local function read(...)
  local v = try(...)
  if type(v) == 'table' and v.err and not string.find(v.err, 'WRONGTYPE') then
    return call(...) -- raises it
  end
  return v
end

-- Its priority; nil if it has no hash.
local function priority(id)
  local p = read('HGET', job(id), 'p')
  return type(p) == 'string' and p or nil
end

local function gone(id)
  local u = read('HGET', job(id), 'u')
  call('DEL', job(id))
  if type(u) == 'string' and call('HGET', UNIQUE, u) == id and
    num(call('ZSCORE', HOLD, u), 0) <= now then
    call('HDEL', UNIQUE, u)
    call('ZREM', HOLD, u)
  end
end

-- What went wrong; '' leaves what there is.
local function note(id, why)
  if why ~= '' then call('HSET', job(id), 'e', why) end
end

local function enter_dead(id, why)
  call('ZADD', DEAD, now, id)
  call('HSET', job(id), 's', 'dead')
  note(id, why)
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
  local v = read('HMGET', job(id), 'n', 'm')
  if not v[1] then return end -- no hash
  if num(v[2]) > 0 and num(v[1]) >= num(v[2]) then
    enter_dead(id, why)
  else
    count('retries', 1)
    note(id, why)
    come_back(id, delay)
  end
end

-- What is due, a batch at most.
local function due(key)
  return call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, BATCH)
end

local function each(list, fn)
  for _, member in ipairs(list) do fn(member) end
end

local function expire(id)
  call('ZREM', TTL, id)
  call('ZREM', READY, id)
  call('ZREM', DELAYED, id)
  gone(id)
  count('expired', 1)
end

local function come_due(id)
  local p = priority(id)
  call('ZREM', DELAYED, id)
  if not p then return end
  call('ZADD', READY, p, id)
  call('HSET', job(id), 's', 'ready')
end

local function let_go(u)
  local id = call('HGET', UNIQUE, u)
  if id and call('EXISTS', job(id)) == 0 then call('HDEL', UNIQUE, u) end
  call('ZREM', HOLD, u)
end

local function lapse(id)
  call('ZREM', LEASED, id)
  failed(id, 0, 'the lease expired')
end

-- Reads the keys that a change may write, beside those that tick reads always.
local function sound()
  call('ZCARD', READY)
  call('ZCARD', DEAD)
  call('HLEN', META)
  call('HLEN', UNIQUE)
end

-- Brings the queue up to date; true if there may be more to do. Who is woken
-- for what has become ready need not be who asked: that may only have looked.
local function tick()
  local lapsed, expired = due(LEASED), due(TTL)
  local came, let = due(DELAYED), due(HOLD)
  local most = math.max(#lapsed, #expired, #came, #let)
  if most == 0 then return false end
  sound()
  each(lapsed, lapse)
  each(expired, expire)
  each(came, come_due)
  each(let, let_go)
  if #lapsed + #came > 0 then wake() end
  return most == BATCH
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

-- After a change: who waits is told, also of a job that is delayed: it learns
-- when that is due.
local function settle(delayed)
  local ready = call('ZCARD', READY) > 0
  if ready or delayed then wake() end
  if not ready and call('ZCARD', DELAYED) + call('ZCARD', LEASED) == 0 then
    try('ZADD', P..':idle', 0, 'i')
  end
end
]==]

-- Only where it is used: making the list takes longer than a command.
local RECORDS = [==[
local FIELDS = {'b', 'f', 'p', 'n', 'm', 't', 'c', 'l', 'u', 'e', 's', 'x'}
-- The body is nil if it has no hash.
local function record(id, state, score)
  local v = read('HMGET', job(id), unpack(FIELDS))
  v[12], v[13], v[14] = id, state or v[11], score or false
  return v
end
]==]

-- What calls returned, in case they are asked again. A client takes out what
-- it has the reply of, a call or more later; what nobody takes out goes by
-- itself. Taken out last: who writes first may use memory that there is not.
local CALLS = [==[
local CALLS = P..':calls:'..ARGV[1]
local function remember(text)
  if text then call('HSET', CALLS, ARGV[2], text) end
  if ARGV[3] ~= '' then call('HDEL', CALLS, ARGV[3]) end
  if ARGV[4] ~= '' then call('EXPIRE', CALLS, 600) end
end
]==]

local function define(name, body)
  scripts[name] = PRELUDE .. body
end

-- ARGV: maxsize, lease, max_attempts; '' keeps what is stored. What stays as
-- it is is not written, which a server without memory refuses. Then tries out,
-- with what such a server does not refuse first, whether all is permitted that
-- the scripts do: what is found out in the middle of one leaves it half done.
-- A server that takes no writes for now may still be looked at.
define("queue", [==[
for i, name in ipairs({'maxsize', 'lease', 'max_attempts'}) do
  local stored = call('HGET', META, name)
  local wanted = ARGV[i] ~= '' and ARGV[i] or stored or DEFAULTS[i]
  if stored ~= wanted then call('HSET', META, name, wanted) end
end
local probe = P..':probe'
for _, command in ipairs({
  'DEL', 'HSET a 1', 'EXPIRE 60', 'HINCRBY a 1', 'HGET a', 'HMGET a', 'HLEN',
  'HDEL a', 'ZADD 0 a', 'EXPIRE 60', 'ZSCORE a', 'ZCARD', 'ZRANGE 0 0',
  'ZRANGEBYSCORE 0 0', 'ZREM a', 'ZPOPMIN', 'EXISTS',
}) do
  local words = {}
  for word in string.gmatch(command, '%S+') do words[#words + 1] = word end
  local v = try(words[1], probe, unpack(words, 2))
  local met = type(v) == 'table' and v.err
  if met then
    if string.find(met, 'MISCONF') or string.find(met, 'NOREPLICAS') then
      break
    end
    call(words[1], probe, unpack(words, 2)) -- raises it
  end
end
return {now}
]==])

-- KEYS[1] is the set of the names of all queues. ARGV: name. What is there is
-- not written, as above. Returns now.
define("enlist", [==[
if call('SISMEMBER', P, ARGV[1]) == 0 then call('SADD', P, ARGV[1]) end
return {now}
]==])

-- ARGV: client, number of the call, number of one whose reply it has or '',
-- 1 to keep what it has for ten minutes or '', then nine for each job: body,
-- format, priority, delay, ttl, lease, max_attempts, unique, unique_for; ''
-- is the default. Returns now, ids, negative if it was there already; or now,
-- 'full'.
define("put", CALLS .. [==[
local known = call('HGET', CALLS, ARGV[2])
if known then
  local result = {}
  for id in string.gmatch(known, '%S+') do result[#result + 1] = num(id) end
  return result
end
local settings = call('HMGET', META, 'maxsize', 'lease', 'max_attempts',
  'ahead')
if not settings[1] then -- FLUSHALL
  for i, v in ipairs(DEFAULTS) do settings[i] = settings[i] or v end
end
local ids, fresh, named = {}, 0, {}
local ticked, timed = false, false
for a = 5, #ARGV, 9 do
  local u, id = ARGV[a + 7], false
  if u ~= '' then
    if not ticked and tick() then return AGAIN end -- it may be free again
    ticked = true
    id = call('HGET', UNIQUE, u) or named[u] or false
    named[u] = id or 'new'
  end
  ids[#ids + 1] = id
  if ARGV[a + 3] ~= '' or ARGV[a + 4] ~= '' then timed = true end
  if not id then fresh = fresh + 1 end
end
local most = num(settings[1])
if most > 0 and fresh > 0 then
  if tick() then return AGAIN end -- what has outlived its ttl makes room
  if call('ZCARD', READY) + call('ZCARD', DELAYED) + fresh > most then
    return {now, 'full'}
  end
end
local last
if fresh > 0 then
  call('ZCARD', READY) -- is it sound?
  if timed then call('ZCARD', DELAYED) call('ZCARD', TTL) end
  -- Written first: a server without memory refuses only the first.
  local puts = call('HINCRBY', META, 'puts', fresh)
  local taken = try('INCRBY', 'sluice:ids', fresh)
  local ahead = num(settings[4], 0)
  if type(taken) == 'number' and taken - puts > ahead then
    ahead = taken - puts
    call('HSET', META, 'ahead', ahead)
  end
  last = 1e9 + puts + ahead - fresh
end

local function add(id, a)
  local delay, ttl = num(ARGV[a + 3], 0), num(ARGV[a + 4])
  call('HSET', job(id), 'b', ARGV[a], 'f', ARGV[a + 1], 'p', ARGV[a + 2],
    'n', 0, 't', 0, 'c', now,
    'l', ARGV[a + 5] ~= '' and ARGV[a + 5] or settings[2],
    'm', ARGV[a + 6] ~= '' and ARGV[a + 6] or settings[3],
    's', delay > 0 and 'delayed' or 'ready')
  if delay > 0 then
    call('ZADD', DELAYED, now + delay, id)
  else
    call('ZADD', READY, ARGV[a + 2], id)
  end
  if ttl then
    call('HSET', job(id), 'x', now + ttl)
    call('ZADD', TTL, now + ttl, id)
  end
end

local function name(id, a)
  local u, hold = ARGV[a + 7], num(ARGV[a + 8])
  named[u] = id
  call('HSET', job(id), 'u', u)
  call('HSET', UNIQUE, u, id)
  if hold then call('ZADD', HOLD, now + hold, u) end
end

local result = {now}
for i = 1, #ids do
  local a, id = i * 9 - 4, ids[i]
  if id == 'new' then id = named[ARGV[a + 7]] end
  if id then
    result[i + 1] = -num(id)
  else
    last = last + 1
    id = string.format('%016.0f', last)
    add(id, a)
    if ARGV[a + 7] ~= '' then name(id, a) end
    result[i + 1] = last
  end
end
if fresh > 0 then
  -- Also for one that is delayed: who waits learns when it is due.
  wake()
  call('DEL', P..':idle')
end
-- What put nothing changed nothing, and may as well happen when it is asked
-- again: so it needs no memory.
remember(fresh > 0 and table.concat(result, ' '))
return result
]==])

-- ARGV: as of put up to the fourth, how many. Returns now, ms until something
-- is due, 1 if paused, records. Asked again, it returns what is still leased
-- as it was; if nothing is, the leases ended before the reply came through,
-- and it looks anew, or the client would ask in vain for ever.
define("reserve", CALLS .. RECORDS .. [==[
local known = call('HGET', CALLS, ARGV[2])
if tick() then return AGAIN end
local jobs = {}
if known then
  for id, token in string.gmatch(known, '(%d+) (%d+)') do
    local till = call('ZSCORE', LEASED, id)
    if till and call('HGET', job(id), 't') == token then
      jobs[#jobs + 1] = record(id, 'leased', till)
    end
  end
  if #jobs > 0 then return {now, 0, 0, jobs} end
end
if call('HGET', META, 'paused') == '1' then
  return {now, next_due(), 1, jobs}
end
local picked = call('ZPOPMIN', READY, ARGV[5])
local note = {}
for i = 1, #picked, 2 do
  local id = picked[i]
  local key = job(id)
  local v = read('HMGET', key, unpack(FIELDS))
  local lease = num(v[8])
  if lease then
    local till = now + lease
    v[4], v[6] = num(v[4]) + 1, num(v[6]) + 1
    call('HSET', key, 'n', v[4], 't', v[6], 's', 'leased')
    call('ZADD', LEASED, till, id)
    if v[12] then call('ZREM', TTL, id) end
    v[12], v[13], v[14] = id, 'leased', tostring(till)
    jobs[#jobs + 1] = v
    note[#note + 1] = id..' '..v[6]
  end
end
if #picked > 0 and #jobs == 0 then return AGAIN end -- none had its hash
if #jobs > 0 then remember(table.concat(note, ',')) end
if call('ZCARD', READY) > 0 then wake() else call('DEL', WAKE) end
return {now, #jobs > 0 and 0 or next_due(), 0, jobs}
]==])

-- Returns now, ms until something is due, how many jobs there are to be had.
define("due", [==[
if tick() then return AGAIN end
local paused = call('HGET', META, 'paused') == '1'
return {now, next_due(), paused and 0 or call('ZCARD', READY)}
]==])

-- Tells those who wait again. Returns now.
define("settle", [==[
settle()
return {now}
]==])

-- ARGV: verb, milliseconds, error, then id and token of each. Returns now,
-- indexes of those that are not leased so, the last deadline. Each is taken
-- out first, also to be put in again: what begins so is not refused when the
-- server has no memory left.
define("finish", [==[
if tick() then return AGAIN end
sound()
local verb, ms, why = ARGV[1], num(ARGV[2], 0), ARGV[3]
local lost, till, acks = {}, 0, 0
for i = 4, #ARGV, 2 do
  local id = ARGV[i]
  if read('HGET', job(id), 't') ~= ARGV[i + 1] or
    call('ZREM', LEASED, id) == 0 then
    lost[#lost + 1] = (i - 4) / 2 + 1
  elseif verb == 'touch' then
    till = now + (ARGV[2] ~= '' and ms or num(call('HGET', job(id), 'l')))
    call('ZADD', LEASED, till, id)
  elseif verb == 'ack' then
    gone(id)
    acks = acks + 1
  elseif verb == 'release' then
    call('HINCRBY', job(id), 'n', -1)
    come_back(id, ms)
  elseif verb == 'nack' then
    failed(id, ms, why)
  else
    enter_dead(id, why)
  end
end
if acks > 0 then count('acks', acks) end
if verb ~= 'touch' and #lost < (#ARGV - 3) / 2 then settle(ms > 0) end
return {now, lost, till}
]==])

-- ARGV: id. Returns now and 'ok', 'leased' or 'not_found'.
define("cancel", [==[
if tick() then return AGAIN end
sound()
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
if tick() then return AGAIN end
sound()
local ids = {ARGV[2]}
if ARGV[2] == '' then
  ids = call('ZRANGE', DEAD, 0, math.min(num(ARGV[1]), 5000) - 1)
end
local n = 0
for _, id in ipairs(ids) do
  if call('ZREM', DEAD, id) == 1 and priority(id) then
    call('HSET', job(id), 'n', 0)
    come_back(id, 0)
    n = n + 1
  end
end
if n > 0 then settle() end
if n == 0 and ARGV[2] == '' and #ids > 0 then return AGAIN end -- no hashes
return {now, n}
]==])

-- ARGV: state, how many. Returns now, records.
define("peek", RECORDS .. [==[
if tick() then return AGAIN end
local got = call('ZRANGE', P..':'..ARGV[1], 0, ARGV[2] - 1, 'WITHSCORES')
local list = {}
for i = 1, #got, 2 do
  local v = record(got[i], ARGV[1], got[i + 1])
  if v[1] then list[#list + 1] = v end
end
return {now, list}
]==])

-- ARGV: id. Returns now, the record if there is one.
define("job", RECORDS .. [==[
if tick() then return AGAIN end
local id = ARGV[1]
local state = call('HGET', job(id), 's')
if not state then return {now} end
return {now, record(id, state, call('ZSCORE', P..':'..state, id))}
]==])

-- ARGV: '1' or '0'. Returns now. Also when there is no memory: see finish.
define("pause", [==[
call('HDEL', META, 'paused')
if ARGV[1] == '1' then call('HSET', META, 'paused', '1') else settle() end
return {now}
]==])

-- ARGV: state. Returns now, how many of a batch, how many are left.
define("purge", [==[
if tick() then return AGAIN end
sound()
local key = P..':'..ARGV[1]
local ids = call('ZRANGE', key, 0, 2 * BATCH - 1)
for _, id in ipairs(ids) do
  call('ZREM', key, id)
  call('ZREM', TTL, id)
  gone(id)
end
if #ids > 0 then
  count('cancelled', #ids)
  settle()
end
return {now, #ids, call('ZCARD', key)}
]==])

-- Returns now, the numbers of each state, ms until something is due, whether
-- it is paused, counters.
define("stats", [==[
if tick() then return AGAIN end
local v = call('HMGET', META, 'puts', 'acks', 'retries', 'expired',
  'cancelled', 'paused')
return {now, call('ZCARD', READY), call('ZCARD', DELAYED),
  call('ZCARD', LEASED), call('ZCARD', DEAD), next_due(),
  num(v[6], 0), num(v[1], 0), num(v[2], 0), num(v[3], 0), num(v[4], 0),
  num(v[5], 0)}
]==])

return scripts
