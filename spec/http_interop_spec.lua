local certificates = require "spec.support.certificates"
local support = require "spec.support.http"

local function read_file(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

local SERVER = read_file "spec/support/interop_server.lua"

-- Runs the script beside the server, with a directory $D of its own; checks
-- what it prints, and that the server logs no error and ends well.
local function prints(want, script, server)
  local output, errors = support.session(server or SERVER,
    "D=$0.d; mkdir $D\n" .. script .. "\nrm -rf $D; stop; status")
  assert.equal("", errors)
  assert.equal(want .. "status 0\n", output)
end

describe("curl", function()
  it("gets, and sends forms", function()
    prints("hello\na=1\nb=x y\na=1 2\nq=ä&=\n", [[
      curl $URL/
      curl -d a=1 -d b=x+y $URL/form
      curl -G --data-urlencode "a=1 2" --data-urlencode "q=ä&=" $URL/query
    ]])
  end)

  it("sends forms in parts", function()
    prints("a=1 2\nb=ä\nf=some text/plain 7 in memory\n"
      .. "big=zero application/octet-stream 2000000 on disk\n", [[
      printf content >$D/some
      head -c 2000000 /dev/zero >$D/zero
      curl -F "a=1 2" -F b=ä -F "f=@$D/some;type=text/plain" $URL/form
      curl -F big=@$D/zero $URL/form
    ]])
  end)

  it("sends JSON, headers, cookies, a password", function()
    prints('{"got":{"a":[1,2]}}\nauthorization=Basic dTpw\ncookie=a=b; c=d\n'
      .. "host=example.org\nuser-agent=me\nx-empty=\nx-one=1\n", [[
      curl --json '{"a": [1, 2]}' $URL/json; echo
      curl -H Accept: -H "X-One: 1" -H "X-Empty;" -H "Host: example.org" \
        -b "a=b; c=d" -u u:p -A me $URL/headers
    ]])
  end)

  it("sends a file as it is", function()
    prints("same\nsame\n", [[
      head -c 500000 /dev/urandom >$D/file
      curl --data-binary @$D/file $URL/echo | cmp - $D/file && echo same
      curl -H "Transfer-Encoding: chunked" --data-binary @$D/file $URL/echo |
        cmp - $D/file && echo same
    ]])
  end)

  it("uploads a file, and what comes from a pipe", function()
    prints("3000000 bytes, 3000000 of them 0\n"
      .. "100000 bytes, 100000 of them 0\n0 bytes, 0 of them 0\n", [[
      head -c 3000000 /dev/zero >$D/zero
      curl -T $D/zero $URL/upload/zero
      head -c 100000 /dev/zero | curl -T - $URL/upload/zero
      curl -T /dev/null $URL/upload/zero
    ]])
  end)

  it("asks whether to send a body", function()
    prints("abc\n100\n413\n100\n", [[
      curl --expect100-timeout 10 -H "Expect: 100-continue" -d abc $URL/echo
      echo
      curl -v --expect100-timeout 10 -H "Expect: 100-continue" -d abc \
        $URL/echo 2>&1 | sed -n 's/^< HTTP.1.1 \(100\).*/\1/p'
      head -c 5000000 /dev/zero >$D/zero
      curl -o /dev/null -w '%{http_code}\n' --expect100-timeout 10 \
        -T $D/zero $URL/upload/zero
      head -c 2000000 $D/zero | curl -v --expect100-timeout 10 \
        -H "Expect: 100-continue" -T - $URL/upload/zero 2>&1 |
        sed -n 's/^< HTTP.1.1 \(100\).*/\1/p'
    ]])
  end)

  it("asks for the head only", function()
    prints("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n0\n", [[
      curl -I $URL/ | grep -E "^(HTTP|Content-L)"
      curl -X HEAD -I $URL/big | sed '1,/^.$/d' | wc -c
    ]])
  end)

  it("speaks HTTP/1.0", function()
    prints("HTTP/1.1 200 OK\r\nConnection: close\r\ntick 1\ntick 2\ntick 3\n"
      .. "hello\nhello\n1\n", [[
      curl -i --http1.0 $URL/ticks | grep -E "^(HTTP|Conn|tick|Transf)"
      curl -v --http1.0 -H "Connection: keep-alive" $URL/ $URL/ 2>$D/log
      grep -c "Re-using" $D/log
    ]])
  end)

  it("takes answers in pieces, compressed, slowly or in part", function()
    prints("tick 1\ntick 2\ntick 3\nhello\n2097152\n200 2097152\n", [[
      curl -N $URL/ticks
      curl --compressed $URL/
      curl --limit-rate 20M $URL/big | wc -c
      curl -r 0-9 -o $D/part -w '%{http_code} ' $URL/big
      wc -c <$D/part
    ]])
  end)

  it("gets a file, a part of it, the rest, and not again", function()
    prints("same\n-- The program\n206 same\n200\n304\n", [[
      curl -o $D/file $URL/file
      cmp $D/file $0.lua && echo same
      curl -r 0-13 $URL/file; echo
      head -c 500 $D/file >$D/rest
      curl -C - -o $D/rest -w '%{http_code} ' $URL/file
      cmp $D/rest $0.lua && echo same
      for _ in 1 2; do
        curl --etag-save $D/etag --etag-compare $D/etag -o $D/file \
          -w '%{http_code}\n' $URL/file
      done
    ]])
  end)

  it("reads events", function()
    prints("retry: 10\n\nevent: tick\nid: 8\ndata: {\"n\":8}\n\n"
      .. "event: tick\nid: 9\ndata: {\"n\":9}\n\n",
      'curl -N -H "Last-Event-ID: 7" $URL/events')
  end)

  it("keeps its connection", function()
    prints("hello\nabc0404nothing here\nhello\n1\n5\n", [[
      curl -v $URL/ --next -s -d abc $URL/echo --next -s -I -o /dev/null \
        -w '%{num_connects}' $URL/ --next -s -w '%{http_code}' -o /dev/null \
        $URL/none --next -s $URL/missing $URL/ 2>$D/log
      grep -c "Connected to" $D/log
      grep -c "Re-using" $D/log
    ]])
  end)

  it("asks for many at once", function()
    prints("100\n1 100\n", [[
      curl -Z --parallel-immediate --parallel-max 30 "$URL/n/[1-100]" \
        -o "$D/out#1" 2>/dev/null
      ls $D/out* | wc -l
      cat $D/out1; echo " $(cat $D/out100)"
    ]])
  end)

  it("follows where it is sent", function()
    prints("hello\n1\n", [[
      curl -L -d a $URL/away
      curl -L $URL/away; echo
    ]])
  end)

  it("is told what is wrong", function()
    prints("HTTP/1.1 405 Method Not Allowed\nAllow: GET, HEAD\n"
      .. "404\n400\n414\n431\n501\n22\n", [[
      code() { curl -o /dev/null -w '%{http_code}\n' "$@"; }
      curl -i -X DELETE $URL/ | tr -d '\r' | grep -E "^(HTTP|Allow)"
      code $URL/none
      code --json '{' $URL/json
      code $URL/$(head -c 9000 /dev/zero | tr '\0' x)
      code -H "X: $(head -c 20000 /dev/zero | tr '\0' x)" $URL/
      code -X BREW $URL/
      curl -f $URL/none; echo $?
    ]])
  end)

  it("sends paths as they are", function()
    prints("/path/../x y/\n/path/a//b\n400\n", [[
      curl --path-as-is $URL/path/../x%20y/; echo
      curl $URL/path/a//b; echo
      curl -o /dev/null -w '%{http_code}\n' $URL/path/%zz
    ]])
  end)

  it("is not led to HTTP/2", function()
    prints("hello\n1.1\nhello\nrefused\n", [[
      curl --http2 -w '%{http_version}\n' $URL/
      curl --http2 $URL/
      curl --http2-prior-knowledge $URL/ || echo refused
    ]])
  end)

  it("asks at a Unix socket", function()
    prints("at unix\n", "curl --unix-socket $0.sock http://localhost/")
  end)
end)

describe("nc", function()
  it("has typed requests answered", function()
    prints("HTTP/1.1 200 OK\r\nhello\nHTTP/1.1 200 OK\r\nhello\n", [[
      printf 'GET / HTTP/1.0\r\n\r\n' | nc 127.0.0.1 $PORT | sed -n '1p;$p'
      printf 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' |
        nc 127.0.0.1 $PORT | sed -n '1p;$p'
    ]])
  end)

  it("may end its side before the answer", function()
    prints("late\nlate\nhello\n", [[
      printf 'GET /late HTTP/1.0\r\n\r\n' | nc -N 127.0.0.1 $PORT | tail -n 1
      printf 'GET /late HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' |
        nc -N 127.0.0.1 $PORT | tail -n 1
      printf 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' |
        nc -N 127.0.0.1 $PORT | tail -n 1
    ]])
  end)

  it("types a request in two pieces", function()
    prints("hello\n", [[
      { printf 'GET / HTTP/1.0\r\nHo'; sleep 0.1; printf 'st: a\r\n\r\n'; } |
        nc 127.0.0.1 $PORT | tail -n 1
    ]])
  end)

  it("is refused lines without CR, and what is no HTTP", function()
    prints("HTTP/1.1 400 Bad Request\r\n"
      .. "HTTP/1.1 400 Bad Request\r\nHTTP/1.1 400 Bad Request\r\n", [[
      printf 'GET / HTTP/1.0\n\n' | nc 127.0.0.1 $PORT | head -n 1
      printf 'GET /\r\n' | nc 127.0.0.1 $PORT | head -n 1
      printf '\026\003\001' | nc 127.0.0.1 $PORT | head -n 1
    ]])
  end)
end)

describe("wrk", function()
  it("has all its requests answered", function()
    prints("many\nmany\n", [[
      check() {
        grep -E "Socket errors|Non-2xx" $D/wrk
        sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' $D/wrk |
          awk '$1 > 1000 { print "many" }'
      }
      wrk -t 1 -c 20 -d 1s $URL/ >$D/wrk
      check
      wrk -t 1 -c 10 -d 1s -s bench/http/pipelined.lua $URL/ >$D/wrk
      check
    ]])
  end)
end)

local PYTHON = [[
import http.client, sys, urllib.error, urllib.parse, urllib.request
port = int(sys.argv[1])
url = "http://127.0.0.1:%d" % port

conn = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
def ask(method, path, body=None, headers={}, **more):
    conn.request(method, path, body, headers, **more)
    answer = conn.getresponse()
    return answer.status, answer.read()

assert ask("GET", "/") == (200, b"hello\n")
socket = conn.sock
assert ask("POST", "/echo", b"\0\xff" * 1000) == (200, b"\0\xff" * 1000)
assert ask("HEAD", "/big") == (200, b"")
pieces = iter([b"one", b"two" * 50000, b"three"])
assert ask("POST", "/echo", pieces, encode_chunked=True,
           headers={"Transfer-Encoding": "chunked"}) == (
    200, b"one" + b"two" * 50000 + b"three")
assert ask("GET", "/ticks") == (200, b"tick 1\ntick 2\ntick 3\n")
assert ask("POST", "/away") == (303, b"")
assert ask("DELETE", "/") == (405, b"405 Method Not Allowed\n")
assert len(ask("GET", "/big")[1]) == 2097152
assert conn.sock is socket, "the connection was kept"

with urllib.request.urlopen(url + "/query?a=1&b=%C3%A4") as answer:
    assert answer.read().decode() == "a=1\nb=\u00e4\n"
form = urllib.parse.urlencode({"a": "1 2", "b": "\u00e4"}).encode()
with urllib.request.urlopen(url + "/form", form) as answer:
    assert answer.read().decode() == "a=1 2\nb=\u00e4\n"
with urllib.request.urlopen(url + "/away", b"x") as answer:
    assert answer.read() == b"hello\n"
try:
    urllib.request.urlopen(url + "/none")
    assert False
except urllib.error.HTTPError as error:
    assert error.code == 404
print("all")
]]

describe("Python's", function()
  it("http.client and urllib are answered", function()
    prints("all\n", [[
      python=/usr/bin/python3
      [ -x $python ] || python=python3
      cat >$D/py <<'END'
]] .. PYTHON .. [[
END
      $python $D/py $PORT
    ]])
  end)
end)

describe("chromium", function()
  it("shows a page that asks in all ways", function()
    local list = {}
    for i = 0, 29 do list[i + 1] = i end
    prints('json 200 {"got":{"a":[1,"ä"]}}\nform a=1 2 b=ä%\n'
      .. "parts file=ä.txt application/octet-stream 100000 in memory text=ä\n"
      .. "parallel "
      .. table.concat(list, " ") .. "\nstream tick 1 tick 2 tick 3\n"
      .. "big 2097152\nupload 100000 bytes, 100000 of them 0\n"
      .. 'events 1{"n":1} 2{"n":2} 3{"n":3} 4{"n":4} 5{"n":5}\n'
      .. "missing 404\n", [[
      timeout 60 chromium --headless --no-sandbox --disable-gpu \
        --disable-quic --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync \
        --user-data-dir=$D/profile --dump-dom $URL/page 2>/dev/null |
        sed -n '/<pre/,/<.pre>/p' | sed 's/.*<pre[^>]*>//; s/<.*//'
    ]])
  end)
end)

describe("over TLS", function()
  local directory, server

  setup(function()
    directory = certificates.new()
    local authority = directory:authority "authority"
    local leaf = directory:issue(authority, "localhost")
    server = ("CERT, KEY, CA = %q, %q, %q\n"):format(leaf.cert, leaf.key,
      authority.cert) .. SERVER
  end)

  teardown(function() directory:remove() end)

  local function secretly(want, script)
    prints(want, "URL=https://localhost:$PORT; CA=" .. directory.path
      .. "/authority/ca.crt\n" .. script, server)
  end

  it("openssl s_client is answered", function()
    secretly("hello\nhttp/1.1\n", [[
      ask() { printf 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'; }
      ask | openssl s_client -quiet -verify_return_error -CAfile $CA \
        -connect localhost:$PORT 2>/dev/null | tail -n 1
      ask | openssl s_client -CAfile $CA -alpn h2,http/1.1 \
        -connect localhost:$PORT 2>/dev/null | sed -n 's/^ALPN.*: //p'
    ]])
  end)

  it("curl is answered, and not led to HTTP/2", function()
    secretly("hello\nabc 1.1\n2097152\nrefused\n", [[
      curl --cacert $CA $URL/
      curl --cacert $CA --http2 -d abc -w ' %{http_version}\n' $URL/echo
      curl --cacert $CA $URL/big | wc -c
      curl http://localhost:$PORT/ || echo refused
    ]])
  end)

  it("wrk has all its requests answered", function()
    secretly("many\n", [[
      wrk -t 1 -c 10 -d 1s $URL/ >$D/wrk
      grep -E "Socket errors|Non-2xx" $D/wrk
      sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' $D/wrk |
        awk '$1 > 500 { print "many" }'
    ]])
  end)
end)
