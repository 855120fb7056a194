/** Words for what a colour means here. */
export type Style = 'heading' | 'faint' | 'good' | 'bad' | 'doubtful' | 'place';

/** `text` in that style, or as it is where there is no colour. */
export type Paint = (style: Style, text: string) => string;

const codes: Record<Style, readonly [number, number]> = {
  heading: [1, 22],
  faint: [2, 22],
  good: [32, 39],
  bad: [31, 39],
  doubtful: [33, 39],
  place: [36, 39],
};

/** Colour only where a person looks at a terminal and did not ask for none (https://no-color.org). */
export function painter(isTTY: boolean, env: Readonly<Record<string, string | undefined>>): Paint {
  const wanted = isTTY && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb';
  if (!wanted) return (_style, text) => text;
  return (style, text) => `\x1b[${codes[style][0]}m${text}\x1b[${codes[style][1]}m`;
}
