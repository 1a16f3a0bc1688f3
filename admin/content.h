// SPDX-License-Identifier: Apache-2.0
//
// content.h: the texts that a record keeps, told as the members of a LogEntry.
//
// A record keeps bytes: what the client sent, and the answer in the client's dialect, a stream as
// its events. What the API tells of them is made when somebody asks, by the dialects' own readers:
//
//   asked in              | request                                | answer
//   ----------------------+----------------------------------------+---------------------------
//   chat, text,           | input_history, tools, params           | output_message, tool_calls
//   Anthropic's complete  |                                        |
//   responses, messages,  | responses_input_history, tools, params | responses_output
//   counts of tokens      |                                        |
//   embeddings            | params                                 | embedding_output
//
// Chat's and responses' own members are told as they were written, byte for byte; other dialects go
// through the canonical form. A stream that broke off tells what it had said. What cannot be read
// (it was cut, it is no answer of its dialect) is left out here and stands in `raw_request` and
// `raw_response`, which are the texts themselves.
//
// May take long: a worker's, when it is much. Pure but for memory; any thread.
#ifndef RINGGATE_ADMIN_CONTENT_H
#define RINGGATE_ADMIN_CONTENT_H

#include "base/buf.h"
#include "store/store.h"

// A stream unfolded; stops a small value that says the same a million times.
#define CONTENT_TEXT_BYTES_MAX ((size_t)16 * 1024 * 1024)
// Memory for reading one request or answer and writing it anew.
#define CONTENT_MEMORY_BYTES_MAX ((size_t)256 * 1024 * 1024)

// Members, each with a comma in front of it, to the end of `out`.
void content_tell(const struct store_entry *entry, struct buf *out);
// About how many bytes that is a look at.
size_t content_weight(const struct store_entry *entry);

#endif
