// SPDX-License-Identifier: Apache-2.0
//
// route_table.c: from a path to its row.
//
// Filled by main before the cores start, from the gateway's rows and the management's; read by
// every core afterwards and never written again, so a look-up takes no lock.
#include "gateway/route.h"

#include "base/assert.h"
#include "base/err.h"

int route_table_init(struct route_table *t, const uint64_t seed[2])
{
    ASSERT(t != NULL);
    map_init(&t->by_path, seed);
    return 0;
}

void route_table_done(struct route_table *t)
{
    map_done(&t->by_path);
}

int route_table_add(struct route_table *t, const struct route *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct route *row = &rows[i];
        ASSERT(row->path[0] == '/' && row->methods != 0 && row->serve_await != NULL);
        struct slice path = slice_str(row->path);
        if (map_get(&t->by_path, path) != NULL)
            return ERR_DUPLICATE;
        // The map carries what it is given; rows are only read through it.
        int rc = map_put(&t->by_path, path, (void *)(uintptr_t)row);
        if (rc < 0)
            return rc;
    }
    return 0;
}

const struct route *route_find(const struct route_table *t, struct slice path)
{
    if (path.len > 1 && path.ptr[path.len - 1] == '/')
        path.len--;
    return map_get(&t->by_path, path);
}
