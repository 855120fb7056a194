import { isMapping } from './mapping.ts';

/** The environment variables in which a document says that secrets lie: NAME of each `{ env: NAME }` in it. */
export function secretVariables(document: unknown): readonly string[] {
  const names = new Set<string>();
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (isMapping(value)) {
      const entries = Object.entries(value);
      const [[key, name] = []] = entries;
      if (entries.length === 1 && key === 'env' && typeof name === 'string') names.add(name);
      else for (const [, part] of entries) visit(part);
    }
  };
  visit(document);
  return [...names];
}
