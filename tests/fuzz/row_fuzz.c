// SPDX-License-Identifier: Apache-2.0
//
// row_fuzz.c: any bytes as a row of the store.
//
// A row that is read is told, as JSON whatever stands in it, and written again: the same bytes. The
// first of the input are the numbers of its facts, and a text of it is their words.
#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "codec/json.h"
#include "gateway/row.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY_MAX ((size_t)8 << 20)

static void tell(const struct row *row, struct store_facts *facts)
{
    yyjson_doc *doc;
    struct buf out;
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++)
        facts->word[i] = row->text[i];
    buf_init(&out, MEMORY_MAX);
    buf_add_char(&out, '{');
    row_tell(row, facts, &out);
    buf_add_char(&out, '}');
    ASSERT(out.err == 0);
    ASSERT(json_parse(buf_slice(&out), &doc, NULL, NULL) == 0);
    yyjson_doc_free(doc);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store_facts facts = {.cost_estimated = size & 1, .streamed = size & 2};
    struct block_pool pool;
    struct arena arena;
    struct slice again;
    struct row row;
    if (row_read(slice_of(data, size), &row) != 0)
        return 0;
    memcpy(&facts.latency_ms, data + 4, sizeof(facts.latency_ms));
    memcpy(&facts.cost, data + 8, sizeof(facts.cost));
    memcpy(&facts.input_tokens, data + 16, sizeof(facts.input_tokens));
    facts.cached_read_tokens = facts.input_tokens;
    facts.time.ns = (int64_t)(row.total_tokens & INT64_MAX);
    block_pool_init(&pool, 0);
    arena_init(&arena, &pool, MEMORY_MAX);
    tell(&row, &facts);
    ASSERT(row_write(&row, &arena, &again) == 0);
    ASSERT(slice_eq(again, slice_of(data, size)));
    arena_done(&arena);
    block_pool_done(&pool);
    return 0;
}
