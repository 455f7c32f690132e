#!/bin/sh
# Makes the root "$1" a host of its own in a mount and a network namespace: "$2" has what it may change, "$3" is the resolver, what follows are
# folders of the real host that are there, too. Prints "ready" and ends with its input.
set -eu
root=$1 state=$2 resolver=$3
shift 3
for folder in etc var usr/local; do
  mkdir -p "$state/$folder" "$root/$folder"
  cp -a "$root/$folder/." "$state/$folder/"
  mount --bind "$state/$folder" "$root/$folder"
done
mount -t tmpfs none "$root/run"
mkdir "$root/run/hypr-test"
cp "$root/usr/bin/systemctl" "$root/run/hypr-test/systemctl"
mount --bind "$state/systemctl.sh" "$root/usr/bin/systemctl"
# What cannot be written to tells NetworkManager that no udev runs here.
mount -t sysfs -o ro none "$root/sys" 2>/dev/null || mount -t tmpfs -o ro none "$root/sys"
for folder in /proc /dev /tmp "$@"; do
  mkdir -p "$root$folder"
  mount --rbind "$folder" "$root$folder"
done
cp "$state/start-host.sh" "$root/run/hypr-test/start-host"
exec chroot "$root" /bin/sh /run/hypr-test/start-host "$resolver" "$state"
