---@meta sluice.http

-- luacheck: ignore 211 212 241
-- The client's part of `require "sluice.http"`; see http.lua.

---@class sluice.http
local http = {}

---What holds for a request, or for all of a client's.
---@class sluice.http.SharedOptions
---@field headers? sluice.http.Headers
---@field timeout? sluice.Seconds all of it; 300 unless given
---@field connect_timeout? sluice.Seconds 10 unless given
---@field idle_timeout? sluice.Seconds no byte moves; 60 unless given
---@field max_redirects? integer 10 unless given
---@field max_body? integer bytes, decompressed; 10 MiB unless given
---@field decompress? boolean true unless given
---@field verify? boolean check the certificate; true unless given
---@field ca_file? string
---@field cert_file? string
---@field key_file? string
---@field auth? string[] user and password
---@field proxy? string|boolean true: as the environment says
---@field unix? string the path of a Unix socket
---@field http_version? "1.1"|"2"

---@class sluice.http.RequestOptions: sluice.http.SharedOptions
---@field url? string
---@field method? string
---@field query? table<string, any>
---@field body? sluice.http.Body
---@field json? any
---@field form? table<string, any>
---@field stream? boolean

---@class sluice.http.ClientOptions: sluice.http.SharedOptions
---@field max_connections? integer 100 unless given
---@field max_per_host? integer
---@field cookies? boolean

---Sends a request and waits for the answer.
---@param options sluice.http.RequestOptions
---@return sluice.http.Response? response
---@return string? message
---@return string? code
function http.request(options) end

---@param url string
---@param options? sluice.http.RequestOptions
---@return sluice.http.Response? response
---@return string? message
---@return string? code
function http.get(url, options) end

---@param url string
---@param body? sluice.http.Body
---@param options? sluice.http.RequestOptions
---@return sluice.http.Response? response
---@return string? message
---@return string? code
function http.post(url, body, options) end

---A pool of connections, with defaults for its requests.
---@param options? sluice.http.ClientOptions
---@return sluice.http.Client
---@nodiscard
function http.Client(options) end

---@class sluice.http.Client
local Client = {}

---@param options sluice.http.RequestOptions
---@return sluice.http.Response? response
---@return string? message
---@return string? code
function Client:request(options) end

---@param url string
---@param options? sluice.http.RequestOptions
---@return sluice.http.Response? response
---@return string? message
---@return string? code
function Client:get(url, options) end

---@param url string
---@param body? sluice.http.Body
---@param options? sluice.http.RequestOptions
---@return sluice.http.Response? response
---@return string? message
---@return string? code
function Client:post(url, body, options) end

---Ends its requests and connections.
function Client:close() end

---@class sluice.http.Response
---@field status integer
---@field headers table<string, string|string[]> names in small letters
---@field body string nil as long as it streams
---@field url string
---@field history string[] the URLs that redirected
---@field http_version string
local Response = {}

---The next piece of the body; nil, "eof"; nil, message, code.
---@param n? integer bytes at most
---@return string? piece
---@return string? reason
---@return string? code
function Response:read(n) end

---The whole body, or what is left of it.
---@return string? text
---@return string? message
---@return string? code
function Response:text() end

---The body as JSON.
---@return any value
---@return string? message
---@return string? code
function Response:json() end

---An iterator over the lines of the body.
---@return fun(): string?
function Response:lines() end

---Ends one that streams.
function Response:close() end

return http
