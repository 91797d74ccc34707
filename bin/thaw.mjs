#!/usr/bin/env node
/**
 * The command `thaw`. Runs packages/cli/src/main.ts in this process when this Node is new enough; otherwise starts this
 * same file again on the engine that npm installed and stands in for it: same terminal, same signals, same end.
 */
import { spawn } from 'node:child_process';
import module from 'node:module';
import { fileURLToPath } from 'node:url';
import { engineMissingMessage, findEngine, isEngineVersion } from './engine.mjs';
import { FORWARDED_SIGNALS, forwardSignals, SIGNAL_NOTICE_MS } from './forward-signals.mjs';

if (isEngineVersion(process.versions.node)) {
  module.enableCompileCache?.();
  await import('../packages/cli/src/main.ts');
} else {
  const engine = findEngine();
  if (engine === undefined) fail(engineMissingMessage());
  else standInFor(engine);
}

function standInFor(engine) {
  // The channel tells the child when this process is gone, even by SIGKILL: a server must not outlive its command.
  const child = spawn(engine, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, THAW_WRAPPER: '1' },
  });
  forwardSignals(child);

  child.on('error', (error) => fail(`cannot start ${engine}: ${error.message}. ${engineMissingMessage()}`));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    for (const forwarded of FORWARDED_SIGNALS) process.removeAllListeners(forwarded);
    process.kill(process.pid, signal);
    // A signal that does not end a process by itself (SIGCHLD and the like) still ends the command.
    setTimeout(() => process.exit(1), SIGNAL_NOTICE_MS);
  });
}

function fail(message) {
  process.stderr.write(`thaw: ${message}\n`);
  process.exitCode = 1;
}
