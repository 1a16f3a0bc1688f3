// SPDX-License-Identifier: Apache-2.0
//
// list.h: an intrusive doubly linked ring of links, head included.
//
// A link that is on no list points at itself after list_init or list_remove, so removing twice is
// harmless and `list_linked` answers truthfully. Not thread-safe.
#ifndef RINGGATE_BASE_LIST_H
#define RINGGATE_BASE_LIST_H

#include "base/container.h"
#include <stdbool.h>

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l;
    l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline bool list_linked(const struct list *l)
{
    return l->next != l;
}

static inline void list_push_back(struct list *head, struct list *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

static inline void list_push_front(struct list *head, struct list *l)
{
    l->next = head->next;
    l->prev = head;
    head->next->prev = l;
    head->next = l;
}

static inline void list_remove(struct list *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}

// The first link, taken off, or NULL.
static inline struct list *list_pop_front(struct list *head)
{
    struct list *l = head->next;
    if (l == head)
        return NULL;
    list_remove(l);
    return l;
}

#endif
