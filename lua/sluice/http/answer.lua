--- sluice.http.answer: what a handler returned, made an answer.
--
-- The one idea: `send` looks once at the types and calls the connection once;
-- an answer of the usual kinds makes no table.
--
-- Internal to sluice.http. `conn` is a connection of the core or, in
-- app:test, something with its methods.

local json = require "sluice.http.json"
local producer = require "sluice.http.producer"

local answer = {}

local TEXT = "text/plain; charset=utf-8"
local JSON = "application/json"
local BINARY = "application/octet-stream"
local CLIENT_GONE = 499 -- the status for the log
local ASK = {} -- stands for a chunk that was not asked for yet

local function check_chunk(chunk)
  if type(chunk) == "string" then return end
  error(("a chunk of the body is a %s, not a string"):format(type(chunk)), 0)
end

-- Calls a function for the chunks of the body. If the client waits to be told
-- that it may send its own, the first call may have to tell it, before the
-- answer begins.
local function send_chunks(conn, status, headers, next_chunk)
  local chunk = ASK
  if conn:expects() then chunk = next_chunk() end
  local sent, wanted = conn:start(status, headers, BINARY)
  if not wanted then return sent, 0 end
  if chunk == ASK then chunk = next_chunk() end
  local bytes = 0
  while chunk ~= nil do
    check_chunk(chunk)
    if not conn:chunk(chunk) then return CLIENT_GONE, bytes end
    bytes = bytes + #chunk
    chunk = next_chunk()
  end
  conn:finish()
  return sent, bytes
end

-- Calls a function once, which writes the body.
local function send_produced(conn, status, headers, producing)
  local body <close> = producing
  local sent, wanted = conn:start(status, headers, BINARY, body.length)
  if not wanted then return sent, 0 end
  local bytes, ended = 0, false
  body.produce(function(chunk)
    -- Another task may still have the function; the connection goes on.
    if ended then return nil, "the answer has ended", "EPIPE" end
    local ok, message, code = conn:chunk(chunk)
    if ok then
      bytes = bytes + #chunk
    else
      sent = CLIENT_GONE
    end
    return ok, message, code
  end)
  ended = true
  conn:finish()
  return sent, bytes
end

local function send_body(conn, status, body, headers)
  local kind = type(body)
  if kind == "string" then
    return conn:respond(status, headers, TEXT, body)
  elseif kind == "table" then
    if producer.is(body) then
      return send_produced(conn, status, headers, body)
    end
    return conn:respond(status, headers, JSON, json.encode(body))
  elseif kind == "nil" then
    return conn:respond(status, headers, nil, "")
  elseif kind == "function" then
    return send_chunks(conn, status, headers, body)
  end
  error("a handler returned a " .. kind .. " as the body", 0)
end

-- What would be lost without a word: the message of a call that failed, and
-- headers without their status. (A string may come with a number: gsub's.) If
-- what failed is the request's body, it is known what to answer.
local function check_second(conn, first, second)
  if first == nil then
    local is_refused = not conn:limit(math.huge)
    if is_refused then return end
    error("a handler returned nil, " .. tostring(second), 0)
  elseif type(second) == "table" then
    error("a handler returned headers without a status", 0)
  end
end

--- Sends what a handler returned: `body`, or `status, body, headers`.
-- @return the status sent, and how many bytes of body
-- Waits while a long body goes out. Raises what is wrong with the values.
function answer.send(conn, first, second, third)
  local kind = type(first)
  if kind == "number" then return send_body(conn, first, second, third) end
  if second ~= nil then check_second(conn, first, second) end
  if kind == "table" then
    return conn:respond(200, nil, JSON, json.encode(first))
  elseif kind == "string" then
    return conn:respond(200, nil, TEXT, first)
  elseif kind == "nil" then
    return conn:respond(204, nil, nil, "")
  end
  return send_body(conn, 200, first)
end

--- Answers with a status and its usual words.
-- @return as send
function answer.send_status(conn, status, reason)
  return conn:respond(status, nil, TEXT, status .. " " .. reason .. "\n")
end

return answer
