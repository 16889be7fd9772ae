// Runs a JavaScript handler: asks the Lambda Runtime API for events and answers them.

import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import util from 'node:util';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const env = process.env;
const api = '/2018-06-01/runtime';
const [host, port] = env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const streaming = Symbol('streaming');
let requestID = '';

function call(method, url, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, agent, method, path: api + url, headers }, (response) => {
      const chunks = [];
      response.on('data', (c) => chunks.push(c));
      response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(chunks) }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

class Failure extends Error {
  constructor(kind, message) {
    super(message);
    this.name = kind;
  }
}

function describe(e) {
  if (e instanceof Error || (e && typeof e === 'object' && 'message' in e && 'stack' in e)) {
    return { errorType: e.name, errorMessage: e.message, trace: String(e.stack || '').split('\n') };
  }
  return { errorType: typeof e, errorMessage: String(e), trace: [] };
}

function complain(what, e) {
  const fields = e instanceof Error ? Object.fromEntries(Object.entries(e)) : {};
  const d = describe(e);
  const line = JSON.stringify({ errorType: d.errorType, errorMessage: d.errorMessage, ...fields, stack: d.trace });
  process.stdout.write(`${new Date().toISOString()}\t${requestID || 'undefined'}\tERROR\t${what}\t${line}\n`);
}

for (const [name, level] of Object.entries({ log: 'INFO', info: 'INFO', warn: 'WARN', error: 'ERROR', debug: 'DEBUG', trace: 'TRACE' })) {
  console[name] = (...args) => process.stdout.write(`${new Date().toISOString()}\t${requestID || 'undefined'}\t${level}\t${util.format(...args)}\n`);
}

globalThis.awslambda = {
  streamifyResponse(handler) {
    handler[streaming] = true;
    return handler;
  },
  HttpResponseStream: {
    // What comes first is JSON with status and headers, then eight zero bytes, then the body.
    from(stream, metadata) {
      stream.setContentType('application/vnd.awslambda.http-integration-response');
      stream.write(JSON.stringify(metadata));
      stream.write(Buffer.alloc(8));
      return stream;
    },
  },
};

async function load() {
  const root = env.LAMBDA_TASK_ROOT;
  const name = env._HANDLER;
  const directory = path.dirname(name);
  const parts = /^([^.]*)\.(.*)$/.exec(path.basename(name));
  if (!parts || name.includes('..')) {
    throw new Failure('Runtime.MalformedHandlerName', 'Bad handler');
  }
  const base = path.resolve(root, directory, parts[1]);
  let module;
  try {
    const file = ['', '.js', '.mjs', '.cjs'].map((s) => base + s).find((f) => fs.existsSync(f) && fs.statSync(f).isFile());
    if (!file) {
      module = createRequire(path.join(root, 'x.js'))(base);
    } else if (file.endsWith('.mjs') || (file.endsWith('.js') && isModule(path.dirname(file), root))) {
      module = await import(pathToFileURL(file));
    } else {
      module = createRequire(file)(file);
    }
  } catch (e) {
    if (e instanceof SyntaxError) {
      throw new Failure('Runtime.UserCodeSyntaxError', e.stack);
    }
    if (e?.code === 'MODULE_NOT_FOUND' || e?.code === 'ERR_MODULE_NOT_FOUND') {
      throw new Failure('Runtime.ImportModuleError', `Error: ${e.message}`);
    }
    throw e;
  }
  const find = (from) => parts[2].split('.').reduce((o, key) => o?.[key], from);
  const handler = find(module) ?? find(module?.default);
  if (handler === undefined) {
    throw new Failure('Runtime.HandlerNotFound', `${name} is undefined or not exported`);
  }
  if (typeof handler !== 'function') {
    throw new Failure('Runtime.HandlerNotFound', `${name} is not a function`);
  }
  return handler;
}

// isModule says what the nearest package.json says of .js files.
function isModule(directory, root) {
  for (;;) {
    try {
      return JSON.parse(fs.readFileSync(path.join(directory, 'package.json'))).type === 'module';
    } catch {
      if (directory === root || directory === '/') {
        return false;
      }
      directory = path.dirname(directory);
    }
  }
}

function contextOf(headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const client = headers['lambda-runtime-client-context'];
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: client ? JSON.parse(client) : undefined,
    identity: undefined,
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  };
}

// run calls a handler: one that returns a promise, one that takes a callback, or one that uses the context's. What is left of a handler that has said nothing when nothing is left to do is null.
function run(handler, event, context) {
  return new Promise((resolve, reject) => {
    let outcome = () => resolve(null);
    const last = () => outcome();
    const finish = (settled) => {
      process.off('beforeExit', last);
      settled();
    };
    const settle = (error, value) => {
      outcome = () => finish(() => (error === null || error === undefined ? resolve(value) : reject(error)));
      if (!context.callbackWaitsForEmptyEventLoop) {
        outcome();
      }
    };
    context.done = settle;
    context.succeed = (value) => settle(null, value);
    context.fail = (error) => settle(error ?? 'handled');
    process.once('beforeExit', last);
    let returned;
    try {
      returned = handler(event, context, settle);
    } catch (e) {
      finish(() => reject(e));
      return;
    }
    if (returned && typeof returned.then === 'function') {
      returned.then((value) => finish(() => resolve(value)), (e) => finish(() => reject(e)));
    }
  });
}

const named = { 'Content-Type': 'application/json' };

function answerError(id, e) {
  const body = describe(e);
  return call('POST', `/invocation/${id}/error`, JSON.stringify(body), { ...named, 'Lambda-Runtime-Function-Error-Type': body.errorType });
}

// stream runs a handler that writes its response while it makes it.
function stream(handler, event, context, id) {
  return new Promise((resolve, reject) => {
    let begun = false;
    let contentType = 'application/octet-stream';
    const headers = () => ({
      'Content-Type': contentType,
      'Lambda-Runtime-Function-Response-Mode': 'streaming',
      'Transfer-Encoding': 'chunked',
      Trailer: 'Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body',
    });
    const request = http.request({ host, port, agent, method: 'POST', path: `${api}/invocation/${id}/response` }, (response) => {
      response.resume();
      response.on('end', resolve);
    });
    request.on('error', reject);
    request.setContentType = (type) => { contentType = type; };
    const write = request.write.bind(request);
    const end = request.end.bind(request);
    const begin = () => {
      if (!begun) {
        begun = true;
        for (const [name, value] of Object.entries(headers())) {
          request.setHeader(name, value);
        }
      }
    };
    request.write = (...args) => { begin(); return write(...args); };
    request.end = (...args) => { begin(); return end(...args); };
    const fail = (e) => {
      complain('Invoke Error', e);
      if (!begun) {
        request.on('error', () => {});
        request.destroy();
        answerError(id, e).then(resolve, reject);
        return;
      }
      const body = describe(e);
      request.addTrailers({
        'Lambda-Runtime-Function-Error-Type': body.errorType,
        'Lambda-Runtime-Function-Error-Body': Buffer.from(JSON.stringify(body)).toString('base64'),
      });
      end();
    };
    Promise.resolve().then(() => handler(event, request, context)).then(() => {
      if (!request.writableEnded) {
        request.end();
      }
    }, fail);
  });
}

async function serve(handler) {
  const { headers, body } = await call('GET', '/invocation/next');
  const id = headers['lambda-runtime-aws-request-id'];
  requestID = id;
  if (headers['lambda-runtime-trace-id']) {
    env._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id'];
  } else {
    delete env._X_AMZN_TRACE_ID;
  }
  let answer;
  try {
    const event = JSON.parse(body);
    const context = contextOf(headers);
    if (handler[streaming]) {
      await stream(handler, event, context, id);
      return;
    }
    answer = JSON.stringify(await run(handler, event, context)) ?? 'null';
  } catch (e) {
    complain('Invoke Error', e);
    await answerError(id, e);
    return;
  }
  await call('POST', `/invocation/${id}/response`, answer, named);
}

// What nobody catches ends the process, and the invocation with it.
async function fatal(kind, e) {
  complain(kind, e);
  if (requestID) {
    await answerError(requestID, kind === 'Unhandled Promise Rejection' ? new Failure('Runtime.UnhandledPromiseRejection', describe(e).errorMessage) : e).catch(() => {});
  }
  process.exit(requestID ? 128 : 129);
}
process.on('uncaughtException', (e) => fatal('Uncaught Exception', e));
process.on('unhandledRejection', (e) => fatal('Unhandled Promise Rejection', e));

// Not with await at the top: a module that waits for good ends the process when nothing is left to do.
async function main() {
  let handler;
  try {
    handler = await load();
  } catch (e) {
    complain('Uncaught Exception', e);
    const body = describe(e);
    await call('POST', '/init/error', JSON.stringify(body), { ...named, 'Lambda-Runtime-Function-Error-Type': body.errorType }).catch(() => {});
    process.exit(1);
  }
  for (;;) {
    await serve(handler);
  }
}
main();
