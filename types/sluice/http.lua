---@meta sluice.http

-- luacheck: ignore 211 212 241
-- `require "sluice.http"` for lua-language-server; see ../sluice.lua.

---@class sluice.http
local http = {}

---@class sluice.http.Limits
---@field max_head? integer bytes
---@field max_fields? integer
---@field max_target? integer bytes
---@field max_body? integer bytes
---@field max_connections? integer
---@field head_timeout? sluice.Seconds
---@field body_timeout? sluice.Seconds between two pieces
---@field body_total_timeout? sluice.Seconds
---@field idle_timeout? sluice.Seconds
---@field write_timeout? sluice.Seconds
---@field handler_timeout? sluice.Seconds

---An application; math.huge is no limit.
---@param limits? sluice.http.Limits
---@return sluice.http.App
---@nodiscard
function http.App(limits) end

---@class sluice.http.CookieOptions
---@field path? string "/" unless given
---@field domain? string
---@field max_age? integer seconds; 0 removes it
---@field expires? number a time of os.time
---@field secure? boolean
---@field http_only? boolean
---@field same_site? "strict"|"lax"|"none"

---The value of a Set-Cookie header.
---@param name string
---@param value string|number
---@param options? sluice.http.CookieOptions
---@return string
---@nodiscard
function http.cookie(name, value, options) end

---All values of a name, in order.
---@param values table<string, any> a query, cookies or a form
---@param name string
---@return any[]
---@nodiscard
function http.getall(values, name) end

---@class sluice.http.FileOptions
---@field root? string a directory, below which the path is taken
---@field content_type? string
---@field filename? string under which a browser saves it
---@field cache_control? string

---What a handler returns to answer with a file.
---@param request sluice.http.Request
---@param path string
---@param options? sluice.http.FileOptions
---@return integer status
---@return any body
---@return sluice.http.Headers? headers
---@nodiscard
function http.file(request, path, options) end

---What a handler returns to send the client elsewhere.
---@param url string
---@param status? 301|302|303|307|308 302 unless given
---@return integer status
---@return nil body
---@return sluice.http.Headers headers
---@nodiscard
function http.redirect(url, status) end

---@class sluice.http.EventStreamOptions
---@field heartbeat? sluice.Seconds of silence before a comment; 15

---What a handler returns to answer with server-sent events.
---@param fn fun(events: sluice.http.Events)
---@param options? sluice.http.EventStreamOptions
---@return integer status
---@return table body
---@return sluice.http.Headers headers
---@nodiscard
function http.event_stream(fn, options) end

---@alias sluice.http.Body string|table|nil|fun(): string?
---@alias sluice.http.Headers table<string, string|number|(string|number)[]>

---Returns `body`, or `status, body, headers`.
---@alias sluice.http.Handler fun(request: sluice.http.Request): ...

---@alias sluice.http.Next sluice.http.Handler

---@class sluice.http.App
local App = {}

---Go before the application's.
---@class sluice.http.RouteOptions
---@field max_body? integer bytes
---@field handler_timeout? sluice.Seconds

---Adds a route; `{name}` is a segment of the path, `{name*}` the rest.
---@param method string
---@param path string
---@param handler sluice.http.Handler
---@param options? sluice.http.RouteOptions
function App:route(method, path, handler, options) end

---@param path string
---@param handler sluice.http.Handler
---@param options? sluice.http.RouteOptions
function App:get(path, handler, options) end

---@param path string
---@param handler sluice.http.Handler
---@param options? sluice.http.RouteOptions
function App:post(path, handler, options) end

---@param path string
---@param handler sluice.http.Handler
---@param options? sluice.http.RouteOptions
function App:put(path, handler, options) end

---@param path string
---@param handler sluice.http.Handler
---@param options? sluice.http.RouteOptions
function App:patch(path, handler, options) end

---@param path string
---@param handler sluice.http.Handler
---@param options? sluice.http.RouteOptions
function App:delete(path, handler, options) end

---Adds middleware; the first added is outermost.
---@param fn fun(request: sluice.http.Request, next: sluice.http.Next): ...
function App:use(fn) end

---Called before the first connection is accepted.
---@param fn fun(app: sluice.http.App)
function App:on_startup(fn) end

---Called when it is asked to stop, new connections already refused.
---@param fn fun(app: sluice.http.App)
function App:on_shutdown(fn) end

---Called last.
---@param fn fun(app: sluice.http.App)
function App:on_cleanup(fn) end

---Of the access log; what a client may have written is escaped.
---@class sluice.http.Entry
---@field peer string
---@field time string
---@field line string of the request, as it was sent
---@field method string
---@field path string decoded
---@field status integer
---@field bytes integer of the body
---@field referer string
---@field user_agent string
---@field seconds number
---@field reason? string why a request was refused

---@class sluice.http.ServeOptions
---@field host? string "127.0.0.1" unless given
---@field port? integer 8080 unless given; 0 picks one
---@field unix? string the path of a Unix socket instead
---@field reuse_port? boolean
---@field backlog? integer
---@field grace? sluice.Seconds 10 unless given
---@field tls? sluice.net.TLSOptions|sluice.net.TLSContext
---@field access_log? true|file*|fun(line: string, entry: sluice.http.Entry)
---@field on_listen? fun(host: string, port: integer?)

---Serves until SIGTERM or SIGINT, then stops gracefully.
---@param options? sluice.http.ServeOptions
---@return true? stopped
---@return string? message
---@return string? code
function App:run(options) end

---Serves inside a running loop.
---@param options? sluice.http.ServeOptions
---@return sluice.http.Server? server
---@return string? message
---@return string? code
function App:serve(options) end

---@class sluice.http.TestFile
---@field filename? string
---@field content_type? string
---@field body? string

---@class sluice.http.TestRequest
---@field method? string "GET" unless given; "POST" with `json` or `form`
---@field path? string "/" unless given
---@field query? table<string, string|number|(string|number)[]>
---@field headers? table<string, string|number|(string|number)[]>
---@field cookies? table<string, string|number>
---@field body? string
---@field json? any instead of the body
---@field form? table<string, string|number|sluice.http.TestFile|any[]>

---@class sluice.http.TestAnswer
---@field status integer
---@field headers table<string, string|string[]> names in small letters
---@field body string

---Asks the application without a socket.
---@param request? sluice.http.TestRequest
---@return sluice.http.TestAnswer
function App:test(request) end

---@class sluice.http.Request
---@field method string
---@field path string without the query, decoded
---@field params table<string, string> of the path
---@field query table<string, string>
---@field cookies table<string, string>
---@field headers table<string, string> names in small letters
---@field peer string the client's address
local Request = {}

---The whole body; nil, reason.
---@return string? body
---@return string? reason
function Request:text() end

---The body as JSON; nil, message.
---@return any value
---@return string? message
function Request:json() end

---@class sluice.http.FormOptions
---@field max_body? integer bytes, less than the route's
---@field max_memory? integer bytes; beyond it files go to disk; 1048576
---@field max_parts? integer 1000 unless given
---@field directory? string of files on disk

---The body as a form; nil, message.
---@param options? sluice.http.FormOptions
---@return table<string, string|sluice.http.File>? values
---@return string? message
function Request:form(options) end

---The next piece of the body; nil, "eof"; nil, reason.
---@param n? integer bytes at most
---@return string? piece
---@return string? reason
function Request:read(n) end

---@class sluice.http.Event
---@field data? any what is no string is sent as JSON
---@field event? string its name
---@field id? string|number
---@field retry? sluice.Seconds

---What writes a stream of events.
---@class sluice.http.Events
local Events = {}

---Sends an event: its data, or a table.
---@param message string|sluice.http.Event
---@return true? sent
---@return string? message
---@return string? code
function Events:send(message) end

---Sends a comment.
---@param text? string
---@return true? sent
---@return string? message
---@return string? code
function Events:comment(text) end

---A file that a client has sent in a form.
---@class sluice.http.File
---@field filename string as the client has it, without directories
---@field content_type? string
---@field size integer bytes
---@field path? string if it is on disk
local File = {}

---The whole content.
---@return string? content
---@return string? message
---@return string? code
function File:text() end

---The next piece; nil, "eof"; nil, message, code.
---@param n? integer 65536 unless given
---@return string? piece
---@return string? message
---@return string? code
function File:read(n) end

---Saves it as a file of the caller's.
---@param path string
---@return true? saved
---@return string? message
---@return string? code
function File:save(path) end

---@class sluice.http.Server
local Server = {}

---@return string? host or the path
---@return integer|string|nil port or the message of a failure
---@return string? code
function Server:sockname() end

---Begins to stop gracefully, in a task of its own.
function Server:close() end

---Stops gracefully.
function Server:stop() end

---Waits until a stop has ended.
---@param timeout? sluice.Seconds
---@return true? closed
---@return "timeout"? reason
function Server:wait_closed(timeout) end

return http
