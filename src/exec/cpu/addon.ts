/** The native addon: found, loaded and typed. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { EXIT, suggest, UserError } from '../../base/index.ts';
import type { EngineFacts } from '../machine/index.ts';

/** Handles whose insides only the addon knows. */
export type Engine = { readonly engine: unique symbol };
export type Handle = { readonly handle: unique symbol };

export interface Addon {
  info(): {
    readonly isas: readonly { readonly name: string; readonly present: boolean }[];
    readonly bf16?: boolean;
    readonly vnni?: boolean;
  };
  kernels(isa: string): string[];
  open(threads: number, isa: string): Engine;
  shut(engine: Engine): void;
  alloc(bytes: number): ArrayBuffer;
  /** Bytes of a file, read when they are touched. */
  map(path: string, begin: number, end: number): ArrayBuffer;
  load(engine: Engine, words: Float64Array, names: readonly string[]): { handle: Handle; arena: ArrayBuffer; scratch: number };
  run(engine: Engine, handle: Handle, buffers: readonly ArrayBuffer[]): Promise<boolean>;
  /** The same on this thread. */
  runNow(engine: Engine, handle: Handle, buffers: readonly ArrayBuffer[]): void;
  cancel(handle: Handle): void;
  profile(handle: Handle): Float64Array;
  record(handle: Handle): void;
  timeline(handle: Handle): Float64Array;
  close(handle: Handle): void;
  probe(engine: Engine, what: 'peak' | 'peakBf16', seconds: number, bytes: 0): number;
  probe(engine: Engine, what: 'bandwidth', seconds: number, bytes: number): { read: number; update: number };
}

// From src/exec/cpu and from dist/src/exec/cpu. OPENMOE_BUILD names another folder: that of `npm run sanitize`.
const PLACES = ['../../..', '../../../..'].map((root) => `${root}/${process.env['OPENMOE_BUILD'] ?? 'build'}/openmoe.node`);

/** Throws UserError E_NO_ENGINE (exit 3) when the addon was not built. */
export function loadAddon(): Addon {
  const found = PLACES.map((p) => fileURLToPath(new URL(p, import.meta.url))).find((p) => existsSync(p));
  if (found === undefined)
    throw new UserError('E_NO_ENGINE', EXIT.notFound, {
      message: 'the native engine is not built',
      hint: 'install a C++ compiler (Debian: apt-get install g++ · Fedora: dnf install gcc-c++ · macOS: xcode-select --install), then run: npm run build',
    });
  try {
    return createRequire(import.meta.url)(found) as Addon;
  } catch (error) {
    throw new UserError('E_NO_ENGINE', EXIT.notFound, {
      message: `the native engine cannot be loaded: ${(error as Error).message}`,
      place: found,
      hint: 'build it anew: npm run build',
    });
  }
}

/** Instruction sets built and present, best first; none where the addon is not built. */
export function cpuIsas(): readonly string[] {
  try {
    return present(loadAddon());
  } catch {
    return [];
  }
}

const present = (addon: Addon): readonly string[] => addon.info().isas.flatMap((i) => (i.present ? [i.name] : []));

/** OPENMOE_ISA forces an instruction set. Throws UserError E_ISA when this processor or this build lacks it. */
export function cpuFacts(addon: Addon, threads = availableParallelism()): EngineFacts {
  const info = addon.info();
  const isas = present(addon);
  const wanted = process.env['OPENMOE_ISA'] || isas[0];
  if (wanted === undefined || !isas.includes(wanted))
    throw new UserError('E_ISA', EXIT.notFound, {
      message:
        wanted === undefined
          ? 'this processor has none of the instruction sets that openmoe has kernels for'
          : `instruction set ${wanted} is not here`,
      place: process.env['OPENMOE_ISA'] ? 'OPENMOE_ISA' : 'this machine',
      hint: wanted === undefined ? 'AVX2 with FMA, AVX-512 or arm64 is needed' : suggest(wanted, isas),
    });
  return { threads, isas, isa: wanted, bf16: info.bf16 ?? false, vnni: info.vnni ?? false };
}
