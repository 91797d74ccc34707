import { azureDay } from '/work/main/bench/keep-alive/azure-day.ts';
const day = azureDay(500, 20200715);
const DAY = 86400;
type P = { pre: number; keep: number };
function sim(plan: (s: any, mem: number) => P) {
  let cold = 0,
    gbs = 0,
    busy = 0;
  for (const f of day) {
    const mem = f.memoryMb / 1024,
      d = Math.max(1, Math.ceil(f.durationMs / 1000));
    const t = f.calls.map((x) => x / 1000);
    const s = { h: new Float64Array(241), n: 0 };
    let end = t[0]! + d;
    let c = 1,
      g = 0;
    busy += mem * d;
    for (let i = 1; i < t.length; i++) {
      const at = t[i]!;
      if (at <= end) {
        const e2 = Math.max(end, at + d);
        busy += mem * (e2 - end);
        end = e2;
        continue;
      }
      const idle = at - end;
      const p = plan(s, mem);
      if (p.pre > 0 && idle <= 10) g += idle;
      else if (idle < p.pre) {
        c++;
        g += 10;
      } else if (idle <= p.keep) g += idle - p.pre + (p.pre ? 10 : 0);
      else {
        c++;
        g += p.keep - p.pre + (p.pre ? 10 : 0);
      }
      s.h[Math.min(240, Math.floor(idle / 60))]!++;
      s.n++;
      end = at + d;
      busy += mem * d;
    }
    const p = plan(s, mem);
    const tail = Math.max(0, DAY - end);
    g += Math.max(0, Math.min(tail, p.keep) - (p.pre < tail ? p.pre : tail));
    cold += c;
    gbs += g * mem;
  }
  return { cold, idle: Math.round(gbs), busy: Math.round(busy) };
}
for (const f of [300, 600, 1200, 14400])
  console.log('fixed', f, JSON.stringify(sim(() => ({ pre: 0, keep: f }))));
// population prior
const pop = new Float64Array(241);
{
  for (const f of day) {
    const d = Math.max(1, Math.ceil(f.durationMs / 1000));
    const t = f.calls.map((x) => x / 1000);
    const h = new Float64Array(241);
    let n = 0;
    let end = t[0]! + d;
    for (let i = 1; i < t.length; i++) {
      const at = t[i]!;
      if (at > end) {
        h[Math.min(240, Math.floor((at - end) / 60))]!++;
        n++;
      }
      end = Math.max(end, at + d);
    }
    if (n) for (let b = 0; b <= 240; b++) pop[b] += h[b]! / n;
  }
  let s = 0;
  for (const x of pop) s += x;
  for (let b = 0; b <= 240; b++) pop[b]! /= s as any;
}
const tot = (() => {
  let s = 0;
  for (const x of pop) s += x;
  return s;
})();
for (let b = 0; b <= 240; b++) pop[b] = pop[b]! / tot;
function econ(W: number, prior: (b: number) => number, pw: number, prewarm = true, spread = 0) {
  const cache = new WeakMap<any, { n: number; p: P }>();
  return (s: any, mem: number): P => {
    const k = cache.get(s);
    if (k && s.n - k.n < Math.max(1, k.n / 16)) return k.p;
    const N = s.n + pw;
    const q = new Float64Array(241);
    for (let b = 0; b <= 240; b++) q[b] = (s.h[b] + pw * prior(b)) / N;
    // cost of window [a,b): cold prob outside; held time
    // survival S[b]=P(idle>=b bins)
    const S = new Float64Array(242);
    for (let b = 240; b >= 0; b--) S[b] = S[b + 1]! + q[b]!;
    const H = new Float64Array(242);
    for (let b = 0; b <= 240; b++) H[b + 1] = H[b]! + 60 * (S[b + 1]! + q[b]! / 2); // held from 0 to b
    let best = Infinity,
      p = { pre: 0, keep: 0 };
    for (let a = 0; a <= (prewarm ? 239 : 0); a++) {
      if (a > 0 && a < 3) continue;
      for (let b = a; b <= 240; b++) {
        const held = H[b]! - H[a]! + (a > 0 ? 10 : 0);
        const hit = S[a]! - S[b]!;
        const cost = (1 - hit) * W + held * mem;
        if (cost < best) {
          best = cost;
          p = { pre: a * 60, keep: b * 60 };
        }
      }
    }
    if (p.pre > 0) p = { pre: Math.max(0, p.pre - 30), keep: p.keep + 30 };
    cache.set(s, { n: s.n, p });
    return p;
  };
}

function fb(k: number, f: number, inner: any) {
  return (st: any, mem: number) => (st.n < k ? { pre: 0, keep: f } : inner(st, mem));
}
// analytic prior: log-uniform over idle time from 0.5 min to 480 min
const lg = (b: number) =>
  b < 240 ? Math.log((b + 1.5) / (b + 0.5)) / Math.log(480 / 0.5) : Math.log(480 / 240.5) / Math.log(960);
for (const W of [150, 200, 250, 300])
  for (const [nm, pr, pw] of [
    ['pop', (b: number) => pop[b]!, 1],
    ['log', lg, 0.5],
    ['log', lg, 1],
    ['log', lg, 2],
  ] as any) {
    console.log('econ', W, nm, pw, JSON.stringify(sim(econ(W, pr, pw))));
    for (const [k, f] of [
      [4, 300],
      [8, 300],
      [8, 600],
    ] as any)
      console.log('  fb', k, f, JSON.stringify(sim(fb(k, f, econ(W, pr, pw)))));
    console.log('  noprewarm', JSON.stringify(sim(econ(W, pr, pw, false))));
  }
