// SPDX-License-Identifier: Apache-2.0
//
// words.c: a map and a growing table for each dictionary.
//
// The table is cut into pages, so that it grows without moving: a word once found may be used
// without the lock.
#include "store/words.h"

#include "base/assert.h"
#include "base/err.h"
#include "base/map.h"
#include <pthread.h>
#include <stdlib.h>

#define PAGE_WORDS 1024
// Counters are made by administrators, but a dictionary must end somewhere.
#define PAGES_MAX 16384
#define BYTES_MAX ((size_t)4 * 1024 * 1024 * 1024)

struct dictionary {
    struct map numbers; // from a word to its number, as a pointer
    struct slice *page[PAGES_MAX];
    uint32_t count;
};

struct words {
    pthread_rwlock_t lock;
    struct block_pool pool;
    struct arena arena; // of the words' bytes
    struct dictionary dictionary[STORE_WORD_COUNT];
};

struct words *words_new(const uint64_t seed[2])
{
    struct words *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    pthread_rwlock_init(&w->lock, NULL);
    block_pool_init(&w->pool, 0);
    arena_init(&w->arena, &w->pool, BYTES_MAX);
    for (unsigned i = 0; i < STORE_WORD_COUNT; i++)
        map_init(&w->dictionary[i].numbers, seed);
    return w;
}

void words_free(struct words *w)
{
    if (!w)
        return;
    for (unsigned i = 0; i < STORE_WORD_COUNT; i++) {
        map_done(&w->dictionary[i].numbers);
        for (unsigned p = 0; p < PAGES_MAX && w->dictionary[i].page[p]; p++)
            free(w->dictionary[i].page[p]);
    }
    arena_done(&w->arena);
    block_pool_done(&w->pool);
    pthread_rwlock_destroy(&w->lock);
    free(w);
}

// ---- Places ----------------------------------------------------------------------------------

static int page_new(struct dictionary *d, uint32_t page)
{
    for (uint32_t p = 0; p <= page; p++)
        if (!d->page[p] && !(d->page[p] = calloc(PAGE_WORDS, sizeof(struct slice))))
            return ERR_NOMEM;
    return 0;
}

static struct slice *place(const struct dictionary *d, uint32_t number)
{
    uint32_t page = number / PAGE_WORDS;
    if (page >= PAGES_MAX || !d->page[page])
        return NULL;
    return &d->page[page][number % PAGE_WORDS];
}

// The lock is held for writing.
static int put(struct words *w, enum store_word dictionary, uint32_t number, struct slice word)
{
    struct dictionary *d = &w->dictionary[dictionary];
    struct slice copy = arena_copy(&w->arena, word);
    if (!copy.ptr)
        return ERR_NOMEM;
    int err = page_new(d, number / PAGE_WORDS);
    if (!err)
        err = map_put(&d->numbers, copy, (void *)(uintptr_t)number);
    if (err)
        return err;
    *place(d, number) = copy;
    if (number > d->count)
        d->count = number;
    return 0;
}

// ---- The drain -------------------------------------------------------------------------------

uint32_t words_find(const struct words *w, enum store_word dictionary, struct slice word)
{
    return (uint32_t)(uintptr_t)map_get(&w->dictionary[dictionary].numbers, word);
}

int words_add(struct words *w, enum store_word dictionary, struct slice word, uint32_t *ret)
{
    const struct dictionary *d = &w->dictionary[dictionary];
    uint32_t max = dictionary == STORE_WORD_COUNTER ? PAGES_MAX * PAGE_WORDS - 1 : STORE_WORDS_MAX;

    ASSERT(word.len > 0 && words_find(w, dictionary, word) == 0);
    if (d->count >= max) {
        *ret = WORDS_OTHER;
        return 0;
    }
    uint32_t number = d->count + 1;
    pthread_rwlock_wrlock(&w->lock);
    int err = put(w, dictionary, number, word);
    pthread_rwlock_unlock(&w->lock);
    if (!err)
        *ret = number;
    return err;
}

int words_load(struct words *w, enum store_word dictionary, uint32_t number, struct slice word)
{
    if (number == 0 || number >= PAGES_MAX * PAGE_WORDS || word.len == 0)
        return ERR_LIMIT;
    pthread_rwlock_wrlock(&w->lock);
    const struct slice *there = place(&w->dictionary[dictionary], number);
    int err = there && there->len > 0 ? ERR_LIMIT : put(w, dictionary, number, word);
    pthread_rwlock_unlock(&w->lock);
    return err;
}

// ---- Everybody -------------------------------------------------------------------------------

uint32_t words_number(struct words *w, enum store_word dictionary, struct slice word)
{
    if (slice_eq(word, SLICE(STORE_WORD_OTHER)))
        return WORDS_OTHER;
    pthread_rwlock_rdlock(&w->lock);
    uint32_t number = words_find(w, dictionary, word);
    pthread_rwlock_unlock(&w->lock);
    return number;
}

struct slice words_text(struct words *w, enum store_word dictionary, uint32_t number)
{
    if (number == 0)
        return SLICE_EMPTY;
    if (number == WORDS_OTHER)
        return SLICE(STORE_WORD_OTHER);
    pthread_rwlock_rdlock(&w->lock);
    const struct slice *at = place(&w->dictionary[dictionary], number);
    struct slice word = at ? *at : SLICE_EMPTY;
    pthread_rwlock_unlock(&w->lock);
    return word;
}

uint32_t words_count(struct words *w, enum store_word dictionary)
{
    pthread_rwlock_rdlock(&w->lock);
    uint32_t count = w->dictionary[dictionary].count;
    pthread_rwlock_unlock(&w->lock);
    return count;
}
