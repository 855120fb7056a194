import type { FaultCase } from '../case.ts';

export default [
  {
    number: 32,
    title: 'a device swallows connections',
    expected: '`connect.timeout` in time; the others keep their schedule',
    tier: 'commit',
    shown: [
      {
        file: 'test/transport/ssh.test.ts',
        names: ['an address that does not answer is a time-out after connectMs, by our clock'],
      },
      { file: 'test/scheduler/loop.test.ts', names: ['a device that hangs costs the others nothing'] },
      {
        file: 'test/scheduler/model.test.ts',
        names: ['a device that stays dead for three days is overdue without a break'],
      },
    ],
    note: 'The listener has a full backlog and never accepts.',
  },
  {
    number: 33,
    title: 'a port accepts and says nothing, or a letter now and then',
    expected: '`connect.timeout` when the login time is over',
    tier: 'commit',
    shown: [
      {
        file: 'test/transport/ssh.test.ts',
        names: [
          'a port that accepts and says nothing is a time-out',
          'an identification that comes letter by letter cannot hold us beyond the login time',
          'a server that falls silent after its identification is there and does not let us in',
        ],
      },
      {
        file: 'test/transport/session.test.ts',
        names: [
          'a slow drip of banner ends at the login deadline',
          'a drip without an end is stopped by the run time',
        ],
      },
    ],
    note: null,
  },
  {
    number: 34,
    title: 'lines without end before the identification, a banner without end',
    expected: 'cut off, `connect.protocol`',
    tier: 'commit',
    shown: [
      {
        file: 'test/transport/ssh.test.ts',
        names: [
          'text without end before the identification is cut off',
          'an identification line without end is cut off',
          'banners without end are cut off',
          'one banner that is too long for a packet breaks the protocol',
        ],
      },
      {
        file: 'test/transport/session.test.ts',
        names: ['a banner without an end is not listened to for ever'],
      },
    ],
    note: null,
  },
  {
    number: 35,
    title: 'the connection is reset in the middle',
    expected: '`collect.connection-lost`, the stored copy stays',
    tier: 'commit',
    shown: [
      { file: 'test/transport/session.test.ts', names: ['cut at any byte'] },
      { file: 'test/transport/exec.test.ts', names: ['cut at any byte never passes for read'] },
      { file: 'test/transport/transfer.test.ts', names: ['cut at any octet it is never whole'] },
      { file: 'test/e2e/withstand.test.ts', names: ['what a backup must withstand'] },
    ],
    note: null,
  },
  {
    number: 36,
    title: 'a device goes silent after the login',
    expected: '`collect.stalled` after the silence, the session is closed',
    tier: 'commit',
    shown: [
      { file: 'test/transport/session.test.ts', names: ['silence in the middle of an answer is a stall'] },
      {
        file: 'test/transport/slow-line.test.ts',
        names: ['that stands still in the middle is given up after the silence'],
      },
      { file: 'test/scheduler/trouble.test.ts', names: ['a run that outlives its limit is aborted'] },
      { file: 'test/e2e/withstand.test.ts', names: ['what a backup must withstand'] },
    ],
    note: null,
  },
  {
    number: 37,
    title: 'a configuration that is cut without an error',
    expected: 'refused by prompt, end and structure, for each platform',
    tier: 'commit',
    shown: [
      {
        file: 'test/drivers/conformance.test.ts',
        names: [
          'is never taken when it was cut, at any line and inside lines',
          'is never taken from a session that broke, fell silent or stopped half-way',
        ],
      },
      {
        file: 'test/drivers/mutation.test.ts',
        names: ['without its completeness rule lets a cut configuration through'],
      },
      {
        file: 'test/pipeline/verify.test.ts',
        names: ['refuses a text without its end marker', 'refuses two readings that differ'],
      },
      { file: 'test/e2e/withstand.test.ts', names: ['what a backup must withstand'] },
    ],
    note: null,
  },
  {
    number: 38,
    title: 'a configuration that is much smaller, lost a section, or is a beginning of the last one',
    expected: 'held; a person accepts exactly that run',
    tier: 'commit',
    shown: [
      {
        file: 'test/pipeline/compare.test.ts',
        names: [
          'holds back a copy with fewer than half of the lines',
          'holds back a copy that lost a section, and names it',
          'holds back a copy whose last objects are missing',
        ],
      },
      { file: 'test/e2e/history.test.ts', names: ['a device that lost half of its lines'] },
      {
        file: 'test/daemon/services/history.test.ts',
        names: ['takes either reading of a text that was held twice, the one that was shown first too'],
      },
      {
        file: 'test/ledger/ledger.test.ts',
        names: ['accepting makes exactly that run the last good one, once'],
      },
    ],
    note: null,
  },
  {
    number: 39,
    title: 'an error in place of a configuration',
    expected: '`collect.command-refused`, or not whole; nothing of it is stored',
    tier: 'commit',
    shown: [
      { file: 'test/e2e/withstand.test.ts', names: ['what a backup must withstand'] },
      {
        file: 'test/transport/collect.test.ts',
        names: [
          'of every way fail with the last command and the words of the device',
          'that mean "not now" do not lead to a worse way',
        ],
      },
      { file: 'test/drivers/cisco_asa.test.ts', names: ['a refusal of an ASA'] },
      { file: 'test/drivers/fortinet_fortigate.test.ts', names: ['a refusal of a FortiGate'] },
      { file: 'test/drivers/f5_bigip-state.test.ts', names: ['a BIG-IP that cannot be read now'] },
    ],
    note: null,
  },
  {
    number: 40,
    title: 'output without end',
    expected: '`collect.too-large` at the cap, memory bounded, session closed',
    tier: 'demand',
    shown: [
      {
        file: 'test/faults/memory.faults.ts',
        names: ['is cut at the cap, with no more memory than a constant times that'],
      },
      {
        file: 'test/hostile/sessions.test.ts',
        names: [
          'gives ten gigabytes of one letter: the cap is reached, the rest is never taken',
          'is cut at the largest artefact, and what was held is let go',
        ],
      },
      { file: 'test/transport/session.test.ts', names: ['an output without an end is stopped at its size'] },
    ],
    note: null,
  },
  {
    number: 41,
    title: 'one line of 100 megabytes',
    expected: 'read once, no configuration',
    tier: 'commit',
    shown: [
      {
        file: 'test/hostile/sessions.test.ts',
        names: ['gives one line of 100 megabytes: it is read once and is no configuration'],
      },
      {
        file: 'test/transport/session.test.ts',
        names: ['ten million bytes in one line, byte by byte, cost no more than their length'],
      },
      { file: 'test/drivers/rules.test.ts', names: ['no line of a device is expensive'] },
    ],
    note: null,
  },
  {
    number: 42,
    title: 'text that looks like the prompt',
    expected: 'text; a prompt is believed behind our own echo, last and quiet',
    tier: 'commit',
    shown: [
      {
        file: 'test/transport/session.test.ts',
        names: [
          'a prompt in a comment is text, also where the stream pauses just there',
          'banners full of # and > are no prompts',
          'an old prompt, drawn again before the echo, ends no answer',
          'the prompt of another host is text',
        ],
      },
      { file: 'test/hostile/sessions.test.ts', names: ['a prompt that is none'] },
      {
        file: 'test/drivers/conformance.test.ts',
        names: ['survives a pause wherever the text looks like a prompt'],
      },
      { file: 'test/drivers/mutation.test.ts', names: ['with wide prompts loses the rest behind a pause'] },
    ],
    note: null,
  },
  {
    number: 43,
    title: 'text made to be expensive',
    expected: 'ten times the text costs ten times the time',
    tier: 'commit',
    shown: [
      {
        file: 'test/hostile/cost.test.ts',
        names: [
          'whatever is read as a %s costs what its size is',
          'cost a step for each of their characters, however many begin alike',
        ],
      },
      {
        file: 'test/drivers/rules.test.ts',
        names: ['no line of a device is expensive', '$id: ten times the text costs about ten times the time'],
      },
      { file: 'test/pipeline/redact.test.ts', names: ['reads %s in time that grows with its size'] },
      {
        file: 'test/transport/screen.test.ts',
        names: ['costs no more than its length, also for ten million CRs'],
      },
    ],
    note: 'As ratios: a limit in milliseconds would measure the machine.',
  },
  {
    number: 44,
    title: 'escapes, NUL, CR, C1, bidi, bytes that are no UTF-8',
    expected: 'stored as they are, harmless wherever they are shown',
    tier: 'commit',
    shown: [
      { file: 'test/e2e/history.test.ts', names: ['what %s puts into its configuration'] },
      {
        file: 'test/core/display.test.ts',
        names: ['holds no control character but a tab, whatever went in', 'are latin1 where they cannot'],
      },
      {
        file: 'test/transport/screen.test.ts',
        names: [
          'whatever bytes come, never throws and never shows a control character',
          'every byte of a text survives the way over a terminal',
        ],
      },
      { file: 'test/http/wire.test.ts', names: ['keep every byte of a device as one character'] },
    ],
    note: 'Shown in a terminal, in logs and as JSON; no page of HTML is made.',
  },
  {
    number: 45,
    title: 'sequences for the terminal of the operator',
    expected: 'never there raw',
    tier: 'commit',
    shown: [
      { file: 'test/hostile/terminal.test.ts', names: ['in a terminal'] },
      { file: 'test/e2e/history.test.ts', names: ['never reaches standard output or standard error raw'] },
      { file: 'test/transport/screen.test.ts', names: ['hostile sequences neither hang nor show'] },
    ],
    note: null,
  },
  {
    number: 46,
    title: 'names that are paths, options or twins',
    expected: 'the inventory is refused, with the line',
    tier: 'commit',
    shown: [
      {
        file: 'test/inventory/values.test.ts',
        names: [
          'are accepted exactly where they are safe as a path and as a part of a ref',
          'are refused with any other character',
          'have at most 63 characters',
        ],
      },
      {
        file: 'test/inventory/mistakes.test.ts',
        names: ['%s: every mistake is named at once, with path, line and nearest word'],
      },
      { file: 'test/hostile/sessions.test.ts', names: ['a context with a name that is none'] },
    ],
    note: null,
  },
  {
    number: 47,
    title: 'another box answers',
    expected: 'held as `verify.identity`; a failover to a known partner is neither',
    tier: 'commit',
    shown: [
      { file: 'test/pipeline/compare.test.ts', names: ['identity'] },
      {
        file: 'test/ledger/archives.test.ts',
        names: [
          'grows by what a good reading names, and forgets no partner that is named no more',
          'is not told by a reading that is held, until that is accepted',
        ],
      },
      {
        file: 'test/pipeline/archives.test.ts',
        names: ['a failover to a partner that was named is neither another device nor a commit'],
      },
    ],
    note: null,
  },
  {
    number: 48,
    title: 'the host key changed',
    expected: '`connect.host-key-changed`, no password sent',
    tier: 'commit',
    shown: [
      {
        file: 'test/transport/ssh.test.ts',
        names: [
          'a changed host key stops before any authentication request',
          'a changed host key stops also where first use is allowed',
        ],
      },
      { file: 'test/e2e/withstand.test.ts', names: ['sends no password to a device whose host key changed'] },
      {
        file: 'test/metrics/rules.test.ts',
        names: ['$alert has a case that fires it and one that does not'],
      },
    ],
    note: null,
  },
  {
    number: 49,
    title: 'only weak algorithms are offered',
    expected: 'refused, naming what would help; works once that is allowed',
    tier: 'commit',
    shown: [
      {
        file: 'test/transport/ssh.test.ts',
        names: ['an old device names what would help, one kind after the other, and then works'],
      },
      {
        file: 'test/transport/algorithms.test.ts',
        names: ['modern has nothing with SHA-1, CBC, MD5, DSA or chacha20-poly1305'],
      },
      {
        file: 'test/e2e/withstand.test.ts',
        names: ['names the algorithm that would help, and works when it is allowed'],
      },
    ],
    note: null,
  },
  {
    number: 50,
    title: 'a server open to Terrapin',
    expected: 'no chacha20 and no CBC with -etm under any policy, so nothing can be cut',
    tier: 'commit',
    shown: [
      {
        file: 'test/transport/ssh.test.ts',
        names: [
          'a server open to Terrapin, without strict key exchange, is not spoken to in what it could cut: %s',
        ],
      },
      {
        file: 'test/transport/algorithms.test.ts',
        names: [
          'chacha20-poly1305 is offered under no policy, and no -etm MAC beside a CBC cipher',
          'a name that nobody knows adds nothing',
        ],
      },
    ],
    note: 'ssh2 has no strict key exchange, so what Terrapin cuts is never offered.',
  },
  {
    number: 51,
    title: 'an account is rotated for 500 devices',
    expected: 'sent three times, then held; one probe a slot; three stale boxes stop nobody',
    tier: 'commit',
    shown: [
      {
        file: 'test/scheduler/login-gate.test.ts',
        names: [
          'that was rotated is sent to three devices of five hundred, and is held then',
          'that is held is probed once a slot, by a device that accepted it last',
          'rejected by three stale boxes stops no fleet: one probe releases all but these',
        ],
      },
      { file: 'test/e2e/held-back.test.ts', names: ['a credential that devices reject'] },
      {
        file: 'test/scheduler/rotation.test.ts',
        names: ['that devices reject is held back, until it is rotated: then it is used without a restart'],
      },
    ],
    note: null,
  },
  {
    number: 52,
    title: 'keyboard-interactive asks odd questions',
    expected: '`login.question-unknown`; no unknown question gets the password',
    tier: 'commit',
    shown: [
      {
        file: 'test/transport/ssh.test.ts',
        names: [
          '%s gets no answer',
          'a one-time code is a question that is not answered',
          'a forced change of the password is told as that, and nothing is typed',
          'a second question for the password means that the first answer was wrong',
        ],
      },
    ],
    note: null,
  },
  {
    number: 53,
    title: 'a device asks for a password where none is due',
    expected: 'nothing is typed',
    tier: 'commit',
    shown: [
      {
        file: 'test/hostile/sessions.test.ts',
        names: [
          'a device that wants our passwords',
          'asks for a new password behind its disclaimer: nothing is typed there',
        ],
      },
      {
        file: 'test/transport/session.test.ts',
        names: [
          'a password prompt that nobody expects gets nothing',
          'types the enable password once, after the question, and nothing of it is recorded',
        ],
      },
    ],
    note: null,
  },
  {
    number: 54,
    title: 'a jump host dies, or shows another key',
    expected: '`connect.jump` with the hop and why; other ways go on',
    tier: 'commit',
    shown: [
      {
        file: 'test/e2e/jump.test.ts',
        names: [
          'of which one way died and one shows another key are read on all other ways',
          'that the jump host cannot reach, or may not, are told apart',
        ],
      },
      {
        file: 'test/transport/jump.test.ts',
        names: [
          'that dies in the middle of a session is a lost connection',
          'with a changed key gets no password, also where it is the second one',
          'whose last jump host falls silent ends a second later for each of them at the most',
        ],
      },
    ],
    note: null,
  },
  {
    number: 55,
    title: 'pagers, wrapped lines, a device that closes',
    expected: 'handled by the data of each platform',
    tier: 'commit',
    shown: [
      {
        file: 'test/drivers/mutation.test.ts',
        names: ['without its pagers cannot read a device that pages'],
      },
      { file: 'test/transport/session.test.ts', names: ['pagers', 'a tmsh shell'] },
      { file: 'test/drivers/bigip-openssh.test.ts', names: ['a BIG-IP whose tmsh pages through less'] },
      { file: 'test/transport/exec.test.ts', names: ['is tried where the device has no exec at all'] },
    ],
    note: null,
  },
  {
    number: 56,
    title: 'the standby unit answers',
    expected: 'stored with its role, or refused where the inventory says so',
    tier: 'commit',
    shown: [
      {
        file: 'test/pipeline/judge.test.ts',
        names: [
          'stops at a unit that stands by, where the inventory says so',
          'becomes the condition, null where the device said nothing',
        ],
      },
      { file: 'test/drivers/cisco_asa-state.test.ts', names: ['a failover pair of ASAs'] },
      { file: 'test/drivers/fortinet_fortigate-state.test.ts', names: ['a member of a FortiGate cluster'] },
      { file: 'test/drivers/f5_bigip-state.test.ts', names: ['the state of a BIG-IP'] },
      {
        file: 'test/e2e/fortigate.test.ts',
        names: ['makes no commit and no alarm when the other unit takes over, and back'],
      },
    ],
    note: null,
  },
] satisfies FaultCase[];
