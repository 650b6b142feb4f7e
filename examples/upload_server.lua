-- An upload server: what a client sends, up to its end, is one upload. It is
-- collected while another task waits for the upload's event; at the end that
-- task writes the whole to standard output, byte for byte, one upload after
-- the other. What happens is told on standard error.
--
--   sluice examples/upload_server.lua > received
--   cat file | nc -N localhost 9000                # in another terminal
--
-- With --output each upload is written to a file as it comes, in constant
-- memory, however long it is. PATH is a file, which the last whole upload
-- replaces, or a directory, in which each becomes a file upload-N.
--
--   sluice examples/upload_server.lua --output /tmp/upload
--   head -c 1G /dev/zero | nc -N localhost 9000
--
-- Options: --host localhost, --port 9000 (0 picks one), --output PATH,
-- --limit 16 mebibytes of an upload that are collected in memory,
-- --connections 64 at once (more wait), --timeout 60 seconds without a byte.
-- Ctrl-C or SIGTERM ends it; an upload that is not whole by then is dropped.

local sluice = require "sluice"
local net = require "sluice.net"
local lib = arg[0]:gsub("[^/]*$", "lib/")
local options, _, tell = dofile(lib .. "example.lua") {
  host = "localhost", port = 9000, output = "", limit = 16,
  connections = 64, timeout = 60,
}
local stores = dofile(lib .. "upload_stores.lua")

-- Bytes taken at a time. Writing so few to a file does not keep the other
-- tasks waiting for long.
local CHUNK = 65536

local new_store = options.output == ""
  and stores.in_memory(options.limit * 1048576)
  or stores.in_files(options.output)
local count, current = 0, 0

--- Waits for the upload's event, and delivers it. A delivery that has begun
-- is not cut short by Ctrl-C.
local function deliver(upload)
  upload.done:wait()
  local where, message = sluice.shield(upload.store.finish, upload.store)
  if where then
    tell("upload %d: %d bytes %s", upload.number, upload.size, where)
  else
    tell("upload %d: failed: %s", upload.number, message)
  end
end

--- Collects until the client ends: true; or nil and why it is not whole.
local function collect(stream, upload)
  while true do
    local data, reason, code = stream:read(CHUNK, options.timeout)
    if not data and reason == "eof" then return true end
    if not data and reason == "timeout" then
      return nil, ("nothing came for %g seconds"):format(options.timeout)
    end
    if not data then return nil, ("%s (%s)"):format(reason, code) end
    local kept, message = upload.store:put(data)
    if not kept then return nil, message end
    upload.size = upload.size + #data
  end
end

--- Lets the client read why its upload was refused: it may still be sending,
-- and what it sends after a close would cost it the message.
local function refuse(stream, message)
  stream:write(message .. "\n", 1)
  stream:shutdown()
  sluice.wait_for(1, function()
    while stream:read(CHUNK) do end
  end)
end

local function begin(stream)
  count = count + 1
  local host, port = stream:peername() -- nil if the client is gone already
  tell("upload %d: from %s port %s", count, host or "?", host and port or "?")
  return { number = count, size = 0, done = sluice.Event() }
end

--- The task of a connection.
local function receive(stream)
  current = current + 1
  local _ <close> = setmetatable({}, {
    __close = function() current = current - 1 end,
  })
  local upload = begin(stream)
  local store <close>, message = new_store(upload.number)
  upload.store = store
  local whole
  if store then
    local deliverer = sluice.create_task(deliver, upload)
    whole, message = collect(stream, upload)
    if whole then
      store.whole = true
      upload.done:set()
      return
    end
    deliverer:cancel()
  end
  tell("upload %d: dropped after %d bytes: %s", upload.number, upload.size,
    message)
  refuse(stream, message)
end

local function check_integer(name, least, most)
  local value = math.tointeger(options[name])
  if value and value >= least and value <= most then return value end
  tell("--%s: not an integer from %d to %d: %s", name, least, most,
    options[name])
  os.exit(2)
end

local port = check_integer("port", 0, 65535)
local connections = check_integer("connections", 1, 1000000)
local signals <close> = sluice.Signal("SIGINT", "SIGTERM")
local server <close>, message = net.serve(receive, options.host, port,
  { max_connections = connections })
if not server then
  tell("cannot listen at %s port %d: %s", options.host, port, message)
  os.exit(1)
end
tell("listening at %s port %d", server:sockname())
signals:wait()
server:close()
tell("closing: %d uploads, %d of them not whole", count, current)
