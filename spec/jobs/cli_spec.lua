-- sluice jobs URL, run as a process beside the one that has the jobs, over
-- each engine that lasts.

local child = dofile "examples/lib/child.lua"
local engines = require "spec.support.engines"
local json = require "sluice.http.json"
local process = require "spec.support.process"
local sluice = require "sluice"

local LUA = os.getenv "LUA" or "lua5.4"
local FIRST = 1000000001

local function run(url, ...)
  return process.command { LUA, "bin/sluice", "jobs", url, ... }
end

--- The output of a command that must succeed.
local function output(url, ...)
  local result = run(url, ...)
  assert.equal("", result.stderr)
  assert.equal(0, result.status)
  for line in result.stdout:gmatch "[^\n]+" do
    assert.is_true(utf8.len(line) <= 80 or line:find "^{" ~= nil, line)
  end
  return result.stdout
end

local function fails(status, pattern, ...)
  local result = run(...)
  assert.equal(status, result.status)
  assert.truthy(result.stderr:find(pattern), result.stderr)
  return result.stdout
end

--- A queue with a job of each state: 1 dead, 2 leased, 3 and 4 ready, 5
-- delayed.
local function fill(store)
  local queue = assert(store:queue("orders", { max_attempts = 3 }))
  queue:put({ for_whom = "Ann" }, { priority = 1 })
  queue:put({ for_whom = "Bob" }, { priority = 2 })
  queue:put("red\27[31m \255", { priority = 4.5 })
  queue:put({ items = ("beer "):rep(40) }, { priority = 3, unique = "key" })
  queue:put("later", { delay = 7200 })
  queue:reserve(0):bury "no such\nitem"
  return queue, queue:reserve(0)
end

for _, engine in ipairs(engines.list) do
  if engine.lasting then
    describe("sluice jobs over " .. engine.name, function()
      setup(engine.start or function() end)
      after_each(engine.clean or function() end)
      teardown(engine.finish or function() end)

      -- busted's `it` with a store that is filled: fn(url, queue, store)
      local function on(name, fn)
        it(name, function()
          engines.run(engine, function()
            local store <close> = engines.open(engine)
            local queue <const>, leased = fill(store)
            fn(store.url, queue, store)
            assert.truthy(leased)
          end)
        end)
      end

      on("shows the figures of all queues", function(url, _, store)
        store:queue("mails"):pause()
        local text = output(url)
        assert.equal(text, output(url, "stats"))
        assert.truthy(text:find("orders +2 +1 +1 +1 +5 +0 +0\n"))
        assert.truthy(text:find("mails %(paused%) +0 +0"))
      end)

      on("shows the figures of a queue", function(url)
        local text = output(url, "stats", "orders")
        assert.truthy(text:find("^orders\n  ready +2 "))
        assert.truthy(text:find("\n  puts +5 "))
      end)

      on("gives figures in JSON", function(url)
        local value = json.decode(output(url, "stats", "--json"))
        local orders = value.queues.orders
        assert.same({ 2, 1, 1, 1, 5, false }, { orders.ready, orders.delayed,
          orders.leased, orders.dead, orders.puts, orders.paused })
      end)

      on("shows jobs in the order they would go", function(url)
        local text = output(url, "peek", "orders")
        assert.truthy(text:find("1000000004 +3 +0/3 .-\n1000000003 +4.5 +0/3"))
        assert.truthy(text:find "1000000004.-…\n")
        assert.is_nil(output(url, "peek", "orders", "-n", "1")
          :find "1000000003")
      end)

      on("shows nothing that a terminal would obey", function(url)
        local text = output(url, "peek", "orders")
        assert.truthy(text:find([[red\x1B[31m \xFF]], 1, true))
        assert.is_nil(text:find "[\27\255]")
      end)

      on("shows when a delayed job is due, how long a lease is", function(url)
        assert.truthy(output(url, "peek", "orders", "delayed")
          :find "1000000005 +0 +0/3 .* 1h5%dm  later\n")
        assert.truthy(output(url, "peek", "orders", "leased")
          :find "1000000002 +2 +1/3 .* %d%ds  {")
      end)

      on("shows one job whole", function(url)
        local text = output(url, "peek", "orders", FIRST + 2)
        assert.truthy(text:find "^job 1000000003 of orders, ready\n")
        assert.truthy(text:find("tries +0 of 3\n"))
        fails(1, "job 1000000099 of orders: there is no such job", url, "peek",
          "orders", "1000000099")
      end)

      on("gives jobs in JSON, their bodies as they were put", function(url)
        local value = json.decode(output(url, "peek", "orders", "--json"))
        assert.equal("ready", value.state)
        assert.same({ items = ("beer "):rep(40) }, value.jobs[1].body)
        assert.equal("key", value.jobs[1].unique)
        assert.equal("cmVkG1szMW0g/w==", value.jobs[2].body_base64)
      end)

      on("gives a table that JSON cannot say as bytes", function(url, queue)
        queue:put({ tag = "\255" }, { priority = -1 })
        local text = output(url, "peek", "orders", "--json", "-n", "1")
        assert.truthy(utf8.len(text))
        assert.truthy(text:find('"body_base64":"eyJ0YWciOiL/In0="', 1, true))
      end)

      on("gives JSON with no control character", function(url, queue)
        queue:put({ tag = "\27\u{9B}\127" }, { priority = -2 })
        queue:put("\27\u{9B}\127", { priority = -1 })
        local text = output(url, "peek", "orders", "--json", "-n", "2")
        local escaped = [["\u001b\u009b\u007f"]]
        assert.truthy(text:find('"body":{"tag":' .. escaped .. "}", 1, true))
        assert.truthy(text:find('"body":' .. escaped, 1, true))
      end)

      on("shows why jobs are dead", function(url)
        local text = output(url, "dead")
        assert.truthy(text:find [[^orders
id .*
1000000001 .*"Ann".*
 +error: no such\nitem
]])
        local value = json.decode(output(url, "dead", "orders", "--json"))
        assert.equal("no such\nitem", value.jobs[1].error)
      end)

      on("kicks dead jobs by number, by id and all", function(url, queue)
        assert.equal("kicked 1 dead job of orders\n",
          output(url, "kick", "orders", FIRST))
        assert.equal("kicked 0 dead jobs of orders\n",
          output(url, "kick", "orders", "all"))
        assert.equal('{"kicked":0}\n', output(url, "kick", "orders", "3", "-j"))
        assert.equal("ready", queue:job(FIRST).state)
        fails(1, "no dead job of orders has the id 1000000004", url, "kick",
          "orders", "1000000004")
      end)

      on("cancels jobs that nobody works on", function(url, queue)
        local text = fails(1, "job 1000000002: somebody works on it\n"
          .. "sluice jobs: job 1000000077: there is no such job", url,
          "cancel", "orders", FIRST + 1, FIRST + 2, "1000000077")
        assert.equal("cancelled 1 job of orders\n", text)
        assert.same({ nil, "not_found" }, { queue:job(FIRST + 2) })
      end)

      on("purges a state", function(url, queue)
        assert.equal("took 2 ready jobs out of orders\n",
          output(url, "purge", "orders", "ready"))
        assert.equal('{"purged":1}\n',
          output(url, "purge", "orders", "dead", "--json"))
        assert.equal(3, queue:stats().cancelled)
      end)

      on("pauses and resumes queues", function(url, queue)
        assert.equal("paused orders\n", output(url, "pause", "orders"))
        assert.same({ nil, "timeout" }, { queue:reserve(0) })
        assert.equal("resumed orders\n", output(url, "resume", "orders"))
        assert.is_truthy(queue:reserve(1))
      end)

      on("tells that a store is whole", function(url)
        assert.equal(url .. " is whole\n", output(url, "check"))
        assert.equal('{"whole":true}\n', output(url, "check", "--json"))
      end)

      on("makes no queue by looking for it", function(url, _, store)
        fails(1, "there is no queue 'oders'; the store has orders", url,
          "pause", "orders", "oders")
        fails(1, "there is no queue", url, "watch", "oders")
        assert.same({ "orders" }, store:queues())
        assert.is_false(store:queue("orders"):stats().paused)
      end)

      on("watches with rates, a line for each look", function(url, queue)
        local watcher <close> = child.start { LUA, "bin/sluice", "jobs", url,
          "watch", "orders", "--interval", "0.1", "--count", "40" }
        local lines = {}
        repeat
          queue:put "more"
          sluice.sleep(0.01)
          table.move(watcher:new_lines(), 1, 40, #lines + 1, lines)
        until #lines >= 3
        assert.truthy(lines[1]:find "^time +queue +ready .* put/s +ack/s")
        assert.truthy(lines[2]:find "orders +%d+ +1 +1 +1 +%- +%- +%-$")
        assert.truthy(lines[3]:find "orders .* [1-9][%d.]+ +0.0 +0.0$")
        watcher:signal "INT"
        assert.equal(0, watcher:wait(5))
      end)

      on("watches for programs, a value a line", function(url)
        local text = output(url, "watch", "-n", "2", "-i", "0.05", "--json")
        local first, second = text:match "^(.-)\n(.-)\n$"
        assert.is_nil(json.decode(first).queues.orders.put_rate)
        assert.equal(0, json.decode(second).queues.orders.put_rate)
      end)
    end)
  end
end
