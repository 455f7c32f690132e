set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
resolver=$1 state=$2 own=/run/hypr-test
pids=
end() { trap - EXIT TERM INT; for pid in $pids $(cat $own/dnsmasq.pid 2>/dev/null); do kill "$pid" 2>/dev/null || :; done; }
trap end EXIT
trap 'exit 1' TERM INT
ip link set lo up
# What this kernel has, in place of the type that the unit names.
for type in dummy ifb; do
  if ip link add uplink type $type 2>/dev/null; then echo $type >$own/link-type; break; fi
done
# As on a host with a network: without one, resolved asks nobody.
ip address add 198.51.100.2/24 dev uplink
ip link set uplink up
ip route add default via 198.51.100.1
mkdir -p /usr/local/share/ca-certificates
ls /usr/share/ca-certificates/mozilla/*.crt | sed 's,^/usr/share/ca-certificates/,,' >/etc/ca-certificates.conf
update-ca-certificates >/dev/null
# The name server elsewhere: knows one name, writes down what it is asked.
# Debugging leaves its user as it is, which a user namespace does not let it change.
dnsmasq --no-daemon --conf-file=/dev/null --no-resolv --no-hosts --listen-address=127.0.0.9 --bind-interfaces \
  --address=/elsewhere.example/203.0.113.7 --log-queries --log-facility="$state/upstream.log" 2>/dev/null &
pids="$pids $!"
case $resolver in
  systemd-resolved)
    grep -q ^systemd-resolve: /etc/passwd && sed -i /^systemd-resolve:/d /etc/passwd
    echo 'systemd-resolve:x:0:0::/:/usr/sbin/nologin' >>/etc/passwd
    mkdir -p /run/dbus /run/systemd/resolve
    printf '[Resolve]\nDNS=127.0.0.9\nLLMNR=no\nMulticastDNS=no\n' >/etc/systemd/resolved.conf
    dbus-daemon --config-file="$state/dbus.conf" --nofork --nopidfile &
    pids="$pids $!"
    until [ -S /run/dbus/system_bus_socket ]; do sleep 0.05; done
    /usr/lib/systemd/systemd-resolved &
    pids="$pids $!"
    until [ -e /run/systemd/resolve/stub-resolv.conf ]; do sleep 0.05; done
    ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf ;;
  dnsmasq | networkmanager-dnsmasq)
    echo nameserver 127.0.0.1 >/etc/resolv.conf
    folder=/etc/dnsmasq.d
    if [ "$resolver" = networkmanager-dnsmasq ]; then
      folder=/etc/NetworkManager/dnsmasq.d
      mkdir -p /etc/NetworkManager/conf.d
      printf '[main]\ndns=dnsmasq\n' >/etc/NetworkManager/conf.d/dns.conf
    fi
    mkdir -p $folder
    # NetworkManager and Debian's unit start it with a folder of settings.
    cat >$own/start-dnsmasq <<END
set -e
dnsmasq --no-daemon --conf-file=/dev/null --conf-dir=$folder --no-resolv --server=127.0.0.9 --listen-address=127.0.0.1 --bind-interfaces >/dev/null 2>&1 &
echo \$! >$own/dnsmasq.pid
until getent ahostsv4 elsewhere.example >/dev/null; do kill -0 \$!; sleep 0.05; done
END
    sh $own/start-dnsmasq ;;
esac
echo ready
cat >/dev/null
