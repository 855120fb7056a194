import type { FaultCase } from '../case.ts';

export default [
  {
    number: 57,
    title: 'an inventory that is hostile, half written or replaced',
    expected: 'refused with the line; the one in use stays, the metric says 0',
    tier: 'commit',
    shown: [
      {
        file: 'test/e2e/daemon-life.test.ts',
        names: [
          'whatever becomes of the file of the inventory, the one in use stays until a whole one is there',
          'an invalid edit is refused whole, and the log says where it is wrong',
        ],
      },
      {
        file: 'test/inventory/mistakes.test.ts',
        names: [
          '%s: every mistake is named at once, with path, line and nearest word',
          '%s: no message shows what could be a secret',
        ],
      },
      {
        file: 'test/inventory/yaml.test.ts',
        names: [
          'a file over the cap is refused before it is read',
          'nesting without end stops at a fixed depth',
          'never throws anything but a list of problems, whatever the text is',
        ],
      },
    ],
    note: 'A refused inventory is a line of the log and a metric; the chain records what was taken over. A file that was cut between two devices is valid: only the limit of case 58 sees it.',
  },
  {
    number: 58,
    title: 'an inventory that lost most of its devices',
    expected: 'refused until a person confirms it',
    tier: 'commit',
    shown: [
      {
        file: 'test/e2e/daemon-life.test.ts',
        names: [
          'one that drops over a fifth of the devices wants to be confirmed',
          'whatever becomes of the file of the inventory, the one in use stays until a whole one is there',
        ],
      },
      { file: 'test/http/server.test.ts', names: ['reloads, and confirms only where that was said'] },
    ],
    note: null,
  },
  {
    number: 59,
    title: 'names and errors that forge lines of the log',
    expected: 'one record an event, which parses back; the phrase stands in failures alone',
    tier: 'commit',
    shown: [
      {
        file: 'test/daemon/log.test.ts',
        names: [
          'there is exactly one line for each event, and only those of failures contain the phrase',
          'each line parses back to the one event that it is',
        ],
      },
      {
        file: 'test/daemon/notify.test.ts',
        names: ['sends what systemd expects, and a status cannot forge an assignment'],
      },
      { file: 'test/metrics/render.test.ts', names: ['escapes what a label cannot hold'] },
    ],
    note: null,
  },
  {
    number: 60,
    title: 'canaries in every secret',
    expected: 'found sealed, and nowhere else',
    tier: 'commit',
    shown: [
      {
        file: 'test/e2e/canaries.test.ts',
        names: [
          'canaries',
          'were in no command line and no environment of a process that we started',
          'are found where they are: without this nobody knows that the search works',
        ],
      },
      {
        file: 'test/gitstore/push.test.ts',
        names: ['shows no secret in a process list: neither in arguments nor in the environment'],
      },
      {
        file: 'test/packaging/telemetry.test.ts',
        names: ['connects to its devices and to nobody else, from its start to its end'],
      },
    ],
    note: 'No core is written: the unit sets LimitCORE=0.',
  },
  {
    number: 61,
    title: 'HTTP is hammered, slow, oversized, unknown',
    expected: 'limits of connections, time and size; 401, 429, 431; the loop stays free',
    tier: 'commit',
    shown: [
      {
        file: 'test/http/flood.test.ts',
        names: [
          'a thousand connections %s keep no other address out, and are all cut off',
          'one address has 64 connections, and another one its own',
          'the event loop stays free: connections that wait cost next to nothing',
          'a dribble, a byte at a time, ends like silence',
          '%s is refused before it is read to its end',
        ],
      },
      {
        file: 'test/http/access.test.ts',
        names: [
          'without a token',
          "of one client is limited, says when to come again, and is nobody else's",
          'the tests of this file know every route',
          'of any kind, with or without credentials, from a raw socket, is answered and ends nothing',
        ],
      },
      {
        file: 'test/http/tls.test.ts',
        names: ['what speaks clear text is cut off, and so is half a handshake'],
      },
      {
        file: 'test/http/server.test.ts',
        names: [
          'a client that does not read is cut off',
          'metrics are rendered once for all that ask at the same time, and anew afterwards',
        ],
      },
    ],
    note: null,
  },
  {
    number: 62,
    title: 'reports from elsewhere are forged or replayed',
    expected: 'nothing takes any: only a session of our own makes a success',
    tier: 'trial',
    shown: [
      { file: 'test/http/server.test.ts', names: ['an unknown path is 404, as JSON'] },
      {
        file: 'test/http/access.test.ts',
        names: ['the tests of this file know every route', '%s %s %s is refused and calls nothing'],
      },
      { file: 'test/scheduler/due.test.ts', names: ['only a verified success moves the due time forward'] },
    ],
    note: 'There is no hook API in this version: no route takes a success from outside, so nothing can be forged or replayed. The list of routes is held by a test.',
  },
  {
    number: 63,
    title: 'an outgoing hook hangs, or leads elsewhere',
    expected: 'nothing is called',
    tier: 'trial',
    shown: [
      {
        file: 'test/packaging/telemetry.test.ts',
        names: ['connects to its devices and to nobody else, from its start to its end'],
      },
    ],
    note: 'There are no outgoing hooks in this version, neither HTTP nor programs.',
  },
  {
    number: 64,
    title: 'the log is cleared by somebody',
    expected: 'nothing clears it',
    tier: 'trial',
    shown: [{ file: 'test/http/access.test.ts', names: ['the tests of this file know every route'] }],
    note: 'There is no command and no route that clears, archives or exports the log: it goes to standard error, and its keeper rotates it. The chain lies in the ledger and is never rewritten.',
  },
  {
    number: 65,
    title: 'two texts of 50 000 lines with nothing in common',
    expected:
      'compared in a thread of their own, everything else is answered meanwhile; the counts of a commit come from git',
    tier: 'commit',
    shown: [
      {
        file: 'test/daemon/services/diff.test.ts',
        names: [
          'of 50 000 lines in another order does not hold up the event loop',
          'of few lines that takes long here is made aside',
        ],
      },
      {
        file: 'test/daemon/services/history.test.ts',
        names: ['of 50 000 lines each, in another order, keeps nobody waiting who asks for something else'],
      },
      {
        file: 'test/pipeline/diff.test.ts',
        names: ['does not search where two texts have too few lines in common for that'],
      },
      {
        file: 'test/gitstore/line-counts.test.ts',
        names: [
          'of two texts of 50 000 lines with nothing in common are counted by git, beside the event loop',
        ],
      },
    ],
    note: 'As a share of the time that it takes, and as an order: a limit in milliseconds would measure the machine.',
  },
] satisfies FaultCase[];
