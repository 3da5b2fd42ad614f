/** Commands for who runs a journal. */
import type { CommandSpec } from '../spec.ts';

export const OPERATION_COMMANDS: readonly CommandSpec[] = [];
