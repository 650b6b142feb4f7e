-- The examples of the README and of the manual: every Lua block compiles,
-- and one marked `<!-- run -->` prints the block that follows it.

local process = require "spec.support.process"

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
          process.prints(all[i + 1].text, block.text)
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
