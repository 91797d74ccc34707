import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { formatValue } from '../output/format.ts';
import type { Output } from '../output/output.ts';
import { errorLines, type ErrorReport, errorReport } from '../output/report-error.ts';
import type { Project, Resource } from '../s-yaml/resource.ts';
import type { Change } from './config-diff.ts';
import { type Deployed, type Deployment, deployResource } from './deploy-resource.ts';

export interface Failed {
  readonly resource: string;
  readonly functionName: string;
  readonly outcome: 'failed';
  readonly error: ErrorReport;
}

export interface ProjectDeployed {
  readonly results: readonly (Deployed | Failed)[];
  /** The first failure: its fault is the command's exit code. */
  readonly failure: ThawError | undefined;
}

const MARKS = { created: '+', updated: '~', unchanged: '=', failed: '!' } as const;
const COLOURS = { created: 'green', updated: 'yellow', unchanged: 'dim', failed: 'red' } as const;

/** The resources of a project, or those that `only` names; a name that is not there is the caller's mistake. */
export function selectResources(project: Project, only: readonly string[]): readonly Resource[] {
  if (only.length === 0) return project.resources;
  const names = project.resources.map((resource) => resource.name);
  const unknown = only.find((name) => !names.includes(name));
  if (unknown === undefined) return project.resources.filter((resource) => only.includes(resource.name));
  throw new ThawError('INVALID_ARGUMENT', `${project.file} has no resource named '${unknown}'`, {
    details: { advice: `It has: ${names.join(', ')}.` },
  });
}

/** Deploys one resource after the other, in the order of the file. One that fails does not keep the rest from it. */
export async function deployProject(
  deployment: Deployment,
  resources: readonly Resource[],
): Promise<ProjectDeployed> {
  const { output, signal } = deployment;
  const results: (Deployed | Failed)[] = [];
  let failure: ThawError | undefined;
  for (const resource of resources) {
    signal.throwIfAborted();
    const { functionName } = resource.props;
    output.note(`${output.styleError('bold', functionName)}: deploying`);
    try {
      const deployed = await deployResource(deployment, resource);
      results.push(deployed);
      showDeployed(output, deployed);
    } catch (thrown) {
      signal.throwIfAborted();
      const error = ThawError.from(thrown, `deploying ${functionName}`);
      failure ??= error;
      const report = errorReport(error);
      results.push({ resource: resource.name, functionName, outcome: 'failed', error: report });
      output.line(output.style(COLOURS.failed, `${MARKS.failed} ${functionName}: failed`));
      for (const line of errorLines(output, report)) output.stderr.write(`  ${line}\n`);
    }
  }
  return { results, failure };
}

function showDeployed(output: Output, deployed: Deployed): void {
  const { functionName, outcome, changes, urls, notes } = deployed;
  output.line(output.style(COLOURS[outcome], `${MARKS[outcome]} ${functionName}: ${outcome}`));
  for (const change of changes) output.line(`    ${describeChange(change)}`);
  for (const url of urls) output.line(`    ${output.style('cyan', url)}`);
  for (const note of notes) output.warn(`${functionName}: ${note}`);
}

function describeChange({ field, from, to }: Change): string {
  return from === undefined
    ? `${field}: ${formatValue(to)}`
    : `${field}: ${formatValue(from)} -> ${formatValue(to)}`;
}
