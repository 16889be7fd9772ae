// Has AWS's own validator for JavaScript check the messages on standard input, one JSON object a line, and answers a line for each: "ok", or what is wrong. Its requests for certificates
// are for sns.REGION.amazonaws.com, and go to the port of this machine that is given.
const https = require("https"), tls = require("tls"), readline = require("readline");
const Validator = require("sns-validator");

const port = Number(process.argv[2]), ca = Buffer.from(process.argv[3], "base64");
const agent = new https.Agent();
agent.createConnection = (options) => tls.connect({ host: "127.0.0.1", port, ca, servername: options.servername || options.host });
https.globalAgent = agent;

const validator = new Validator();
readline.createInterface({ input: process.stdin }).on("line", (line) => validator.validate(JSON.parse(line), (err) => console.log(err ? String(err.message) : "ok")));
