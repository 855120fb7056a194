/** Small configurations in the shapes of the three platforms, for tests that are about something else. */

export const asaConfig = `: Saved

: 
: Serial Number: FCH19TESTAA
: Hardware:   ASA5516, 8192 MB RAM, CPU Atom C2000 series 2416 MHz, 1 CPU (8 cores)
: Written by netadmin at {{asa-now}}
!
ASA Version 9.16(4)19 
!
hostname fw-asa
enable password $sha512$5000$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNo pbkdf2
names
!
interface GigabitEthernet1/1
 nameif outside
 security-level 0
 ip address 192.0.2.10 255.255.255.0 
!
interface GigabitEthernet1/2
 nameif inside
 security-level 100
 ip address 198.51.100.1 255.255.255.0 
!
object network web
 host 198.51.100.80
access-list outside_in extended permit tcp any object web eq https 
tunnel-group 203.0.113.7 type ipsec-l2l
tunnel-group 203.0.113.7 ipsec-attributes
 ikev1 pre-shared-key s3cretPeerKey77
snmp-server community monitoringRO
Cryptochecksum:{{hex:32}}
: end
`;

export const fortigateConfig = `#config-version=FGT60F-7.2.8-FW-build1639-240313:opmode=1:vdom=0:user=backup
#conf_file_ver={{digits:15}}
#buildno=1639
#global_vdom=1
config system global
    set hostname "fw-fgt"
    set timezone "Europe/Berlin"
end
config system admin
    edit "netadmin"
        set accprofile "super_admin"
        set vdom "root"
        set password ENC {{enc:48}}
    next
end
config firewall address
    edit "web"
        set uuid 5b1f3c2e-7a4d-51ee-9c33-0a1b2c3d4e5f
        set comment "prompt in a comment:
fw-fgt # 
and on"
        set subnet 198.51.100.80 255.255.255.255
    next
end
config firewall policy
    edit 1
        set name "out"
        set srcintf "internal"
        set dstintf "wan1"
        set action accept
        set srcaddr "all"
        set dstaddr "all"
        set schedule "always"
        set service "ALL"
    next
    edit 2
        set name "in"
        set srcintf "wan1"
        set dstintf "internal"
        set action accept
        set srcaddr "all"
        set dstaddr "web"
        set schedule "always"
        set service "HTTPS"
    next
end
config router multicast
end
`;

export const bigipConfig = `auth user admin {
    description "Admin User"
    encrypted-password $6$abcdefgh$0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV
    partition-access {
        all-partitions {
            role admin
        }
    }
}
ltm node /Common/web1 {
    address 198.51.100.81
}
ltm pool /Common/web {
    members {
        /Common/web1:https {
            address 198.51.100.81
        }
    }
    monitor /Common/https
}
ltm rule /Customers/redirect {
when HTTP_REQUEST {
    HTTP::respond 301 Location "https://[HTTP::host]\\{x"
}
}
ltm virtual /Common/vs_web {
    creation-time 2026-01-10:08:11:12
    destination /Common/198.51.100.80:https
    ip-protocol tcp
    last-modified-time 2026-02-{{digits:1}}1:09:10:11
    mask 255.255.255.255
    pool /Common/web
}
net self /Common/internal {
    address 198.51.100.2/24
    vlan /Common/internal
}
sys global-settings {
    hostname lb1.example.net
}
sys snmp {
    communities {
        comm-public {
            community-name monitoringRO
            source default
        }
    }
}
`;
