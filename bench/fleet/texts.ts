import type { FleetDevice, FleetPlatform } from './options.ts';

/**
 * Configurations in the shapes of the three platforms, by device and version: the same numbers give the same text.
 * Every device has addresses, names and secrets of its own. A version differs from the one before by one object that
 * says something else and by one that is new.
 *
 * FortiGate: `ENC` values are `rotating` here; the server fills in others at each display, as the device does.
 */
export function configuration(device: FleetDevice, version: number, sizeBytes: number): string {
  const { head, groups, object, tail } = writers[device.platform];
  const start = head(device);
  const end = tail(device);
  let bytes = start.length + end.length;
  const objects: Item[] = [];
  while (bytes < sizeBytes || objects.length < 4) {
    const item = object(device, objects.length, 0);
    bytes += item.text.length;
    objects.push(item);
  }
  const first = objects.length;
  for (let change = 1; change <= version; change++) {
    const place = mix(device.number, change, 1) % first;
    objects[place] = object(device, place, change);
    objects.push(object(device, objects.length, 0));
  }
  let text = start;
  for (const [group, { opens, closes }] of groups.entries()) {
    text += opens;
    for (const item of objects) if (item.group === group) text += item.text;
    text += closes;
  }
  return text + end;
}

/** As long as what a FortiGate shows for a password of ordinary length. */
export const rotating = `ENC ${'@'.repeat(64)}`;

interface Item {
  /** Which of the groups of its platform it stands in. */
  readonly group: number;
  readonly text: string;
}

interface Writer {
  readonly head: (device: FleetDevice) => string;
  /** In the order in which they are displayed. */
  readonly groups: readonly { readonly opens: string; readonly closes: string }[];
  /** Of 150 to 400 bytes; `change` 0 is how it was at first. */
  readonly object: (device: FleetDevice, index: number, change: number) => Item;
  readonly tail: (device: FleetDevice) => string;
}

/** Two numbers and a salt to 31 bits. */
function mix(a: number, b: number, salt: number): number {
  let hash = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + salt, 0xc2b2ae35);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  return (hash ^ (hash >>> 15)) >>> 1;
}

/** Letters and digits that nobody else has. */
function token(device: FleetDevice, index: number, change: number): string {
  const part = (salt: number): string => mix(device.number * 31 + change, index, salt).toString(36);
  return part(7) + part(8) + part(9);
}

function address(device: FleetDevice, index: number, salt: number): string {
  const bits = mix(device.number, index, salt);
  return `10.${(bits >>> 16) & 255}.${(bits >>> 8) & 255}.${1 + (bits & 127)}`;
}

const ports = ['www', 'https', 'ssh', 'smtp', 'domain', 'ldap', '8443', '1433'];

const plain = { opens: '', closes: '' } as const;

const cisco_asa: Writer = {
  head: (device) => `: Saved

: 
: Serial Number: ${device.serial}
: Hardware:   ASA5516, 8192 MB RAM, CPU Atom C2000 series 2416 MHz, 1 CPU (8 cores)
: Written by netops at 09:13:02.120 UTC Tue Mar 3 2026
!
ASA Version 9.16(4)57 
!
hostname ${device.hostname}
enable password $sha512$5000$${token(device, 1, 0)}$${token(device, 2, 0)} pbkdf2
names
no mac-address auto
!
interface GigabitEthernet1/1
 nameif outside
 security-level 0
 ip address ${address(device, 1, 1)} 255.255.255.0 
!
interface GigabitEthernet1/2
 nameif inside
 security-level 100
 ip address ${address(device, 2, 1)} 255.255.255.0 
!
ftp mode passive
snmp-server community ${token(device, 3, 0)}
`,
  groups: [plain, plain, plain],
  object(device, index, change) {
    const one = address(device, index, 20 + change);
    const port = ports[mix(device.number, index, 40 + change) % ports.length];
    if (index % 8 === 0)
      return {
        group: 2,
        text: `tunnel-group ${one} type ipsec-l2l
tunnel-group ${one} ipsec-attributes
 ikev1 pre-shared-key ${token(device, index, change)}
 isakmp keepalive threshold 30 retry 3
`,
      };
    if (index % 2 === 0)
      return {
        group: 0,
        text: `object network host-${index}
 host ${one}
 description server ${index} of the site, change ${change}
`,
      };
    return {
      group: 1,
      text: `access-list outside_in remark service ${index} is open to the partners of the site, change ${change}
access-list outside_in extended permit tcp any host ${one} eq ${port} 
access-list outside_in extended deny udp any host ${one} log informational interval 600 
`,
    };
  },
  tail: (device) => `!
prompt hostname context 
Cryptochecksum:${mix(device.number, 1, 3).toString(16).padStart(8, '0').repeat(4)}
: end
`,
};

const fortinet_fortigate: Writer = {
  head: (device) => `#config-version=FGT91G-7.4.8-FW-build2795-250523:opmode=0:vdom=0:user=backup
#conf_file_ver=${String(mix(device.number, 1, 2)).padStart(15, '1')}
#buildno=2795
#global_vdom=1
config system global
    set hostname "${device.hostname}"
    set timezone "Europe/Berlin"
    set admintimeout 15
end
config system interface
    edit "wan1"
        set vdom "root"
        set ip ${address(device, 1, 1)} 255.255.255.0
        set allowaccess ping
        set type physical
    next
    edit "internal"
        set vdom "root"
        set ip ${address(device, 2, 1)} 255.255.255.0
        set allowaccess ping https ssh
        set type physical
    next
end
config system admin
    edit "backup"
        set accprofile "super_admin"
        set vdom "root"
        set password ${rotating}
    next
end
config system snmp community
    edit 1
        set name "${token(device, 3, 0)}"
    next
end
`,
  groups: [
    { opens: 'config vpn ipsec phase1-interface\n', closes: 'end\n' },
    { opens: 'config firewall address\n', closes: 'end\n' },
    { opens: 'config firewall policy\n', closes: 'end\n' },
  ],
  object(device, index, change) {
    const uuid = `${mix(device.number, index, 4).toString(16).padStart(8, '0')}-7a4d-51ee-9c33-0a1b2c3d4e5f`;
    const one = address(device, index, 20 + change);
    if (index % 16 === 0)
      return {
        group: 0,
        text: `    edit "site-${index}"
        set interface "wan1"
        set ike-version 2
        set peertype any
        set net-device disable
        set proposal aes256-sha256
        set comments "change ${change}"
        set remote-gw ${one}
        set psksecret ${rotating}
    next
`,
      };
    if (index % 2 === 0)
      return {
        group: 1,
        text: `    edit "host-${index}"
        set uuid ${uuid}
        set comment "server ${index} of the site, change ${change}"
        set associated-interface "internal"
        set subnet ${one} 255.255.255.255
    next
`,
      };
    return {
      group: 2,
      text: `    edit ${index}
        set name "service-${index}"
        set uuid ${uuid}
        set srcintf "wan1"
        set dstintf "internal"
        set action accept
        set srcaddr "all"
        set dstaddr "host-${index - 1}"
        set schedule "always"
        set service "HTTPS"
        set logtraffic all
        set comments "change ${change}"
    next
`,
    };
  },
  tail: () => `config router static
    edit 1
        set gateway 192.0.2.1
        set device "wan1"
    next
end
config router multicast
end
`,
};

const f5_bigip: Writer = {
  head: (device) => `auth partition Common {
    description "Repository for system objects and shared objects."
}
auth user backup {
    description backup
    encrypted-password $6$${token(device, 1, 0).slice(0, 8)}$${token(device, 2, 0)}
    partition-access {
        all-partitions {
            role admin
        }
    }
    shell bash
}
`,
  groups: [plain, plain, plain],
  object(device, index, change) {
    const one = address(device, index, 20 + change);
    if (index % 12 === 0)
      return {
        group: 0,
        text: `ltm monitor https /Common/monitor-${index} {
    adaptive disabled
    cipherlist DEFAULT:+SHA:+3DES:+kEDH
    defaults-from /Common/https
    destination *:*
    interval ${5 + (mix(device.number, index, 60 + change) % 50)}
    password $M$${token(device, index, change).slice(0, 2)}$${token(device, index, change)}
    send "GET /health/${change} HTTP/1.1\\r\\nHost: ${one}\\r\\n\\r\\n"
    time-until-up 0
    timeout 16
    username monitor
}
`,
      };
    if (index % 2 === 0)
      return {
        group: 1,
        text: `ltm pool /Common/pool-${index} {
    description "service ${index}, change ${change}"
    members {
        /Common/${one}:443 {
            address ${one}
            session monitor-enabled
            state up
        }
    }
    monitor /Common/https
}
`,
      };
    return {
      group: 2,
      text: `ltm virtual /Common/vs-${index} {
    creation-time 2026-01-10:08:11:12
    description "change ${change}"
    destination /Common/${one}:443
    ip-protocol tcp
    last-modified-time 2026-02-11:09:10:11
    mask 255.255.255.255
    pool /Common/pool-${index - 1}
    profiles {
        /Common/tcp { }
    }
    source 0.0.0.0/0
    vs-index ${index}
}
`,
    };
  },
  tail: (device) => `net self /Common/internal {
    address ${address(device, 2, 1)}/24
    vlan /Common/internal
}
sys global-settings {
    hostname ${device.hostname}
}
sys snmp {
    communities {
        comm-public {
            community-name ${token(device, 3, 0)}
            source default
        }
    }
}
`,
};

const writers: { readonly [P in FleetPlatform]: Writer } = { cisco_asa, fortinet_fortigate, f5_bigip };
