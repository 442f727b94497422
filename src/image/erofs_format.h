/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of EROFS' disk format that images are written in (Linux, fs/erofs/erofs_fs.h; Documentation/filesystems/erofs.rst):
 * uncompressed, blocks of 4096 bytes, extended inodes. All numbers little endian.
 */
#ifndef IMAGE_EROFS_FORMAT_H
#define IMAGE_EROFS_FORMAT_H

#include <stdint.h>

#define EROFS_BLOCK 4096u
#define EROFS_BLOCK_BITS 12
#define EROFS_SUPER_OFFSET 1024u
#define EROFS_SUPER_MAGIC 0xE0F5E1E2u
#define EROFS_COMPAT_SB_CHKSUM 1u
#define EROFS_COMPAT_MTIME 2u
#define EROFS_NULL_ADDR UINT32_MAX
#define EROFS_SLOT 32u /* an inode's number counts these from the beginning of the metadata */
#define EROFS_XATTR_USER 1

enum { EROFS_FLAT_PLAIN = 0, EROFS_FLAT_INLINE = 2 };
enum { EROFS_FT_REG = 1, EROFS_FT_DIR = 2, EROFS_FT_SYMLINK = 7 };

struct erofs_super {
	uint32_t magic, checksum, feature_compat;
	uint8_t block_bits, slots;
	uint16_t root_nid;
	uint64_t inodes, build_time;
	uint32_t build_time_nsec, blocks, meta_block, xattr_block;
	uint8_t uuid[16], volume_name[16];
	uint32_t feature_incompat;
	uint16_t compression, extra_devices, device_slot;
	uint8_t dir_block_bits, xattr_prefixes;
	uint32_t xattr_prefix_start;
	uint64_t packed_nid;
	uint8_t reserved[24];
} __attribute__((packed));
_Static_assert(sizeof(struct erofs_super) == 128, "as on disk");

struct erofs_inode {
	uint16_t format; /* bit 0: extended; from bit 1: layout */
	uint16_t xattr_count, mode, reserved;
	uint64_t size;
	uint32_t block, number, uid, gid;
	uint64_t mtime;
	uint32_t mtime_nsec, links;
	uint8_t reserved2[16];
} __attribute__((packed));
_Static_assert(sizeof(struct erofs_inode) == 64, "as on disk");

struct erofs_dirent {
	uint64_t nid;
	uint16_t name;
	uint8_t type, reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct erofs_dirent) == 12, "as on disk");

/* Before the extended attributes of an inode; their number there is (bytes - 12) / 4 + 1. */
struct erofs_xattr_header {
	uint32_t filter;
	uint8_t shared, reserved[7];
} __attribute__((packed));

struct erofs_xattr_entry {
	uint8_t name_len, index;
	uint16_t value_len;
} __attribute__((packed));

#endif
