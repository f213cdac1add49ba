/** The cpu executor: the machine in a Node addon, with the best instruction set that the processor has. */
import { EXIT, UserError } from '../../base/index.ts';
import { type Host, type MachineExecutor, machineExecutor, type Region, type Resident } from '../machine/index.ts';
import { type Addon, cpuFacts, type Engine, loadAddon } from './addon.ts';

export { cpuFacts, cpuIsas, loadAddon } from './addon.ts';

/** Throws UserError E_NO_ENGINE or E_ISA (exit 3). */
export function openCpu({ threads }: { threads?: number } = {}): MachineExecutor {
  const addon = loadAddon();
  const facts = cpuFacts(addon, threads);
  return machineExecutor('cpu', facts, hostOf(addon, addon.open(facts.threads, facts.isa), facts.isa));
}

const hostOf = (addon: Addon, engine: Engine, isa: string): Host => ({
  kernels: addon.kernels(isa),
  addressable: Infinity,
  alloc: (bytes) => ({ buffer: addon.alloc(bytes), offset: 0 }),
  map(path, begin, bytes) {
    if (bytes === 0) return { buffer: new ArrayBuffer(0), offset: 0 };
    try {
      return { buffer: addon.map(path, begin, begin + bytes), offset: 0 };
    } catch (error) {
      if ((error as { code?: string }).code !== 'E_MAP') throw error;
      throw new UserError('E_MAP', EXIT.damaged, { message: (error as Error).message, place: path });
    }
  },
  load(words, names): Resident {
    const { handle, arena, scratch } = addon.load(engine, words, names);
    // The same array for the same regions: the addon then knows their memory already.
    let last: { readonly regions: readonly Region[]; readonly buffers: readonly ArrayBuffer[] } | undefined;
    const buffersOf = (regions: readonly Region[]): readonly ArrayBuffer[] => {
      if (last?.regions !== regions) last = { regions, buffers: regions.map((r) => r.buffer as ArrayBuffer) };
      return last.buffers;
    };
    return {
      arena: { buffer: arena, offset: 0 },
      scratch,
      run: (regions) => addon.run(engine, handle, buffersOf(regions)),
      runNow: (regions) => addon.runNow(engine, handle, buffersOf(regions)),
      cancel: () => addon.cancel(handle),
      profile: () => addon.profile(handle),
      record: () => addon.record(handle),
      timeline: () => addon.timeline(handle),
      close: () => addon.close(handle),
    };
  },
  peak: (seconds, dtype) => addon.probe(engine, dtype === 'bf16' ? 'peakBf16' : 'peak', seconds, 0),
  bandwidth: (seconds, bytes) => addon.probe(engine, 'bandwidth', seconds, bytes),
  close: () => addon.shut(engine),
});
