import { findProgram, runProgram } from '../launcher/run-program.ts';
import {
  iptablesAdmissions,
  iptablesRemovals,
  iptablesRules,
  nftRules,
  type RuleNames,
} from './network-rules.ts';

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
  if (nft !== undefined) await ignoreFailure(runProgram(nft, ['delete', 'table', 'inet', names.table]));
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

async function dropsForwarded(iptables: string): Promise<boolean> {
  const chain = await runProgram(iptables, ['-S', 'FORWARD']).catch(() => '');
  return chain.startsWith('-P FORWARD DROP');
}

/** For removals: what is not there need not go. */
async function ignoreFailure(running: Promise<string>): Promise<void> {
  await running.catch(() => undefined);
}
