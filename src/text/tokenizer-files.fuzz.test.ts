import fc from 'fast-check';
import { expect, test } from 'vitest';
import { goldenTokenizer } from '../../test/tokenizer-texts.ts';
import { UserError } from '../base/index.ts';
import { loadTokenizer } from './index.ts';

const numRuns = Math.ceil(Number(process.env['FUZZ'] ?? 1000) / 5);
const TEXT = 'to be, or <extra> 漢\u0301? \u2581';

/** Some bytes of a file replaced, taken away, or put in. */
const damage = fc.array(
  fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), bytes: fc.uint8Array({ maxLength: 4 }), cut: fc.nat({ max: 6 }) }),
  {
    minLength: 1,
    maxLength: 3,
  },
);

function apply(file: Uint8Array, damages: readonly { at: number; bytes: Uint8Array; cut: number }[]): Uint8Array {
  return damages.reduce((bytes, d) => {
    const at = Math.floor(d.at * bytes.length);
    return Uint8Array.from([...bytes.subarray(0, at), ...d.bytes, ...bytes.subarray(at + d.cut)]);
  }, file);
}

test.each(['unigram-identity-bytes.model', 'bpe-identity.model', 'unigram-nmt_nfkc.model', 'first.json', 'nmt.json'])(
  '%s, damaged, is refused with E_TOKENIZER, or encodes to ids of its vocabulary',
  (name) => {
    const file = goldenTokenizer(name);
    let refused = 0;
    fc.assert(
      fc.property(damage, (damages) => {
        try {
          const loaded = loadTokenizer(apply(file, damages));
          for (const id of loaded.encode(TEXT)) expect(id >= 0 && id < loaded.vocabSize).toBe(true);
          loaded.decode([0, 1, 2, 3, loaded.vocabSize - 1]);
        } catch (error) {
          refused++;
          if (!(error instanceof UserError)) throw error;
          expect(error.code).toBe('E_TOKENIZER');
          expect(error.exit).toBe(4);
        }
      }),
      { numRuns },
    );
    expect(refused).toBeGreaterThan(0);
  },
  300_000,
);
