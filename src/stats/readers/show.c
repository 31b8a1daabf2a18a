/*
 * show: all that an engine says of itself, a line a thing, by corelane_stats.h alone.
 *
 *   cc -O2 -o show show.c -lm && ./show /dev/shm/corelane-1000/main-1790000000123-4242
 *   ./show DIR 1000        looks at the boards as many times and prints each look
 *
 * Exit code 1 when there is nothing to show; the reason is on standard error.
 */
#include "corelane_stats.h"

static void show_labelled(const struct corelane_segment *stats, const struct corelane_entry *table, uint64_t row)
{
    struct corelane_entry label;
    uint64_t i, entries = corelane_entries(stats);
    for (i = 0; i < entries; i++) {
        if (!corelane_entry(stats, i, &label) || label.kind != CORELANE_LABEL || label.rows != table->kind) continue;
        uint64_t value = table->kind == CORELANE_ORDERS
                             ? corelane_order(stats, table, row, label.name)
                             : corelane_word(stats, table, row * table->row_words + label.at);
        printf(" %s=%" PRIu64, label.name, value);
    }
    printf("\n");
}

static int show_hist(const struct corelane_segment *stats, const struct corelane_entry *entry)
{
    struct corelane_hist hist;
    if (!corelane_hist_read(stats, entry, &hist)) {
        corelane_hist_free(&hist);
        return 0;
    }
    printf("hist %s count=%" PRIu64 " p50=%" PRIu64 " p90=%" PRIu64 " p99=%" PRIu64 " p999=%" PRIu64
           " max=%" PRIu64 "\n",
           entry->name, hist.total, corelane_quantile_ns(&hist, 0.5), corelane_quantile_ns(&hist, 0.9),
           corelane_quantile_ns(&hist, 0.99), corelane_quantile_ns(&hist, 0.999), corelane_max_ns(&hist));
    corelane_hist_free(&hist);
    return 1;
}

static int show_stats(const struct corelane_segment *stats)
{
    struct corelane_entry entry;
    uint64_t i, row, entries = corelane_entries(stats), refused = corelane_at(stats, 1) - entries;
    printf("stats pid=%" PRIu32 " epoch=%" PRIu64 " build=%016" PRIx64 " config=%016" PRIx64 " alive=%d\n",
           stats->pid, stats->epoch, stats->build_hash, stats->config_hash, corelane_alive(stats));
    for (i = 0; i < entries; i++) {
        if (!corelane_entry(stats, i, &entry)) {
            refused += 1;
            continue;
        }
        switch (entry.kind) {
        case CORELANE_COUNTER: printf("counter %s %" PRIu64 "\n", entry.name, corelane_word(stats, &entry, 0)); break;
        case CORELANE_GAUGE:
            printf("gauge %s %" PRId64 "\n", entry.name, (int64_t)corelane_word(stats, &entry, 0));
            break;
        case CORELANE_HIST:
            if (!show_hist(stats, &entry)) return 0;
            break;
        case CORELANE_AGENT:
            printf("agent %s", entry.name);
            show_labelled(stats, &entry, 0);
            break;
        case CORELANE_ORDERS:
            for (row = 0; row < entry.rows; row++) {
                if (corelane_labelled(stats, &entry, row, "risk_ns") == 0) continue;
                printf("order %" PRIu64, row);
                show_labelled(stats, &entry, row);
            }
            break;
        case CORELANE_TICKS:
            for (row = 0; row < entry.rows; row++) {
                if (corelane_labelled(stats, &entry, row, "feed_cause_plus_1") == 0) continue;
                printf("tick %" PRIu64, row);
                show_labelled(stats, &entry, row);
            }
            break;
        default: break;
        }
    }
    printf("refused %" PRIu64 "\n", refused);
    return 1;
}

static void show_boards(const struct corelane_segment *boards)
{
    uint64_t i;
    for (i = 0; i < corelane_instruments(boards); i++) {
        struct corelane_top top;
        struct corelane_position position;
        if (corelane_top(boards, i, &top))
            printf("top %" PRIu64 " published=%" PRIu64 " bid=%" PRId64 "x%" PRId64 " ask=%" PRId64 "x%" PRId64
                   " recv_ns=%" PRIu64 " state=%" PRIu64 " decimals=%" PRIu64 ",%" PRIu64 "\n",
                   i, top.published, top.bid_px, top.bid_qty, top.ask_px, top.ask_qty, top.recv_ns, top.state,
                   top.px_decimals, top.qty_decimals);
        if (corelane_position(boards, i, &position))
            printf("position %" PRIu64 " published=%" PRIu64 " base=%" PRId64 " realised=%016" PRIx64 "%016" PRIx64
                   " unrealised=%016" PRIx64 "%016" PRIx64 " open=%" PRIu64 " ts_ns=%" PRIu64 " trading=%d\n",
                   i, position.published, position.position, (uint64_t)position.realised_high, position.realised_low,
                   (uint64_t)position.unrealised_high, position.unrealised_low, position.open_orders, position.ts_ns,
                   position.trading);
    }
}

int main(int argc, char **argv)
{
    struct corelane_segment stats, boards;
    enum corelane_result no_stats, no_boards;
    long looks = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    int shown = 1;
    if (argc != 2 && looks <= 0) {
        fprintf(stderr, "usage: show DIR [LOOKS]\n");
        return 2;
    }
    no_stats = corelane_open_stats(&stats, argv[1]);
    no_boards = corelane_open_boards(&boards, argv[1]);
    if (no_stats != CORELANE_OK) fprintf(stderr, "stats: %s\n", corelane_text(no_stats));
    if (no_boards != CORELANE_OK) fprintf(stderr, "boards: %s\n", corelane_text(no_boards));
    if (no_stats == CORELANE_OK && looks == 0) shown = show_stats(&stats);
    if (no_boards == CORELANE_OK)
        do show_boards(&boards);
        while (--looks > 0);
    corelane_close(&stats);
    corelane_close(&boards);
    return shown && (no_stats == CORELANE_OK || no_boards == CORELANE_OK) ? 0 : 1;
}
