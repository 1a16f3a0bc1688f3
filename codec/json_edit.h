// SPDX-License-Identifier: Apache-2.0
//
// json_edit.h: a few members of a text replaced, the rest untouched.
//
// Takes a finished scan and a short list of edits and yields the new text as slices: pieces of the
// old text and the inserted bytes between them, ready for one sendmsg. Not one untouched byte is
// copied, and none changes: spacing, order, number spelling and unknown members survive.
//
//     text   {"model":"openai/gpt-4o","messages":[…115 kB…],"fallbacks":[…]}
//     slices [{"model":] ["gpt-4o"] [,"messages":[…115 kB…]] [}]
//
// Commas follow the edits: a removed member takes one neighbouring comma along, whatever
// combination of members goes; an appended member brings one when the object is not empty then.
//
// What is removed besides commas: from the comma before the member to the end of its value; for
// members at the front, whose comma is the one behind, from the name to that comma. White space
// outside that stays.
//
// Pure; any thread.
#ifndef RINGGATE_CODEC_JSON_EDIT_H
#define RINGGATE_CODEC_JSON_EDIT_H

#include "codec/json_scan.h"
#include <sys/uio.h>

// Edits of one text, appended members included; more is a programmer's error. The native path's
// table of edits has fewer rows than that.
#define JSON_EDITS_MAX  16
#define JSON_PIECES_MAX (2 * JSON_EDITS_MAX + 3)

struct json_splice {
    size_t at;
    size_t remove;
    struct slice insert;
    bool is_removal; // of a whole member, which these commas surround (offsets or -1)
    ptrdiff_t comma_before;
    ptrdiff_t comma_after;
};

struct json_edit {
    const struct json_scanner *scan;
    struct json_splice splice[JSON_EDITS_MAX]; // by offset
    unsigned count;
    struct slice append[JSON_EDITS_MAX]; // `"name":value` each
    unsigned append_count;
};

// Borrows the scan, which has ended well and found an object, and its text.
void json_edit_begin(struct json_edit *e, const struct json_scanner *scan);
// The member's value becomes `value` (JSON text). Borrows. The member must be present; it may also
// be one of an object inside the text (json_object_get). Of two replacements the later one counts.
void json_edit_replace(struct json_edit *e, const struct json_member *m, struct slice value);
// The member, one of the scan's, goes, and with it other edits of it. Absent: nothing happens.
void json_edit_remove(struct json_edit *e, const struct json_member *m);
// `member` is JSON text `"name":value`, put before the closing brace. Borrows.
void json_edit_append(struct json_edit *e, struct slice member);
// The name of a member becomes `key` (with quotes); its value is untouched. Borrows. The member as
// for json_edit_replace.
void json_edit_rename(struct json_edit *e, const struct json_member *m, struct slice key);
// Writes the pieces (at most JSON_PIECES_MAX) and their total length; returns how many. No edits:
// one piece, the text itself.
unsigned json_edit_pieces(const struct json_edit *e, struct iovec *out, size_t *ret_bytes);

#endif
