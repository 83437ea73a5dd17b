#!/bin/bash
# build.sh OUTDIR: make OUTDIR/demo.qcow2, a small cloud guest of Debian packages, and OUTDIR/manifest.
#
# MBR disk: FAT with syslinux, Debian's cloud kernel and a mini initrd; ext4 root of busybox, dropbear and
# qemu-ga that grows to its disk. Boots with 96 MiB. Needs no loop device, no mount and no root, but these
# packages: cpio dropbear-bin e2fsprogs fdisk kmod dosfstools qemu-utils zstd, and the libraries of qemu-ga
# (they come with qemu-system-x86). What goes into the guest is downloaded by apt and unpacked, not installed.
#
#   CACHE=dir    keeps the .deb files between runs
#   DISK_MB=64   virtual size of the disk
set -euo pipefail
umask 022
[ $# = 1 ] || { sed -n '2,/^set /p' "$0" | grep '^#'; exit 2; }
[ "$(id -u)" = 0 ] || exec unshare --map-root-user "$0" "$@" # the guest's files must belong to root
HERE=$(cd "$(dirname "$0")" && pwd)
OUT=$(mkdir -p "$1" && cd "$1" && pwd)
DISK_MB=${DISK_MB:-64}
FAT_MB=22
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
CACHE=${CACHE:-$WORK/debs}
DEBS=$WORK/unpacked
ROOT=$WORK/root
BOOT=$WORK/boot
mkdir -p "$CACHE" "$DEBS" "$ROOT" "$BOOT"
export PATH=$PATH:/usr/sbin:/sbin

cached() { # package: its newest file in the cache, or nothing
  find "$CACHE" -name "$1_*.deb" | sort -V | tail -n 1
}

unpack() { # package
  if [ -z "$(cached "$1")" ]; then
    echo "  download $1"
    (cd "$CACHE" && apt-get -qq -o APT::Sandbox::User=root download "$1")
  fi
  basename "$(cached "$1")" .deb >> "$WORK/packages"
  dpkg -x "$(cached "$1")" "$DEBS"
}

kernel_package() { # the cached kernel, else the one that Debian's cloud kernel stands for today
  local file
  file=$(cached 'linux-image-*-cloud-amd64')
  if [ -n "$file" ]; then
    basename "${file%%_*}"
  else
    apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*-cloud-amd64\)$/\1/p' | head -n 1
  fi
}

skeleton() { # dir: directories, busybox and its names
  mkdir -p "$1"/{bin,sbin,dev,etc,proc,sys,run,tmp,root,mnt,usr/bin,usr/sbin,lib,lib64}
  chmod 1777 "$1/tmp"
  chmod 700 "$1/root"
  cp "$DEBS/bin/busybox" "$1/bin/busybox"
  local applet
  for applet in $("$DEBS/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$1/bin/$applet"
  done
  ln -s ../bin/busybox "$1/sbin/init"
}

closure() { # module...: paths of these modules and of all they need, in the order of insmod
  local module line file
  for module; do
    line=$(grep -E "/${module//[-_]/[-_]}\.ko:" "$MODULES/modules.dep") || { echo "no module $module" >&2; return 1; }
    for file in $(echo "${line#*:}" | tr ' ' '\n' | tac) "${line%%:*}"; do echo "$file"; done
  done | awk '!seen[$0]++'
}

add_modules() { # dir module...
  local dir=$1 file
  shift
  closure "$@" > "$WORK/closure"
  while read -r file; do
    install -D -m 644 "$MODULES/$file" "$dir/lib/modules/$KERNEL/$file"
  done < "$WORK/closure"
}

add_program() { # file: into the root file system at the same path, with its shared libraries
  local path=$1 library
  [ -e "$DEBS$path" ] && path=$DEBS$path
  install -D -m 755 "$path" "$ROOT$1"
  if ldd "$path" | grep 'not found' >&2; then exit 1; fi
  for library in $(ldd "$path" | grep -o '/lib[^ ]*'); do
    [ -e "$ROOT$library" ] || install -D -m 755 "$library" "$ROOT$library"
  done
}

for package in "$(kernel_package)" busybox-static dropbear-bin qemu-guest-agent syslinux syslinux-common mtools; do
  unpack "$package"
done
KERNEL=$(basename "$DEBS"/lib/modules/*)
MODULES=$DEBS/lib/modules/$KERNEL
depmod -b "$DEBS" "$KERNEL" # the package ships no modules.dep

# The initrd: finds the root, grows its partition, changes over to it.
skeleton "$BOOT"
mkdir "$BOOT/newroot"
cp "$HERE/initrd/init" "$BOOT/init"
add_modules "$BOOT" virtio_pci virtio_blk virtio_scsi sd_mod
closure virtio_pci virtio_blk > "$BOOT/etc/modules"
closure virtio_scsi sd_mod > "$BOOT/etc/modules.scsi"
(cd "$BOOT" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) | zstd -q -19 -T2 > "$WORK/initrd"

# The root file system.
skeleton "$ROOT"
cp -r --preserve=mode "$HERE/rootfs/." "$ROOT/"
mkdir -p "$ROOT"/etc/dropbear "$ROOT"/var/{log,lib/cloud} "$ROOT"/home/guest
ln -s ../run "$ROOT/var/run"
chmod 600 "$ROOT/etc/shadow"
add_modules "$ROOT" virtio_pci virtio_blk virtio_net virtio_console virtio_balloon virtio_rng virtio_scsi \
  sd_mod sr_mod ata_piix button evdev isofs vfat nls_ascii nls_cp437
closure virtio_pci virtio_blk virtio_net > "$ROOT/etc/modules"
cp "$MODULES"/modules.{order,builtin,builtin.modinfo} "$ROOT/lib/modules/$KERNEL/"
depmod -b "$ROOT" "$KERNEL"
find "$ROOT/lib/modules/$KERNEL" -maxdepth 1 -type f ! -name modules.dep ! -name modules.alias -delete # busybox reads these two
add_program /usr/sbin/dropbear
add_program /usr/sbin/qemu-ga
add_program "$(command -v resize2fs | sed 's,^/usr/sbin,/sbin,')"
if [ -w /etc/shadow ]; then chown -R 1000:1000 "$ROOT/home/guest"; fi # in a user namespace its first boot does it

# The disk: partition table, FAT for the boot loader, ext4, each written at its offset.
ROOT_MB=$((DISK_MB - FAT_MB - 2))
truncate -s ${ROOT_MB}M "$WORK/ext4"
mke2fs -q -F -t ext4 -O ^metadata_csum,^64bit,resize_inode -m 0 -L guestroot -J size=4 \
  -E lazy_itable_init=1,lazy_journal_init=1,discard,resize=268435456 -d "$ROOT" "$WORK/ext4" ${ROOT_MB}M
truncate -s ${FAT_MB}M "$WORK/fat"
mkfs.vfat -F 16 -n BOOT -h 2048 "$WORK/fat" > /dev/null
export MTOOLSRC=/dev/null MTOOLS_SKIP_CHECK=1 PATH=$DEBS/usr/bin:$PATH
mcopy -i "$WORK/fat" "$DEBS/boot/vmlinuz-$KERNEL" ::vmlinuz
mcopy -i "$WORK/fat" "$WORK/initrd" ::initrd
mcopy -i "$WORK/fat" "$HERE/syslinux.cfg" ::syslinux.cfg
syslinux --install "$WORK/fat"
truncate -s ${DISK_MB}M "$WORK/disk"
sfdisk -q "$WORK/disk" << END
label: dos
start=2048, size=$((FAT_MB * 2048)), type=e, bootable
start=$((2048 + FAT_MB * 2048)), type=83
END
write() { dd if="$1" of="$WORK/disk" conv=notrunc,sparse status=none "${@:2}"; }
write "$DEBS/usr/lib/syslinux/mbr/mbr.bin" bs=440 count=1
write "$WORK/fat" bs=1M seek=1
write "$WORK/ext4" bs=1M seek=$((1 + FAT_MB))
qemu-img convert -q -O qcow2 -c -o compat=1.1,compression_type=zstd "$WORK/disk" "$WORK/demo.qcow2"

{
  cat "$WORK/packages"
  echo "demo.qcow2 $(stat -c %s "$WORK/demo.qcow2") bytes, sha256 $(sha256sum "$WORK/demo.qcow2" | cut -d' ' -f1)"
} > "$OUT/manifest"
cp "$WORK/demo.qcow2" "$OUT/demo.qcow2.part"
mv "$OUT/demo.qcow2.part" "$OUT/demo.qcow2" # complete or not there
