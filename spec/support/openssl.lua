--- The `openssl` command as the other end of a connection.
--
-- The processes run beside this one; what they print is read when they have
-- ended, or are made to end.

local openssl = {}

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function join(arguments)
  local quoted = {}
  for i, argument in ipairs(arguments) do quoted[i] = quote(argument) end
  return table.concat(quoted, " ")
end

local function kill(pid) os.execute("kill " .. pid .. " 2>/dev/null") end

--- A to-be-closed server, of arguments of s_server and `cert`, a certificate;
-- its `port`. `output` ends it and returns what it printed.
function openssl.server(arguments)
  local cert = arguments.cert
  local pipe = io.popen(("echo $$; exec timeout 60 openssl s_server "
    .. "-rev -accept 127.0.0.1:0 -cert %s -key %s %s 2>&1 </dev/null"):format(
    cert.cert, cert.key, join(arguments)))
  local pid = pipe:read()
  local port
  repeat
    local line = assert(pipe:read())
    port = line:match("^ACCEPT .*:(%d+)$")
  until port
  local server = { port = tonumber(port) }
  function server:output()
    kill(pid)
    local text = pipe:read("a")
    pipe:close()
    return text
  end
  return setmetatable(server, { __close = function()
    kill(pid)
    if io.type(pipe) == "file" then pipe:close() end
  end })
end

--- A to-be-closed client of the port, of arguments of s_client and `input`, a
-- shell command whose output it sends; without, it sends nothing and ends.
-- `output` waits until it has ended.
function openssl.client(port, arguments)
  local pipe = io.popen(("%s | timeout 60 openssl s_client -connect "
    .. "127.0.0.1:%d %s 2>&1"):format(arguments.input or ":", port,
    join(arguments)))
  return setmetatable({
    output = function() return pipe:read("a") end,
  }, { __close = function() pipe:close() end })
end

return openssl
