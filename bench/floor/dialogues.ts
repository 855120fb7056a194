import { account, type FleetDevice } from '../fleet/options.ts';

/** What the product types on a device that it knows, line by line; the bench compares what both were answered. */
export type Dialogue =
  | { readonly by: 'shell'; readonly lines: readonly string[]; readonly prompts: readonly string[] }
  | { readonly by: 'exec'; readonly lines: readonly string[] };

const bigip: Dialogue = {
  by: 'exec',
  lines: [
    "tmsh -q -c 'show sys version'",
    "tmsh -q -c 'show sys mcp-state field-fmt'",
    "tmsh -q -c 'list sys global-settings hostname'",
    "tmsh -q -c 'show sys hardware'",
    "tmsh -q -c 'show cm failover-status field-fmt'",
    "tmsh -q -c 'show cm sync-status field-fmt'",
    "tmsh -q -c 'list auth partition'",
    "tmsh -q -c 'cd /; show running-config recursive'",
    'find /config -maxdepth 3 -type f -name bigip\\*.conf -exec cat {} +',
    'find /config/zebos -maxdepth 2 -name ZebOS.conf -size +0',
  ],
};

export function dialogueWith({ platform, hostname }: FleetDevice): Dialogue {
  switch (platform) {
    case 'cisco_asa':
      return {
        by: 'shell',
        prompts: [`\r${hostname}> `, `\r${hostname}# `, 'Password: '],
        lines: [
          'enable',
          account.password,
          'terminal pager 0',
          'show mode',
          'show version',
          'show failover',
          'show startup-config | include ^: Written',
          'more system:running-config',
          'exit',
        ],
      };
    case 'fortinet_fortigate':
      return { by: 'shell', prompts: [`\n${hostname} # `], lines: ['get system status', 'show', 'exit'] };
    case 'f5_bigip':
      return bigip;
  }
}

/** The pager of a FortiGate; a blank is pressed. */
export const pagerMarker = '--More-- ';
