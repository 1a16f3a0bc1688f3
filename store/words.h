// SPDX-License-Identifier: Apache-2.0
//
// words.h: the dictionaries in memory: from a word to its number and back.
//
// A row keeps a number for a provider's name, a model's, and so on. Numbers count up from 1 in each
// dictionary (0: absent) and are never given again. What is here is what KEYS_WORD holds in the
// database, and at most one batch ahead of it.
//
// Threads: the drain, who alone adds, reads without a lock what it alone changes; everybody else
// takes the lock for reading. A word stays where it is until the dictionaries are freed.
#ifndef RINGGATE_STORE_WORDS_H
#define RINGGATE_STORE_WORDS_H

#include "base/arena.h"
#include "base/slice.h"
#include "store/store.h"

// What words beyond STORE_WORDS_MAX become.
#define WORDS_OTHER UINT32_MAX

struct words;

struct words *words_new(const uint64_t seed[2]); // of the maps; NULL: no memory
void words_free(struct words *w);                // NULL is fine

// The drain's thread. 0: absent.
uint32_t words_find(const struct words *w, enum store_word dictionary, struct slice word);
// Not there yet: gives it a number; WORDS_OTHER when the dictionary is full. 0 or ERR_NOMEM.
int words_add(struct words *w, enum store_word dictionary, struct slice word, uint32_t *ret);
// One that the database has. Numbers may come in any order, each once. ERR_LIMIT: it cannot be.
int words_load(struct words *w, enum store_word dictionary, uint32_t number, struct slice word);

// Any thread.
uint32_t words_number(struct words *w, enum store_word dictionary, struct slice word);
// Empty for 0 and for what is not there.
struct slice words_text(struct words *w, enum store_word dictionary, uint32_t number);
// How many there are, and so the greatest number.
uint32_t words_count(struct words *w, enum store_word dictionary);

#endif
