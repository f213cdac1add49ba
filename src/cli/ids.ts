/** Token ids as people write them: 0,17,5 or with blanks, or as a JSON list. */
import { EXIT, UserError } from '../base/index.ts';

/** Throws UserError E_IDS (usage) for what is not a whole number from 0 to 2^31. */
export function parseIds(text: string, place: string): number[] {
  const words = text.split(/[\s,[\]]+/).filter(Boolean);
  const wrong = words.find((word) => !/^\d{1,10}$/.test(word) || Number(word) >= 2 ** 31);
  if (wrong === undefined && words.length > 0) return words.map(Number);
  throw new UserError('E_IDS', EXIT.usage, {
    message: wrong === undefined ? 'there are no ids' : `"${wrong}" is not an id`,
    place,
    hint: 'ids are whole numbers, as in 0,17,5',
  });
}
