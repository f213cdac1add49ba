/** One run of a program as a page: a bar for each stretch of work of each thread, and what the gaps between them cost. */
import { escape, html, type Markup, raw } from './html.ts';
import { page } from './page/page.ts';
import { table } from './page/parts.ts';
import { decimal, percent, whole } from './numbers.ts';
import { QUIET, seriesColour, SERIES } from './theme.ts';

export interface TimelineInput {
  readonly title: string;
  /** What was run where. */
  readonly about: string;
  readonly threads: number;
  readonly instructions: readonly { readonly op: string; readonly shape: string }[];
  /** Thread −1: an instruction as a whole, from its call to its return. Seconds from the start. */
  readonly spans: readonly { readonly thread: number; readonly instruction: number; readonly begin_s: number; readonly end_s: number }[];
}
type Span = TimelineInput['spans'][number];

/** Pure: equal inputs give equal bytes. */
export function timelinePage(input: TimelineInput): string {
  const length = input.spans.reduce((end, s) => Math.max(end, s.end_s), 0);
  const lanes = lanesOf(input);
  const ops = opTimes(input);
  const colourOf = (op: string): string => {
    const rank = ops.findIndex((o) => o.op === op);
    return rank < SERIES ? seriesColour(rank) : QUIET;
  };
  const busy = lanes.slice(1).map(({ name, spans }) => ({ name, seconds: sum(spans.map(duration)) }));
  const milliseconds = (s: number): string => decimal(s * 1000);
  const body = html`<header>
      <h1>${input.title}</h1>
      <p class="quiet">${input.about}</p>
    </header>
    <main>
      <p>
        ${milliseconds(length)} ms, ${whole(input.instructions.length)} instructions.
        ${busy.map(({ name, seconds }) => html`${name} works ${percent(seconds / length)} of the time. `)} The upper lane shows instructions
        from call to return; below it a thread's bar is work on its tasks, and what is left open is waiting, or work that is not shared out.
        Point at a bar to read it.
      </p>
      ${legend(ops.slice(0, SERIES).map(({ op }) => [op, colourOf(op)]))}
      <div class="scroll" tabindex="0" role="region" aria-label="Timeline, scrolls sideways">
        ${raw(drawing({ lanes, length, instructions: input.instructions, colourOf }))}
      </div>
      ${table(
        'Time by op',
        [
          { name: 'op' },
          ...['count', 'ms', 'of the run', ...lanes.slice(1).map(({ name }) => `${name} at work`)].map((name) => ({ name, right: true })),
        ],
        ops.map((o) => [
          o.op,
          whole(o.count),
          milliseconds(o.seconds),
          percent(o.seconds / length),
          ...o.busy.map((s) => percent(s / o.seconds)),
        ]),
      )}
    </main>`;
  return page(input.title, body);
}

const duration = ({ begin_s, end_s }: Span): number => end_s - begin_s;
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

interface Lane {
  readonly name: string;
  readonly spans: readonly Span[];
}

function lanesOf({ threads, spans }: TimelineInput): readonly Lane[] {
  return Array.from({ length: threads + 1 }, (_, n) => ({
    name: n === 0 ? 'Instructions' : `Thread ${n}`,
    spans: spans.filter(({ thread }) => thread === n - 1).toSorted((a, b) => a.begin_s - b.begin_s),
  }));
}

/** Largest first; `busy` has the seconds that each thread worked on the op. */
function opTimes({ threads, instructions, spans }: TimelineInput) {
  const names = [...new Set(instructions.map(({ op }) => op))];
  const times = names.map((op) => ({ op, count: 0, seconds: 0, busy: new Array<number>(threads).fill(0) }));
  const byName = new Map(times.map((t) => [t.op, t]));
  for (const span of spans) {
    const time = byName.get(instructions[span.instruction]!.op)!;
    if (span.thread >= 0) time.busy[span.thread]! += duration(span);
    else {
      time.count++;
      time.seconds += duration(span);
    }
  }
  return times.filter(({ count }) => count > 0).toSorted((a, b) => b.seconds - a.seconds);
}

const legend = (entries: readonly (readonly [name: string, colour: string])[]): Markup =>
  html`<p>
    ${entries.map(
      ([name, colour]) =>
        html`<span style="white-space:nowrap"
          ><svg width="14" height="10" aria-hidden="true"><rect width="14" height="10" style="fill:${colour}" /></svg> ${name}&ensp;</span
        > `,
    )}
  </p>`;

/** Pixels: at least one for a tenth of a millisecond, and no picture is wider than a browser can draw. */
const [DENSITY, WIDEST, NARROWEST] = [10_000, 16_000, 1100];
const [LEFT, HEIGHT, PITCH, AXIS] = [84, 26, 34, 22];
const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
const TICK_PIXELS = 70;

interface Drawing {
  readonly lanes: readonly Lane[];
  readonly length: number;
  readonly instructions: TimelineInput['instructions'];
  readonly colourOf: (op: string) => string;
}

function drawing({ lanes, length, instructions, colourOf }: Drawing): string {
  const width = Math.min(WIDEST, Math.max(NARROWEST, Math.ceil(length * DENSITY)));
  const x = (seconds: number): string => ((seconds / length) * width).toFixed(1);
  const bar = (span: Span, lane: number): string => {
    const { op, shape } = instructions[span.instruction]!;
    const title = escape(`${op} ${shape}: ${decimal(duration(span) * 1000)} ms from ${decimal(span.begin_s * 1000)}`);
    return `<rect x="${x(span.begin_s)}" y="${lane * PITCH}" width="${Math.max(0.3, Number(x(duration(span))))}" height="${HEIGHT}" style="fill:${colourOf(op)}"><title>${title}</title></rect>`;
  };
  const bottom = lanes.length * PITCH;
  const step = TICKS.find((ms) => Number(x(ms / 1000)) >= TICK_PIXELS) ?? TICKS.at(-1)!;
  const ticks = Array.from({ length: Math.floor((length * 1000) / step) + 1 }, (_, n) => n * step)
    .map(
      (ms) =>
        `<path d="M${x(ms / 1000)},0v${bottom + 4}" stroke="var(--line)"/><text x="${x(ms / 1000)}" y="${bottom + 17}">${decimal(ms)} ms</text>`,
    )
    .join('');
  const names = lanes.map(({ name }, n) => `<text x="${-LEFT}" y="${n * PITCH + HEIGHT / 2 + 4}">${name}</text>`).join('');
  const bars = lanes.map(({ spans }, n) => spans.map((s) => bar(s, n)).join('')).join('');
  const size = `width="${width + LEFT + 60}" height="${bottom + AXIS}" viewBox="${-LEFT} 0 ${width + LEFT + 60} ${bottom + AXIS}"`;
  return `<svg ${size} role="img" aria-label="Bars of work by thread over time" style="font:11px system-ui,sans-serif" fill="currentColor">${ticks}${names}${bars}</svg>`;
}
