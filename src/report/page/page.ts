/** A whole page: one file that needs no network, no script and no other file. */
import { html, raw, type Markup } from '../html.ts';
import { STYLE } from './style.ts';

export const page = (title: string, body: Markup): string =>
  html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width,initial-scale=1" />
        <title>${title}</title>
        <style>
          ${raw(STYLE)}
        </style>
      </head>
      <body>
        ${body}
      </body>
    </html> `.markup;
