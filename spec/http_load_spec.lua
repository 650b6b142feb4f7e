local support = require "spec.support.http"

local session = support.session

-- As examples/order_api.lua: an order is put on a queue, and its worker notes
-- it in a file. What was answered is noted, too.
local SERVER = [[
local http, sluice = require "sluice.http", require "sluice"
local base = arg[0]:gsub("%.lua$", "")
local handled = assert(io.open(base .. ".handled", "w"))
local done = assert(io.open(base .. ".done", "w"))
local app, orders = http.App(), sluice.Queue(10)
app:post("/order", function(request)
  local id = request:text()
  if not id then return 400 end
  if not sluice.pcall(orders.put, orders, id) then return 503, id end
  sluice.sleep(math.random() * 0.01)
  handled:write(id, "\n")
  return 202, id
end)
app:on_startup(function()
  for _ = 1, 5 do
    sluice.create_task(function()
      for id in orders do
        sluice.sleep(math.random() * 0.002)
        done:write(id, "\n")
        orders:task_done()
      end
    end)
  end
end)
app:on_shutdown(function()
  io.stderr:write "shutdown\n"
  orders:shutdown()
  orders:join()
end)
app:run {
  port = 0, on_listen = function(_, port)
    print("port " .. port)
    io.stdout:flush()
  end,
}
handled:close()
done:close()
]]

-- PORT KIND: 64 clients that send orders until they are refused; each notes
-- the orders that were accepted. Prints `busy` after the first thousand.
local CLIENTS = [[
local net, sluice = require "sluice.net", require "sluice"
local port, kind = math.tointeger(tonumber(arg[1])), arg[2]
local abreast = kind == "pipelined" and 4 or 1
local accepted = assert(io.open(arg[0]:gsub("%.clients$", ".accepted"), "w"))
local HEAD = "POST /order HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n"
local close = kind == "closing" and "Connection: close\r\n" or ""
local answers, faults = 0, 0

local function count(id, status, body)
  answers = answers + 1
  if answers == 1000 then print "busy" io.stdout:flush() end
  if body ~= id then faults = faults + 1 end
  if status == "202" then accepted:write(id, "\n") end
end

local function receive(stream, id)
  local head = stream:readuntil "\r\n\r\n"
  if not head then return false end
  local length = tonumber(head:match "Content%-Length: (%d+)")
  count(id, head:match "^HTTP/1.1 (%d+)", stream:readexactly(length))
  return not head:find "Connection: close"
end

local function send(stream, client, n)
  local ids, requests = {}, {}
  for i = 1, abreast do
    ids[i] = ("%d-%d-%d"):format(client, n, i)
    requests[i] = HEAD:format(#ids[i], close) .. ids[i]
  end
  if not stream:write(table.concat(requests)) then return false end
  for i = 1, abreast do
    if not receive(stream, ids[i]) then return false end
  end
  return true
end

local function order(client)
  local n = 0
  while true do
    local stream <close> = net.connect("127.0.0.1", port)
    if not stream then return end
    repeat n = n + 1 until not send(stream, client, n)
  end
end

sluice.run(function()
  local clients = {}
  for i = 1, 64 do clients[i] = function() order(i) end end
  sluice.gather(clients)
end)
accepted:close()
print("faults " .. faults)
]]

local SCRIPT = [[
cat >$0.clients <<'END'
%s
END
${LUA:-lua5.4} $0.clients $PORT %s >$0.said &
CLIENTS=$!
for _ in $(seq 400); do grep -q busy $0.said && break; sleep 0.02; done
stop
status
wait $CLIENTS
cat $0.said
sort $0.accepted >$0.a; sort $0.done >$0.d; sort $0.handled >$0.h
echo "twice $(uniq -d $0.d | wc -l)"
echo "not done $(comm -23 $0.a $0.d | wc -l)"
echo "done and not answered $(comm -13 $0.a $0.h | wc -l)"
test $(wc -l <$0.a) -ge 900 && echo many
rm -f $0.clients $0.said $0.accepted $0.done $0.handled $0.a $0.d $0.h
]]

describe("SIGTERM under load", function()
  local function stops_well(kind)
    local output, errors = session(SERVER, SCRIPT:format(CLIENTS, kind))
    assert.equal("status 0\nbusy\nfaults 0\ntwice 0\nnot done 0\n"
      .. "done and not answered 0\nmany\n", output:gsub(" +(%d)", " %1"))
    assert.equal("shutdown\n", errors)
  end

  it("answers all that was accepted, once: kept connections", function()
    stops_well "kept"
  end)

  it("answers all that was accepted, once: pipelines", function()
    stops_well "pipelined"
  end)

  it("answers all that was accepted, once: new connections", function()
    stops_well "closing"
  end)

  it("ends at once when it comes again", function()
    local slow = SERVER:gsub("sluice%.sleep%(math%.random%(%) %* 0%.01%)",
      'io.stderr:write("came ", id, "\\n") sluice.sleep(100)')
    local output = session(slow, [[
      for i in 1 2 3 4 5; do curl -d $i $URL/order >/dev/null & done
      for i in 1 2 3 4 5; do await "came $i"; done
      stop; await shutdown; stop; status
      rm -f $0.done $0.handled
    ]])
    assert.equal("status 143\n", output)
  end)
end)

describe("as many idle connections as there may be", function()
  local function read_file(path)
    local file <close> = assert(io.open(path))
    return file:read "a"
  end

  -- As many as the limit of open files allows, and at most ten thousand.
  it("are all served", function()
    local server = "arg = { 10000 }\n"
      .. read_file "bench/http/idle_server.lua"
    local output = session(server, [[
      most=$(($(ulimit -n) - 100))
      [ $most -gt 10000 ] && most=10000
      echo | ${LUA:-lua5.4} bench/http/crowd.lua $PORT $most >$0.crowd
      grep -q "^answered $most$" $0.crowd && echo all
      curl $URL/ && echo; rm $0.crowd
      stop; status
    ]])
    assert.equal("all\nhello\nstatus 0\n", output)
  end)
end)
