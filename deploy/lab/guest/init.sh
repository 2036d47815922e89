#!/bin/sh
# First process of a lab kernel. It loads the modules, keeps the forwarder running, and answers the lab's commands:
#
#   lab → guest   <number> <shell command>\n
#   guest → lab   <number> <exit code> <output in base64>\n      number 0: the guest is ready, and who it is
#
# Settings come from the kernel's command line: multikernel.id, multikernel.name, and mkscope.<name>.
export PATH=/bin
/bin/busybox mkdir -p /dev /proc /sys /tmp /run /etc
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tracefs tracefs /sys/kernel/tracing
mount -t tmpfs tmp /tmp
ln -s /proc/self/fd /dev/fd

setting() { # NAME FALLBACK
  for word in $(cat /proc/cmdline); do
    case $word in "$1="*) echo "${word#*=}"; return ;; esac
  done
  echo "$2"
}

# Without udev nobody links /dev/virtio-ports/<name>.
port() { # NAME
  for try in 1 2 3 4 5 6 7 8 9 10; do
    for entry in /sys/class/virtio-ports/*; do
      [ "$(cat "$entry/name" 2>/dev/null)" = "$1" ] && echo "/dev/${entry##*/}" && return
    done
    sleep 0.2
  done
  echo "mkscope-lab: there is no port $1" >/dev/kmsg
}

id=$(setting multikernel.id 0)
name=$(setting multikernel.name host)
hostname "$name"
for module in $(cat /lib/modules/order); do
  insmod "/lib/modules/$module.ko" || echo "mkscope-lab: module $module is refused" >/dev/kmsg
done
if [ "$id" = 0 ]; then insmod /lib/modules/mkikc.ko id=0; else insmod /lib/modules/mkikc.ko id="$id" name="$name"; fi
insmod /lib/modules/mkfault.ko

# One link between the host kernel and each spawn: 10.77.<spawn>.1 and .2.
ip link set lo up
if [ "$id" = 0 ]; then
  for link in /sys/class/net/eth*; do
    [ -e "$link" ] || continue
    spawn=$(cut -d: -f6 "$link/address")
    ip addr add "10.77.$((0x$spawn)).1/24" dev "${link##*/}" && ip link set "${link##*/}" up
  done
elif [ -e /sys/class/net/eth0 ]; then
  ip addr add "10.77.$id.2/24" dev eth0 && ip link set eth0 up
fi

stream=$(port stream)
control=$(port control)
# The process id of what observes this kernel is kept, so that the lab can kill it; it is started again, unless /run/hold is there.
keep_running() { # NAME COMMAND...
  reader=$1; shift
  while :; do
    while [ -e /run/hold ]; do sleep 0.2; done
    # Whoever reads the id finds a whole one, and the log of that process, not of the one before it.
    : >"/tmp/$reader.log"
    "$@" 2>>"/tmp/$reader.log" &
    echo $! >/run/reader.pid.new
    mv /run/reader.pid.new /run/reader.pid
    wait $!
    tail -n 3 "/tmp/$reader.log" >/dev/kmsg
    sleep 0.5
  done
}
if [ "$(setting mkscope.inside 0)" = 1 ]; then
  # A collector of its own, over QEMU's user network. The lab says where to and who the machine is (/run/mkscope.yaml).
  for link in /sys/class/net/eth*; do
    [ "$(cut -d: -f5 "$link/address")" = 02 ] || continue
    ip addr add 10.0.2.15/24 dev "${link##*/}" && ip link set "${link##*/}" up && ip route add default via 10.0.2.2
  done
  # QEMU's addresses of the machine's name server and of the machine: a hub on its loopback wants to be called by a loopback name.
  echo 'nameserver 10.0.2.3' >/etc/resolv.conf
  echo '10.0.2.2 localhost' >/etc/hosts
  echo 'hosts: files dns' >/etc/nsswitch.conf
  (
    while [ ! -e /run/mkscope.yaml ]; do sleep 0.1; done
    # Compiled code is emulated worse than V8's interpreter, and there is one processor: without both a start costs half (12 → 6.5 CPU s).
    keep_running collector env NO_COLOR=1 /opt/node --max-semi-space-size=1 --no-opt --single-threaded /opt/mkscope/cli/main.js collect --config /run/mkscope.yaml --data /run/mkscope
  ) &
else
  (
    keep_running mkfwd mkfwd --to "$stream" --id "$id" --name "$name" --events "$(setting mkscope.events sched:sched_switch)" \
      --clock "$(setting mkscope.clock mono)" --buffer-kb "$(setting mkscope.buffer_kb 1024)" --probes /lib/probes
  ) &
  while [ ! -e /run/reader.pid ]; do sleep 0.02; done
fi

# For the lab's faults (deploy/lab/faults.ts).
later() { # COMMAND: run after the answer, for it may keep this kernel from giving one
  { sleep 0.3; eval "$1"; } >/dev/null 2>&1 &
}
tune() { # FILE VALUE SECONDS: a setting of the kernel, as it was at boot again after so long
  kept=/run/kept$(echo "$1" | tr / .)
  [ -e "$kept" ] || cat "$1" >"$kept" || return
  kill "$(cat "$kept.timer" 2>/dev/null)" 2>/dev/null
  echo "$2" >"$1" || return
  { sleep "$3"; cat "$kept" >"$1"; rm "$kept.timer"; } >/dev/null 2>&1 &
  echo $! >"$kept.timer"
}

stty -F "$control" raw -echo 2>/dev/null
exec 3<>"$control"
answer() { # NUMBER CODE OUTPUT-FILE
  printf '%s %s %s\n' "$1" "$2" "$(head -c 1000000 "$3" | base64 | tr -d '\n')" >&3
}
printf 'release=%s\nboot_id=%s\ncpus=%s\n' "$(uname -r)" "$(cat /proc/sys/kernel/random/boot_id)" "$(nproc)" >/tmp/hello
answer 0 0 /tmp/hello
while read -r number command <&3; do
  (
    # In a shell of its own: the command may end it.
    (eval "$command") >"/tmp/out.$number" 2>&1
    answer "$number" $? "/tmp/out.$number"
    rm -f "/tmp/out.$number"
  ) &
done
# The lab closed the port: nothing is left to do here.
exec sleep 1000000
