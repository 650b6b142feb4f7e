---@meta sluice.net

-- luacheck: ignore 211 212 241
-- `require "sluice.net"` for lua-language-server; see ../sluice.lua.

---@class sluice.net
local net = {}

---@class sluice.net.ConnectOptions
---@field timeout? sluice.Seconds for all of it
---@field limit? integer bytes that a line may have, 65536 unless given
---@field tls? boolean|sluice.net.TLSOptions|sluice.net.TLSContext

---Connects to a host, to the first of its addresses that answers: a stream,
---or nil, message, code.
---@param host string a name or an address
---@param port integer
---@param options? sluice.net.ConnectOptions
---@return sluice.Stream? stream a to-be-closed value
---@return string? message
---@return string? code
function net.connect(host, port, options) end

---Connects to a Unix socket: a stream, or nil, message, code.
---@param path string
---@param options? sluice.net.ConnectOptions
---@return sluice.Stream? stream a to-be-closed value
---@return string? message
---@return string? code
function net.connect_unix(path, options) end

---@class sluice.net.ServeOptions
---@field backlog? integer 511 unless given
---@field reuse_port? boolean several processes can listen
---@field max_connections? integer nil: any number
---@field limit? integer bytes that a line may have, 65536 unless given
---@field tls? sluice.net.TLSOptions|sluice.net.TLSContext

---Serves at a host and port, at all addresses of a name; `handler(stream)`
---runs in a task a connection.
---@param handler fun(stream: sluice.Stream)
---@param host string? "127.0.0.1" unless given
---@param port integer 0 picks one
---@param options? sluice.net.ServeOptions
---@return sluice.Server? server a to-be-closed value
---@return string? message
---@return string? code
function net.serve(handler, host, port, options) end

---Serves at a Unix socket.
---@param handler fun(stream: sluice.Stream)
---@param path string
---@param options? sluice.net.ServeOptions
---@return sluice.Server? server a to-be-closed value
---@return string? message
---@return string? code
function net.serve_unix(handler, path, options) end

---@class sluice.net.TLSOptions
---@field cert? string the own certificate, a file of PEM
---@field key? string its key, a file; nil: in the file of cert
---@field password? string of the key
---@field alpn? string[] protocols, the best first
---@field min_version? "TLSv1.2"|"TLSv1.3"
---@field crl_file? string revoked certificates
---@field ca_file? string of a client: trusted authorities
---@field ca_path? string of a client: a directory of them
---@field server_name? string of a client: nil: the host connected to
---@field verify? boolean of a client: false: any certificate will do
---@field client_ca? string of a server: authorities of its clients
---@field verify_client? "required"|"optional" of a server
---@field handshake_timeout? sluice.Seconds of a server: 10 unless given
---@field on_error? function of a server: (message, code, host, port)

---@class sluice.net.TLSContext
local TLSContext = {}

---Reads the files again, for connections made from now on.
---@return true? done
---@return string? message
---@return string? code
function TLSContext:reload() end

---Options of TLS for any number of connections and servers.
---@param options sluice.net.TLSOptions
---@return sluice.net.TLSContext
function net.TLSContext(options) end

---@class sluice.TLSPeer
---@field subject string
---@field issuer string
---@field names string whom the certificate is for
---@field serial string
---@field not_before string
---@field not_after string
---@field sha256 string fingerprint

---@class sluice.TLSInfo
---@field version string
---@field cipher string
---@field alpn? string
---@field server_name? string
---@field peer? sluice.TLSPeer

---@class sluice.Server
local Server = {}

---@return string? host or the path
---@return integer|string|nil port or the message of a failure
---@return string? code
function Server:sockname() end

---Refuses new connections; those that are open go on.
function Server:close() end

---Waits until it and the last of its connections are closed.
---@param timeout? sluice.Seconds
---@return true? closed
---@return "timeout"? reason
function Server:wait_closed(timeout) end

---@class sluice.Stream
local Stream = {}

---Up to n bytes, as soon as there are any; nil, "eof"; nil, "timeout"; nil,
---message, code.
---@param n? integer
---@param timeout? sluice.Seconds
---@return string? data
---@return string? reason "eof", "timeout" or a message
---@return string? code
function Stream:read(n, timeout) end

---n bytes; nil, "eof", what there was; nil, message, code.
---@param n integer
---@return string? data
---@return string? reason "eof" or a message
---@return string? partial or the code
function Stream:readexactly(n) end

---The bytes up to and with the separator; nil, "eof", partial; nil, "limit",
---partial; nil, message, code.
---@param separator string
---@return string? data
---@return string? reason "eof", "limit" or a message
---@return string? partial or the code
function Stream:readuntil(separator) end

---A line without its end; else as readuntil.
---@return string? line
---@return string? reason "eof", "limit" or a message
---@return string? partial or the code
function Stream:readline() end

---Everything until the peer ends.
---@param limit? integer bytes
---@return string? data
---@return string? reason "limit" or a message
---@return string? partial or the code
function Stream:read_all(limit) end

---Iterates over the lines, also a last one without an end.
---@return fun(): string?
function Stream:lines() end

---How long a line may be, in bytes.
---@param n integer
function Stream:set_limit(n) end

---Queues data, and waits while too much is queued.
---@param data string
---@param timeout? sluice.Seconds
---@return true? queued
---@return string? reason "timeout" or a message
---@return string? code
function Stream:write(data, timeout) end

---Writes what is queued and tells the peer that no more will come.
---@return true? written
---@return string? message
---@return string? code
function Stream:shutdown() end

---Ends the stream; what is queued is written in the background.
function Stream:close() end

---@return string? host or the path
---@return integer|string|nil port or the message of a failure
---@return string? code
function Stream:peername() end

---@return string? host or the path
---@return integer|string|nil port or the message of a failure
---@return string? code
function Stream:sockname() end

---What TLS agreed upon; nil without TLS; nil, message, code.
---@return sluice.TLSInfo?
---@return string? message
---@return string? code
function Stream:tls() end

return net
