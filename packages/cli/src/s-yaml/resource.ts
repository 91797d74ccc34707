import type { Fc3Props } from './fc3-props.ts';

/** One function of an s.yaml, its variables replaced and its defaults filled in. */
export interface Resource {
  /** The key under `resources`. */
  readonly name: string;
  readonly props: Fc3Props;
  /** Absolute path of the code (directory, zip or jar); undefined when the code is not a local path. */
  readonly codePath: string | undefined;
  readonly preDeploy: readonly PreDeployAction[];
  /** Things in the file that are read but do nothing here. */
  readonly notes: readonly string[];
}

/** A command of `actions: pre-deploy:`. */
export interface PreDeployAction {
  readonly run: string;
  /** Absolute. */
  readonly directory: string;
}

export interface Project {
  /** Absolute path of the file. */
  readonly file: string;
  readonly resources: readonly Resource[];
}
