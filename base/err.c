// SPDX-License-Identifier: Apache-2.0
//
// err.c: the rows of ERR_MAP as a table, looked up by index.
//
// One row holds everything there is to know about an error, so adding an error is adding a line in
// err.h and nothing else. Row 0 is "no error".
#include "base/err.h"
#include "base/assert.h"

struct err_row {
    const char *name;
    const char *text;
    int http_status;
    bool retryable;
};

static const struct err_row err_rows[ERR_COUNT] = {{"NONE", "", 200, false},
#define X(name, text, status, retry) {#name, text, status, retry},
                                                   ERR_MAP(X)
#undef X
};

static const struct err_row *row(int err)
{
    ASSERT(err <= 0);
    ASSERT(err > -(int)ERR_COUNT);
    return &err_rows[-err];
}

const char *err_name(int err)
{
    return row(err)->name;
}

const char *err_text(int err)
{
    return row(err)->text;
}

int err_http_status(int err)
{
    return row(err)->http_status;
}

bool err_retryable(int err)
{
    return row(err)->retryable;
}
