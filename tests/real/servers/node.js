// A platform on Node's own HTTP server: what it made of each request is its answer and a line of its output.
const http = require("http");

const server = http.createServer((request, answer) => {
  request.resume();
  request.on("end", () => {
    const raw = request.rawHeaders;
    const headers = raw.filter((_, place) => place % 2 === 0).map((name, place) => [name, raw[place * 2 + 1]]);
    let path = request.url.split("?")[0];
    try {
      path = decodeURIComponent(path);
    } catch {}
    console.log("SEEN " + JSON.stringify([request.method, request.url, path, headers, false]));
    answer.end(request.url + "\n");
  });
});
server.listen(Number(process.argv[2]), "127.0.0.1");
