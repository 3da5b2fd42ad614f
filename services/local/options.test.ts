import { describe, expect, it } from 'vitest';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { createServer } from 'node:net';
import { parseOptions } from './options.ts';
import { anyPorts, choosePorts, portList, portsFrom, USUAL_FIRST_PORT } from './topology.ts';

describe('the command line', () => {
  it('runs three regions in the usual place when nothing is said', () => {
    expect(parseOptions([])).toEqual({
      mode: 'run',
      directory: null,
      fresh: false,
      firstPort: null,
      plain: false,
      traffic: false,
      seconds: 12,
    });
  });

  it('takes every option', () => {
    const text = '--check --fresh --directory d --ports 3000 --plain --traffic --seconds 5';
    expect(parseOptions(text.split(' '))).toEqual({
      mode: 'check',
      directory: 'd',
      fresh: true,
      firstPort: 3000,
      plain: true,
      traffic: true,
      seconds: 5,
    });
  });

  it.each([
    [['--chekc'], /Unknown option '--chekc'.*--help/],
    [['check'], /Unexpected argument 'check'/],
    [['--ports', '80'], /--ports 80: expected a whole number from 1024 to 65466/],
    [['--ports', 'many'], /--ports many/],
    [['--seconds', '0'], /--seconds 0: expected a whole number from 1 to 600/],
    [['--directory'], /argument missing/],
  ])('refuses %j', (args, problem) => {
    expect(() => parseOptions(args)).toThrow(problem);
  });
});

describe('the ports', () => {
  it('are all different', () => {
    const list = portList(portsFrom(USUAL_FIRST_PORT));
    expect(new Set(list).size).toBe(27);
  });

  it('are what the user asks for, or a refusal that names the one in use', async () => {
    const [first = 0] = await reservePorts(1);
    const taken = createServer();
    const port = first + 13; // one of the journals
    await new Promise<void>((resolve) => taken.listen(port, '127.0.0.1', resolve));
    try {
      await expect(choosePorts(first, null)).rejects.toThrow(
        new RegExp(`port .*${String(port)}.* is in use`),
      );
    } finally {
      await new Promise((resolve) => taken.close(resolve));
      releasePorts([first]);
    }
    const free = await anyPorts();
    expect(await choosePorts(null, free)).toEqual(free);
    releasePorts(portList(free));
  });
});
