import { describe, expect, it } from 'vitest';
import { factsOf, serialsOf } from '../../src/pipeline/facts.ts';
import { capture, tiny } from './tiny-driver.ts';

const captures = (text: string) => new Map([['version', capture(text)]]);

describe('facts', () => {
  it('takes the first match of each rule, and null where there is none', () => {
    expect(factsOf(tiny, captures('x\nhost  fw1 \nhost fw2\nserial A1\nserial A2\n'))).toEqual({
      hostname: 'fw1',
      version: null,
      model: null,
      serial: 'A1',
      changedBy: null,
      changedAt: null,
    });
  });

  it('knows nothing of a device whose facts command was refused', () => {
    expect(Object.values(factsOf(tiny, new Map()))).toEqual([null, null, null, null, null, null]);
    expect(serialsOf(tiny, new Map())).toEqual([]);
  });

  it('makes what a device says of itself harmless and short', () => {
    const { hostname } = factsOf(tiny, captures(`host \u001b[31mfw\u0000${'x'.repeat(500)}\n`));
    expect(hostname).toHaveLength(120);
    expect(hostname).toMatch(/^\\x1b\[31mfw\\x00x+…$/);
    expect(factsOf(tiny, captures('host caf\u00c3\u00a9\n')).hostname).toBe('café');
  });

  it('takes an empty value for none', () => {
    expect(factsOf(tiny, captures('host  \nhost fw2\n')).hostname).toBe('fw2');
  });

  it('collects the serial numbers of the unit and its partners, once each, and a bounded number', () => {
    expect(
      serialsOf(tiny, captures('partner serial B1\nserial A1\npartner serial B1\npartner serial B2\n')),
    ).toEqual(['A1', 'B1', 'B2']);
    const many = Array.from({ length: 1000 }, (_, index) => `serial S${index}\n`).join('');
    expect(serialsOf(tiny, captures(many))).toHaveLength(64);
  });
});
