set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
resolver=$1 state=$2 own=/run/hypr-test
pids=
end() {
  trap - EXIT TERM INT
  # First, while it can still end the dnsmasq that it runs; what it leaves is ended with the rest.
  if manager=$(cat $own/networkmanager.pid 2>/dev/null) && kill "$manager" 2>/dev/null; then
    for try in $(seq 100); do kill -0 "$manager" 2>/dev/null || break; sleep 0.05; done
  fi
  for pid in $(cat $own/dnsmasq.pid /run/NetworkManager/dnsmasq.pid 2>/dev/null) $pids; do kill "$pid" 2>/dev/null || :; done
}
trap end EXIT
trap 'exit 1' TERM INT
ip link set lo up
# What this kernel has, in place of the type that the unit names.
for type in dummy ifb; do
  if ip link add uplink type $type 2>/dev/null; then echo $type >$own/link-type; break; fi
done
# The name server elsewhere: knows one name, writes down what it is asked.
# Debugging leaves its user as it is, which a user namespace does not let it change.
upstream="dnsmasq --no-daemon --conf-file=/dev/null --no-resolv --no-hosts --bind-interfaces \
  --address=/elsewhere.example/203.0.113.7 --log-queries --log-facility=$state/upstream.log"
case $resolver in
  networkmanager-*)
    # The network is NetworkManager's to set up; the server is at its other end, because it is asked through that device only.
    ip link delete uplink
    ip link add uplink type veth peer name outside
    unshare --net sh -c "until ip link set outside up 2>/dev/null; do sleep 0.05; done
      ip address add 198.51.100.1/24 dev outside; exec $upstream --listen-address=198.51.100.1" 2>/dev/null &
    pids="$pids $!"
    # Its namespace begins in a moment, with nothing that tells.
    until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
    ip link set outside netns $! ;;
  *)
    # As on a host with a network: without one, resolved asks nobody.
    ip address add 198.51.100.2/24 dev uplink
    ip link set uplink up
    ip route add default via 198.51.100.1
    $upstream --listen-address=127.0.0.9 2>/dev/null &
    pids="$pids $!" ;;
esac
mkdir -p /usr/local/share/ca-certificates
ls /usr/share/ca-certificates/mozilla/*.crt | sed 's,^/usr/share/ca-certificates/,,' >/etc/ca-certificates.conf
update-ca-certificates >/dev/null
start_dbus() {
  mkdir -p /run/dbus
  dbus-daemon --config-file="$state/dbus.conf" --nofork --nopidfile &
  pids="$pids $!"
  until [ -S /run/dbus/system_bus_socket ]; do sleep 0.05; done
}
# "$1": a line of its settings.
start_resolved() {
  grep -q ^systemd-resolve: /etc/passwd && sed -i /^systemd-resolve:/d /etc/passwd
  echo 'systemd-resolve:x:0:0::/:/usr/sbin/nologin' >>/etc/passwd
  mkdir -p /run/systemd/resolve
  printf '[Resolve]\n%s\nLLMNR=no\nMulticastDNS=no\n' "$1" >/etc/systemd/resolved.conf
  /usr/lib/systemd/systemd-resolved &
  pids="$pids $!"
  until [ -e /run/systemd/resolve/stub-resolv.conf ]; do sleep 0.05; done
  ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
}
# "$1": lines of its settings. It sets the network up, and tells the resolver which name server that has.
start_networkmanager() {
  mkdir -p /run/NetworkManager /etc/NetworkManager/conf.d /etc/NetworkManager/dnsmasq.d
  printf '[main]\n%s\nauth-polkit=false\n' "$1" >/etc/NetworkManager/conf.d/test.conf
  cat >/etc/NetworkManager/system-connections/uplink.nmconnection <<END
[connection]
id=uplink
type=ethernet
interface-name=uplink
[ipv4]
method=manual
address1=198.51.100.2/24,198.51.100.1
dns=198.51.100.1;
[ipv6]
method=disabled
END
  chmod 600 /etc/NetworkManager/system-connections/uplink.nmconnection
  cat >$own/start-networkmanager <<END
set -e
NetworkManager --debug >>"$state/networkmanager.log" 2>&1 &
echo \$! >$own/networkmanager.pid
nm-online -q -s -t 60
until getent ahostsv4 elsewhere.example >/dev/null; do kill -0 \$!; sleep 0.05; done
END
  sh $own/start-networkmanager
}
case $resolver in
  systemd-resolved)
    start_dbus
    start_resolved DNS=127.0.0.9 ;;
  networkmanager-resolved)
    start_dbus
    start_resolved DNS=
    start_networkmanager dns=systemd-resolved ;;
  networkmanager-dnsmasq)
    # Debugging leaves its user as it is, as above, and writes no file that tells the next NetworkManager what the last one left.
    cp /usr/sbin/dnsmasq $own/dnsmasq
    printf '#!/bin/sh\necho $$ >/run/NetworkManager/dnsmasq.pid\nexec %s/dnsmasq --no-daemon "$@"\n' $own >$own/dnsmasq.sh
    chmod 755 $own/dnsmasq.sh
    mount --bind $own/dnsmasq.sh /usr/sbin/dnsmasq
    start_dbus
    # The program resolvconf of systemd-resolved's package is for hosts where that runs.
    start_networkmanager "dns=dnsmasq
rc-manager=symlink" ;;
  dnsmasq)
    echo nameserver 127.0.0.1 >/etc/resolv.conf
    mkdir -p /etc/dnsmasq.d
    # Debian's unit starts it with a folder of settings.
    cat >$own/start-dnsmasq <<END
set -e
dnsmasq --no-daemon --conf-file=/dev/null --conf-dir=/etc/dnsmasq.d --no-resolv --server=127.0.0.9 --listen-address=127.0.0.1 --bind-interfaces >/dev/null 2>&1 &
echo \$! >$own/dnsmasq.pid
until getent ahostsv4 elsewhere.example >/dev/null; do kill -0 \$!; sleep 0.05; done
END
    sh $own/start-dnsmasq ;;
esac
echo ready
cat >/dev/null
