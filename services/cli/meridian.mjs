#!/usr/bin/env node
/**
 * What `npx meridian` and an installed `meridian` start: in a checkout it builds first when a source has
 * changed, in a package it runs what is there. Plain JavaScript, because it runs before there is a build.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const builder = new URL('../local/ensure-built.mjs', import.meta.url);
const program = 'dist/services/cli/main.js';
if (existsSync(fileURLToPath(builder))) {
  process.argv.splice(2, 0, program);
  await import(builder.href);
} else await import(new URL(`../../${program}`, import.meta.url).href);
