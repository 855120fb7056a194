/**
 * The part of Grafana's dashboard JSON (schema version 42) that we use, as types, and builders that set what
 * every panel has to have. Only what differs from Grafana's defaults is written.
 */

const prometheus = { type: 'prometheus', uid: '$datasource' } as const;

/** One query. `legend` may hold `{{label}}`. */
export interface Query {
  readonly expr: string;
  readonly legend?: string;
}

/** What all builders take. */
interface Common {
  readonly title: string;
  /** What a reader should conclude, not what is drawn. */
  readonly description: string;
  /** Grafana's id of the unit, such as `s`, `bytes`, `short`, `percentunit`. */
  readonly unit: string;
  /** Columns of 24. */
  readonly width: number;
}

/** A panel without its place. */
export interface Panel {
  readonly width: number;
  readonly height: number;
  readonly json: Readonly<Record<string, unknown>>;
}

/** Panels under one heading. */
export interface Section {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** Colours from a value on; the first one has no lower bound. */
export type Thresholds = readonly (readonly [colour: string, from: number | null])[];

const green: Thresholds = [['green', null]];

/** Green at 0, another colour from 1 on. */
export function badFrom(from: number, colour: 'red' | 'orange' = 'red'): Thresholds {
  return [
    ['green', null],
    [colour, from],
  ];
}

function targets(queries: readonly Query[], more: Readonly<Record<string, unknown>> = {}) {
  return queries.map(({ expr, legend }, index) => ({
    refId: String.fromCharCode('A'.charCodeAt(0) + index),
    datasource: prometheus,
    editorMode: 'code',
    expr,
    legendFormat: legend ?? '__auto',
    ...more,
  }));
}

function thresholdsJson(steps: Thresholds) {
  return { mode: 'absolute', steps: steps.map(([color, value]) => ({ color, value })) };
}

/** One large number for each query, as of now. */
export function stat(
  common: Common & {
    readonly queries: readonly Query[];
    readonly thresholds?: Thresholds;
    /** Words instead of numbers. */
    readonly words?: Readonly<Record<string, string>>;
    /** Said where the query finds nothing; Grafana's `No data` looks like an error. */
    readonly none?: string;
  },
): Panel {
  const { title, description, unit, width, queries, thresholds = green, words, none } = common;
  const mappings =
    words === undefined
      ? []
      : [
          {
            type: 'value',
            options: Object.fromEntries(
              Object.entries(words).map(([value, text], index) => [value, { index, text }]),
            ),
          },
        ];
  return {
    width,
    height: 4,
    json: {
      type: 'stat',
      title,
      description,
      datasource: prometheus,
      targets: targets(queries, { instant: true, range: false }),
      fieldConfig: {
        defaults: {
          unit,
          mappings,
          thresholds: thresholdsJson(thresholds),
          ...(none === undefined ? {} : { noValue: none }),
        },
        overrides: [],
      },
      options: {
        colorMode: 'value',
        graphMode: 'none',
        justifyMode: 'auto',
        textMode: 'auto',
        reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      },
    },
  };
}

/** Lines over time; stacked areas where `stacked`. */
export function lines(
  common: Common & { readonly queries: readonly Query[]; readonly stacked?: true },
): Panel {
  const { title, description, unit, width, queries, stacked } = common;
  return {
    width,
    height: 8,
    json: {
      type: 'timeseries',
      title,
      description,
      datasource: prometheus,
      targets: targets(queries),
      fieldConfig: {
        defaults: {
          unit,
          min: 0,
          custom: {
            fillOpacity: stacked ? 40 : 5,
            showPoints: 'never',
            spanNulls: false,
            ...(stacked ? { stacking: { mode: 'normal', group: 'A' } } : {}),
          },
        },
        overrides: [],
      },
      options: {
        legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
        tooltip: { mode: 'multi', sort: 'desc' },
      },
    },
  };
}

/** The buckets of a histogram over time. */
export function heatmap(common: Common & { readonly expr: string }): Panel {
  const { title, description, unit, width, expr } = common;
  return {
    width,
    height: 8,
    json: {
      type: 'heatmap',
      title,
      description,
      datasource: prometheus,
      targets: targets([{ expr, legend: '{{le}}' }], { format: 'heatmap' }),
      fieldConfig: { defaults: { unit }, overrides: [] },
      options: {
        calculate: false,
        cellGap: 1,
        color: { mode: 'scheme', scheme: 'Blues', steps: 64, exponent: 0.5, fill: 'dark-blue' },
        filterValues: { le: 1e-9 },
        legend: { show: true },
        rowsFrame: { layout: 'auto' },
        tooltip: { mode: 'single', yHistogram: false },
        yAxis: { axisPlacement: 'left', unit },
      },
    },
  };
}

/** One column of a table. */
export interface Column {
  /** As Grafana calls it after the merge: a label, or `Value #A`. */
  readonly field: string;
  readonly title: string;
  readonly unit?: string;
  /** Opens for a click on the cell. */
  readonly link?: { readonly title: string; readonly url: string };
}

/** The newest values of several queries joined by their labels; what `columns` does not name is hidden. */
export function table(
  common: Common & {
    readonly queries: readonly Query[];
    readonly columns: readonly Column[];
    /** The title of the column to sort by, highest first. */
    readonly sortBy: string;
    readonly none: string;
  },
): Panel {
  const { title, description, unit, width, queries, columns, sortBy, none } = common;
  const shown = new Set(columns.map(({ field }) => field));
  const values = queries.map((_, index) => `Value #${String.fromCharCode('A'.charCodeAt(0) + index)}`);
  const hidden = ['Time', ...values].filter((field) => !shown.has(field));
  return {
    width,
    height: 10,
    json: {
      type: 'table',
      title,
      description,
      datasource: prometheus,
      targets: targets(queries, { format: 'table', instant: true, range: false }),
      transformations: [
        { id: 'merge', options: {} },
        {
          id: 'organize',
          options: {
            excludeByName: Object.fromEntries(hidden.map((field) => [field, true])),
            indexByName: Object.fromEntries(columns.map(({ field }, index) => [field, index])),
            renameByName: Object.fromEntries(columns.map((column) => [column.field, column.title])),
          },
        },
      ],
      fieldConfig: {
        defaults: { unit, noValue: none, custom: { align: 'auto', filterable: true } },
        overrides: columns.flatMap((column) => {
          const properties = [
            ...(column.unit === undefined ? [] : [{ id: 'unit', value: column.unit }]),
            ...(column.link === undefined ? [] : [{ id: 'links', value: [column.link] }]),
          ];
          return properties.length === 0
            ? []
            : [{ matcher: { id: 'byName', options: column.title }, properties }];
        }),
      },
      options: { cellHeight: 'sm', showHeader: true, sortBy: [{ displayName: sortBy, desc: true }] },
    },
  };
}

/** One bar for each series, drawn while its value is 1; `colours` by legend. */
export function stateTimeline(
  common: Common & { readonly query: Query; readonly colours: Readonly<Record<string, string>> },
): Panel {
  const { title, description, unit, width, query, colours } = common;
  return {
    width,
    height: 8,
    json: {
      type: 'state-timeline',
      title,
      description,
      datasource: prometheus,
      targets: targets([query]),
      fieldConfig: {
        defaults: { unit, custom: { fillOpacity: 80, lineWidth: 0, spanNulls: false } },
        overrides: Object.entries(colours).map(([name, fixedColor]) => ({
          matcher: { id: 'byName', options: name },
          properties: [{ id: 'color', value: { mode: 'fixed', fixedColor } }],
        })),
      },
      options: {
        alignValue: 'left',
        legend: { showLegend: false, displayMode: 'list', placement: 'bottom' },
        mergeValues: true,
        rowHeight: 0.8,
        showValue: 'never',
        tooltip: { mode: 'single', sort: 'none' },
      },
    },
  };
}

/** A variable that lists the values of a label. */
export interface LabelVariable {
  readonly name: string;
  readonly label: string;
  readonly query: string;
  /** Several values at once, and all of them. */
  readonly many: boolean;
}

function variableJson({ name, label, query, many }: LabelVariable) {
  return {
    type: 'query',
    name,
    label,
    datasource: prometheus,
    definition: query,
    query: { qryType: 1, query, refId: `variable-${name}` },
    refresh: 2,
    sort: 1,
    multi: many,
    includeAll: many,
    ...(many ? { allValue: '.+', current: { text: 'All', value: '$__all' } } : {}),
  };
}

/** A whole dashboard: sections one below the other, panels from left to right. */
export function dashboard(said: {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  /** How far it looks back, such as `24h`. */
  readonly back: string;
  readonly variables: readonly LabelVariable[];
  readonly sections: readonly Section[];
}) {
  return {
    uid: said.uid,
    title: said.title,
    description: said.description,
    tags: ['roundsman', 'backup'],
    schemaVersion: 42,
    editable: true,
    graphTooltip: 1,
    refresh: '1m',
    time: { from: `now-${said.back}`, to: 'now' },
    timezone: 'browser',
    links: [
      {
        type: 'dashboards',
        title: 'Roundsman',
        tags: ['roundsman'],
        asDropdown: false,
        includeVars: true,
        keepTime: true,
      },
    ],
    templating: {
      list: [
        { type: 'datasource', name: 'datasource', label: 'Data source', query: 'prometheus', refresh: 1 },
        ...said.variables.map(variableJson),
      ],
    },
    panels: placed(said.sections),
  };
}

function placed(sections: readonly Section[]) {
  const panels: Readonly<Record<string, unknown>>[] = [];
  let y = 0;
  for (const { title, panels: inside } of sections) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title,
      collapsed: false,
      gridPos: { x: 0, y, w: 24, h: 1 },
      panels: [],
    });
    y += 1;
    let x = 0;
    let tallest = 0;
    for (const { width, height, json } of inside) {
      if (x + width > 24) {
        y += tallest;
        x = 0;
        tallest = 0;
      }
      panels.push({ id: panels.length + 1, gridPos: { x, y, w: width, h: height }, ...json });
      x += width;
      tallest = Math.max(tallest, height);
    }
    y += tallest;
  }
  return panels;
}
