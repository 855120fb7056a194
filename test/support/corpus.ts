import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const beside = fileURLToPath(new URL('../../../shared/corpus', import.meta.url));

/** The reference corpus beside the checkout; null where it is absent (on every user's machine). */
export const corpusDir: string | null = existsSync(beside) ? beside : null;
