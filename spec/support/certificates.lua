--- Certificates for specs, made by the `openssl` command.
--
-- A directory of its own holds authorities and what they have signed; each is
-- a table of the paths `cert` and `key`. Keys are on P-256, which takes no
-- time, unless a spec wants a weak one. Everybody is localhost.

local certificates = {}

local Directory = {}
Directory.__index = Directory

local CONFIG = [[
[ca]
default_ca = authority
[authority]
database = %s/index.txt
serial = %s/serial
crlnumber = %s/crlnumber
new_certs_dir = %s
certificate = %s/ca.crt
private_key = %s/ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
policy = policy
unique_subject = no
[policy]
commonName = supplied
[req]
distinguished_name = name
[name]
]]

local LEAF = [[
basicConstraints = critical, CA:false
authorityKeyIdentifier = keyid
extendedKeyUsage = %s
subjectAltName = %s
]]

local AUTHORITY = [[
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
]]

local function run(command, ...)
  local log = os.tmpname()
  local ok = os.execute(command:format(...) .. " >" .. log .. " 2>&1")
  if not ok then
    local file <close> = io.open(log)
    error(command:format(...) .. "\n" .. file:read("a"))
  end
  os.remove(log)
end

local function write(path, text)
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
  return path
end

--- A new directory; `remove` it.
function certificates.new()
  local path = os.tmpname()
  os.remove(path)
  run("mkdir %s", path)
  return setmetatable({ path = path }, Directory)
end

function Directory:remove() run("rm -r %s", self.path) end

function Directory:write(name, text)
  return write(self.path .. "/" .. name, text)
end

--- The files' contents, one behind the other, as one file.
function Directory:join(name, ...)
  local texts = {}
  for i, path in ipairs { ... } do
    local file <close> = assert(io.open(path))
    texts[i] = file:read("a")
  end
  return self:write(name, table.concat(texts))
end

-- A key and a request for a certificate, as `base`.key and `base`.csr.
local function make_request(base, config, options)
  local kind = options.bits and "rsa:" .. options.bits
    or "ec -pkeyopt ec_paramgen_curve:P-256"
  run("openssl req -new -newkey %s -nodes -keyout %s.key -out %s.csr "
    .. "-config %s -subj '/CN=%s'", kind, base, base, config,
    options.subject)
end

-- Signs the request; `self_signed`: with its own key.
local function sign(base, config, options, self_signed)
  local extensions = options.authority and AUTHORITY
    or LEAF:format(options.purpose or "serverAuth",
      options.names or "DNS:localhost, IP:127.0.0.1, IP:::1")
  write(base .. ".ext", extensions)
  local dates = options.from and ("-startdate %s -enddate %s"):format(
    options.from, options.to) or ""
  run("openssl ca -batch -notext -config %s -in %s.csr -out %s.crt "
    .. "-extfile %s.ext %s %s", config, base, base, base, dates,
    self_signed and "-selfsign -keyfile " .. base .. ".key" or "")
  return { cert = base .. ".crt", key = base .. ".key" }
end

--- An authority, self-signed or of the `issuer` in the options; with
-- `authority = false` it is none.
function Directory:authority(name, options)
  local dir = self.path .. "/" .. name
  run("mkdir %s", dir)
  local config = write(dir .. "/openssl.cnf", (CONFIG:gsub("%%s", dir)))
  write(dir .. "/index.txt", "")
  write(dir .. "/serial", "01\n")
  write(dir .. "/crlnumber", "01\n")
  local own = { subject = name, authority = true }
  for key, value in pairs(options or {}) do own[key] = value end
  local issuer = own.issuer
  make_request(dir .. "/ca", config, own)
  local made = sign(dir .. "/ca", issuer and issuer.config or config, own,
    not issuer)
  made.config, made.dir = config, dir
  return made
end

--- A certificate of the authority. Options: `subject`, `names` and `purpose`
-- as OpenSSL's extensions have them, `from` and `to` as `20300131000000Z`,
-- `bits` of an RSA key, `self_signed`.
function Directory:issue(authority, name, options)
  local own = { subject = name }
  for key, value in pairs(options or {}) do own[key] = value end
  local base = authority.dir .. "/" .. name
  make_request(base, authority.config, own)
  return sign(base, authority.config, own, own.self_signed)
end

--- The key, encrypted with a password.
function Directory:encrypt(key, password)
  local path = self.path .. "/encrypted.key"
  run("openssl pkey -in %s -aes256 -passout pass:%s -out %s", key, password,
    path)
  return path
end

--- The authority revokes a certificate. Returns the path of its list.
function Directory:revoke(authority, certificate)
  local list = authority.dir .. "/revoked.crl"
  if certificate then
    run("openssl ca -config %s -revoke %s", authority.config,
      certificate.cert)
  end
  run("openssl ca -config %s -gencrl -out %s", authority.config, list)
  return list
end

return certificates
