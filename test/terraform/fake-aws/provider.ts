/**
 * A stand-in for hashicorp/aws that needs no cloud and no download: Terraform's provider protocol over
 * grpc-js, the schema of aws-schema.json. Planning and applying echo what is asked for and fill in what
 * AWS would choose (ids, ARNs), already known at plan time, so that every value of the whole deployment
 * can be looked at. It checks names and types, not what AWS would accept as a value.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Server, ServerCredentials, loadPackageDefinition } from '@grpc/grpc-js';
import type {
  ServerUnaryCall,
  ServiceClientConstructor,
  UntypedServiceImplementation,
  sendUnaryData,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { decode, encode } from '@msgpack/msgpack';
import { ROOT } from '../../layout/source-files.ts';
import type { Block } from './schema.ts';
import { loadSchema, protocolSchema } from './schema.ts';

const PROTO = join(ROOT, 'test/terraform/fake-aws/tfplugin6.proto');
const ACCOUNT = '123456789012';

type Value = Record<string, unknown>;
interface Dynamic {
  msgpack: Buffer;
  json: Buffer;
}
interface Request {
  type_name: string;
  config: Dynamic;
  current_state: Dynamic;
  proposed_new_state: Dynamic;
  planned_state: Dynamic;
  raw_state: { json: Buffer };
}

export interface FakeAws {
  /** For TF_REATTACH_PROVIDERS. */
  readonly reattach: string;
  stop(): void;
}

export async function startFakeAws(): Promise<FakeAws> {
  const server = new Server({ 'grpc.max_send_message_length': -1 });
  const loaded = loadPackageDefinition(
    loadSync(PROTO, { keepCase: true, enums: String, longs: Number, defaults: true }),
  )['tfplugin6'] as unknown as { Provider: ServiceClientConstructor };
  server.addService(loaded.Provider.service, handlers());
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  const provider = {
    Protocol: 'grpc',
    ProtocolVersion: 6,
    Pid: process.pid,
    Test: true,
    Addr: { Network: 'tcp', String: `127.0.0.1:${String(port)}` },
  };
  return {
    reattach: JSON.stringify({ 'registry.terraform.io/hashicorp/aws': provider }),
    stop: () => {
      server.forceShutdown();
    },
  };
}

function handlers(): UntypedServiceImplementation {
  const schema = loadSchema();
  const schemas = (blocks: Record<string, Block>): object =>
    Object.fromEntries(Object.entries(blocks).map(([type, it]) => [type, protocolSchema(it)]));
  const providerBlock: Block = { attributes: { region: ['string', 'optional'] }, blocks: {} };
  const answers: Record<string, (request: Request) => object> = {
    GetProviderSchema: () => ({
      provider: protocolSchema(providerBlock),
      resource_schemas: schemas(schema.resources),
      data_source_schemas: schemas(schema.data),
    }),
    ValidateProviderConfig: () => ({}),
    ConfigureProvider: () => ({}),
    ValidateResourceConfig: () => ({}),
    ValidateDataResourceConfig: () => ({}),
    StopProvider: () => ({}),
    UpgradeResourceState: ({ raw_state }) => ({ upgraded_state: { json: raw_state.json } }),
    ReadResource: ({ current_state }) => ({ new_state: current_state }),
    PlanResourceChange: ({ type_name, proposed_new_state }) => {
      const block = schema.resources[type_name];
      const value = decode(proposed_new_state.msgpack) as Value | null;
      if (value !== null && block !== undefined) fill(type_name, block, value);
      return { planned_state: { msgpack: encode(value) }, legacy_type_system: true };
    },
    ApplyResourceChange: ({ planned_state }) => ({
      new_state: planned_state,
      legacy_type_system: true,
    }),
    ReadDataSource: ({ type_name, config }) => {
      const block = schema.data[type_name];
      const value = decode(config.msgpack) as Value;
      if (block !== undefined) fill(type_name, block, value);
      return { state: { msgpack: encode(value) } };
    },
  };
  return Object.fromEntries(
    Object.entries(answers).map(([name, answer]) => [
      name,
      (call: ServerUnaryCall<Request, object>, reply: sendUnaryData<object>): void => {
        reply(null, answer(call.request));
      },
    ]),
  );
}

/** What AWS decides. The same wish gets the same id, so a second plan shows no change. */
function fill(type: string, block: Block, value: Value): void {
  const name = type.replace(/^aws_/, '').replaceAll('_', '-');
  const wish = Object.entries(value).filter(([key]) => typeOf(block, key) !== 'computed');
  const hash = createHash('sha256').update(JSON.stringify(wish)).digest('hex').slice(0, 17);
  const region = typeof value['region'] === 'string' ? value['region'] : '';
  for (const [key, [valueType, flag]] of Object.entries(block.attributes)) {
    if (value[key] !== null || (flag !== 'computed' && flag !== 'both')) continue;
    value[key] = chosen({ type, name, hash, region, key, valueType });
  }
}

interface Choice {
  readonly type: string;
  readonly name: string;
  readonly hash: string;
  readonly region: string;
  readonly key: string;
  readonly valueType: unknown;
}

function chosen(choice: Choice): unknown {
  const { type, name, hash, region, key, valueType } = choice;
  if (key === 'arn') return `arn:aws:${name}:${region}:${ACCOUNT}:${hash}`;
  if (key === 'account_id') return ACCOUNT;
  if (key === 'partition') return 'aws';
  if (key === 'names') return ['a', 'b', 'c'].map((zone) => `${region}${zone}`);
  if (key === 'value' && type === 'aws_ssm_parameter') return `ami-${hash}`;
  if (valueType === 'string') return `${name}-${hash}`;
  if (valueType === 'number') return 1;
  if (!Array.isArray(valueType)) return null;
  const [collection, inner] = valueType as [string, unknown];
  if (collection === 'object') {
    const fields = Object.entries(inner as Record<string, unknown>);
    return Object.fromEntries(
      fields.map(([field, its]) => [field, chosen({ ...choice, key: field, valueType: its })]),
    );
  }
  return Array.isArray(inner) && inner[0] === 'object'
    ? [chosen({ ...choice, valueType: inner })]
    : null;
}

function typeOf(block: Block, key: string): string {
  return block.attributes[key]?.[1] ?? 'block';
}
