-- Requests to a server beside them, by a client of their own: what is refused
-- memory ends, and gives back its place, its connection and its memory.
local common = require "common"
local sluice = common.sluice
local http = require "sluice.http"
local net = require "sluice.net"

local HEAD = "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\n"

-- Answers by what the first line asks for.
local function answer(stream, head)
  if head:find "^GET /redirect" then
    stream:write "HTTP/1.1 302 Found\r\nLocation: /\r\n\z
      Content-Length: 0\r\n\r\n"
  elseif head:find "^GET /close" then
    stream:write(HEAD .. "\r\n" .. ("x"):rep(10000))
    return false
  else
    if head:find "^POST" then stream:readuntil "\r\n0\r\n\r\n" end
    stream:write(HEAD .. "Content-Length: 5\r\n\r\nhello")
  end
  return true
end

local function serve(stream)
  repeat
    local head = stream:readuntil "\r\n\r\n"
  until not head or not answer(stream, head)
end

local function pieces()
  local n = 0
  return function()
    n = n + 1
    return n < 4 and "piece" or nil
  end
end

local function ask(client, url)
  client:get(url .. "redirect", { headers = { A = "b" }, query = { c = 1 } })
  client:post(url, pieces())
  local response <close> = client:get(url .. "close", { stream = true })
  if response then response:text() end
end

-- As it is later, so it is when it was loaded and asked once.
local function run(server)
  local client <close> = http.Client { max_per_host = 1, timeout = 100 }
  local ok, err = pcall(ask, client,
    ("http://127.0.0.1:%d/"):format(select(2, server:sockname())))
  collectgarbage()
  assert(tostring(client):find "0 of 100", tostring(client))
  if not ok then error(err, 0) end
end

local function main()
  local server <close> = net.serve(serve, "127.0.0.1", 0)
  if not server then return end
  local ok, err = pcall(run, server)
  server:close()
  server:wait_closed(100)
  if not ok then error(err, 0) end
end

common.run(main)
common.survives(main)
assert(sluice.stats().tasks == 0)
