import { parseHTML } from 'linkedom';
import { describe, expect, test } from 'vitest';
import { clean, escape, html, raw, unseen, visible } from './html.ts';

const HOSTILE = ['<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', "' onload='x", '&lt;', ']]>', '\u0000\u001b[2J', '\ud800'];

describe('html', () => {
  test('escapes every value, in text and in attributes, so that it comes back as it was', () => {
    for (const text of HOSTILE) {
      const { document } = parseHTML(
        html`<!doctype html>
          <html>
            <body>
              <p title="${text}">${text}</p>
            </body>
          </html>`.markup,
      );
      expect(document.body.children).toHaveLength(1);
      expect(document.querySelector('p')!.textContent).toBe(clean(text));
      expect(document.querySelector('p')!.getAttribute('title')).toBe(clean(text));
    }
  });

  test('leaves markup and lists of markup alone, and shows nothing for undefined', () => {
    expect(html`<p>${[1, 2].map((n) => html`<b>${n}</b>`)}${undefined}${raw('<i></i>')}</p>`.markup).toBe('<p><b>1</b><b>2</b><i></i></p>');
  });

  test('holds no character that XML forbids', () => {
    expect(escape('a\u0000b\u0007c\ud800d\udc00e\uffff')).toBe('a\ufffdb\ufffdc\ufffdd\ufffde\ufffd');
    expect(escape('line\n\ttab 語 😀')).toBe('line\n\ttab 語 😀');
  });
});

test('what cannot be seen in a piece is spelled out', () => {
  expect(visible(' the\n')).toBe('␣the⏎');
  expect(visible('')).toBe('∅');
  expect(visible('\u202e\u00a0\u0000')).toBe('‹202E›‹00A0›‹0000›');
  expect(unseen('two words\tand\u001b[2J')).toBe('two words⇥and‹001B›[2J');
});
