import { expect, test } from 'vitest';
import { EXIT, nearest, suggest, UserError } from './index.ts';

test('the nearest name is found through a slip, and nothing is guessed from afar', () => {
  expect(nearest('modle', ['model', 'data', 'train'])).toBe('model');
  expect(nearest('trian', ['model', 'data', 'train'])).toBe('train');
  expect(nearest('xyzzy', ['model', 'data', 'train'])).toBeUndefined();
  expect(suggest('xyzzy', ['model', 'data'])).toBe('known: model, data');
});

test('an error carries code, place and hint, and all problems at once', () => {
  const error = new UserError('E_CONFIG', EXIT.usage, [
    { message: 'a: bad', place: 'override a=1' },
    { message: 'b: bad', hint: 'did you mean c?' },
  ]);
  expect(error.message).toBe('error[E_CONFIG] a: bad · at override a=1\nerror[E_CONFIG] b: bad · did you mean c?');
});
