/**
 * What a fake device is, as data: its platform, its account, its texts, its habits that vary, its faults.
 *
 * How to write one:
 * - Take the bytes from a session with a real device or from its documentation, never from what a
 *   driver expects: a fake that was fitted to a driver proves nothing.
 * - `config` is what the device displays, one character per byte, lines ended by `\n`. What differs at
 *   each display is a placeholder (see render.ts); what the terminal adds (echo, carriage returns,
 *   pagers, prompts) is no part of it.
 * - What a platform always does stands in its machine; what differs from box to box is a field here. A new
 *   platform is one file, platforms/<id>.ts: a function from DeviceSpec to Machine, and its habits in SSH.
 * - Run it in three ways: `createPersona` and a callback for a test of bytes, `memoryConnect` in place of a
 *   connection and in virtual time, `startFakeDevice` behind a real SSH server. A fixture is a folder with
 *   case.yaml (title, `device:` in the fields below, `options:` of the inventory, what has to come out), device.cfg, and
 *   the expected texts: expected.cfg for `running-config`, expected/NAME.cfg for every other artefact. `'@file NAME'`
 *   anywhere below `device:` stands for the content of that file of the folder. `UPDATE_FIXTURES=1` writes the
 *   expected texts, and a person reads them against what the device displays, line by line. `typed:` lists the lines
 *   after the login where a device that changes meanwhile makes them differ from what its answers make one expect.
 */
export type Platform = string;

/** How a device asks for the password. */
export type LoginMethod = 'password' | 'keyboard-interactive' | 'publickey';

export interface DeviceSpec {
  readonly platform: Platform;
  readonly hostname: string;
  readonly username?: string;
  readonly password?: string;
  /** What `enable` asks for. Default: the login password. */
  readonly enable?: string;
  /** An OpenSSH public key line that may log in. */
  readonly publicKey?: string;
  /** Offered methods, in the order in which they are announced. */
  readonly methods?: readonly LoginMethod[];
  /** What the configuration commands display. */
  readonly config: string;
  readonly facts?: { readonly version?: string; readonly model?: string; readonly serial?: string };
  /** Replies to further commands, or other replies to known ones: by command, whole answer. */
  readonly answers?: { readonly [command: string]: string };
  /** Printed before the first prompt. */
  readonly greeting?: string;
  /** Printed by SSH before the login. */
  readonly sshBanner?: string;
  readonly ident?: string;

  /**
   * ASA: what stands between host name and `>` or `#`, such as `/pri/act`; each command moves on to the
   * next. BIG-IP: the fields `(cfg-sync In Sync)(Active)`, likewise.
   */
  readonly status?: readonly string[];
  /** ASA: the login lands at `#`. */
  readonly autoEnable?: boolean;
  /** ASA: `more system:running-config` is refused by command authorization. */
  readonly moreRefused?: boolean;
  /** ASA, FortiGate: the pager cannot be turned off (the command is refused). */
  readonly pagerStays?: boolean;
  /** FortiGate: the whole prompt, where it is not `HOST # `. */
  readonly prompt?: string;
  /** FortiGate: a text to be accepted with `a` before the first prompt. */
  readonly disclaimer?: string;
  /** BIG-IP: the login shell. */
  readonly shell?: 'bash' | 'tmsh';
  /** BIG-IP: tmsh asks before it displays more than so many lines; 0 never asks. */
  readonly displayThreshold?: number;
  /** BIG-IP: the pager switches the keypad on and off around the text, as less does for a vt100 unless told otherwise. */
  readonly pagerSetsKeypad?: boolean;
  /** BIG-IP: where tmsh prints what it refuses. */
  readonly errorsTo?: 'stdout' | 'stderr';
  /** Printed out of turn after the answer to this command; the prompt is drawn again. */
  readonly interrupts?: { readonly after: string; readonly text: string };
  /** IOS: what `show privilege` says of the login; 15 where nothing is said. */
  readonly privilegeLevel?: number;
  /** PAN-OS: somebody changed the candidate configuration and did not commit. */
  readonly pendingChanges?: boolean;

  readonly faults?: Faults;

  /** FortiGate: what it says of its VDOMs, where the header of its configuration does not tell. */
  readonly vdoms?: 'disable' | 'enable' | 'multiple' | 'split-task';
  /** FortiGate: its role in a cluster, as `a-p, secondary`. */
  readonly haMode?: string;
  /** FortiGate: the answer to `get system ha status`, where it is another one than that of 7.x. */
  readonly haStatus?: string;
  /** FortiGate: what `show` displays inside of `config global`, where the root `show` leaves something out. */
  readonly globalConfig?: string;
  /** FortiGate: `config global` is refused, as to an account without the right. */
  readonly globalRefused?: boolean;
  /** FortiGate: what `show full-configuration` displays. */
  readonly fullConfig?: string;

  /**
   * What `scp -f PATH` and SFTP give, by path; one character per byte, with placeholders. Absent: neither is there, as
   * on a FortiGate without `admin-scp`.
   */
  readonly files?: { readonly [path: string]: string };

  /** ASA: the security contexts of a unit in multiple mode; `config` is then what the system execution space runs. */
  readonly contexts?: readonly AsaContext[];
  /** ASA: the context in which a login ends; absent: the admin context, from which all others are reached. */
  readonly landsIn?: string;

  /** BIG-IP: what its status commands say: `ACTIVE`, `In Sync`, the phase of mcpd, whether its last load did `succeed`. */
  readonly bigip?: {
    readonly failover?: string;
    readonly sync?: string;
    readonly phase?: string;
    readonly load?: 'succeed' | 'failed';
    /** There is no room for an archive. */
    readonly diskFull?: boolean;
    /** What is written into an archive does not stay what it was. */
    readonly badDisk?: boolean;
  };
}

/** One security context of an ASA. */
export interface AsaContext {
  readonly name: string;
  readonly admin?: boolean;
  /** What runs in it, keys in clear. Absent: a few lines. */
  readonly config?: string;
  /** Its `config-url`. Absent: nobody entered one, and the context is a name and no more. */
  readonly url?: string;
  /** What the file holds. Absent: what runs; null: there is no such file. */
  readonly saved?: string | null;
  /** As `show context` lists them, with commas. */
  readonly interfaces?: string;
  /** Somebody deletes it after it was listed and before it is entered. */
  readonly vanishes?: boolean;
}

/** Where in a session: from the moment this command was typed (its echo counts), or from the start. */
export interface AtByte {
  readonly command?: string;
  readonly byte: number;
}

/** What goes wrong. A command is named by the start of its line. */
export interface Faults {
  /** The command is echoed and then nothing comes, not even a prompt. */
  readonly silentTo?: string;
  /** The command is answered by its prompt alone. */
  readonly nothingTo?: string;
  /** The answer stops after so many lines and the prompt returns. */
  readonly stopAfter?: { readonly command: string; readonly lines: number };
  /** The last lines of the answer are missing. */
  readonly dropLast?: { readonly command: string; readonly lines: number };
  /** The whole answer is this instead; `exitStatus` for exec (default 1). */
  readonly replace?: { readonly command: string; readonly with: string; readonly exitStatus?: number };
  /** The TCP connection breaks. */
  readonly cutAt?: AtByte;
  /** Nothing more is sent; the connection stays. */
  readonly silentAt?: AtByte;
  /** The output pauses right after this text, at each display. */
  readonly pauseAfter?: { readonly text: string; readonly ms: number };
  /** The command never stops printing. */
  readonly endless?: { readonly command: string; readonly line: string };
  readonly bytesPerSecond?: number;
  /** Every password is wrong. */
  readonly wrongPassword?: boolean;
  /** Every enable password is wrong. */
  readonly enableRefused?: boolean;
  /** A right password is answered by a demand for a new one. */
  readonly passwordExpired?: boolean;
  /** Keyboard-interactive asks this instead of `Password: `. */
  readonly oddQuestion?: string;
  /** The TCP connection is accepted and nothing is ever said. */
  readonly mute?: boolean;
  /** Another host key than the one before. */
  readonly otherHostKey?: boolean;
  /** Only what classic images offer: group1 and group14 with SHA-1, ssh-rsa, CBC, hmac-sha1. */
  readonly oldAlgorithms?: boolean;
  /** tmsh is not there, or mcpd is not ready. */
  readonly tmsh?: 'missing' | 'mcpd-lost';
}
