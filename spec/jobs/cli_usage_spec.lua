-- sluice jobs: what is wrong with a command line or a store, and the table on
-- a terminal.

local child = dofile "examples/lib/child.lua"
local jobs = require "sluice.jobs"
local process = require "spec.support.process"
local redis = require "spec.support.redis"
local sluice = require "sluice"
local sqlite = require "spec.support.engines.sqlite"
local text = require "sluice.jobs.cli_text"

local LUA = os.getenv "LUA" or "lua5.4"

local function run(...)
  return process.command { LUA, "bin/sluice", "jobs", ... }
end

local function fails(status, message, ...)
  local result = run(...)
  assert.equal("", result.stdout)
  assert.equal(status, result.status)
  assert.truthy(result.stderr:find("sluice jobs: " .. message, 1, true),
    result.stderr)
end

describe("sluice jobs", function()
  it("tells its commands, in 80 columns", function()
    local result = run("--help")
    assert.same({ 0, "" }, { result.status, result.stderr })
    for _, name in ipairs { "stats", "peek", "dead", "kick", "cancel",
      "purge", "pause", "resume", "check", "watch" } do
      assert.truthy(result.stdout:find("\n  " .. name .. " "))
    end
    for line in result.stdout:gmatch "[^\n]+" do
      assert.is_true(#line <= 80)
    end
  end)

  it("ends with 2 when the command line is wrong", function()
    local url = "redis://127.0.0.1:1"
    fails(2, "it needs the URL of a store")
    fails(2, "'orders.db' is not the URL of a job store (sqlite:PATH",
      "orders.db")
    fails(2, "'' is no path for a job store", "sqlite:")
    fails(2, "memory: lies in the process that opened it", "memory:")
    fails(2, "there is no command 'state'", url, "state")
    fails(2, "there is no option '--xml'", url, "--xml")
    fails(2, "--json takes no value", url, "--json=1")
    fails(2, "--count needs a number", url, "--count", "-1")
    fails(2, "-i needs a number of seconds", url, "watch", "-i")
  end)

  it("ends with 2 when a command lacks something", function()
    local url = "redis://127.0.0.1:1"
    fails(2, "peek needs the name of a queue", url, "peek")
    fails(2, "'idle' is neither ready", url, "peek", "orders", "idle")
    fails(2, "'-1' is neither a number of jobs", url, "kick", "orders", "--",
      "-1")
    fails(2, "'17' is not the id of a job", url, "cancel", "orders", "17")
    fails(2, "leased jobs belong to who works on them", url, "purge",
      "orders", "leased")
    fails(2, "check does not take 'orders'", url, "check", "orders")
  end)

  it("ends with 1 when the store cannot be reached", function()
    local url = "redis://:secret@127.0.0.1:1/"
    fails(1, "cannot open redis://***@127.0.0.1:1/: ", url)
  end)

  it("ends quietly when nobody reads on", function()
    local gone = os.tmpname()
    local result = process.command { "sh", "-c", [[
      rm "$1"
      { until [ -e "$1" ]; do :; done
        "$0" bin/sluice jobs --help; echo $? >&2; } | { exec <&-; : >"$1"; }
      rm "$1"]], LUA, gone }
    assert.equal("0\n", result.stderr)
  end)

  if io.open "/dev/full" then -- Linux, and some others
    it("ends with 1 when its words cannot be written", function()
      local result = process.command { "sh", "-c",
        '"$0" bin/sluice jobs --help >/dev/full', LUA }
      assert.equal(1, result.status)
      assert.matches("cannot write what was printed: No space left",
        result.stderr)
    end)
  end

  it("makes no file by looking for it", function()
    local path = os.tmpname()
    os.remove(path)
    fails(1, "there is no job store: " .. path, "sqlite:" .. path)
    assert.is_nil(io.open(path))
  end)

  it("makes no store of an empty file", function()
    local path = sqlite.path()
    assert(io.open(path, "w")):close()
    fails(1, "there is no job store: " .. path, "sqlite:" .. path)
    assert.is_nil(io.open(path .. "-lock"))
    sqlite.clean()
  end)

  it("gives JSON where lua-cjson is not installed", function()
    local path = sqlite.path()
    sluice.run(function()
      local store <close> = assert(jobs.open("sqlite:" .. path))
      store:queue("orders"):put { 1 }
    end)
    local result = process.command { LUA, "-e",
      "package.preload.cjson = function() error 'it is not there' end",
      "bin/sluice", "jobs", "sqlite:" .. path, "peek", "orders", "-j" }
    sqlite.clean()
    assert.same({ 0, "" }, { result.status, result.stderr })
    assert.truthy(result.stdout:find('"body":[1]}', 1, true))
  end)

  it("shows no password, wherever the mistake is", function()
    for _, url in ipairs { "redis://u:se/cret@host", "redis://u:se?c@host",
      "redys://u:se/cret@host", "redis9://u:secret@host" } do
      local result = run(url)
      assert.equal(2, result.status)
      assert.truthy(result.stderr:find("***@host", 1, true), result.stderr)
      assert.is_nil(result.stderr:find "u:s")
    end
  end)

  it("tells how the C modules are made where they are missing", function()
    local result = process.command { "env", "LUA_CPATH=/nowhere/?.so",
      "SLUICE_BUILD=/nowhere", LUA, "bin/sluice", "jobs", "--help" }
    assert.equal(1, result.status)
    assert.truthy(result.stderr:find "^sluice: .*`make build` makes them\n$")
  end)

  it("is not in the way of a script of that name", function()
    local dir <const> = io.popen("mktemp -d"):read "l"
    local file = assert(io.open(dir .. "/jobs", "w"))
    file:write "print(arg[0], ...)"
    file:close()
    local launcher = io.popen("pwd"):read "l" .. "/bin/sluice"
    local result = process.command { "sh", "-c",
      'cd "$0" && "$1" "$2" ./jobs peek', dir, LUA, launcher }
    assert.equal("./jobs\tpeek\n", result.stdout)
    os.execute("rm -rf " .. dir)
  end)
end)

describe("sluice jobs over a file", function()
  -- Runs fn(path, url) beside a new store of two jobs.
  local function case(name, fn)
    it(name, function()
      local path = sqlite.path()
      sluice.run(function()
        local store <close> = assert(jobs.open("sqlite:" .. path))
        store:queue("orders"):put_many { "body 1", "body 2" }
      end)
      fn(path, "sqlite:" .. path)
      sqlite.clean()
    end)
  end

  local function sql(path, statement)
    assert.is_true((os.execute(("sqlite3 %s '%s'"):format(path, statement))))
  end

  case("of somebody else says so", function(path, url)
    sql(path, "PRAGMA application_id=7")
    fails(1, "cannot open " .. path .. ": the database is not a job store",
      url)
  end)

  case("that is damaged ends with 1", function(path, url)
    sql(path, 'UPDATE job SET body=cast("x" AS BLOB) WHERE id=1000000002')
    fails(1, url .. ": damaged: the body of job 1000000002", url, "check")
    local result = run(url, "check", "--json")
    assert.equal(1, result.status)
    assert.truthy(result.stdout:find '^{"whole":false,"reason":"damaged",')
  end)

  case("shows which job is damaged", function(path, url)
    sql(path, 'UPDATE job SET body=cast("x" AS BLOB) WHERE id=1000000002')
    assert.truthy(run(url, "peek", "orders").stdout
      :find "\n1000000002 .* %(damaged%)\n$")
    assert.truthy(run(url, "peek", "orders", "1000000002").stdout
      :find "body +%(damaged%)\n$")
    assert.truthy(run(url, "peek", "orders", "--json").stdout
      :find('"body":null}', 1, true))
  end)
end)

-- What a terminal was sent when `sluice jobs URL watch` ran in it and got a
-- Ctrl-C after the second table.
local function watch_in_terminal(url)
  local command = ("%s bin/sluice jobs %s watch -i 0.05"):format(LUA, url)
  local typist = "sleep 0.1; until grep -q '\\[3A' \"$0\"; do "
    .. "sleep 0.05; done; printf '\\003'; sleep 0.2"
  local terminal <close> = child.start { "sh", "-c",
    ('t=$(mktemp); (sh -c "$1" $t) | script -qfec "$0" $t; s=$?; rm $t; '
      .. "echo; echo status $s"), command, typist }
  terminal:wait(10)
  return table.concat(terminal:new_lines(), "\n")
end

describe("sluice jobs URL watch", function()
  local function with_server(fn)
    return function()
      sluice.run(function()
        local server <close> = redis.start()
        local store <close> = assert(jobs.open(server.url))
        store:queue("orders"):put "x"
        assert(sluice.wait_for(30, function()
          fn(server)
          return true
        end))
      end)
    end
  end

  it("draws over the table before, and ends at Ctrl-C",
    with_server(function(server)
      local sent = watch_in_terminal(server.url)
      assert.truthy(sent:find "every 0.05s   Ctrl%-C ends")
      assert.truthy(sent:find "\27%[Korders +1 +0 +0 +0 +%- +%- +%-\r")
      assert.truthy(sent:find "\27%[3A\r.*orders +1 +0 +0 +0 +0.0 +0.0 +0.0")
      assert.truthy(sent:find "status 0")
    end))

  it("takes a line for a queue also where the terminal is narrow",
    with_server(function(server)
      local sent = watch_in_terminal(server.url)
      assert.truthy(sent:find "\27%[%?7l\27%[3A\r.-orders.-\27%[%?7h")
    end))

  it("goes on when the store is back", with_server(function(server)
    local watcher <close> = child.start { LUA, "bin/sluice", "jobs",
      server.url, "watch", "-i", "0.1" }
    local seen = ""
    local function await(pattern)
      while not seen:find(pattern) do
        seen = seen .. table.concat(watcher:new_lines(), "\n") .. "\n"
        sluice.sleep(0.02)
      end
      seen = ""
    end
    await "orders +1"
    server:kill "KILL"
    await "unavailable"
    server:start(table.unpack(server.words))
    await "orders +1"
    watcher:signal "INT"
    assert.equal(0, watcher:wait(5))
  end))

  it("ends when nobody reads", with_server(function(server)
    local result = process.command { "sh", "-c",
      '"$0" bin/sluice jobs "$1" watch -i 0.02 | head -n 2', LUA, server.url }
    assert.same({ 0, "" }, { result.status, result.stderr })
  end))
end)

describe("sluice.jobs.cli_text", function()
  it("cuts by columns", function()
    assert.equal("abc  ", text.fit("abc", 5))
    assert.equal("  abc", text.fit("abc", -5))
    assert.equal("abcd…", text.fit("abcdef", 5))
    assert.equal("ab長…", text.fit("ab長い", 5))
    assert.equal("ab… ", text.fit("ab長い", 4))
    assert.equal("長い ", text.fit("長い", 5))
    assert.equal("e\u{301}e\u{301} ", text.fit("e\u{301}e\u{301}", 3))
  end)

  it("shows the beginning of megabytes at once", function()
    local began = os.clock()
    assert.equal([[\xFF\xFF…]], text.line({ 9 }, { ("\255"):rep(2 ^ 24) }))
    assert.is_true(os.clock() - began < 1)
  end)

  it("leaves nothing that a terminal obeys", function()
    assert.equal([[a\n\t\x1B\x7F\xC2\x9B\xFFé]],
      text.clean "a\n\t\27\127\u{9B}\255é")
    assert.equal([[\xE2\x80\xAE\xE2\x81\xA6\xD8\x9C\xE2\x80\xA8]],
      text.clean "\u{202E}\u{2066}\u{61C}\u{2028}")
  end)

  it("tells counts and durations in a few columns", function()
    assert.equal("9999999", text.count(9999999))
    assert.equal("10.0M", text.count(10000000))
    assert.equal("1.5s", text.duration(1.5))
    assert.equal("3m20s", text.duration(200))
    assert.equal("2h05m", text.duration(7500))
    assert.equal("3d02h", text.duration(86400 * 3 + 7300))
  end)
end)
