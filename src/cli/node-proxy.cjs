/**
 * Read by each Node program that `actas exec` starts, before the program itself (NODE_OPTIONS=--require). Node's own agents know HTTPS_PROXY from 22.21 and 24.5
 * on, and only where a program makes none of its own: the REST fallback of Google's clients (`fallback: true`) makes one, and would call the real Google. What
 * is overridden here is the method that Node's documentation leaves to be overridden, `createConnection` of an agent; certificates are checked as ever. What opens
 * its connections below that (`fetch` of an older Node, `http2.connect`) cannot be led here, and is refused where it would reach Google.
 * Plain JavaScript that Node 18 understands: it runs in whatever Node the program has.
 */
'use strict';
const http = require('node:http');
const https = require('node:https');
const { syncBuiltinESMExports } = require('node:module');
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
    if (!isPlain || (this.options && this.options.proxyEnv) || isPast(options.host)) return direct.call(this, options, callback, ...rest);
    tunnel(proxy, options, callback);
    return undefined;
  };
  const connect = tls.connect;
  tls.connect = (...args) => {
    const host = directHost(args);
    if (GOOGLE.test(host) && !isPast(host))
      throw new TypeError(
        `This connection to ${host} would go past the proxy (HTTPS_PROXY), to the real one, so actas exec refuses it. Use a client that knows the proxy; fetch does from Node 22.21 and 24 on.`,
      );
    return connect(...args);
  };
  syncBuiltinESMExports();
}

function isPast(host) {
  const name = host.toLowerCase();
  return past.some((entry) => entry === '*' || name === entry || name.endsWith(`.${entry}`));
}

/** Where a connection that `tls.connect` opens by itself leads; empty where it takes one that is there. */
function directHost(args) {
  const options = args.find((arg) => typeof arg === 'object' && arg !== null) || {};
  if (options.socket || options.path) return '';
  return String(options.host || args.find((arg, i) => i === 1 && typeof arg === 'string') || '').toLowerCase();
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
