/**
 * A deployment as it would come out of an example: every resource with its final values, and for every
 * host what its user data writes. The fake AWS knows all values, so nothing is left out as unknown.
 */
import { gunzipSync } from 'node:zlib';
import { parse } from 'yaml';
import type { Workspace } from './terraform.ts';

export type Values = Readonly<Record<string, unknown>>;

export interface Resource {
  readonly address: string;
  readonly type: string;
  readonly values: Values;
}

export interface Host {
  /** Name of the host group, for example prod-orders-eu-west-1. */
  readonly name: string;
  readonly region: string;
  /** Contents of the files that cloud-init writes, by path. */
  readonly files: ReadonlyMap<string, { readonly content: string; readonly mode: string }>;
  /** Bytes of user data as EC2 gets it, of which it takes 16 KiB. */
  readonly userDataBytes: number;
}

interface StateModule {
  readonly resources?: readonly {
    readonly address: string;
    readonly type: string;
    readonly mode: string;
    readonly values: Values;
  }[];
  readonly child_modules?: readonly StateModule[];
}

export class Deployment {
  readonly resources: readonly Resource[];
  readonly outputs: Values;

  constructor(resources: readonly Resource[], outputs: Values) {
    this.resources = resources;
    this.outputs = outputs;
  }

  ofType(type: string): readonly Resource[] {
    return this.resources.filter((resource) => resource.type === type);
  }

  hosts(): readonly Host[] {
    return this.ofType('aws_launch_template').map(({ values }) => {
      const userData = Buffer.from(String(values['user_data']), 'base64');
      const cloudConfig = parse(gunzipSync(userData).toString()) as {
        write_files: { path: string; content: string; permissions: string }[];
      };
      return {
        name: String(values['name']),
        region: String(values['region']),
        userDataBytes: userData.length,
        files: new Map(
          cloudConfig.write_files.map(({ path, content, permissions }) => [
            path,
            { content, mode: permissions },
          ]),
        ),
      };
    });
  }
}

/** Applies an example to the fake AWS; variables are given as Terraform expressions. */
export async function deploy(
  workspace: Workspace,
  example: string,
  variables: Readonly<Record<string, string>>,
): Promise<Deployment> {
  const given = Object.entries(variables).map(([name, value]) => `-var=${name}=${value}`);
  await workspace.mustRun(example, 'init', '-input=false');
  await workspace.mustRun(example, 'apply', '-auto-approve', '-input=false', ...given);
  const shown = JSON.parse(await workspace.mustRun(example, 'show', '-json')) as {
    values: { root_module: StateModule; outputs: Record<string, { value: unknown }> };
  };
  const outputs = Object.entries(shown.values.outputs).map(([name, { value }]) => [name, value]);
  return new Deployment(
    resourcesOf(shown.values.root_module),
    Object.fromEntries(outputs) as Values,
  );
}

function resourcesOf(module: StateModule): Resource[] {
  return [
    ...(module.resources ?? []).filter(({ mode }) => mode === 'managed'),
    ...(module.child_modules ?? []).flatMap(resourcesOf),
  ];
}
