--- sluice.http.send_file: a file of the server's as the answer.
--
-- The one idea: what HTTP says of a resource that can be compared and cut
-- (RFC 9110: ETag, Last-Modified, Range) is decided once, before anything is
-- read; then the file is read as fast as the client takes it.
--
-- Internal to sluice.http.

local core = require "sluice.core.http"
local http_date = require("sluice.http.cookie").http_date
local producer = require "sluice.http.producer"

local PIECE = 65536

local TYPES = {
  avif = "image/avif", css = "text/css", csv = "text/csv",
  gif = "image/gif", gz = "application/gzip", htm = "text/html",
  html = "text/html", ico = "image/x-icon", jpeg = "image/jpeg",
  jpg = "image/jpeg", js = "text/javascript", json = "application/json",
  md = "text/markdown", mjs = "text/javascript", mp3 = "audio/mpeg",
  mp4 = "video/mp4", pdf = "application/pdf", png = "image/png",
  svg = "image/svg+xml", tar = "application/x-tar", ttf = "font/ttf",
  txt = "text/plain", wasm = "application/wasm", webm = "video/webm",
  webp = "image/webp", woff = "font/woff", woff2 = "font/woff2",
  xml = "application/xml", zip = "application/zip",
}

local function type_of(path)
  local extension = path:match "%.(%w+)$"
  local kind = extension and TYPES[extension:lower()]
  if not kind then return "application/octet-stream" end
  if kind:sub(1, 5) == "text/" then kind = kind .. "; charset=utf-8" end
  return kind
end

-- A path below a directory; nil if it leads elsewhere.
local function below(root, path)
  for segment in path:gmatch "[^/]+" do
    if segment == ".." then return nil end
  end
  if path:find("[\0\\]") then return nil end
  return root .. "/" .. path
end

-- -- what the request asks for --

-- Whether the client has this one already.
local function is_known(headers, etag, modified)
  local tags = headers["if-none-match"]
  if tags then return tags == "*" or tags:find(etag, 1, true) ~= nil end
  return headers["if-modified-since"] == modified
end

-- First and last byte, if the client wants a part; false: there is none such.
-- More than one part, and what is no range, is answered by the whole.
local function range_of(headers, size, etag, modified)
  local text, known = headers.range, headers["if-range"]
  if not text or known and known ~= etag and known ~= modified then
    return nil
  end
  local from, to = text:match "^bytes=(%d*)%-(%d*)$"
  if not from or #from > 15 or #to > 15 then return nil end
  local first, last = tonumber(from), tonumber(to)
  if first then
    if last and last < first then return nil end
    last = math.min(last or size - 1, size - 1)
  elseif last then -- so many bytes of the end
    first, last = math.max(0, size - last), size - 1
  else
    return nil
  end
  if first >= size then return false end
  return first, last
end

-- -- what is sent --

local function produce(file, first, last)
  return function(write)
    local at = first
    while at <= last do
      local data, message = file:read(at, math.min(PIECE, last - at + 1))
      if not data or data == "" then
        error("a file became shorter: " .. (message or "it ended"), 0)
      end
      if not write(data) then break end
      at = at + #data
    end
  end
end

local function disposition(name)
  local plain = name:gsub('[%c"\\\128-\255]', "_")
  local exact = name:gsub("[^%w!#$&+.^_`|~-]", function(c)
    return ("%%%02X"):format(c:byte())
  end)
  return ("attachment; filename=\"%s\"; filename*=UTF-8''%s"):format(plain,
    exact)
end

local function headers_of(path, options, etag, modified)
  return {
    ["Content-Type"] = options.content_type or type_of(path),
    ["Content-Disposition"] = options.filename
      and disposition(options.filename),
    ["Cache-Control"] = options.cache_control,
    ["Last-Modified"] = modified, ETag = etag, ["Accept-Ranges"] = "bytes",
  }
end

local function answer_with(file, size, request, headers)
  local wanted = request.headers
  local etag, modified = headers.ETag, headers["Last-Modified"]
  local method = request.method
  if (method == "GET" or method == "HEAD")
    and is_known(wanted, etag, modified) then
    file:close()
    headers["Content-Type"] = nil
    return 304, nil, headers
  end
  local first, last
  if method == "GET" then -- no other has ranges, says RFC 9110
    first, last = range_of(wanted, size, etag, modified)
  end
  if first == false then
    file:close()
    return 416, nil, { ["Content-Range"] = "bytes */" .. size }
  end
  local status = first and 206 or 200
  if first then
    headers["Content-Range"] = ("bytes %d-%d/%d"):format(first, last, size)
  end
  first, last = first or 0, last or size - 1
  local body = producer.new(produce(file, first, last), last - first + 1,
    function() file:close() end)
  return status, body, headers
end

local KNOWN = {
  root = "string", content_type = "string", filename = "string",
  cache_control = "string",
}

local function check(request, path, options)
  local function fail(n, message)
    error(("bad argument #%d to 'file' (%s)"):format(n, message), 4)
  end
  if type(request) ~= "table" or not request.headers then
    fail(1, "request expected")
  elseif type(path) ~= "string" then
    fail(2, "string expected, got " .. type(path))
  elseif options ~= nil and type(options) ~= "table" then
    fail(3, "table expected, got " .. type(options))
  end
  for key, value in pairs(options or {}) do
    local kind = KNOWN[key]
    if not kind then fail(3, ("unknown option '%s'"):format(tostring(key))) end
    if type(value) ~= kind then
      fail(3, ("'%s' must be a %s"):format(key, kind))
    end
  end
end

--- What a handler returns to answer with a file.
-- @param request the request, whose conditions and ranges count
-- @param path of the file
-- @param[opt] options `root`: a directory, below which the path is taken, and
-- nothing else can be had; `content_type`, `cache_control`; `filename`, under
-- which a browser saves it
-- @return status, body, headers: 404 if there is no such file
-- Never waits.
return function(request, path, options)
  check(request, path, options)
  options = options or {}
  if options.root then path = below(options.root, path) end
  local file, size, modified
  if path then file, size, modified = core.open_file(path) end
  if not file then return 404, "404 Not Found\n" end
  local etag = ('"%x-%x"'):format(modified, size)
  return answer_with(file, size, request,
    headers_of(path, options, etag, http_date(modified)))
end
