/**
 * The stream service of a fake region, for tests of this folder: remembers what it was asked, and
 * answers as told.
 */
import { MeridianError } from '../errors/errors.ts';
import { StreamService } from '../gen/meridian/journal/v1/streams_pb.ts';
import { bind } from '../rpc/rpc.ts';
import type { Handlers, ServiceBinding } from '../rpc/rpc.ts';

type StreamHandlers = Handlers<typeof StreamService>;

export class FakeStreams {
  /** Requests by method, oldest first. */
  readonly asked: { readonly method: string; readonly request: object }[] = [];
  /** Answers of the next calls: an error is thrown, a promise awaited. Without one, REFUSED. */
  readonly answers: (object | MeridianError)[] = [];
  readonly bound: ServiceBinding;

  constructor() {
    const handler =
      (method: string) =>
      (request: object): Promise<object> => {
        this.asked.push({ method, request });
        const answer = this.answers.shift() ?? new MeridianError('REFUSED', 'not told what to say');
        return answer instanceof MeridianError ? Promise.reject(answer) : Promise.resolve(answer);
      };
    const names = Object.keys(StreamService.method);
    this.bound = bind(
      StreamService,
      Object.fromEntries(names.map((name) => [name, handler(name)])) as unknown as StreamHandlers,
    );
  }
}
