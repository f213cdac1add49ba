/** Which executor computes here: the addon where it is built, else WebAssembly. OPENMOE_EXECUTOR forces one. */
import { EXIT, suggest, UserError } from '../base/index.ts';
import { cpuFacts, loadAddon, openCpu } from './cpu/index.ts';
import type { MachineExecutor } from './machine/index.ts';
import { openMeasuredRef } from './ref/measured.ts';
import { openWasm, wasmIsas } from './wasm/index.ts';

const OPENERS = { cpu: openCpu, wasm: openWasm, ref: openMeasuredRef } as const;
type Name = keyof typeof OPENERS;

export interface Choice {
  readonly name: Name;
  readonly why: string;
}

/** Throws UserError E_EXECUTOR (usage) or E_NO_ENGINE (exit 3): what would have to be built. */
export function chooseExecutor(): Choice {
  const forced = process.env['OPENMOE_EXECUTOR'];
  if (forced) {
    if (Object.hasOwn(OPENERS, forced)) return { name: forced as Name, why: 'OPENMOE_EXECUTOR asks for it' };
    throw new UserError('E_EXECUTOR', EXIT.usage, {
      message: `${forced}: no such executor`,
      place: 'OPENMOE_EXECUTOR',
      hint: suggest(forced, Object.keys(OPENERS)),
    });
  }
  try {
    cpuFacts(loadAddon());
    return { name: 'cpu', why: 'the native engine is built' };
  } catch (error) {
    const [isas, wanted] = [wasmIsas(), process.env['OPENMOE_ISA']];
    if (!(error instanceof UserError) || !(wanted ? isas.includes(wanted) : isas.length > 0)) throw error;
    return { name: 'wasm', why: error.problems[0]!.message };
  }
}

/** Throws also what the executor's own opening throws: E_ISA (exit 3), E_MEMORY (exit 5). */
export const openExecutor = ({ threads }: { threads?: number } = {}): MachineExecutor =>
  OPENERS[chooseExecutor().name](threads === undefined ? {} : { threads });
