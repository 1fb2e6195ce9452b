/* A QEMU plugin: how often each basic block runs between two functions, and how often its jump is taken.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The declarations are those of QEMU's plugin interface, version 1, whose header distributions do not ship.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int, void *);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *,
                                             void (*)(unsigned, qemu_plugin_meminfo_t, uint64_t, void *), int, int,
                                             void *);
extern unsigned qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int qemu_plugin_version = 1;

struct block {
    uint64_t start, end, count, taken;
    struct block *next;
};

static struct block *blocks, *before;
static uint64_t begin, end, misaligned;
static int counting;
static const char *out;

/* One table a run, behind the others. */
static void dump(void) {
    static const char *mode = "w";
    FILE *file = fopen(out, mode);
    if (!file) return;
    mode = "a";
    fprintf(file, "%" PRIu64 "\n", misaligned);
    for (struct block *b = blocks; b; b = b->next)
        if (b->count)
            fprintf(file, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", b->start, b->end - b->start, b->count,
                    b->taken);
    fclose(file);
}

static void executed(unsigned cpu, void *data) {
    struct block *now = data;
    (void)cpu;
    if (now->start == begin) {
        for (struct block *b = blocks; b; b = b->next) b->count = b->taken = 0;
        misaligned = 0, before = NULL, counting = 1;
        return;
    }
    if (!counting) return;
    if (before && before->end != now->start) ++before->taken;
    if (now->start == end) {
        counting = 0;
        dump();
        return;
    }
    ++now->count;
    before = now;
}

static void loaded(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data) {
    const unsigned size = 1u << qemu_plugin_mem_size_shift(info);
    (void)cpu, (void)data;
    if (counting && (size == 2 || size == 4) && address & (size - 1)) misaligned += size == 4 && address & 1 ? 2 : 1;
}

/* The first half of an instruction that lies across two pages: QEMU gives it a block of its own. */
static int is_half(const struct qemu_plugin_insn *insn) {
    uint16_t word;
    memcpy(&word, qemu_plugin_insn_data(insn), sizeof word);
    return qemu_plugin_insn_size(insn) == 2 && word >> 11 >= 0x1D;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    struct block *made = calloc(1, sizeof *made);
    (void)id;
    made->start = made->end = qemu_plugin_tb_vaddr(tb);
    for (size_t k = 0; k < qemu_plugin_tb_n_insns(tb); ++k) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, k);
        if (is_half(insn)) break;
        made->end += qemu_plugin_insn_size(insn);
        qemu_plugin_register_vcpu_mem_cb(insn, loaded, 0, 1, NULL);
    }
    made->next = blocks;
    blocks = made;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, 0, made);
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
    (void)info;
    for (int k = 0; k < argc; ++k) {
        if (!strncmp(argv[k], "begin=", 6)) begin = strtoull(argv[k] + 6, NULL, 10);
        if (!strncmp(argv[k], "end=", 4)) end = strtoull(argv[k] + 4, NULL, 10);
        if (!strncmp(argv[k], "out=", 4)) out = argv[k] + 4;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
