-- The examples of the README and of the manual: every Lua block compiles,
-- and one marked `<!-- run -->` prints the block that follows it.

local documents = {}

local function list(command)
  local pipe <close> = io.popen(command)
  for path in pipe:lines() do documents[#documents + 1] = path end
end

list "ls README.md docs/*.md docs/manual/*.md"

-- The fenced blocks of a document: language, text, line, and whether they
-- are marked to be run.
local function blocks(path)
  local found, block, marked, number = {}, nil, false, 0
  for line in io.lines(path) do
    number = number + 1
    local language = line:match("^```(%w*)")
    if block and language then
      block.text = table.concat(block, "\n") .. "\n"
      block = nil
    elseif block then
      block[#block + 1] = line
    elseif language then
      block = { language = language, line = number, run = marked }
      found[#found + 1] = block
    end
    if line:find("%S") then marked = line == "<!-- run -->" end
  end
  return found
end

-- What lua prints when it runs the text, and whether it ended well.
local function run(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text):close()
  local pipe = io.popen(("'%s' %s 2>&1"):format(os.getenv "LUA" or "lua5.4",
    path))
  local output = pipe:read("a")
  local ok = pipe:close()
  os.remove(path)
  return output, ok
end

describe("an example", function()
  for _, path in ipairs(documents) do
    local all = blocks(path)
    for i, block in ipairs(all) do
      local name = ("of %s, line %d, "):format(path, block.line)
      if block.language == "lua" then
        it(name .. "compiles", function()
          assert(load(block.text, "=" .. path))
        end)
      end
      if block.run then
        it(name .. "prints what the document says", function()
          local output, ok = run(block.text)
          assert.equal(all[i + 1].text, output)
          assert.is_true(ok)
        end)
      end
    end
  end
end)

describe("the documents", function()
  it("have examples that are run", function()
    local n = 0
    for _, path in ipairs(documents) do
      for _, block in ipairs(blocks(path)) do n = n + (block.run and 1 or 0) end
    end
    assert.is_true(n > 10)
  end)
end)
