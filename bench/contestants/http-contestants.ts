import { existsSync } from 'node:fs';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { BenchContext } from '../context.ts';
import { findProgram, startProgram } from '../machine/program.ts';
import {
  PACKAGES,
  PROGRAMS,
  startNodeServer,
  untilAnswers,
  type Contestant,
  type Peer,
} from './contestant.ts';

/** The handler as a server, with nothing before it: what no platform can beat. */
export async function startDirect(context: BenchContext, program = 'server.js'): Promise<Contestant> {
  const { port } = await startNodeServer(context, program, '0');
  return { name: 'direct', url: `http://127.0.0.1:${port}/` };
}

/** nginx with one worker, proxying over a unix socket with keep-alive to the same server. */
export async function startNginx(context: BenchContext, program = 'server.js'): Promise<Peer> {
  const nginx = findProgram('nginx');
  if (nginx === undefined) return 'nginx is not on this machine (Debian: nginx)';
  const directory = await context.directory();
  const socket = join(directory, 'backend.sock');
  await startNodeServer(context, program, socket);
  const port = await freePort();
  await mkdir(join(directory, 'temporary'));
  await writeFile(join(directory, 'nginx.conf'), nginxConfig(directory, socket, port));
  const running = startProgram(nginx, ['-p', directory, '-c', join(directory, 'nginx.conf'), '-e', 'stderr']);
  context.onEnd(() => running.stop());
  const url = `http://127.0.0.1:${port}/`;
  await untilAnswers(url, running);
  return { name: 'nginx', url };
}

function nginxConfig(directory: string, socket: string, port: number): string {
  const temporary = join(directory, 'temporary');
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
daemon off;
pid ${join(directory, 'pid')};
events { worker_connections 1024; }
http {
  access_log off;
  ${paths.map((name) => `${name}_temp_path ${join(temporary, name)};`).join('\n  ')}
  keepalive_requests 1000000000;
  client_max_body_size 0;
  proxy_request_buffering off;
  proxy_buffering on;
  upstream backend {
    server unix:${socket};
    keepalive 64;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`;
}

/** workerd with the handler as a worker. */
export async function startWorkerd(context: BenchContext): Promise<Peer> {
  const workerd = join(PACKAGES, '.bin', 'workerd');
  if (!existsSync(workerd)) return 'workerd is not installed in bench/peers';
  const port = await freePort();
  const directory = await context.directory();
  await writeFile(
    join(directory, 'config.capnp'),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = [(name = "worker", esModule = embed "worker.js")],
    compatibilityDate = "2026-01-01",
  ))],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
`,
  );
  await copyFile(join(PROGRAMS, 'worker.js'), join(directory, 'worker.js'));
  const running = startProgram(workerd, ['serve', join(directory, 'config.capnp')]);
  context.onEnd(() => running.stop());
  const url = `http://127.0.0.1:${port}/`;
  await untilAnswers(url, running);
  return { name: 'workerd', url };
}

/** @google-cloud/functions-framework with the handler as an HTTP function. */
export async function startFunctionsFramework(context: BenchContext): Promise<Peer> {
  const entry = join(PACKAGES, '@google-cloud/functions-framework/build/src/main.js');
  if (!existsSync(entry)) return '@google-cloud/functions-framework is not installed in bench/peers';
  const port = await freePort();
  const source = join(PROGRAMS, 'functions-framework.js');
  const running = startProgram(process.execPath, [
    entry,
    `--source=${source}`,
    '--target=hello',
    `--port=${port}`,
  ]);
  context.onEnd(() => running.stop());
  const url = `http://127.0.0.1:${port}/`;
  await untilAnswers(url, running);
  return { name: 'functions-framework', url };
}

/** A port that was free a moment ago: these programs cannot be asked which one they took. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        address === null || typeof address === 'string'
          ? reject(new Error('no port'))
          : resolve(address.port),
      );
    });
  });
}
