--- sluice.jobs.cli: the command line, `sluice jobs URL COMMAND`.
--
-- Here the words of the command line become a call of one of the commands in
-- cli_commands.lua; what they show is laid out by cli_text.lua, or written as
-- JSON by cli_json.lua. Looking never makes anything: neither a file nor a
-- queue comes to be because its name was misspelt.
--
-- Internal to the launcher, which calls `main` in a task.

local address = require "sluice.jobs.redis.address"
local commands = require "sluice.jobs.cli_commands"
local jobs = require "sluice.jobs"
local text = require "sluice.jobs.cli_text"

local cli = {}

local OK, BAD_DAY, MISUSE = 0, 1, 2

local USAGE = [[
usage: sluice jobs URL [COMMAND] [OPTION]...

Looks after the queues of a job store: sqlite:PATH, redis://HOST:PORT/DB or
unix:PATH (the socket of a Redis server).

  stats [QUEUE]           figures of all queues, or of one; the default
  peek QUEUE [STATE]      its jobs in the order they would go; STATE: ready
                          (the default), delayed, leased or dead
  peek QUEUE ID           one job, whole
  dead [QUEUE]            dead jobs and why they died
  kick QUEUE N|ID|all     makes dead jobs ready again, the longest dead first
  cancel QUEUE ID...      takes jobs out that nobody works on
  purge QUEUE STATE       takes out all that are ready, delayed or dead
  pause QUEUE...          nobody gets a job from it, in any process
  resume QUEUE...         ends the pause
  check                   whether what is stored is whole
  watch [QUEUE]...        figures and rates, again and again; Ctrl-C ends it

  -j, --json              for programs: JSON; watch: one value a line
  -n, --count N           peek, dead: at most N jobs (20); watch: N times
  -i, --interval SECONDS  watch: the time from one look to the next (1)
  -h, --help              print this text

The exit status is 0; 1 if the store cannot be reached, is damaged or refuses;
2 if the command line is wrong.
]]

-- -- the command line --

local function misuse(message, ...)
  io.stderr:write("sluice jobs: ", message:format(...), "\n",
    "`sluice jobs --help` lists the commands.\n")
  return MISUSE
end

local function positive(value)
  local n = tonumber(value)
  return n and n > 0 and n < math.huge and n or nil
end

local function count(value)
  local n = positive(value)
  return n and math.tointeger(n)
end

--- Name -> the option's key, and what its value must be, if it has one.
local OPTIONS = {
  ["--json"] = { "json" }, ["-j"] = { "json" },
  ["--help"] = { "help" }, ["-h"] = { "help" },
  ["--count"] = { "count", count, "a number of jobs or times" },
  ["-n"] = { "count", count, "a number of jobs or times" },
  ["--interval"] = { "interval", positive, "a number of seconds" },
  ["-i"] = { "interval", positive, "a number of seconds" },
}

-- Takes an option from the words at i. Returns the index of its last word; or
-- nil and what is wrong.
local function take_option(options, words, i)
  local name, value = words[i]:match("^(%-%-[^=]+)=(.*)$")
  name = name or words[i]
  local option = OPTIONS[name]
  if not option then
    return nil, ("there is no option '%s'"):format(name)
  end
  local key, convert, wanted = table.unpack(option)
  if not convert then
    if value then return nil, name .. " takes no value" end
    options[key] = true
    return i
  end
  if not value then i, value = i + 1, words[i + 1] end
  options[key] = convert(value)
  if options[key] then return i end
  return nil, ("%s needs %s"):format(name, wanted)
end

-- Parts options and the other words, which keep their order.
local function parse(words)
  local options, rest, i, only_words = {}, {}, 1, false
  while words[i] do
    local word = words[i]
    if word == "--" and not only_words then
      only_words = true
    elseif not only_words and word:find "^%-." then
      local last, wrong = take_option(options, words, i)
      if not last then return nil, wrong end
      i = last
    else
      rest[#rest + 1] = word
    end
    i = i + 1
  end
  return options, rest
end

-- -- the store --

-- Why the URL is none that can be looked at from outside, or nil.
local function refuse(url)
  if not url:find "^%a+:" then
    return ("'%s' is not the URL of a job store (sqlite:PATH, redis://HOST, "
      .. "unix:PATH)"):format(address.shown(url))
  elseif url:lower():find "^memory:" then
    return "memory: lies in the process that opened it; nobody else can see it"
  end
end

-- A store on a file that is not there, or empty, would be made by opening it.
local function missing_file(url)
  local scheme, path = url:match "^(%a+):(.*)$"
  if scheme:lower() ~= "sqlite" or path == "" then return nil end
  local file <close>, message = io.open((path:gsub("^//(/)", "%1")), "rb")
  if not file then return message end
  local byte, trouble = file:read(1)
  if not byte and not trouble then return path .. ": the file is empty" end
end

-- A server, or a file, may have words in the message.
local function bad_day(message)
  message = message:gsub("[^\n]+", text.clean)
  io.stderr:write("sluice jobs: ", message, "\n")
  return BAD_DAY
end

local function open(url)
  local missing = missing_file(url)
  if missing then
    return nil, bad_day(("there is no job store: %s"):format(missing))
  end
  local store, message, code = jobs.open(url)
  if store then return store end
  if code == "EINVAL" then return nil, misuse("%s", message) end
  message = message or code
  local path = url:match "^%a+:(.*)$"
  if message:find(path, 1, true) ~= 1 then
    message = ("%s: %s"):format(address.shown(url), message)
  end
  return nil, bad_day("cannot open " .. message)
end

-- -- running a command --

local function run(command, url, options, words)
  local store <close>, status = open(url)
  if not store then return status end
  local done, message = command.run({
    store = store, url = address.shown(url), json = options.json,
    count = options.count, interval = options.interval or 1,
  }, words)
  if done then return OK end
  if message then bad_day(message) end
  return BAD_DAY
end

-- Whether the words are what the command takes; what is wrong, or nil.
local function check_words(command, name, words)
  if #words < command.least then
    return ("%s needs %s"):format(name, command.needs)
  elseif #words > command.most then
    return ("%s does not take '%s'"):format(name, words[command.most + 1])
  end
  return command.check and command.check(words)
end

--- Runs a command line.
-- @param words of it, after `jobs`
-- @return the exit status
-- Waits.
function cli.main(words)
  local options, rest = parse(words)
  if not options then return misuse("%s", rest) end
  if options.help then
    io.write(USAGE)
    return OK
  end
  local url, name = rest[1], rest[2] or "stats"
  if not url then return misuse("it needs the URL of a store") end
  local refusal = refuse(url)
  if refusal then return misuse("%s", refusal) end
  local command = commands[name]
  if not command then return misuse("there is no command '%s'", name) end
  local arguments = table.move(rest, 3, #rest, 1, {})
  local wrong = check_words(command, name, arguments)
  if wrong then return misuse("%s", wrong) end
  return run(command, url, options, arguments)
end

return cli
