import { quotable } from './display.ts';
import type { Catalogue, ErrorCode, ErrorSpec, Failure, Owner, Stage } from './errors.ts';
import { nearest } from './nearest.ts';
import { counted, duration, instant, size } from './units.ts';
import {
  algorithmKinds,
  archiveSteps,
  free,
  listed,
  onJumpHost,
  plain,
  quoted,
  unreadableSecret,
} from './wording.ts';

/** On what ground a device was expected to be another one, at the end of `expected` of `verify.identity`. */
export const identityGround = { expect: 'expect in the inventory', seen: 'as seen before' } as const;

/**
 * Policy and wording of every code. `NAME` and `RUN` in a command of `todo` stand for the device and
 * the run; `describe` fills them in.
 */
export const catalogue = {
  'inventory.invalid': {
    stage: 'inventory',
    owner: 'settings',
    retry: 'after-change',
    says: ({ file, path, problem }) =>
      `${plain(file)}${path === '' ? '' : `: ${plain(path)}`}: ${plain(problem)}`,
    todo: ({ file }) => `correct ${plain(file)}, then run \`roundsman check\``,
  },
  'inventory.unknown-platform': {
    stage: 'inventory',
    owner: 'settings',
    retry: 'after-change',
    says: ({ platform, known }) => `no driver for platform ${quoted(platform)}; there are ${listed(known)}`,
    todo: ({ platform, known }) => {
      const near = nearest(platform, known);
      const meant = near === null ? '' : ` (did you mean "${plain(near)}"?)`;
      return `correct \`platform\` of the device${meant}, then run \`roundsman check\``;
    },
  },
  'inventory.secret-unavailable': {
    stage: 'inventory',
    owner: 'settings',
    retry: 'next-run',
    says: ({ reference, problem }) => `the secret at ${plain(reference)} cannot be read: ${plain(problem)}`,
    todo: unreadableSecret,
  },
  'credentials.held-back': {
    stage: 'login',
    owner: 'credentials',
    retry: 'after-change',
    says: ({ credential, rejectedBy, sinceMs }) =>
      `credential ${quoted(credential)} is held back since ${instant(sinceMs)}: rejected by ${listed(rejectedBy)}; nothing was sent`,
    todo: ({ credential }) =>
      `correct the password that \`credentials: ${plain(credential)}\` points to; where it is right, let it be used again: \`roundsman release ${plain(credential)}\``,
  },
  'connect.unresolved': {
    stage: 'connect',
    owner: 'network',
    retry: 'soon',
    says: ({ host, via }) => `the name ${plain(host)} does not resolve${onJumpHost(via)}`,
    todo: ({ host }) =>
      `correct \`host\` of the device or the name service (\`getent hosts ${plain(host)}\` has to answer)`,
  },
  'connect.refused': {
    stage: 'connect',
    owner: 'network',
    retry: 'soon',
    says: ({ host, port, via }) => `${plain(host)} refuses connections on port ${port}${onJumpHost(via)}`,
    todo: () =>
      'turn SSH on for this address on the device, or correct `host` and `port` in the inventory; a firewall can refuse too',
  },
  'connect.unreachable': {
    stage: 'connect',
    owner: 'network',
    retry: 'soon',
    says: ({ host, port, errno, via }) =>
      `${plain(host)} port ${port} cannot be reached${onJumpHost(via)} (${plain(errno)})`,
    todo: ({ via }) =>
      via === undefined
        ? 'check the route to the device from this machine, and `source_address` if it is set'
        : `check the route to the device from the jump host ${plain(via)}`,
  },
  'connect.timeout': {
    stage: 'connect',
    owner: 'network',
    retry: 'soon',
    says: ({ host, port, afterMs, via }) =>
      `no connection to ${plain(host)} port ${port} within ${duration(afterMs)}${onJumpHost(via)}`,
    todo: () =>
      'check that the device is up and that no firewall drops the connection; on a slow line raise `timeouts: { connect: … }`',
  },
  'connect.protocol': {
    stage: 'connect',
    owner: 'settings',
    retry: 'after-change',
    says: ({ received }) => `the far side does not speak SSH; it sent ${quoted(received)}`,
    todo: () => 'correct `port` of the device: another service answers there',
  },
  'connect.lost-before-login': {
    stage: 'connect',
    owner: 'device',
    retry: 'soon',
    says: ({ afterMs }) =>
      `the device closed the connection ${duration(afterMs)} after it was made, before any login`,
    todo: () =>
      'check whether the device has SSH sessions left and whether its access list names the address of this machine',
  },
  'connect.jump': {
    stage: 'connect',
    owner: 'network',
    retry: 'soon',
    says: ({ hop, host, port, says }) =>
      `jump host ${plain(hop)} (${plain(host)} port ${port}): ${quotable(says, 600)}`,
    todo: ({ todo }) => quotable(todo, 600),
  },
  'connect.no-common-algorithm': {
    stage: 'connect',
    owner: 'settings',
    retry: 'after-change',
    says: ({ kind, offered }) =>
      offered.length === 0
        ? `no ${algorithmKinds[kind]} in common; the device did not say what it offers`
        : `no ${algorithmKinds[kind]} in common; the device offers ${listed(offered)}`,
    todo: ({ kind, offered, allowable }) => {
      const helps = allowable[0];
      if (helps !== undefined)
        return `add \`ssh: { allow: [${plain(helps)}] }\` to the device, or upgrade its software`;
      if (offered.length === 0)
        return 'list what the device offers with `ssh -vv`, and add one of it to `ssh: { allow: […] }` of the device';
      return `turn a newer ${algorithmKinds[kind]} on at the device, or upgrade its software: none of what it offers can be allowed`;
    },
  },
  'connect.host-key-unknown': {
    stage: 'connect',
    owner: 'settings',
    retry: 'after-change',
    says: ({ fingerprint }) => `the host key ${plain(fingerprint)} is not pinned; no password was sent`,
    todo: () =>
      'compare the fingerprint with the one that the device shows on its console, then run `roundsman trust NAME`',
  },
  'connect.host-key-changed': {
    stage: 'connect',
    owner: 'device',
    retry: 'after-change',
    says: ({ expected, presented }) =>
      `the host key has changed from ${plain(expected)} to ${plain(presented)}; no password was sent`,
    todo: () =>
      'compare the new fingerprint with the console of the device; if it is the device and not somebody between, run `roundsman trust NAME --replace`',
  },
  'login.rejected': {
    stage: 'login',
    owner: 'credentials',
    retry: 'after-change',
    says: ({ username, methods }) =>
      `the device rejected the login of ${quoted(username)} (offered: ${listed(methods)}); exactly one attempt was made`,
    todo: () =>
      'correct the password or key under `credentials`, check that the account is not locked out, then run `roundsman backup NAME`; a rejected login is not repeated, because that locks accounts',
  },
  'login.enable-rejected': {
    stage: 'login',
    owner: 'credentials',
    retry: 'after-change',
    says: ({ username }) =>
      `the device rejected the enable password after the login of ${quoted(username)}; exactly one attempt was made`,
    todo: () =>
      'correct `enable` under `credentials` (`enable: true` sends the login password again), then run `roundsman backup NAME`',
  },
  'login.method-unavailable': {
    stage: 'login',
    owner: 'credentials',
    retry: 'after-change',
    says: ({ offered, wanted }) =>
      `no way to log in: the device offers ${listed(offered)}, the credential has ${listed(wanted)}`,
    todo: () =>
      'give the credential a `password`, a `private_key` or `agent: true`, whichever the device offers, or turn one of these on at the device',
  },
  'login.question-unknown': {
    stage: 'login',
    owner: 'device',
    retry: 'after-change',
    says: ({ question }) =>
      `the device asked ${quoted(question)}, which does not ask for the password; nothing was answered`,
    todo: () =>
      'exempt this account from second factors and from questions at login on the device or its AAA server',
  },
  'login.password-expired': {
    stage: 'login',
    owner: 'credentials',
    retry: 'after-change',
    says: ({ username }) => `the password of ${quoted(username)} has expired: the device wants a new one`,
    todo: () =>
      'set a new password on the device or its AAA server, without expiry for this account, and put it where `credentials` points to',
  },
  'login.prompt-unrecognised': {
    stage: 'login',
    owner: 'driver',
    retry: 'next-run',
    says: ({ lastLine, expected }) =>
      `no known prompt after the login: the last line was ${quoted(lastLine)}, expected ${listed(expected)}`,
    todo: () =>
      'check `platform` of the device; if it is right, log in by hand and look for what its page under docs/platforms says about prompts',
  },
  'collect.command-refused': {
    stage: 'collect',
    owner: 'device',
    retry: 'after-change',
    says: ({ command, reply }) => `the device refused ${quoted(command)}: ${quoted(reply)}`,
    todo: ({ command }) =>
      `give the account the right to run ${quoted(command)}; the page of the platform under docs/platforms lists every command`,
  },
  'collect.stalled': {
    stage: 'collect',
    owner: 'device',
    retry: 'soon',
    says: ({ command, idleMs, receivedBytes }) =>
      `no answer for ${duration(idleMs)} in ${quoted(command)}, after ${size(receivedBytes)}`,
    todo: () => 'run the command by hand; where the device needs that long, raise `timeouts: { idle: … }`',
  },
  'collect.connection-lost': {
    stage: 'collect',
    owner: 'network',
    retry: 'soon',
    says: ({ command, receivedBytes }) =>
      `the connection was lost in ${quoted(command)}, after ${size(receivedBytes)}`,
    todo: () =>
      'look for a restart, a failover or an idle limit of the device, and for a firewall between that ends sessions; then run `roundsman backup NAME`',
  },
  'collect.too-long': {
    stage: 'collect',
    owner: 'settings',
    retry: 'next-run',
    says: ({ limitMs }) => `the run took longer than \`max_runtime\` (${duration(limitMs)})`,
    todo: () => 'raise `max_runtime` of the device, or find out why it answers so slowly',
  },
  'collect.too-large': {
    stage: 'collect',
    owner: 'device',
    retry: 'next-run',
    says: ({ limitBytes }) => `the device sent more than ${size(limitBytes)}`,
    todo: () => 'run the command by hand and look for an output that does not end; nothing of it was kept',
  },
  'collect.not-ready': {
    stage: 'collect',
    owner: 'device',
    retry: 'soon',
    says: ({ reply }) => `the device is not ready: ${quoted(reply)}`,
    todo: () => 'wait until the services of the device are up, then run `roundsman backup NAME`',
  },
  'collect.standby': {
    stage: 'collect',
    owner: 'settings',
    retry: 'next-run',
    says: ({ ha }) =>
      `this unit stands by for another one (${quoted(ha)}), and \`on_standby\` says to skip it`,
    todo: () =>
      'set `host` to the address that moves with the active unit, or `options: { on_standby: store }` to store the copy of either unit',
  },
  'collect.archive-failed': {
    stage: 'collect',
    owner: 'device',
    retry: 'next-run',
    says: ({ archive, step, reply }) =>
      `${plain(archive)}: ${archiveSteps[step].says} (${quoted(reply)}); the text was backed up all the same`,
    todo: ({ step }) => archiveSteps[step].todo,
  },
  'verify.incomplete': {
    stage: 'verify',
    owner: 'device',
    retry: 'next-run',
    says: ({ artefact, because, lines }) =>
      `${plain(artefact)} is not whole: ${plain(because)} (${counted(lines, 'line')} received); the last good copy stays`,
    todo: () =>
      'check the rights of the account and the session limits of the device, then run `roundsman backup NAME`',
  },
  'verify.shrunk': {
    stage: 'verify',
    owner: 'device',
    retry: 'next-run',
    says: ({ artefact, previousLines, lines, lostSections }) => {
      const lost = lostSections.length === 0 ? '' : `, without ${listed(lostSections)}`;
      return `${plain(artefact)} shrank from ${counted(previousLines, 'line')} to ${lines}${lost}; it is held and the last good copy stays`;
    },
    todo: () =>
      'look at `roundsman diff NAME RUN`; if the device was changed on purpose, run `roundsman accept NAME`',
  },
  'verify.prefix': {
    stage: 'verify',
    owner: 'device',
    retry: 'next-run',
    says: ({ artefact, previousObjects, objects }) =>
      `${plain(artefact)} holds only the first ${objects} of ${counted(previousObjects, 'object')}, as a cut-off copy would; it is held and the last good copy stays`,
    todo: () =>
      'look at `roundsman diff NAME RUN`; if the rest was deleted on purpose, run `roundsman accept NAME`',
  },
  'verify.downgraded': {
    stage: 'verify',
    owner: 'credentials',
    retry: 'next-run',
    says: ({ was, is, because }) =>
      `what was read restores less than before (was ${plain(was)}, is ${plain(is)}): ${plain(because)}; it is held and the last good copy stays`,
    todo: () =>
      'give the account back the rights that it had; if less is meant, look at `roundsman diff NAME RUN` and run `roundsman accept NAME`',
  },
  'verify.identity': {
    stage: 'verify',
    owner: 'device',
    retry: 'after-change',
    says: ({ expected, presented }) =>
      `another device answered: expected ${quoted(expected)}, it says ${quoted(presented)}; the reading is held`,
    todo: ({ expected }) =>
      expected.endsWith(`(${identityGround.expect})`)
        ? 'check `host` of the device; if its hardware or name was changed on purpose, correct `expect` of the device in the inventory and run `roundsman backup NAME`: accepting this reading would not help the next one'
        : 'check `host` of the device; if its hardware or name was changed on purpose, look at `roundsman diff NAME RUN` and run `roundsman accept NAME`',
  },
  'redact.leak': {
    stage: 'redact',
    owner: 'driver',
    retry: 'after-change',
    says: ({ artefact, rule, line }) =>
      `a secret would have stayed readable in line ${line} of ${plain(artefact)} (rule ${quoted(rule)}); nothing was stored`,
    todo: () =>
      'report this shape of line, with the value blotted out, as a defect of the driver of the platform',
  },
  'store.locked': {
    stage: 'store',
    owner: 'host',
    retry: 'soon',
    says: ({ lockFile, heldForMs }) => `${plain(lockFile)} is locked for ${duration(heldForMs)}`,
    todo: ({ lockFile }) =>
      `see which process uses the repository; when none does, remove ${plain(lockFile)}. What was read is kept in the spool`,
  },
  'store.disk-full': {
    stage: 'store',
    owner: 'host',
    retry: 'next-run',
    says: ({ path, freeBytes }) => `no space to write ${plain(path)} (${free(freeBytes)})`,
    todo: () =>
      'free space or inodes on the file system of `state_dir`; `roundsman check` prints what a year needs',
  },
  'store.read-only': {
    stage: 'store',
    owner: 'host',
    retry: 'after-change',
    says: ({ path }) => `${plain(path)} lies on a file system that is read-only`,
    todo: () =>
      'look for disk errors in the log of the system, then mount the file system of `state_dir` writable',
  },
  'store.permission': {
    stage: 'store',
    owner: 'host',
    retry: 'after-change',
    says: ({ path }) => `no permission for ${plain(path)}`,
    todo: () => 'run roundsman as the user that owns `state_dir`, or give that directory to this user',
  },
  'store.io': {
    stage: 'store',
    owner: 'host',
    retry: 'next-run',
    says: ({ path, errno }) => `${plain(path)} cannot be read or written (${plain(errno)})`,
    todo: ({ errno }) =>
      errno === 'EMFILE' || errno === 'ENFILE'
        ? 'raise `LimitNOFILE=` of the unit, or lower `workers`: too many files are open'
        : 'look for disk errors in the log of the system, and at the quota of the user',
  },
  'store.seal-failed': {
    stage: 'store',
    owner: 'settings',
    retry: 'after-change',
    says: ({ recipient }) => `nothing can be sealed to the recipient ${quoted(recipient)}`,
    todo: () => 'correct `secrets: { recipients: […] }` in the settings: an age recipient begins with `age1`',
  },
  'store.foreign-tip': {
    stage: 'store',
    owner: 'host',
    retry: 'next-run',
    says: ({ expected, found }) =>
      `something else wrote to the repository: main is at ${plain(found)}, expected ${plain(expected)}`,
    todo: ({ found }) =>
      `find out who made commit ${plain(found)}: only roundsman may write to \`configs.git\`, others clone it`,
  },
  'store.git-failed': {
    stage: 'store',
    owner: 'host',
    retry: 'next-run',
    says: ({ command, exitCode, stderr }) =>
      `git ${plain(command)} failed with status ${exitCode}: ${quoted(stderr, 200)}`,
    todo: () => 'run `git fsck` in `configs.git` under `state_dir`. What was read is kept in the spool',
  },
  'record.busy': {
    stage: 'record',
    owner: 'host',
    retry: 'soon',
    says: ({ waitedMs }) => `the ledger was busy for ${duration(waitedMs)}`,
    todo: () => 'see which other process holds `ledger.db` under `state_dir` open, and end it',
  },
  'record.failed': {
    stage: 'record',
    owner: 'host',
    retry: 'next-run',
    says: ({ problem }) => `the ledger cannot be used: ${plain(problem)}`,
    todo: () => 'check space, permissions and health of the file system of `state_dir`',
  },
  'run.interrupted': {
    stage: 'collect',
    owner: 'host',
    retry: 'next-run',
    says: ({ by }) =>
      by === 'signal' ? 'the run was interrupted by a signal' : 'roundsman ended in the middle of the run',
    todo: () => 'run `roundsman backup NAME`; nothing half-read was kept',
  },
  'bug.unexpected': {
    stage: 'record',
    owner: 'us',
    retry: 'next-run',
    says: ({ thrown }) => `unexpected error: ${quoted(thrown, 200)}`,
    todo: () =>
      'report it as a defect with the lines of the log that name run RUN; the last good copy is untouched',
  },
} satisfies Catalogue;

/** A failure in words. `message` and `todo` are one line each and harmless for a terminal. */
export interface Described {
  readonly code: ErrorCode;
  readonly stage: Stage;
  readonly owner: Owner;
  readonly message: string;
  readonly todo: string;
  /** As the failure carries it: text of a device in it is still raw. */
  readonly detail: Failure['detail'];
}

/**
 * What happened and what to do. With `where`, the commands in `todo` name the device and the run and
 * can be pasted; without it they say NAME and RUN.
 */
export function describe(failure: Failure, where: { device?: string; runId?: string } = {}): Described {
  // A code and its detail belong together in Failure, which an index by code cannot show the compiler.
  const spec = catalogue[failure.code] as unknown as ErrorSpec<ErrorCode>;
  const { device = 'NAME', runId = 'RUN' } = where;
  const todo = spec
    .todo(failure.detail)
    .replace(/`roundsman [^`]*`/g, (command) =>
      command.replace(/\bNAME\b/, () => quotable(device)).replace(/\bRUN\b/, () => quotable(runId)),
    )
    .replace(/\brun RUN\b/, () => `run ${quotable(runId)}`);
  return {
    code: failure.code,
    stage: spec.stage,
    owner: spec.owner,
    message: spec.says(failure.detail),
    todo,
    detail: failure.detail,
  };
}
