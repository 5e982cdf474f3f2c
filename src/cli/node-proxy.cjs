/**
 * Read by each Node program that `actas exec` starts, before the program itself (NODE_OPTIONS=--require). Node's own agents know HTTPS_PROXY from 22.21 and 24.5
 * on, and only where a program makes none of its own: the REST fallback of Google's clients (`fallback: true`) makes one, and would call the real Google. What
 * is overridden here is the method that Node's documentation leaves to be overridden, `createConnection` of an agent; certificates are checked as ever.
 * Plain JavaScript that Node 18 understands: it runs in whatever Node the program has.
 */
'use strict';
const http = require('node:http');
const https = require('node:https');
const tls = require('node:tls');

const given = process.env.HTTPS_PROXY || process.env.https_proxy;
const past = (process.env.NO_PROXY || process.env.no_proxy || '')
  .split(',')
  .map((entry) =>
    entry
      .trim()
      .toLowerCase()
      .replace(/^\*?\./, ''),
  )
  .filter((entry) => entry !== '');
/** The same as `GOOGLE_DOMAINS`. */
const GOOGLE = /(?:^|\.)(?:googleapis\.com|run\.app|pkg\.dev|accounts\.google\.com)$/;

if (given) {
  const proxy = new URL(given);
  const direct = https.Agent.prototype.createConnection;
  https.Agent.prototype.createConnection = function createConnection(options, callback, ...rest) {
    const isPlain = typeof options === 'object' && options !== null && typeof callback === 'function' && !options.socketPath && !options.socket && options.host;
    // An agent that was told of a proxy finds it by itself.
    if (!isPlain || this.options?.proxyEnv || isPast(options.host)) return direct.call(this, options, callback, ...rest);
    tunnel(proxy, options, callback);
    return undefined;
  };
  // The `fetch` of an older Node takes no proxy, and has nothing to override.
  if (typeof globalThis.fetch === 'function' && !process.allowedNodeEnvironmentFlags.has('--use-env-proxy')) {
    const fetchDirect = globalThis.fetch;
    globalThis.fetch = async (input, init) => {
      const { hostname } = new URL(typeof input === 'object' && 'url' in input ? input.url : input);
      if (GOOGLE.test(hostname) && !isPast(hostname))
        throw new TypeError(
          `fetch of Node ${process.versions.node} takes no proxy, so ${hostname} would be the real one. Use Node 22.21, 24 or later, or a client that knows HTTPS_PROXY (actas exec).`,
        );
      return fetchDirect(input, init);
    };
  }
}

function isPast(host) {
  const name = host.toLowerCase();
  return past.some((entry) => entry === '*' || name === entry || name.endsWith(`.${entry}`));
}

/** @param callback gets an error, or the connection, which is encrypted to the host that was asked for */
function tunnel(proxy, options, callback) {
  const target = `${options.host.includes(':') ? `[${options.host}]` : options.host}:${options.port}`;
  const call = http.request({ host: proxy.hostname.replace(/^\[|\]$/g, ''), port: proxy.port, method: 'CONNECT', path: target, headers: { host: target }, agent: false });
  call.once('error', callback);
  call.once('connect', (response, socket) => {
    call.off('error', callback);
    if (response.statusCode === 200) return callback(null, tls.connect({ ...options, socket }));
    socket.destroy();
    return callback(new Error(`The proxy ${proxy.host} opens no way to ${target}: it answered ${response.statusCode}.`));
  });
  call.end();
}
