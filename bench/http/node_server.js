// node_server.js PORT: hello.lua, and the answers of examples/order_api.lua
// without its queue, on Node's http module in one process.
"use strict";

const http = require("http");

const powers = new Map([
  [true, true], ["True", true], [false, false], ["False", false],
]);
let came = 0;

function answer(response, status, value) {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, {
    "Content-Type": "application/json",
    "Content-Length": body.length,
  });
  response.end(body);
}

function placeOrder(response, text) {
  let power;
  try {
    power = powers.get(JSON.parse(text).power_user);
  } catch {
    power = undefined;
  }
  if (power === undefined) {
    answer(response, 400, { error: "power_user: true or false" });
    return;
  }
  came += 1;
  answer(response, 202, { order: came, power_user: power });
}

function readBody(request, done) {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => done(Buffer.concat(chunks).toString()));
}

const server = http.createServer((request, response) => {
  if (request.method === "POST" && request.url === "/order") {
    readBody(request, (text) => placeOrder(response, text));
  } else if (request.method === "GET" && request.url === "/") {
    answer(response, 200, { hello: "world" });
  } else {
    answer(response, 404, { error: "not found" });
  }
});

server.listen(Number(process.argv[2]), "127.0.0.1", 1024);
