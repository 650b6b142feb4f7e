-- The program that http_interop_spec has other programs talk to: a process of
-- its own, at a port that it prints, and at a Unix socket beside its own
-- file. CERT and KEY, if there are such globals, are those of TLS.
local http = require "sluice.http"
local sluice = require "sluice"

local app = http.App { max_body = 4 << 20 }
local big = ("0123456789abcdef"):rep(1 << 17) -- 2 MiB

local function list(t)
  local lines = {}
  for name, value in pairs(t) do
    if type(value) == "table" then -- a file
      value = ("%s %s %d %s"):format(value.filename, value.content_type,
        value.size, value.path and "on disk" or "in memory")
    end
    lines[#lines + 1] = ("%s=%s\n"):format(name, value)
  end
  table.sort(lines)
  return table.concat(lines)
end

app:get("/", function() return "hello\n" end)
app:get("/big", function() return big end)
app:get("/n/{n}", function(request) return request.params.n end)
app:get("/query", function(request) return list(request.query) end)
app:get("/headers", function(request) return list(request.headers) end)
app:get("/missing", function() return 404, "nothing here\n" end)
app:get("/path/{rest*}", function(request) return request.path end)

app:post("/echo", function(request)
  return 200, request:text(), { ["Content-Type"] = "application/x-echo" }
end)

app:post("/form", function(request)
  local form, message = request:form()
  return form and list(form) or 400, message
end)

app:post("/json", function(request)
  local value, message = request:json()
  if message then return 400, message end
  return { got = value }
end)

-- Read in pieces, never held.
local function count(request)
  local size, zeros = 0, 0
  for piece in function() return request:read() end do
    size = size + #piece
    zeros = zeros + select(2, piece:gsub("\0", ""))
  end
  return 201, ("%d bytes, %d of them 0\n"):format(size, zeros)
end
app:put("/upload/{name}", count)
app:post("/upload", count)

app:get("/ticks", function()
  local n = 0
  return function()
    n = n + 1
    if n > 1 then sluice.sleep(0.02) end
    return n <= 3 and ("tick %d\n"):format(n) or nil
  end
end)

-- This program, as a file.
app:get("/file", function(request) return http.file(request, arg[0]) end)

-- Ends after two events; who comes again is told what it saw last.
app:get("/events", function(request)
  local last = tonumber(request.headers["last-event-id"]) or 0
  return http.event_stream(function(events)
    events:send { retry = 0.01 }
    for n = last + 1, last + 2 do
      events:send { event = "tick", id = n, data = { n = n } }
      sluice.sleep(0.01)
    end
  end)
end)

app:post("/away", function() return 303, nil, { Location = "/" } end)
app:get("/away", function() return 302, nil, { Location = "/n/1" } end)

app:get("/late", function()
  sluice.sleep(0.05)
  return "late\n"
end)

-- A page that asks in the ways that pages ask, and shows what it got. Its
-- image comes when it has, so that the page is not loaded before.
local PAGE = [[
<!doctype html><title>page</title><pre id="out"></pre><img src="/image">
<script>
const out = [], say = (...words) => out.push(words.join(" "));
async function ask() {
  let answer = await fetch("/json", {method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify({a: [1, "ä"]})});
  say("json", answer.status, JSON.stringify(await answer.json()));
  answer = await fetch("/form", {method: "POST",
    body: new URLSearchParams({a: "1 2", b: "ä%"})});
  say("form", (await answer.text()).trim().replaceAll("\n", " "));
  const data = new FormData();
  data.append("text", "ä");
  data.append("file", new File(["x".repeat(100000)], "ä.txt"));
  answer = await fetch("/form", {method: "POST", body: data});
  say("parts", (await answer.text()).trim().replaceAll("\n", " "));
  const all = await Promise.all([...Array(30).keys()].map(
    i => fetch("/n/" + i).then(a => a.text())));
  say("parallel", all.join(" "));
  answer = await fetch("/ticks");
  say("stream", (await answer.text()).trim().replaceAll("\n", " "));
  answer = await fetch("/big");
  say("big", (await answer.arrayBuffer()).byteLength);
  answer = await fetch("/upload/x", {method: "PUT",
    body: new Uint8Array(100000)});
  say("upload", (await answer.text()).trim());
  say("events", await new Promise(resolve => {
    const seen = [], source = new EventSource("/events");
    source.addEventListener("tick", event => {
      seen.push(event.lastEventId + event.data);
      if (seen.length < 5) return; // it has come again twice
      source.close();
      resolve(seen.join(" "));
    });
  }));
  answer = await fetch("/missing");
  say("missing", answer.status);
}
ask().catch(error => say("failed", error)).then(() => {
  document.getElementById("out").textContent = out.join("\n");
  return fetch("/shown");
});
</script>
]]
local shown = sluice.Event()
app:get("/page", function()
  return 200, PAGE, { ["Content-Type"] = "text/html; charset=utf-8" }
end)
app:get("/shown", function() shown:set() end)
app:get("/image", function() shown:wait(20) end)

app:on_startup(function()
  local path = arg[0]:gsub("%.lua$", ".sock")
  local beside = http.App()
  beside:get("/", function(request) return "at " .. request.peer .. "\n" end)
  local server = assert(beside:serve { unix = path })
  app:on_shutdown(function()
    server:close()
    server:wait_closed()
  end)
end)

app:run {
  port = 0, tls = CERT and { cert = CERT, key = KEY }, -- luacheck: ignore
  on_listen = function(_, port)
    print("port " .. port)
    io.stdout:flush()
  end,
}
