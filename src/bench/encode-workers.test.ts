import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { goldenTokenizer } from '../../test/tokenizer-texts.ts';
import { loadTokenizer } from '../text/index.ts';
import { encodeWorkers } from './encode-workers.node.ts';

test('two workers give the ids of one thread, in order', async () => {
  const file = goldenTokenizer('unigram-nmt_nfkc-bytes.model');
  const texts = readFileSync('package-lock.json', 'utf8').split('\n');
  const workers = encodeWorkers(file, 2);
  const ids = await workers.encode(texts);
  await workers.close();
  const tokenizer = loadTokenizer(file);
  expect(ids.map((list) => [...list])).toEqual(texts.map((text) => tokenizer.encode(text)));
}, 60_000);
