--- What specs of forms need: bodies in parts, and a directory that is watched
--- for files that are left behind.

local forms = {}

forms.BOUNDARY = "----spec"
forms.TYPE = "multipart/form-data; boundary=" .. forms.BOUNDARY

--- A body in parts: a list of { name, content [, filename [, type]] }.
function forms.body(parts)
  local out = {}
  for _, part in ipairs(parts) do
    local name, content, filename, kind = table.unpack(part, 1, 4)
    out[#out + 1] = ('--%s\r\nContent-Disposition: form-data; name="%s"')
      :format(forms.BOUNDARY, name)
    if filename then out[#out + 1] = ('; filename="%s"'):format(filename) end
    if kind then out[#out + 1] = "\r\nContent-Type: " .. kind end
    out[#out + 1] = "\r\n\r\n" .. content .. "\r\n"
  end
  return table.concat(out) .. "--" .. forms.BOUNDARY .. "--\r\n"
end

--- The bytes of a POST of a body, in parts unless `kind` says otherwise.
function forms.post(body, kind)
  return ("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\n"
    .. "Content-Length: %d\r\n\r\n%s"):format(kind or forms.TYPE, #body, body)
end

local function output(command)
  local pipe <close> = io.popen(command)
  return pipe:read "a"
end

--- The names of the files in a directory.
function forms.list(directory)
  local names = {}
  for name in output("ls " .. directory):gmatch "[^\n]+" do
    names[#names + 1] = name
  end
  return names
end

--- The permissions of a file, as `ls` tells them.
function forms.rights(path)
  return output("ls -l " .. path):sub(1, 10)
end

function forms.contents(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

--- Runs fn(directory) with an empty directory, which is removed afterwards.
function forms.with_directory(fn, parent)
  local directory =
    output(("mktemp -d -p %s"):format(parent or "/tmp")):sub(1, -2)
  local ok, err = pcall(fn, directory)
  os.execute("rm -r " .. directory)
  if not ok then error(err, 0) end
end

return forms
