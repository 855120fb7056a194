import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Fleet } from '../fleet/fleet.ts';
import { account, type FleetDevice } from '../fleet/options.ts';
import { type Cost, costOf } from '../measure/process.ts';

/** Where Debian's package puts it. */
const programs = '/usr/lib/rancid/bin';

export function hasRancid(): boolean {
  return existsSync(join(programs, 'rancid-run'));
}

/** RANCID as its package ships it, over a fleet, in a directory of its own: nothing of the host is read or changed. */
export interface Rancid {
  /** One run over all devices, `atOnce` of them at a time (`PAR_COUNT`; 5 is its default). */
  run(atOnce: number): Promise<Cost>;
  /** Devices whose stored text is not what a whole configuration is, with the reason; empty after a good run. */
  missing(): readonly string[];
}

/** @throws Error where its own set-up fails. */
export async function setUpRancid(dir: string, fleet: Fleet): Promise<Rancid> {
  const home = join(dir, 'home');
  const group = join(dir, 'base', 'fleet');
  const conf = join(dir, 'rancid.conf');
  for (const folder of [home, join(dir, 'base'), join(dir, 'tmp'), join(home, '.ssh')])
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  const write = (path: string, text: string): void => writeFileSync(path, text, { mode: 0o600 });
  write(conf, settings(dir, home));
  write(join(home, '.cloginrc'), logins(fleet, home));
  write(join(home, '.ssh', 'config'), clientSettings(home));
  write(join(home, '.ssh', 'known_hosts'), knownHosts(fleet));
  write(join(home, '.gitconfig'), '[user]\n\tname = bench\n\temail = bench@localhost\n');
  const env = { HOME: home, PATH: `${programs}:/usr/bin:/bin`, USER: 'bench', LOGNAME: 'bench' };
  const started = await costOf(join(programs, 'rancid-cvs'), ['-f', conf], { env });
  if (started.code !== 0) throw new Error(`rancid-cvs ended with ${started.code}`);
  write(
    join(group, 'router.db'),
    fleet.devices.map((device) => `${device.address};${kindOf(device)};up\n`).join(''),
  );

  return {
    async run(atOnce) {
      write(join(group, 'rancid.conf'), `PAR_COUNT=${atOnce}; export PAR_COUNT\n`);
      return await costOf(join(programs, 'rancid-run'), ['-f', conf], { env });
    },
    missing: () => fleet.devices.flatMap((device) => wrongWith(device, join(group, 'configs'))),
  };
}

function kindOf({ platform }: FleetDevice): string {
  return platform === 'fortinet_fortigate' ? 'fortigate' : 'cisco';
}

/** What the packaged file says, except for places: no mail, no system directory. */
function settings(dir: string, home: string): string {
  return `TERM=network; export TERM
LC_COLLATE=POSIX; export LC_COLLATE
umask 027
PERL5LIB=/usr/share/perl5/rancid; export PERL5LIB
TMPDIR=${dir}/tmp; export TMPDIR
BASEDIR=${dir}/base; export BASEDIR
HOME=${home}; export HOME
PATH=${programs}:/usr/bin:/usr/sbin:/bin; export PATH
SENDMAIL=/bin/true; export SENDMAIL
CVSROOT=$BASEDIR/GIT; export CVSROOT
LOGDIR=$BASEDIR/logs; export LOGDIR
RCSSYS=git; export RCSSYS
LIST_OF_GROUPS=fleet; export LIST_OF_GROUPS
`;
}

function logins(fleet: Fleet, home: string): string {
  return `add method * {ssh:${fleet.port}}
add sshcmd * {{ssh -F ${home}/.ssh/config}}
add user * {${account.username}}
add password * {${account.password}} {${account.password}}
`;
}

function clientSettings(home: string): string {
  return `Host *
  StrictHostKeyChecking yes
  UserKnownHostsFile ${home}/.ssh/known_hosts
  GlobalKnownHostsFile /dev/null
  PreferredAuthentications password
  IdentityFile none
`;
}

function knownHosts({ devices, port, hostKey }: Fleet): string {
  return devices.map(({ address }) => `[${address}]:${port} ${hostKey}\n`).join('');
}

/** A file of RANCID holds comments of its own; the last lines of a configuration tell that it is all there. */
function wrongWith(device: FleetDevice, configs: string): readonly string[] {
  const names = readdirSync(configs);
  if (!names.includes(device.address)) return [`${device.hostname}: nothing was stored`];
  const text = readFileSync(join(configs, device.address), 'latin1');
  const end = device.platform === 'fortinet_fortigate' ? /config router multicast\nend\s*$/ : /^: end\s*$/m;
  const own = text.includes(device.hostname);
  return own && end.test(text)
    ? []
    : [`${device.hostname}: ${text.length} bytes were stored, and not all of it`];
}
