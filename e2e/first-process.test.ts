import assert from 'node:assert/strict';
import { arch } from 'node:os';
import { test } from 'node:test';
import { startPlatform } from '@thaw/testkit/platform.ts';
import { createFunction, invoke, waitForStems } from './support/functions.ts';
import { jsonOf } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

/** What a function sees of process 1 beside it, and whether orphans of its own are collected. */
const LOOK = `import json, os, random, subprocess, threading, time

def text(path):
    with open(path) as file:
        return file.read()

def interfaces(pid):
    return sorted(line.split(":")[0].strip() for line in text("/proc/%s/net/dev" % pid).splitlines()[2:])

def handler(event, context):
    subprocess.run(["sh", "-c", "sleep 0.01 &"])
    limit = time.monotonic() + 20
    while len([name for name in os.listdir("/proc") if name.isdigit()]) > 2 and time.monotonic() < limit:
        time.sleep(0.01)
    status = dict(line.split(":\\t", 1) for line in text("/proc/1/status").splitlines())
    rights = [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")]
    held = []
    for name in ("fd", "root", "environ"):
        try:
            held.append(os.listdir("/proc/1/" + name) if name != "environ" else text("/proc/1/environ"))
        except PermissionError:
            pass
    state = random.getstate()
    child = os.fork()
    if child == 0:
        os._exit(0 if random.getstate() != state else 1)
    return json.dumps({
        "uid": status["Uid"].split()[0], "rights": [int(right, 16) for right in rights], "held": held,
        "noNewPrivs": status["NoNewPrivs"], "seccomp": status["Seccomp"], "mounts": text("/proc/1/mountinfo"),
        "sameInterfaces": interfaces("1") == interfaces("self"),
        "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit())[:2],
        "native": threading.main_thread().native_id == os.getpid(), "random": random.random(),
        "forked": os.waitpid(child, 0)[1],
    })
`;

test('process 1 of a forked sandbox has and sees nothing, and instances differ in their random numbers', async (t) => {
  const platform = await startPlatform(t, { stems: 2, needs: ['python-zygotes'] });
  const answer = await signedCall(platform, { method: 'GET', path: '/thaw/v1/info' });
  const { unavailable } = jsonOf<{ stems: { unavailable?: string } }>(answer).stems;
  if (unavailable !== undefined) {
    t.skip(unavailable);
    return;
  }
  const randoms: number[] = [];
  for (const [name, internetAccess] of [
    ['connected', true],
    ['alone', false],
  ] as const) {
    const functionName = await createFunction(platform, name, {
      code: LOOK,
      language: 'python',
      fields: { internetAccess },
    });
    await waitForStems(platform);
    const { random, ...seen } = jsonOf<{ random: number; mounts: string }>(
      await invoke(platform, functionName),
    );
    randoms.push(random);
    assert.deepEqual(seen, {
      uid: '65534',
      rights: [0, 0, 0, 0, 0],
      held: [],
      noNewPrivs: '1',
      // Strict where the program is made for the machine, filtered where it is one of the system.
      seccomp: arch() === 'x64' ? '1' : '2',
      mounts: arch() === 'x64' ? '' : seen.mounts,
      sameInterfaces: true,
      processes: [1, 2],
      native: true,
      forked: 0,
    });
  }
  assert.notEqual(randoms[0], randoms[1]);
});
