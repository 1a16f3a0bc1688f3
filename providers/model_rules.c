// SPDX-License-Identifier: Apache-2.0
//
// model_rules.c: the rules, and how names are matched. gateway/request.c applies them.
//
// One rule today: OpenAI's reasoning models, at OpenAI and at Azure. From GPT-5.1 on some of these
// members are taken when reasoning is off, so those models are left to a catalogue; so is
// gpt-5-chat, which does not reason.
//
// Sources: platform.openai.com/docs/guides/latest-model (GPT-5 parameter compatibility),
// learn.microsoft.com/azure/ai-foundry/openai/how-to/reasoning (not supported).

#include "providers/model_rules.h"
#include "base/container.h"

static const struct slice refused[] = {
    SLICE("temperature"),       SLICE("top_p"),    SLICE("presence_penalty"),
    SLICE("frequency_penalty"), SLICE("logprobs"), SLICE("top_logprobs"),
    SLICE("logit_bias"),
};
_Static_assert(sizeof(refused) / sizeof(refused[0]) <= MODEL_REFUSED_MAX, "a scan's room");

// The name itself, or with a word behind it.
static bool is_of(struct slice model, struct slice family)
{
    return slice_istarts(model, family) &&
           (model.len == family.len || model.ptr[family.len] == '-');
}

static bool reasons(struct slice model)
{
    static const struct slice families[] = {SLICE("o1"), SLICE("o3"), SLICE("o4"), SLICE("gpt-5")};

    if (is_of(model, SLICE("gpt-5-chat")))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        if (is_of(model, families[i]))
            return true;
    return false;
}

bool model_has_rules(const struct provider_row *row)
{
    return slice_eq(row->name, SLICE("openai")) || slice_eq(row->name, SLICE("azure"));
}

const struct slice *model_refused(const struct provider_row *row, struct slice model,
                                  unsigned *ret_count)
{
    *ret_count = model_has_rules(row) && reasons(model) ? ARRAY_LEN(refused) : 0;
    return refused;
}

const struct slice *model_refused_ever(unsigned *ret_count)
{
    *ret_count = ARRAY_LEN(refused);
    return refused;
}

bool model_wants_new_limit(const struct provider_row *row, struct slice model)
{
    return model_has_rules(row) && reasons(model);
}
