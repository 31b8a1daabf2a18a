/*
 * corelane_stats.h: an engine's statistics and boards for programs in C and C++, from shared memory, read-only.
 *
 *   struct corelane_segment stats;
 *   enum corelane_result result = corelane_open_stats(&stats, "/dev/shm/corelane-1000/main-1790000000123-4242");
 *   if (result != CORELANE_OK) { fprintf(stderr, "%s\n", corelane_text(result)); return 1; }
 *   struct corelane_entry messages;
 *   if (corelane_find(&stats, CORELANE_COUNTER, "feed.messages", &messages))
 *       printf("%" PRIu64 "\n", corelane_word(&stats, &messages, 0));
 *   corelane_close(&stats);
 *
 * One file, nothing to link: C11 or C++11, gcc or clang, Linux on a 64-bit little-endian machine. It works on a living
 * engine and on a dead one's files, and costs the engine nothing but the lines it looks at. `show.c` uses all of it.
 *
 * The layout is told in src/stats/layout.rs, src/stats/boards.rs, rings/header.rs and rings/board.rs. What another
 * process wrote is input: every place is checked before it is followed. Files are private to one user, whose programs
 * never shrink one; a file that somebody else cuts under a mapping ends the reader with SIGBUS.
 *
 * Absent: writing, sleeping, anything about what a name means.
 */
#ifndef CORELANE_STATS_H
#define CORELANE_STATS_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || UINTPTR_MAX != UINT64_MAX
#error "corelane_stats.h: a 64-bit little-endian machine is wanted"
#endif

/* Layout version of `stats` that this file reads. */
#define CORELANE_STATS_LAYOUT 2u
/* Layout version of `boards` that this file reads. */
#define CORELANE_BOARDS_LAYOUT 1u
/* Longest name of a cell or a label, bytes. */
#define CORELANE_NAME_MAX 48
/* Bytes before the body of a segment. */
#define CORELANE_HEADER_BYTES 256u

/* Why a segment could not be opened. */
enum corelane_result {
    CORELANE_OK = 0,
    CORELANE_NOT_FOUND,    /* no such file: the engine never ran there, or keeps no such segment */
    CORELANE_DENIED,       /* the file may not be read by this user */
    CORELANE_NOT_A_FILE,   /* a directory, a link, a device */
    CORELANE_FOREIGN,      /* another user's */
    CORELANE_PERMISSIONS,  /* others than its user may touch it */
    CORELANE_NOT_READY,    /* its maker has not finished it, or died before */
    CORELANE_WRONG_MAGIC,  /* no segment */
    CORELANE_WRONG_TYPE,   /* a segment of something else */
    CORELANE_WRONG_LAYOUT, /* another version of the engine: use its reader */
    CORELANE_TRUNCATED,    /* shorter than it says */
    CORELANE_WRONG_SIZE,   /* longer than it says */
    CORELANE_SYSTEM        /* the kernel refused: see errno */
};

/* What an entry of the directory describes. */
enum corelane_kind {
    CORELANE_COUNTER = 1, /* rising count, one word */
    CORELANE_GAUGE = 2,   /* signed level, one word */
    CORELANE_HIST = 3,    /* latencies, ns, a word a bucket */
    CORELANE_AGENT = 4,   /* heartbeat of a thread, one row of labelled words */
    CORELANE_ORDERS = 5,  /* when an order passed each stage, rows of labelled words */
    CORELANE_TICKS = 6,   /* when a market event did, rows of labelled words */
    CORELANE_LABEL = 7    /* the label of a word in such rows */
};

/* An open segment. To be read only. */
struct corelane_segment {
    const uint64_t *body;
    uint64_t words;       /* of the body */
    uint64_t created_ns;  /* since 1970 UTC */
    uint64_t epoch;       /* 1, or one more than the file it replaced */
    uint64_t build_hash;
    uint64_t config_hash;
    uint32_t pid; /* of its maker */
    uint32_t uid;
    void *map;
    size_t bytes; /* of the mapping */
    int fd;
};

/* One cell, or one table. */
struct corelane_entry {
    uint32_t kind;
    uint64_t rows;
    uint64_t at;        /* first word; the number of the word in its row for a label */
    uint64_t row_words; /* of one row */
    char name[CORELANE_NAME_MAX + 1];
};

/* The counts of one histogram, copied out; every answer comes from the copy, and so agrees with every other. */
struct corelane_hist {
    uint64_t *counts;
    uint64_t buckets;
    uint64_t half; /* buckets of a doubling, a power of two */
    uint64_t total;
};

/* Top of an instrument's book. Prices and quantities are mantissas at so many decimals. */
struct corelane_top {
    int64_t bid_px, bid_qty, ask_px, ask_qty;
    uint64_t recv_ns;   /* since 1970 UTC */
    uint64_t state;     /* 0 down, 1 syncing, 2 in sync, 3 gap: prices mean nothing unless in sync */
    uint64_t px_decimals, qty_decimals;
    uint64_t published; /* how many there were so far */
};

/* An instrument's position. Profits are 128-bit mantissas, two's complement, at the sum of both decimals. */
struct corelane_position {
    int64_t position; /* base, at the decimals of quantities */
    uint64_t realised_low;
    int64_t realised_high;
    uint64_t unrealised_low;
    int64_t unrealised_high;
    uint64_t open_orders;
    uint64_t ts_ns;
    int trading; /* whether new orders are allowed */
    uint64_t published;
};

/* A line for people. */
static inline const char *corelane_text(enum corelane_result result)
{
    switch (result) {
    case CORELANE_OK: return "ok";
    case CORELANE_NOT_FOUND: return "not_found";
    case CORELANE_DENIED: return "denied";
    case CORELANE_NOT_A_FILE: return "not_a_file";
    case CORELANE_FOREIGN: return "foreign";
    case CORELANE_PERMISSIONS: return "permissions";
    case CORELANE_NOT_READY: return "not_ready";
    case CORELANE_WRONG_MAGIC: return "wrong_magic";
    case CORELANE_WRONG_TYPE: return "wrong_type";
    case CORELANE_WRONG_LAYOUT: return "wrong_layout";
    case CORELANE_TRUNCATED: return "truncated";
    case CORELANE_WRONG_SIZE: return "wrong_size";
    case CORELANE_SYSTEM: return "system";
    }
    return "unknown";
}

/* Unmaps and closes; a segment that is not open may be closed. */
static inline void corelane_close(struct corelane_segment *segment)
{
    if (segment->map != NULL) munmap(segment->map, segment->bytes);
    if (segment->fd >= 0) close(segment->fd);
    segment->map = NULL;
    segment->body = NULL;
    segment->words = 0;
    segment->fd = -1;
}

static inline enum corelane_result corelane_check(struct corelane_segment *segment, const char *type, uint32_t layout)
{
    const uint64_t *head = (const uint64_t *)segment->map;
    /* Partner: the release store that ends the writing of the header. */
    uint64_t magic = __atomic_load_n(&head[0], __ATOMIC_ACQUIRE);
    uint32_t found_layout = (uint32_t)head[1];
    uint32_t found_type = (uint32_t)(head[1] >> 32);
    uint32_t wanted_type;
    if (magic == 0) return CORELANE_NOT_READY;
    if (memcmp(&magic, "corelan1", 8) != 0) return CORELANE_WRONG_MAGIC;
    memcpy(&wanted_type, type, 4);
    if (found_type != wanted_type) return CORELANE_WRONG_TYPE;
    if (found_layout != layout) return CORELANE_WRONG_LAYOUT;
    if (head[2] > segment->bytes - CORELANE_HEADER_BYTES) return CORELANE_TRUNCATED;
    if (head[2] != segment->bytes - CORELANE_HEADER_BYTES || head[2] % 8 != 0) return CORELANE_WRONG_SIZE;
    segment->body = head + CORELANE_HEADER_BYTES / 8;
    segment->words = head[2] / 8;
    segment->created_ns = head[3];
    segment->pid = (uint32_t)head[4];
    segment->uid = (uint32_t)(head[4] >> 32);
    segment->epoch = head[5];
    segment->build_hash = head[6];
    segment->config_hash = head[7];
    return CORELANE_OK;
}

/* Maps the segment at `path` when it is of this type (four letters) and layout. */
static inline enum corelane_result
corelane_open(struct corelane_segment *segment, const char *path, const char *type, uint32_t layout)
{
    struct stat stat;
    enum corelane_result result;
    memset(segment, 0, sizeof *segment);
    segment->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (segment->fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR) return CORELANE_NOT_FOUND;
        if (errno == EACCES || errno == EPERM) return CORELANE_DENIED;
        return errno == ELOOP ? CORELANE_NOT_A_FILE : CORELANE_SYSTEM;
    }
    result = CORELANE_OK;
    if (fstat(segment->fd, &stat) != 0) result = CORELANE_SYSTEM;
    else if (!S_ISREG(stat.st_mode)) result = CORELANE_NOT_A_FILE;
    else if (stat.st_uid != geteuid()) result = CORELANE_FOREIGN;
    else if ((stat.st_mode & 077) != 0) result = CORELANE_PERMISSIONS;
    else if (stat.st_size == 0) result = CORELANE_NOT_READY;
    else if ((uint64_t)stat.st_size < CORELANE_HEADER_BYTES) result = CORELANE_TRUNCATED;
    if (result == CORELANE_OK) {
        segment->bytes = (size_t)stat.st_size;
        segment->map = mmap(NULL, segment->bytes, PROT_READ, MAP_SHARED, segment->fd, 0);
        if (segment->map == MAP_FAILED) {
            segment->map = NULL;
            result = CORELANE_SYSTEM;
        } else {
            result = corelane_check(segment, type, layout);
        }
    }
    if (result != CORELANE_OK) {
        int kept = errno;
        corelane_close(segment);
        errno = kept;
    }
    return result;
}

static inline enum corelane_result corelane_open_in(struct corelane_segment *segment, const char *dir,
                                                    const char *name, const char *type, uint32_t layout)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s", dir, name);
    memset(segment, 0, sizeof *segment);
    segment->fd = -1;
    if (length < 0 || (size_t)length >= sizeof path) return CORELANE_NOT_FOUND;
    return corelane_open(segment, path, type, layout);
}

/* Opens the statistics of the engine whose instance directory this is. */
static inline enum corelane_result corelane_open_stats(struct corelane_segment *segment, const char *dir)
{
    return corelane_open_in(segment, dir, "stats", "stat", CORELANE_STATS_LAYOUT);
}

/* Opens its boards. */
static inline enum corelane_result corelane_open_boards(struct corelane_segment *segment, const char *dir)
{
    return corelane_open_in(segment, dir, "boards", "brds", CORELANE_BOARDS_LAYOUT);
}

/* Whether the process that made the segment lives: it holds a lock on the file's first byte. Takes nothing. */
static inline int corelane_alive(const struct corelane_segment *segment)
{
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_len = 1;
#ifdef F_OFD_GETLK
    return fcntl(segment->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
#else
    return fcntl(segment->fd, 36, &lock) == 0 && lock.l_type != F_UNLCK;
#endif
}

/* Word `at` of the body; zero beyond its end. Whoever sees it sees what its writer wrote before. */
static inline uint64_t corelane_at(const struct corelane_segment *segment, uint64_t at)
{
    return at < segment->words ? __atomic_load_n(&segment->body[at], __ATOMIC_ACQUIRE) : 0;
}

/* Buckets a doubling; zero when what the segment says cannot be. */
static inline uint64_t corelane_half(const struct corelane_segment *segment)
{
    uint64_t half = corelane_at(segment, 3);
    return half >= 1 && half <= (1u << 20) && (half & (half - 1)) == 0 ? half : 0;
}

/* Smallest value of a bucket, ns. */
static inline uint64_t corelane_lowest_ns(uint64_t half, uint64_t bucket)
{
    return bucket < 2 * half ? bucket : (half + bucket % half) << (bucket / half - 1);
}

/* Largest value of a bucket, ns. */
static inline uint64_t corelane_highest_ns(uint64_t half, uint64_t bucket)
{
    return corelane_lowest_ns(half, bucket) + (bucket < 2 * half ? 0 : (UINT64_C(1) << (bucket / half - 1)) - 1);
}

/* Buckets of every histogram: whole doublings up to the one that holds the largest value that is told apart. */
static inline uint64_t corelane_buckets(const struct corelane_segment *segment)
{
    uint64_t half = corelane_half(segment), max = corelane_at(segment, 4), doubling = 2;
    if (half == 0 || max >> 48 != 0) return 0;
    while (corelane_lowest_ns(half, doubling * half) <= max) doubling += 1;
    return doubling * half;
}

/* Words of a row of this kind; zero for a kind that is not known. */
static inline uint64_t corelane_row_words(const struct corelane_segment *segment, uint32_t kind)
{
    switch (kind) {
    case CORELANE_COUNTER:
    case CORELANE_GAUGE: return 1;
    case CORELANE_HIST: return corelane_buckets(segment);
    case CORELANE_AGENT:
    case CORELANE_ORDERS: return 16;
    case CORELANE_TICKS: return 8;
    default: return 0;
    }
}

/* How many entries the directory has room for and says to have. */
static inline uint64_t corelane_entries(const struct corelane_segment *segment)
{
    uint64_t first = corelane_at(segment, 2);
    uint64_t room = first < segment->words ? (segment->words - first) / 8 : 0;
    uint64_t claimed = corelane_at(segment, 1);
    return claimed < room ? claimed : room;
}

/* Entry `i` of the directory, in order of declaration. Returns 0 for one that cannot be understood: of a kind that is
 * not known, or with its place outside the segment. */
static inline int corelane_entry(const struct corelane_segment *segment, uint64_t i, struct corelane_entry *entry)
{
    uint64_t base = corelane_at(segment, 2) + i * 8;
    uint64_t head = corelane_at(segment, base), length = head >> 8 & 0xff, word;
    if (i >= corelane_entries(segment) || length > CORELANE_NAME_MAX) return 0;
    memset(entry, 0, sizeof *entry);
    entry->kind = (uint32_t)(head & 0xff);
    entry->rows = head >> 16;
    entry->at = corelane_at(segment, base + 1);
    entry->row_words = corelane_row_words(segment, entry->kind);
    for (word = 0; word < CORELANE_NAME_MAX / 8; word++) {
        uint64_t letters = corelane_at(segment, base + 2 + word);
        memcpy(entry->name + word * 8, &letters, 8);
    }
    memset(entry->name + length, 0, sizeof entry->name - length);
    for (word = 0; word < length; word++)
        if (entry->name[word] < '!' || entry->name[word] > '~') entry->name[word] = '?';
    if (entry->kind == CORELANE_LABEL) return entry->at < 16;
    if (entry->row_words == 0 || entry->rows == 0 || entry->rows > 1u << 20) return 0;
    if (entry->kind < CORELANE_ORDERS && entry->rows != 1) return 0;
    if (entry->kind == CORELANE_TICKS && (entry->rows & (entry->rows - 1)) != 0) return 0;
    return entry->at <= segment->words && entry->rows * entry->row_words <= segment->words - entry->at;
}

/* The entry of this kind and name; 0 when there is none. */
static inline int corelane_find(const struct corelane_segment *segment, enum corelane_kind kind, const char *name,
                                struct corelane_entry *entry)
{
    uint64_t i, entries = corelane_entries(segment);
    for (i = 0; i < entries; i++)
        if (corelane_entry(segment, i, entry) && entry->kind == (uint32_t)kind && strcmp(entry->name, name) == 0)
            return 1;
    return 0;
}

/* Word `i` of a cell or table, counted through its rows; zero beyond its end. */
static inline uint64_t corelane_word(const struct corelane_segment *segment, const struct corelane_entry *entry,
                                     uint64_t i)
{
    return i < entry->rows * entry->row_words ? corelane_at(segment, entry->at + i) : 0;
}

/* The number, in its row, of the word with this label in rows of this kind; -1 when there is none. */
static inline int corelane_label(const struct corelane_segment *segment, uint32_t kind, const char *label)
{
    struct corelane_entry entry;
    uint64_t i, entries = corelane_entries(segment);
    for (i = 0; i < entries; i++)
        if (corelane_entry(segment, i, &entry) && entry.kind == CORELANE_LABEL && entry.rows == kind &&
            strcmp(entry.name, label) == 0)
            return (int)entry.at;
    return -1;
}

/* The word with this label in a row; zero when there is none. */
static inline uint64_t corelane_labelled(const struct corelane_segment *segment, const struct corelane_entry *entry,
                                         uint64_t row, const char *label)
{
    int word = corelane_label(segment, entry->kind, label);
    return word < 0 ? 0 : corelane_word(segment, entry, row * entry->row_words + (uint64_t)word);
}

/* The same of a row of orders, zero when the word is not this order's. A slot is used again when its order is done, so
 * a row mixes an old order with a new one: `risk_ns` says which it is, and a time that claims to follow but is earlier,
 * or to precede but is later, is another's. A row whose `risk_ns` is zero never had an order. */
static inline uint64_t corelane_order(const struct corelane_segment *segment, const struct corelane_entry *orders,
                                      uint64_t row, const char *label)
{
    uint64_t value = corelane_labelled(segment, orders, row, label);
    uint64_t risk = corelane_labelled(segment, orders, row, "risk_ns");
    if (strcmp(label, "recv_ns") == 0 || strcmp(label, "parsed_ns") == 0 || strcmp(label, "signal_ns") == 0)
        return value <= risk ? value : 0;
    if (strcmp(label, "client_ns") == 0 || strcmp(label, "sent_ns") == 0 || strcmp(label, "acked_ns") == 0)
        return value >= risk ? value : 0;
    if (strcmp(label, "client_cycle") == 0)
        return corelane_labelled(segment, orders, row, "client_ns") >= risk ? value : 0;
    return value;
}

/* Copies a histogram out; 0 when there is no memory for it or `entry` is none. */
static inline int corelane_hist_read(const struct corelane_segment *segment, const struct corelane_entry *entry,
                                     struct corelane_hist *hist)
{
    uint64_t i;
    memset(hist, 0, sizeof *hist);
    if (entry->kind != CORELANE_HIST) return 0;
    hist->buckets = entry->row_words;
    hist->half = corelane_half(segment);
    hist->counts = (uint64_t *)calloc(hist->buckets, sizeof *hist->counts);
    if (hist->counts == NULL || hist->half == 0) return 0;
    for (i = 0; i < hist->buckets; i++) {
        hist->counts[i] = corelane_word(segment, entry, i);
        hist->total = hist->total > UINT64_MAX - hist->counts[i] ? UINT64_MAX : hist->total + hist->counts[i];
    }
    return 1;
}

/* Frees the copy. */
static inline void corelane_hist_free(struct corelane_hist *hist)
{
    free(hist->counts);
    memset(hist, 0, sizeof *hist);
}

/* Largest value of the highest bucket that is not empty, ns; zero when all are. */
static inline uint64_t corelane_max_ns(const struct corelane_hist *hist)
{
    uint64_t i;
    for (i = hist->buckets; i > 0; i--)
        if (hist->counts[i - 1] > 0) return corelane_highest_ns(hist->half, i - 1);
    return 0;
}

/* Value at a quantile of 0.0 to 1.0, ns: the largest of the bucket in which it falls, as HdrHistogram answers. */
static inline uint64_t corelane_quantile_ns(const struct corelane_hist *hist, double quantile)
{
    double clamped = quantile < 0.0 ? 0.0 : quantile > 1.0 ? 1.0 : quantile;
    double rank = ceil(clamped * (double)hist->total);
    uint64_t i, seen = 0, wanted = rank < 1.0 ? 1 : rank >= 18446744073709551615.0 ? UINT64_MAX : (uint64_t)rank;
    for (i = 0; i < hist->buckets; i++) {
        seen = seen > UINT64_MAX - hist->counts[i] ? UINT64_MAX : seen + hist->counts[i];
        if (seen >= wanted)
            return clamped == 0.0 ? corelane_lowest_ns(hist->half, i) : corelane_highest_ns(hist->half, i);
    }
    return corelane_max_ns(hist);
}

/* How many instruments have boards; 0 while the engine starts. */
static inline uint64_t corelane_instruments(const struct corelane_segment *boards)
{
    uint64_t room = boards->words > 16 ? (boards->words - 16) / 64 : 0, claimed = corelane_at(boards, 0);
    return claimed < room ? claimed : room;
}

/* The value of one board, whole: which = 0 the top, 1 the position. Returns how often it was published; 0 before the
 * first, for no board, or when all tries met its writer at work, or dead at it. */
static inline uint64_t corelane_board(const struct corelane_segment *boards, uint64_t instrument, uint64_t which,
                                      uint64_t value[8])
{
    const uint64_t *board;
    int attempt;
    if (instrument >= corelane_instruments(boards) || which > 1) return 0;
    board = boards->body + 16 + instrument * 64 + which * 32;
    if (__atomic_load_n(&board[0], __ATOMIC_ACQUIRE) != UINT64_C(0x6472616f62716573)) return 0; /* "seqboard" */
    if (__atomic_load_n(&board[1], __ATOMIC_RELAXED) != 8) return 0;
    for (attempt = 0; attempt < 1000; attempt++) {
        int i;
        /* Partner: the release store that ends a publication. */
        uint64_t version = __atomic_load_n(&board[16], __ATOMIC_ACQUIRE);
        if (version % 2 == 0) {
            for (i = 0; i < 8; i++) value[i] = __atomic_load_n(&board[17 + i], __ATOMIC_RELAXED);
            /* Partner: the release fence behind the odd version. */
            __atomic_thread_fence(__ATOMIC_ACQUIRE);
            if (__atomic_load_n(&board[16], __ATOMIC_RELAXED) == version) return version / 2;
        }
    }
    return 0;
}

/* The latest top of an instrument; 0 when there is none. */
static inline int corelane_top(const struct corelane_segment *boards, uint64_t instrument, struct corelane_top *top)
{
    uint64_t value[8];
    memset(top, 0, sizeof *top);
    top->published = corelane_board(boards, instrument, 0, value);
    if (top->published == 0) return 0;
    top->bid_px = (int64_t)value[0];
    top->bid_qty = (int64_t)value[1];
    top->ask_px = (int64_t)value[2];
    top->ask_qty = (int64_t)value[3];
    top->recv_ns = value[4];
    top->state = value[5];
    top->px_decimals = value[6];
    top->qty_decimals = value[7];
    return 1;
}

/* The latest position of an instrument; 0 when there is none. */
static inline int
corelane_position(const struct corelane_segment *boards, uint64_t instrument, struct corelane_position *position)
{
    uint64_t value[8];
    memset(position, 0, sizeof *position);
    position->published = corelane_board(boards, instrument, 1, value);
    if (position->published == 0) return 0;
    position->position = (int64_t)value[0];
    position->realised_low = value[1];
    position->realised_high = (int64_t)value[2];
    position->unrealised_low = value[3];
    position->unrealised_high = (int64_t)value[4];
    position->open_orders = value[5];
    position->ts_ns = value[6];
    position->trading = value[7] == 1;
    return 1;
}

#endif
