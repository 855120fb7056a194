/**
 * A FortiGate configuration of about this many bytes: addresses, policies and phases, as a large one has them. Another
 * `seed` is a change of every thousandth object.
 */
export function largeFortigate(bytes: number, seed = 1): string {
  const parts = [
    '#config-version=FG3H0F-7.2.8-FW-build1639-240313:opmode=1:vdom=0:user=backup\n',
    '#conf_file_ver=440000000000001\n#buildno=1639\n#global_vdom=1\n',
    'config system global\n    set hostname "fw-large"\nend\n',
    'config system interface\n    edit "port1"\n        set ip 192.0.2.1 255.255.255.0\n    next\nend\n',
    'config system admin\n    edit "netadmin"\n        set accprofile "super_admin"\n',
    '        set password ENC SH2bm90IGEgcmVhbCBzZWNyZXQgYXQgYWxs\n    next\nend\n',
  ];
  let length = parts.join('').length;
  const add = (text: string): void => {
    parts.push(text);
    length += text.length;
  };
  const hex = (n: number): string => (Math.imul(n + 1, 2_654_435_761) >>> 0).toString(16).padStart(8, '0');
  const version = (n: number): number => (n % 1000 === 0 ? seed : 1);
  add('config firewall address\n');
  for (let n = 0; length < bytes * 0.45; n++)
    add(
      `    edit "net-${n}"\n        set uuid ${hex(n)}-7a4d-51ee-9c33-0a1b${hex(n + 7)}\n` +
        `        set comment "site ${n % 97}, rack ${n % 13}, version ${version(n)}"\n` +
        `        set subnet 10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255} 255.255.255.255\n    next\n`,
    );
  add('end\nconfig firewall policy\n');
  for (let n = 1; length < bytes * 0.95; n++)
    add(
      `    edit ${n}\n        set name "rule ${n} of ${version(n)}"\n        set uuid ${hex(n + 3)}-7a4d-51ee-9c33-0a1b${hex(n + 9)}\n` +
        `        set srcintf "port1"\n        set dstintf "port2"\n        set action accept\n` +
        `        set srcaddr "net-${n}"\n        set dstaddr "net-${n + 1}" "net-${n + 2}"\n` +
        '        set schedule "always"\n        set service "HTTPS" "DNS"\n        set logtraffic all\n    next\n',
    );
  add('end\nconfig vpn ipsec phase1-interface\n');
  for (let n = 0; length < bytes; n++)
    add(
      `    edit "peer-${n}"\n        set interface "port1"\n        set remote-gw 198.51.100.${n & 255}\n` +
        `        set psksecret ENC ${hex(n)}${hex(n * 3)}bm90IGEgcmVhbCBzZWNyZXQ=\n    next\n`,
    );
  add('end\nconfig router multicast\nend\n');
  return parts.join('');
}
