/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_agent_mounts.c - lists of mounts, and which of them are looked at. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agent/sample_mounts.h"

struct mount_row {
    const char *what;
    const char *text;
    const char *dirs; /* those that are looked at, with commas */
};

static void test_mounts(void **state)
{
    static const struct mount_row rows[] = {
        {"usual",
         "sysfs /sys sysfs rw 0 0\nproc /proc proc rw 0 0\nudev /dev devtmpfs rw 0 0\n/dev/sda1 / ext4 rw 0 0\n"
         "tmpfs /run tmpfs rw 0 0\n/dev/sda2 /home xfs rw 0 0\n/dev/mapper/vg-data /data btrfs rw 0 0\n"
         "nas:/export /mnt/nas nfs4 rw 0 0\n//nas/share /mnt/win cifs rw 0 0\nsshfs /mnt/ssh fuse.sshfs rw 0 0\n"
         "/dev/sdb1 /mnt/usb fuseblk rw 0 0\n/dev/loop3 /snap/core squashfs ro 0 0\n/dev/sr0 /cdrom iso9660 ro 0 0\n",
         "/,/home,/data,/mnt/usb"},
        {"each device once",
         "/dev/sda1 / ext4 rw 0 0\n/dev/sda2 /data ext4 rw 0 0\n/dev/sda2 /srv/www ext4 rw 0 0\n"
         "/dev/sda1 /var/lib/docker ext4 rw 0 0\n",
         "/,/data"},
        {"the root also if its device was seen before", "/dev/sda1 /sysroot xfs rw 0 0\n/dev/sda1 / xfs rw 0 0\n",
         "/sysroot,/"},
        {"root of an initramfs, then the real one", "rootfs / rootfs rw 0 0\n/dev/root / ext4 rw 0 0\n", "/"},
        {"a container", "overlay / overlay rw 0 0\n/dev/vda1 /etc/hosts ext4 rw 0 0\n", "/,/etc/hosts"},
        {"a diskless machine", "nas:/root / nfs rw 0 0\n/dev/sda1 /scratch ext4 rw 0 0\n", "/scratch"},
        {"ZFS", "tank/root / zfs rw 0 0\ntank/home /home zfs rw 0 0\n", "/,/home"},
        {"escapes",
         "/dev/sda1 /my\\040disk ext4 rw 0 0\n/dev/sda2 /back\\134slash\\011 ext4 rw 0 0\n/dev/sda3 /x\\04 ext4 rw 0 "
         "0\n",
         "/my disk,/back\\slash\t,/x\\04"},
        {"a network file system over a local one hides it",
         "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /data ext4 rw 0 0\nnas:/d /data nfs rw 0 0\n", "/"},
        {"... and what is below it",
         "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /data/a ext4 rw 0 0\nnas:/d /data nfs rw 0 0\n/dev/sdc1 /database ext4 rw "
         "0 0\n",
         "/,/database"},
        {"the way to a local one leads through the network",
         "/dev/sda1 / ext4 rw 0 0\nnas:/d /srv nfs rw 0 0\n/dev/sdb1 /srv/local ext4 rw 0 0\n", "/"},
        {"ignored by pattern",
         "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /backup/1 ext4 rw 0 0\n/dev/sdc1 /scratch ext4 rw 0 0\n", "/"},
        {"cut inside a line", "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /data ext4", "/"},
        {"short lines", "/dev/sda1\n/dev/sda1 /\n\n", ""},
        {"empty", "", ""},
    };
    static char backup[] = "/backup/*", scratch[] = "/scr?tch";
    static char *const ignore[] = {backup, scratch};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mount_list list;
        char dirs[512] = "";
        size_t len = 0;
        bool by_pattern = strcmp(rows[i].what, "ignored by pattern") == 0;
        list = (struct mount_list){0};
        mount_list_add(&list, rows[i].text, ignore, by_pattern ? 2 : 0);
        mount_list_remove_network(&list, rows[i].text);
        for (size_t k = 0; k < list.count; k++)
            len += (size_t)snprintf(dirs + len, sizeof dirs - len, "%s%s", k ? "," : "", list.mounts[k].dir);
        if (strcmp(dirs, rows[i].dirs) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", rows[i].what, dirs, rows[i].dirs);
    }
}

static void test_mounts_bounds(void **state)
{
    static char text[200 * 400];
    struct mount_list list;
    size_t len = 0;
    char folder[300];
    (void)state;
    memset(folder, 'x', sizeof folder);
    len += (size_t)snprintf(text, sizeof text, "/dev/long /%.*s ext4 rw 0 0\n/dev/fits /%.*s ext4 rw 0 0\n",
                            MOUNT_DIR_SIZE - 1, folder, MOUNT_DIR_SIZE - 2, folder);
    for (int i = 0; i < 200; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "/dev/sd%d /mnt/%d ext4 rw 0 0\n", i, i);
    list = (struct mount_list){0};
    mount_list_add(&list, text, NULL, 0);
    mount_list_remove_network(&list, text);
    assert_int_equal(list.count, MOUNT_MAX);
    assert_int_equal(strlen(list.mounts[0].dir), MOUNT_DIR_SIZE - 1);
}

/* In a chroot the table does not name the root. */
static void test_mounts_root_out_of_sight(void **state)
{
    static char slash[] = "/";
    static char *const ignore[] = {slash};
    struct mount_list list = {0};
    (void)state;
    mount_list_add(&list, "proc /proc proc rw 0 0\n/dev/sdb1 /data ext4 rw 0 0\n", NULL, 0);
    mount_list_add_root(&list, NULL, 0);
    assert_int_equal(list.count, 2);
    assert_true(mount_is_root(&list.mounts[1]));
    list = (struct mount_list){0};
    mount_list_add_root(&list, ignore, 1);
    assert_int_equal(list.count, 0);
    mount_list_add(&list, "server:/export / nfs rw 0 0\n", NULL, 0);
    mount_list_remove_network(&list, "server:/export / nfs rw 0 0\n");
    mount_list_add_root(&list, NULL, 0);
    assert_int_equal(list.count, 0);
}

/* The same mounts line by line. */
static void test_mounts_in_pieces(void **state)
{
    static const char *const lines[] = {"/dev/sda1 / ext4 rw 0 0\n", "nas:/root /srv nfs rw 0 0\n",
                                        "/dev/sdb1 /srv/local ext4 rw 0 0\n", "/dev/sdc1 /data ext4 rw 0 0\n"};
    struct mount_list list = {.count = 0};
    (void)state;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
            if (pass == 0)
                mount_list_add(&list, lines[i], NULL, 0);
            else
                mount_list_remove_network(&list, lines[i]);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.mounts[0].dir, "/");
    assert_string_equal(list.mounts[1].dir, "/data");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mounts),
        cmocka_unit_test(test_mounts_bounds),
        cmocka_unit_test(test_mounts_in_pieces),
        cmocka_unit_test(test_mounts_root_out_of_sight),
    };
    return cmocka_run_group_tests_name("agent mounts", tests, NULL, NULL);
}
