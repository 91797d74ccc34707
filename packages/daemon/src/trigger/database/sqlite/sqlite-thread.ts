import { existsSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { uninstallCapture } from './capture.ts';
import { CapturedFile, openExisting } from './captured-file.ts';
import type { SqliteAnswers, SqliteCall, SqliteFailure, SqliteReply, SqliteRequest } from './sqlite-calls.ts';

/** The thread that holds a user's file: only it waits while others write. */
const port = parentPort;
if (port === null) throw new Error('this file is a thread of the daemon');
let file: CapturedFile | undefined;

port.on('message', ({ id, call }: SqliteRequest) => {
  const tell = (reply: SqliteReply): void => port.postMessage(reply);
  try {
    tell({ id, value: answer(call) });
  } catch (error) {
    tell({ id, failure: failureOf(error) });
  }
});

function answer(call: SqliteCall): SqliteAnswers[SqliteCall['do']] {
  switch (call.do) {
    case 'open':
      file?.close();
      file = new CapturedFile(call.path, call);
      return file.installed;
    case 'read':
      return opened().read(call.after);
    case 'prune':
      return opened().prune(call.upTo);
    case 'uninstall':
      uninstall(call.path, call.name);
      return null;
    default:
      throw new Error(`no such call: ${JSON.stringify(call)}`);
  }
}

function opened(): CapturedFile {
  if (file === undefined) throw new Error('the file is not open');
  return file;
}

/** In a file that is gone there is nothing left. */
function uninstall(path: string, name: string): void {
  if (!existsSync(path)) return;
  const database = openExisting(path);
  try {
    uninstallCapture(database, name);
  } finally {
    database.close();
  }
}

function failureOf(error: unknown): SqliteFailure {
  if (!(error instanceof Error)) return { message: String(error), code: '' };
  if ('errcode' in error) return { message: error.message, code: String(error.errcode) };
  return { message: error.message, code: 'code' in error ? String(error.code) : '' };
}
