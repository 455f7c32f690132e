#!/bin/sh
# Stands in for systemctl where systemd is not process 1: runs the commands of a unit as systemd would; what is enabled is the real one's work.
# /run/hypr-test has the real systemctl, and which type of interface this kernel can make.
state=/run/hypr-test
say() { echo "systemctl: $*" >&2; }
# The lines of one key, in order; with a minus in front one may fail.
run_lines() {
  sed -n "s/^$2=//p" "/etc/systemd/system/$1" | sed "s/ type dummy$/ type $(cat $state/link-type)/" >$state/lines
  while IFS= read -r line; do
    case $line in
      -*) ${line#-} >/dev/null 2>&1 </dev/null || : ;;
      *) $line </dev/null || { say "$1: $line: failed"; return 1; } ;;
    esac
  done <$state/lines
}
stop_unit() { run_lines "$1" ExecStopPost; }
start_unit() { run_lines "$1" ExecStart || { stop_unit "$1"; return 1; }; }
stop_pid() {
  pid=$(cat $state/$1.pid)
  kill "$pid"
  # It does not tell when its port is free again.
  while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
}
restart_dnsmasq() {
  stop_pid dnsmasq
  sh $state/start-dnsmasq
}
command=$1
shift
[ "${1-}" != -q ] || shift
now=no
[ "${1-}" != --now ] || { now=yes; shift; }
case "$command $*" in
  "daemon-reload ") ;;
  "restart dnsmasq") restart_dnsmasq ;;
  "restart NetworkManager")
    stop_pid networkmanager
    sh $state/start-networkmanager ;;
  restart\ *.service) stop_unit "$1" && start_unit "$1" ;;
  enable\ * | disable\ *)
    [ "$now" = no ] || stop_unit "$1"
    SYSTEMD_OFFLINE=1 exec $state/systemctl -q "$command" "$1" ;;
  *) say "not expected: $command $*"; exit 1 ;;
esac
