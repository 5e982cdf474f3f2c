/** What stands for an emulator: answers after a while that an emulator needs, or at once. Started by upstream. */
import { createServer } from 'node:http';

const delayMs = Number(process.argv[2] ?? '0');
const body = Buffer.from(JSON.stringify({ kind: 'storage#object', name: 'bench', metadata: { text: 'x'.repeat(900) } }));
const server = createServer((request, response) => {
  request.resume();
  const answer = (): void => {
    response.writeHead(200, { 'Content-Type': 'application/json; charset=UTF-8', 'Content-Length': body.length });
    response.end(body);
  };
  if (delayMs === 0) answer();
  else setTimeout(answer, delayMs);
}).listen(0, '127.0.0.1', () => {
  const address = server.address();
  console.log(typeof address === 'object' ? address?.port : '');
});
