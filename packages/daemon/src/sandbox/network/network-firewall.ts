import { findProgram, runProgram } from '../launcher/run-program.ts';
import {
  iptablesAdmissions,
  iptablesRemovals,
  iptablesRules,
  nftRules,
  type RuleNames,
} from './network-rules.ts';

const DELETIONS_MAX = 4;

export interface Firewall {
  close(): Promise<void>;
}

/** Puts the rules in force, with nftables where it is and iptables otherwise; rejects where neither works. */
export async function openFirewall(names: RuleNames): Promise<Firewall> {
  const iptables = findProgram('iptables');
  const nft = findProgram('nft');
  await clearFirewall(names);
  if (nft !== undefined) {
    await runProgram(nft, ['-f', '-'], nftRules(names));
  } else {
    const restore = findProgram('iptables-restore');
    if (iptables === undefined || restore === undefined)
      throw new Error('neither nft nor iptables is installed');
    await runProgram(restore, ['--noflush'], iptablesRules(names));
  }
  if (nft !== undefined && iptables !== undefined && (await dropsForwarded(iptables))) {
    for (const rule of iptablesAdmissions(names.interfacePrefix)) {
      const [chain = '', ...match] = rule;
      await runProgram(iptables, ['-I', chain, '1', ...match]);
    }
  }
  return { close: () => clearFirewall(names) };
}

async function clearFirewall(names: RuleNames): Promise<void> {
  const nft = findProgram('nft');
  const iptables = findProgram('iptables');
  if (nft !== undefined) await deleteTable(nft, names.table);
  if (iptables === undefined) return;
  const present = await runProgram(iptables, ['-S']).catch(() => '');
  if (present.includes(`-i ${names.interfacePrefix}+ -j ACCEPT`)) {
    for (const rule of iptablesAdmissions(names.interfacePrefix)) {
      await ignoreFailure(runProgram(iptables, ['-D', ...rule]));
    }
  }
  if (present.includes(`${names.table}-in`)) {
    for (const removal of iptablesRemovals(names.table)) await ignoreFailure(runProgram(iptables, removal));
  }
}

/** A machine with very much to do may take longer for it than a program is given. */
async function deleteTable(nft: string, table: string): Promise<void> {
  for (let attempt = 0; attempt < DELETIONS_MAX; attempt += 1) {
    const tables = await runProgram(nft, ['list', 'tables', 'inet']).catch(() => undefined);
    if (tables?.split('\n').includes(`table inet ${table}`) === false) return;
    await ignoreFailure(runProgram(nft, ['delete', 'table', 'inet', table]));
  }
}

async function dropsForwarded(iptables: string): Promise<boolean> {
  const chain = await runProgram(iptables, ['-S', 'FORWARD']).catch(() => '');
  return chain.startsWith('-P FORWARD DROP');
}

/** For removals: what is not there need not go. */
async function ignoreFailure(running: Promise<string>): Promise<void> {
  await running.catch(() => undefined);
}
